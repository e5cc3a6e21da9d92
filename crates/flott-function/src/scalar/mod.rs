//! Scalar functions by name. One file per family; each entry has its syntax and description, from which the reference
//! page is made.

mod collection;
mod conditional;
mod date_pattern;
mod hash;
mod math;
mod random;
mod regex;
mod shape;
mod string;
mod temporal;
mod time_unit;

use flott_core::{LogicalType, Result};

use crate::cast::cast_if_needed;
use crate::context::FunctionEnv;
use crate::udf::{Resolved, TypedExpr, call_resolved};

/// A family on the reference page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are Flink's words")]
pub enum Category {
    Arithmetic,
    String,
    Temporal,
    Conditional,
    Collection,
    Hash,
    Json,
}

/// What a function is given when it is resolved.
pub struct Arguments<'a> {
    /// The arguments; a function may replace them by casts of them.
    pub values: Vec<TypedExpr>,
    /// The session.
    pub env: &'a FunctionEnv,
}

impl Arguments<'_> {
    /// Types of the arguments.
    pub fn types(&self) -> Vec<LogicalType> {
        self.values.iter().map(|v| v.data_type.clone()).collect()
    }

    /// Whether any can be NULL.
    pub fn nullable(&self) -> bool {
        self.values.iter().any(|v| v.data_type.nullable)
    }

    /// Casts one argument.
    pub fn coerce(&mut self, index: usize, to: &LogicalType) -> Result<()> {
        let value = self.values[index].clone();
        self.values[index] = cast_if_needed(value, to, self.env)?;
        Ok(())
    }
}

/// Resolves a call, or says `None` where the arguments do not fit.
pub type Resolve = fn(&mut Arguments) -> Result<Option<Resolved>>;

/// A scalar function.
pub struct ScalarFunction {
    /// Its name in upper case.
    pub name: &'static str,
    /// How it is written.
    pub syntax: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Its family.
    pub category: Category,
    /// The fewest and the most arguments.
    pub arity: (usize, usize),
    /// Types and kernel.
    pub resolve: Resolve,
}

/// All scalar functions.
pub fn functions() -> impl Iterator<Item = &'static ScalarFunction> {
    const FAMILIES: [&[ScalarFunction]; 9] = [
        math::FUNCTIONS,
        random::FUNCTIONS,
        string::FUNCTIONS,
        regex::FUNCTIONS,
        temporal::FUNCTIONS,
        time_unit::FUNCTIONS,
        conditional::FUNCTIONS,
        collection::FUNCTIONS,
        hash::FUNCTIONS,
    ];
    FAMILIES.into_iter().flatten()
}

/// Functions that may be written without parentheses.
pub fn callable_without_parentheses(name: &str) -> bool {
    const NAMES: [&str; 5] = ["CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "LOCALTIME", "LOCALTIMESTAMP"];
    NAMES.iter().any(|n| n.eq_ignore_ascii_case(name))
}

/// Other names of functions.
const ALIASES: [(&str, &str); 7] = [
    ("CHARACTER_LENGTH", "CHAR_LENGTH"),
    ("LENGTH", "CHAR_LENGTH"),
    ("SUBSTR", "SUBSTRING"),
    ("CEILING", "CEIL"),
    ("POW", "POWER"),
    ("LCASE", "LOWER"),
    ("UCASE", "UPPER"),
];

/// A call by name; `None` where there is no such function.
pub fn call(name: &str, values: Vec<TypedExpr>, env: &FunctionEnv) -> Option<Result<TypedExpr>> {
    let upper = name.to_ascii_uppercase();
    let upper = ALIASES.iter().find(|(alias, _)| *alias == upper).map_or(upper.as_str(), |(_, name)| name);
    let function = functions().find(|f| f.name == upper)?;
    Some(resolve(function, values, env))
}

fn resolve(function: &ScalarFunction, values: Vec<TypedExpr>, env: &FunctionEnv) -> Result<TypedExpr> {
    let types: Vec<String> = values.iter().map(|v| v.data_type.summary_without_nullability()).collect();
    let wrong = || {
        flott_core::Error::user(format!(
            "No match found for function signature {}({})",
            function.name,
            types.join(", ")
        ))
        .hint(format!("It is written {}", function.syntax))
    };
    if !(function.arity.0..=function.arity.1).contains(&values.len()) {
        return Err(wrong());
    }
    let mut arguments = Arguments { values, env };
    match (function.resolve)(&mut arguments)? {
        Some(resolved) => Ok(call_resolved(function.name, arguments.values, resolved)),
        None => Err(wrong()),
    }
}
