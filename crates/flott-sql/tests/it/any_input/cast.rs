//! CAST and TRY_CAST of every type to every type.

use std::cell::Cell;

use flott_core::{ErrorKind, LogicalType};
use flott_function::FunctionEnv;
use flott_function::cast::{cast, supported};
use flott_function::udf::TypedExpr;
use flott_testkit::{Value, record_batch};
use proptest::prelude::*;

use crate::any_input::computed::{Computed, column, constant, schema};
use crate::any_input::sampler::{Sampler, caught};
use crate::any_input::types::{TYPES, logical};
use crate::any_input::values::value;

/// Batches of each pair of types.
const BATCHES: usize = 2;
/// Values that each pair must have been tried with, of which most are cast or none.
const VALUES_MIN: usize = 1;
/// The most batches until there are so many.
const BATCHES_MAX: usize = 40;

fn made(
    e: TypedExpr,
    to: &LogicalType,
    try_cast: bool,
    from: &LogicalType,
    env: &FunctionEnv,
) -> Result<Computed, String> {
    let columns = match e.constant() {
        Some(_) => vec![],
        None => vec![from.clone()],
    };
    let of = |e: flott_core::Error| format!("{from} to {to}: {e}");
    let made = caught(|| cast(e, to, try_cast, env))?.map_err(of)?;
    let mut made = Computed::new(&made, &columns, env.time_zone).map_err(of)?;
    made.never_fails = try_cast;
    Ok(made)
}

/// One pair. Gives how many values it was computed for.
fn run(from: &LogicalType, to: &LogicalType, env: &FunctionEnv, sampler: &mut Sampler) -> Result<usize, String> {
    let strict = made(column(0, from), to, false, from, env)?;
    let lenient = made(column(0, from), to, true, from, env)?;
    let tried = Cell::new(0);
    for batch in 0..BATCHES_MAX {
        if batch >= BATCHES && tried.get() >= VALUES_MIN {
            break;
        }
        sampler.check(&strict.rows(), |rows: Vec<Vec<Value>>| {
            strict.check(&rows)?;
            tried.set(tried.get() + lenient.check(&rows)?);
            // Where CAST fails for no row TRY_CAST is the same.
            let batch = record_batch(&schema(std::slice::from_ref(from)), &rows)
                .map_err(|e| TestCaseError::fail(e.to_string()))?;
            if let Some(cast) = strict.values(&batch)? {
                let tried = lenient.values(&batch)?;
                let same = tried.as_ref().is_some_and(|t| t.to_data() == cast.to_data());
                prop_assert!(same, "CAST of {from} to {to} is {cast:?}, TRY_CAST {tried:?}");
            }
            Ok(())
        })?;
    }
    // A constant goes ways of its own.
    let one = constant(sampler.sample(&value(from)), from);
    for try_cast in [false, true] {
        let computed = made(one.clone(), to, try_cast, from, env)?;
        sampler.check(&Just(vec![vec![]]), |rows: Vec<Vec<Value>>| computed.check(&rows).map(drop))?;
    }
    Ok(tried.get())
}

fn types() -> Vec<LogicalType> {
    let narrow = ["CHAR(1)", "VARCHAR(2)", "BINARY(5)", "DECIMAL(1, 1)", "TIMESTAMP(1)", "ARRAY<TINYINT NOT NULL>"];
    let rows =
        ["ROW<`x` STRING, `y` VARCHAR(1), `z` ARRAY<INT>>", "MAP<VARCHAR(1), TINYINT>", "MULTISET<INT NOT NULL>"];
    TYPES.iter().chain(&narrow).chain(&rows).map(|t| logical(t)).collect()
}

fn run_all(env: &FunctionEnv, sampler: &mut Sampler) {
    let types = types();
    let (mut wrong, mut pairs) = (vec![], 0);
    for from in &types {
        for to in &types {
            let from = from
                .with_nullable(from.nullable && (from.kind == flott_core::types::TypeKind::Null || !sampler.one_in(4)));
            if !supported(&from.kind, &to.kind) {
                match caught(|| cast(column(0, &from), to, false, env)) {
                    Ok(Err(e)) if e.kind() == ErrorKind::User => {}
                    other => wrong.push(format!("{from} to {to} is not refused: {other:?}")),
                }
                continue;
            }
            pairs += 1;
            match caught(|| run(&from, to, env, sampler)) {
                Ok(Ok(tried)) if tried >= VALUES_MIN => {}
                Ok(Ok(_)) => wrong.push(format!("{from} to {to} had no values")),
                Ok(Err(e)) | Err(e) => wrong.push(format!("{from} to {to}: {e}")),
            }
        }
    }
    assert!(pairs > types.len() * types.len() / 6, "{pairs} pairs");
    sampler.finish(&wrong);
}

#[test]
fn casts_of_every_pair_of_types() {
    run_all(&FunctionEnv::new("America/St_Johns").unwrap(), &mut Sampler::new());
}

#[test]
fn casts_of_every_pair_of_types_as_they_were_once() {
    run_all(&FunctionEnv { legacy_cast: true, ..FunctionEnv::default() }, &mut Sampler::new());
}
