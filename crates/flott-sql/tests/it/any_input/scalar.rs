//! Every scalar function.

use std::cell::Cell;
use std::collections::HashMap;

use flott_core::types::TypeKind;
use flott_core::{ErrorKind, LogicalType};
use flott_function::scalar::{self, Category, ScalarFunction};
use flott_function::udf::TypedExpr;
use flott_function::{FunctionEnv, context};
use flott_testkit::Value;

use crate::any_input::computed::{Computed, column, constant};
use crate::any_input::sampler::{Sampler, caught};
use crate::any_input::types::{USER, any_type, logical};
use crate::any_input::values::{TEXTS, value};

/// Calls of each function with other types.
const CALLS: usize = 20;
/// Calls that are tried until there are so many that it takes.
const TRIES_MAX: usize = 20_000;
/// Batches of each call.
const BATCHES: usize = 3;
/// Values that each function must have given.
const VALUES_MIN: usize = 40;
/// Constants of each type.
const CONSTANTS: usize = 24;

/// What the parser writes the arguments of: words of clauses stand among them ([`super::form`] has those).
const WRITTEN_BY_THE_PARSER: [&str; 6] =
    ["IS_JSON", "JSON_EXISTS", "JSON_VALUE", "JSON_QUERY", "JSON_OBJECT", "JSON_ARRAY"];

/// What chance would hardly come upon: types, and texts that are constants.
const FIRST: [(&str, &[(&str, Option<&str>)]); 5] = [
    ("EXTRACT", &[("STRING", Some("MONTH")), ("DATE", None)]),
    ("TIMESTAMPADD", &[("STRING", Some("DAY")), ("INT", None), ("TIMESTAMP(3)", None)]),
    ("TIMESTAMPDIFF", &[("STRING", Some("YEAR")), ("TIMESTAMP(3)", None), ("TIMESTAMP(3)", None)]),
    ("ARRAY_JOIN", &[("ARRAY<STRING>", None), ("STRING", None)]),
    ("OBJECT_UPDATE", &[(USER, None), ("STRING NOT NULL", Some("age")), ("INT", None)]),
];

/// Arguments to begin with.
fn first(function: &str) -> Option<Vec<Argument>> {
    let known = FIRST.iter().find(|(name, _)| *name == function)?;
    let argument = |(t, text): &(&str, Option<&str>)| {
        let data_type = logical(t);
        let constant = text.map(|text| constant(Value::Text(text.to_string()), &data_type));
        Argument { data_type, constant }
    };
    Some(known.1.iter().map(argument).collect())
}

/// What a function is tried with: a column of a type, or a constant.
#[derive(Clone)]
struct Argument {
    data_type: LogicalType,
    constant: Option<TypedExpr>,
}

/// Constants by their types.
#[derive(Default)]
struct Constants(HashMap<String, Vec<TypedExpr>>);

impl Constants {
    fn pick(&mut self, sampler: &mut Sampler, t: &LogicalType) -> TypedExpr {
        let known = self.0.entry(t.to_string()).or_insert_with(|| {
            let strategy = value(t);
            let mut all: Vec<TypedExpr> = (0..CONSTANTS).map(|_| constant(sampler.sample(&strategy), t)).collect();
            if t.kind == TypeKind::STRING {
                // Units, patterns and names have to be constants.
                all.extend(TEXTS.iter().map(|text| constant(Value::Text(text.to_string()), t)));
            }
            all
        });
        sampler.pick(known).clone()
    }
}

/// The environments of sessions.
fn environments() -> Vec<FunctionEnv> {
    let zones = ["UTC", "Europe/Berlin", "America/St_Johns", "GMT+14:00"];
    let mut all: Vec<FunctionEnv> = zones.iter().map(|z| FunctionEnv::new(z).unwrap()).collect();
    all.push(FunctionEnv { legacy_cast: true, ..FunctionEnv::default() });
    all
}

fn argument(sampler: &mut Sampler, constants: &mut Constants, before: Option<&Argument>) -> Argument {
    // Often the type of the one before, as most functions want it.
    let data_type = match before {
        Some(before) if sampler.one_in(2) => before.data_type.clone(),
        _ => any_type(sampler),
    };
    let constant = sampler.one_in(3).then(|| constants.pick(sampler, &data_type));
    Argument { data_type, constant }
}

/// Arguments by chance, or those of a call that was taken with another one at one place.
fn arguments(
    f: &ScalarFunction,
    sampler: &mut Sampler,
    constants: &mut Constants,
    taken: &[Vec<Argument>],
) -> Vec<Argument> {
    if !taken.is_empty() && f.arity.1 > 0 && sampler.one_in(2) {
        let mut arguments = sampler.pick(taken).clone();
        if !arguments.is_empty() {
            let place = sampler.below(arguments.len());
            let before = place.checked_sub(1).map(|b| arguments[b].clone());
            arguments[place] = argument(sampler, constants, before.as_ref());
        }
        return arguments;
    }
    let most = f.arity.1.min(f.arity.0 + 4).min(8).max(f.arity.0);
    let count = f.arity.0 + sampler.below(most - f.arity.0 + 1);
    let mut arguments: Vec<Argument> = vec![];
    for _ in 0..count {
        let next = argument(sampler, constants, arguments.last());
        arguments.push(next);
    }
    arguments
}

/// Calls a function in many ways. Says what is wrong.
fn run(f: &ScalarFunction, sampler: &mut Sampler, constants: &mut Constants) -> Vec<String> {
    let environments = environments();
    let (mut taken, mut wrong) = (vec![], vec![]);
    let values = Cell::new(0);
    let mut first = first(f.name);
    for _ in 0..TRIES_MAX {
        if taken.len() >= CALLS && values.get() >= VALUES_MIN {
            break;
        }
        let arguments = first.take().unwrap_or_else(|| arguments(f, sampler, constants, &taken));
        let columns: Vec<LogicalType> =
            arguments.iter().filter(|a| a.constant.is_none()).map(|a| a.data_type.clone()).collect();
        let mut place = 0;
        let given = arguments.iter().map(|a| match &a.constant {
            Some(constant) => constant.clone(),
            None => {
                place += 1;
                column(place - 1, &a.data_type)
            }
        });
        let env = sampler.pick(&environments);
        let given: Vec<TypedExpr> = given.collect();
        let made = caught(|| scalar::call(f.name, given.clone(), env).expect("a function"));
        let computed = match made {
            Ok(Err(e)) if e.kind() != ErrorKind::Internal || WRITTEN_BY_THE_PARSER.contains(&f.name) => continue,
            Ok(made) => made.and_then(|made| Computed::new(&made, &columns, env.time_zone)).map_err(|e| e.to_string()),
            Err(panic) => Err(panic),
        };
        let computed = match computed {
            Ok(computed) => computed,
            Err(e) => {
                wrong.push(format!("{}({given:?}): {e}", f.name));
                continue;
            }
        };
        for _ in 0..BATCHES {
            context::enter(1_700_000_000_123, Some(1_600_000_000_000));
            let checked = sampler.check(&computed.rows(), |rows| {
                values.set(values.get() + computed.check(&rows)?);
                Ok(())
            });
            if let Err(e) = checked {
                wrong.push(format!("{}: {e}", f.name));
                break;
            }
        }
        taken.push(arguments);
    }
    if values.get() < VALUES_MIN {
        wrong.push(format!("{} gave only {} values in {} calls", f.name, values.get(), taken.len()));
    }
    wrong
}

fn run_family(is_of: impl Fn(Category) -> bool) {
    let (mut sampler, mut constants) = (Sampler::new(), Constants::default());
    let mut wrong = vec![];
    for f in scalar::functions().filter(|f| is_of(f.category)) {
        wrong.extend(run(f, &mut sampler, &mut constants));
    }
    sampler.finish(&wrong);
}

/// Functions of numbers and texts; [`every_other_function`] has the rest.
fn is_first(category: Category) -> bool {
    matches!(category, Category::Arithmetic | Category::String | Category::Hash | Category::Json)
}

#[test]
fn functions_of_numbers_and_texts() {
    run_family(is_first);
}

#[test]
fn every_other_function() {
    run_family(|category| !is_first(category));
}
