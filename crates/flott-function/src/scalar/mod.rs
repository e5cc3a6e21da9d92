//! Scalar functions by name: a folder per family, a file per function with its entry, its kernel and its tests. The reference
//! page is made of the entries, and their examples are run by a test.

mod bitmap;
pub(crate) mod collection;
mod conditional;
mod hash;
mod json;
mod math;
mod octets;
mod regex;
mod result_type;
mod shape;
mod string;
mod temporal;
mod variant;

pub use bitmap::MAX_ARRAY_NUMBERS;
pub use json::object_text as json_object_text;
pub(crate) use json::{Json, compare_keys};
pub use regex::MAX_REGEX_BYTES;
pub use shape::MAX_TEXT_BYTES;
pub use temporal::date_pattern::{LETTERS_MAX, OPTIONAL_DEPTH_MAX, PAD_WIDTH_MAX};
pub use temporal::time_unit::interval_between;
pub use variant::item as variant_item;

use flott_core::{LogicalType, Result};

use crate::cast::{cast, cast_if_needed};
use crate::context::FunctionEnv;
use crate::example::Example;
use crate::udf::{Resolved, TypedExpr, call_with_constants, widened_literal};

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
    Bitmap,
    Variant,
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
        let value = widened_literal(self.values[index].clone(), to);
        self.values[index] = cast_if_needed(value, to, self.env)?;
        Ok(())
    }

    /// Casts one argument where its type is another one: a text is cut or padded to the length, too.
    pub fn cast(&mut self, index: usize, to: &LogicalType) -> Result<()> {
        let value = self.values[index].clone();
        if value.data_type.kind != to.kind {
            self.values[index] = cast(value, to, false, self.env)?;
        }
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
    /// What it does, in a sentence.
    pub description: &'static str,
    /// What else there is to know: types, NULL, errors.
    pub documentation: &'static str,
    /// Calls and what they give.
    pub examples: &'static [Example],
    /// Its family.
    pub category: Category,
    /// The fewest and the most arguments.
    pub arity: (usize, usize),
    /// Types and kernel.
    pub resolve: Resolve,
}

/// All scalar functions.
pub fn functions() -> impl Iterator<Item = &'static ScalarFunction> {
    const FAMILIES: [&[ScalarFunction]; 10] = [
        math::FUNCTIONS,
        string::FUNCTIONS,
        regex::FUNCTIONS,
        temporal::FUNCTIONS,
        conditional::FUNCTIONS,
        collection::FUNCTIONS,
        hash::FUNCTIONS,
        json::FUNCTIONS,
        variant::FUNCTIONS,
        bitmap::FUNCTIONS,
    ];
    FAMILIES.into_iter().flatten()
}

/// Functions that may be written without parentheses.
pub fn callable_without_parentheses(name: &str) -> bool {
    const NAMES: [&str; 6] = ["CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "LOCALTIME", "LOCALTIMESTAMP", "PI"];
    NAMES.iter().any(|n| n.eq_ignore_ascii_case(name))
}

/// Other names of functions.
const ALIASES: [(&str, &str); 8] = [
    ("TRANSLATE3", "TRANSLATE"),
    ("CHARACTER_LENGTH", "CHAR_LENGTH"),
    ("LENGTH", "CHAR_LENGTH"),
    ("SUBSTR", "SUBSTRING"),
    ("CEILING", "CEIL"),
    ("POW", "POWER"),
    ("LCASE", "LOWER"),
    ("UCASE", "UPPER"),
];

/// Whether there is a function of this name, in any case.
pub fn exists(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ALIASES.iter().any(|(alias, _)| *alias == upper) || functions().any(|f| f.name == upper)
}

/// A call by name; `None` where there is no such function.
pub fn call(name: &str, values: Vec<TypedExpr>, env: &FunctionEnv) -> Option<Result<TypedExpr>> {
    let upper = name.to_ascii_uppercase();
    let upper = ALIASES.iter().find(|(alias, _)| *alias == upper).map_or(upper.as_str(), |(_, name)| name);
    let function = functions().find(|f| f.name == upper)?;
    Some(resolve(function, values, env))
}

/// The arguments that the writer of a call has written: the clauses of JSON functions come as arguments, too.
fn written_arguments<'a>(name: &str, all: &'a [String]) -> &'a [String] {
    let written = match name {
        "JSON_EXISTS" | "JSON_VALUE" | "JSON_QUERY" => all.get(..2),
        "IS_JSON" => all.get(..1),
        _ => None,
    };
    written.unwrap_or(all)
}

fn resolve(function: &ScalarFunction, values: Vec<TypedExpr>, env: &FunctionEnv) -> Result<TypedExpr> {
    let types: Vec<String> = values.iter().map(|v| v.data_type.summary_without_nullability()).collect();
    let wrong = || {
        let written = written_arguments(function.name, &types).join(", ");
        flott_core::Error::user(format!("No match found for function signature {}({written})", function.name))
            .hint(format!("It is written {}", function.syntax))
    };
    if !(function.arity.0..=function.arity.1).contains(&values.len()) {
        return Err(wrong());
    }
    let constants = values.iter().filter_map(|v| v.constant().cloned()).collect();
    let written: Vec<LogicalType> = values.iter().map(|v| v.data_type.clone()).collect();
    let mut arguments = Arguments { values, env };
    match (function.resolve)(&mut arguments)? {
        Some(Resolved { data_type, kernel, deterministic, can_fail }) => {
            let data_type = result_type::declared(function.name, &written, data_type);
            let resolved = Resolved { data_type, kernel, deterministic, can_fail };
            Ok(call_with_constants(function.name, arguments.values, constants, resolved))
        }
        None => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing::{column, constant, text};

    #[test]
    fn calls_with_other_constants_are_other_calls() {
        let env = FunctionEnv::default();
        let call = |name: &str, args: Vec<TypedExpr>| call(name, args, &env).expect("a function").expect("a call").expr;
        let ts = || column("ts", "TIMESTAMP(3)");
        let s = || column("s", "STRING");
        let n = || column("n", "BIGINT");
        for (name, one, other) in [
            ("EXTRACT", vec![text("YEAR"), ts()], vec![text("MONTH"), ts()]),
            ("FLOOR", vec![ts(), text("HOUR")], vec![ts(), text("DAY")]),
            ("TIMESTAMPADD", vec![text("HOUR"), n(), ts()], vec![text("DAY"), n(), ts()]),
            ("TIMESTAMPDIFF", vec![text("HOUR"), ts(), ts()], vec![text("DAY"), ts(), ts()]),
            ("TO_TIMESTAMP_LTZ", vec![n(), constant("0", "INT")], vec![n(), constant("3", "INT")]),
            ("LIKE", vec![s(), text("a!%"), text("!")], vec![s(), text("a!%"), text("?")]),
            ("DATE_FORMAT", vec![ts(), text("yyyy")], vec![ts(), text("MM")]),
            ("ROUND", vec![n(), constant("1", "INT")], vec![n(), constant("-1", "INT")]),
        ] {
            assert_eq!(call(name, one.clone()), call(name, one.clone()), "{name}");
            assert_ne!(call(name, one), call(name, other), "{name}");
        }
    }

    #[test]
    fn every_function_is_described_once() {
        let mut names = HashSet::new();
        for f in functions() {
            assert!(names.insert(f.name), "{} is there twice", f.name);
            assert!(!f.description.is_empty() && f.arity.0 <= f.arity.1, "{}", f.name);
            assert!(
                !f.documentation.is_empty() && !f.examples.is_empty(),
                "{} has no documentation or example",
                f.name
            );
            assert!(f.name == f.name.to_uppercase(), "{}", f.name);
        }
        for (alias, name) in ALIASES {
            assert!(names.contains(name) && !names.contains(alias), "{alias}");
        }
        assert!(call("NO_SUCH_FUNCTION", vec![], &FunctionEnv::default()).is_none());
        let few = call("lower", vec![], &FunctionEnv::default()).expect("a function");
        assert!(few.is_err_and(|e| e.to_string().starts_with("No match found for function signature LOWER()")));
    }
}
