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
    const NAMES: [&str; 5] = ["CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "LOCALTIME", "LOCALTIMESTAMP"];
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

    #[test]
    fn no_function_panics_on_nulls_and_extremes() {
        let env = FunctionEnv::default();
        let samples = [
            ("NULL", "INT"),
            ("-2147483648", "INT"),
            ("9223372036854775807", "BIGINT"),
            ("NaN", "DOUBLE"),
            ("-99999999999999999999999999999999999999", "DECIMAL(38, 0)"),
            ("", "STRING"),
            ("ä\u{1F600}%_\\", "STRING"),
            ("0001-01-01", "DATE"),
            ("9999-12-31 23:59:59.999", "TIMESTAMP(3)"),
            ("23:59:59", "TIME(0)"),
            ("true", "BOOLEAN"),
        ];
        for f in functions() {
            for count in f.arity.0..=f.arity.1.min(3) {
                // Every sample at every place, the others the same.
                for (first, rest) in samples.iter().flat_map(|a| samples.iter().map(move |b| (a, b))) {
                    let args =
                        (0..count).map(|i| if i == 0 { first } else { rest }).map(|(v, t)| constant(v, t)).collect();
                    if let Some(Ok(e)) = call(f.name, args, &env) {
                        // A value or an error of the data, never a bug.
                        let shown = crate::testing::show(&e);
                        assert!(
                            !shown.as_ref().is_err_and(|e| e.kind() == flott_core::ErrorKind::Internal),
                            "{} {first:?} {rest:?}: {shown:?}",
                            f.name
                        );
                    }
                }
            }
        }
    }

    /// Some values of a type and its texts; each column has NULLs, and each type has the ends of its range.
    const TYPES: &[(&str, &[&str])] = &[
        ("BOOLEAN", &["true", "false"]),
        ("TINYINT", &["-128", "127", "0"]),
        ("SMALLINT", &["-32768", "32767", "1"]),
        ("INT", &["-2147483648", "2147483647", "0", "3", "-1"]),
        ("BIGINT", &["-9223372036854775808", "9223372036854775807", "0", "7"]),
        ("FLOAT", &["NaN", "-Infinity", "1.5", "-0.0"]),
        ("DOUBLE", &["NaN", "Infinity", "1e308", "-0.5", "0"]),
        ("DECIMAL(5, 2)", &["999.99", "-0.01", "0"]),
        ("DECIMAL(38, 18)", &["99999999999999999999.999999999999999999", "-1.5"]),
        (
            "STRING",
            &[
                "",
                " a,b=c ",
                "ä\u{1F600}%_\\",
                "2024-02-29 01:02:03",
                "(",
                "{\"a\": [1, null]}",
                "$.a[*]",
                "-12.5",
                "UTC",
                "DAY",
            ],
        ),
        ("CHAR(3)", &["abc", "ä 中"]),
        ("BYTES", &["", "\u{0}\u{7f}ä"]),
        ("DATE", &["0001-01-01", "9999-12-31", "2024-02-29"]),
        ("TIME(3)", &["00:00:00", "23:59:59.999"]),
        ("TIMESTAMP(3)", &["0001-01-01 00:00:00", "9999-12-31 23:59:59.999", "1969-12-31 23:59:59.999"]),
        ("TIMESTAMP(9)", &["2262-04-11 23:47:16.854775807", "1677-09-21 00:12:44"]),
        ("TIMESTAMP_LTZ(3)", &["0001-01-01 00:00:00", "9999-12-31 23:59:59.999", "2024-03-31 02:30:00"]),
    ];

    /// Rows of every type with the columns' names, and expressions over them: columns, constants, and collections of both.
    fn arguments_of_every_type(env: &FunctionEnv) -> (arrow_array::RecordBatch, Vec<TypedExpr>) {
        const ROWS: usize = 6;
        let (mut columns, mut arguments) = (vec![], vec![]);
        for (i, (t, texts)) in TYPES.iter().enumerate() {
            // NULL, then the values over and over.
            let cells = (0..ROWS).map(|row| constant(if row == 0 { "NULL" } else { texts[row % texts.len()] }, t));
            let cells: Vec<_> =
                cells.map(|c| crate::testing::values(&c, &crate::testing::one_row()).expect("a value")).collect();
            let cells: Vec<&dyn arrow_array::Array> = cells.iter().map(|c| c.as_ref()).collect();
            let name = format!("c{i}");
            arguments.push(column(&name, t));
            arguments.extend(texts.iter().map(|text| constant(text, t)));
            arguments.push(constant("NULL", t));
            columns.push((name, *t, arrow_select::concat::concat(&cells).expect("one type")));
        }
        let columns: Vec<_> = columns.iter().map(|(n, t, c)| (n.as_str(), *t, std::sync::Arc::clone(c))).collect();
        let made = |name: &str, places: &[usize]| {
            let parts = places.iter().map(|i| column(&format!("c{i}"), TYPES[*i].0)).collect();
            call(name, parts, env).expect("a function").expect("a call")
        };
        let nested = [
            made("ARRAY", &[3, 3]),
            made("ARRAY", &[6, 6, 6]),
            made("ARRAY", &[9, 9]),
            made("ARRAY", &[11, 11]),
            made("MAP", &[9, 3]),
            made("MAP", &[3, 14]),
            made("TRY_PARSE_JSON", &[9]),
        ];
        let deep = call("ARRAY", vec![nested[4].clone(), nested[4].clone()], env).expect("a function").expect("a call");
        arguments.extend(nested);
        arguments.push(deep);
        (crate::testing::table(&columns), arguments)
    }

    #[test]
    fn no_function_panics_on_values_of_any_type() {
        let env = FunctionEnv::default();
        let (rows, arguments) = arguments_of_every_type(&env);
        let mut rng = flott_core::rng::Rng::seeded(7);
        let mut never_called = vec![];
        for f in functions() {
            let most = f.arity.1.min(5).max(f.arity.0);
            let (mut called, mut tries) = (0, 0);
            while called < 60 && tries < 4_000 {
                tries += 1;
                let count = f.arity.0 + rng.below((most - f.arity.0 + 1) as u64) as usize;
                let pick = |rng: &mut flott_core::rng::Rng| rng.below(arguments.len() as u64) as usize;
                // Often the type of the one before, as most functions want it.
                let mut args: Vec<TypedExpr> = vec![];
                for i in 0..count {
                    let same = args.last().map(|l| l.data_type.kind.clone()).filter(|_| i > 0 && rng.below(2) == 0);
                    let mut next = pick(&mut rng);
                    while same.as_ref().is_some_and(|kind| arguments[next].data_type.kind != *kind) {
                        next = pick(&mut rng);
                    }
                    args.push(arguments[next].clone());
                }
                let shown: Vec<String> = args.iter().map(|a| a.expr.to_string()).collect();
                let Some(Ok(e)) = call(f.name, args, &env) else { continue };
                called += 1;
                // A value of its type (that is looked at where it is computed) or an error of the data, never a bug.
                let computed =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| crate::testing::values(&e, &rows)));
                let computed = computed.unwrap_or_else(|_| panic!("{} panics on {shown:?}", f.name));
                let is_bug = computed.as_ref().is_err_and(|e| e.kind() == flott_core::ErrorKind::Internal);
                assert!(!is_bug, "{} {shown:?}: {computed:?}", f.name);
            }
            if called == 0 {
                never_called.push(f.name);
            }
        }
        // Of bitmaps, objects and watermarks there are no values here: their own tests call these.
        let of_other_types = [
            "CURRENT_WATERMARK",
            "OBJECT_UPDATE",
            "BITMAP_CARDINALITY",
            "BITMAP_AND",
            "BITMAP_OR",
            "BITMAP_XOR",
            "BITMAP_ANDNOT",
            "BITMAP_TO_BYTES",
            "BITMAP_TO_ARRAY",
            "BITMAP_TO_STRING",
        ];
        assert_eq!(never_called, of_other_types);
    }
}
