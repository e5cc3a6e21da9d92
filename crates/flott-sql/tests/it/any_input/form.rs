//! Every operator and special form, as the binder makes them of text.

use std::cell::Cell;

use flott_core::options::Options;
use flott_core::{ErrorKind, LogicalType, SessionZone};
use flott_function::context;
use flott_sql::bind::{Binder, Typed};

use crate::any_input::computed::{Computed, name};
use crate::any_input::sampler::{Sampler, caught};
use crate::any_input::types::any_type;
use crate::common::Session;

/// Uses of each form with other types.
const USES: usize = 36;
/// Uses that are tried until there are so many that it takes.
const TRIES_MAX: usize = 4_000;
/// Batches of each use.
const BATCHES: usize = 3;
/// Values that each form must have given.
const VALUES_MIN: usize = 20;

/// `{0}` to `{3}` are a column or a literal each.
const FORMS: [&str; 124] = [
    "{0} + {1}",
    "{0} - {1}",
    "{0} * {1}",
    "{0} / {1}",
    "{0} % {1}",
    "-{0}",
    "+{0}",
    "{0} + {1} * {2} - {3}",
    "{0} = {1}",
    "{0} <> {1}",
    "{0} < {1}",
    "{0} <= {1}",
    "{0} > {1}",
    "{0} >= {1}",
    "{0} IS DISTINCT FROM {1}",
    "{0} IS NOT DISTINCT FROM {1}",
    "NOT ({0} < {1})",
    "{0} = {0}",
    "{0} || {1}",
    "{0} || {1} || {2}",
    "{0} AND {1}",
    "{0} OR {1}",
    "NOT {0}",
    "{0} AND ({1} OR NOT {2})",
    "{0} IS NULL OR {0} = {1} AND 1 / CARDINALITY(ARRAY[{0}]) > 0",
    "{0} IS NULL",
    "{0} IS NOT NULL",
    "{0} IS TRUE",
    "{0} IS NOT TRUE",
    "{0} IS FALSE",
    "{0} IS NOT FALSE",
    "{0} IS UNKNOWN",
    "{0} IS NOT UNKNOWN",
    "{0} BETWEEN {1} AND {2}",
    "{0} NOT BETWEEN {1} AND {2}",
    "{0} BETWEEN SYMMETRIC {1} AND {2}",
    "{0} IN ({1})",
    "{0} IN ({1}, {2}, {3})",
    "{0} NOT IN ({1}, {2})",
    "({0}, {1}) IN (({2}, {3}), ({3}, {2}))",
    "({0}, {1}) = ({2}, {3})",
    "ROW({0}, {1}) <> ROW({2}, {3})",
    "{0} LIKE {1}",
    "{0} NOT LIKE {1} ESCAPE '!'",
    "{0} LIKE '%a_c%'",
    "{0} SIMILAR TO {1}",
    "{0} SIMILAR TO '(a|b)*%'",
    "{0} NOT SIMILAR TO {1} ESCAPE '!'",
    "CASE WHEN {0} THEN {1} END",
    "CASE WHEN {0} THEN {1} WHEN {2} THEN {3} ELSE {1} END",
    "CASE {0} WHEN {1} THEN {2} ELSE {3} END",
    "CASE {0} WHEN 1 THEN {1} WHEN 2 THEN {2} END",
    "CASE WHEN {0} IS NULL THEN {1} ELSE {0} END",
    "COALESCE({0}, {1}, {2})",
    "NULLIF({0}, {1})",
    "IF({0}, {1}, {2})",
    "{0}[{1}]",
    "{0}[1]",
    "{0}[{1}][{2}]",
    "{0}['a']",
    "{0}['a']['b']",
    "{0}.`a`",
    "{0}.`a`.`b`",
    "{0}.`name`",
    "ROW({0}, {1})",
    "({0}, {1}, {2})",
    "ROW({0}, {1}).`EXPR$1`",
    "ARRAY[{0}, {1}]",
    "ARRAY[{0}, {1}][{2}]",
    "MAP[{0}, {1}]",
    "MAP[{0}, {1}, {2}, {3}]",
    "MAP[{0}, {1}][{2}]",
    "POSITION({0} IN {1})",
    "SUBSTRING({0} FROM {1})",
    "SUBSTRING({0} FROM {1} FOR {2})",
    "TRIM({0})",
    "TRIM(BOTH {0} FROM {1})",
    "TRIM(LEADING {0} FROM {1})",
    "TRIM(TRAILING {0} FROM {1})",
    "OVERLAY({0} PLACING {1} FROM {2})",
    "OVERLAY({0} PLACING {1} FROM {2} FOR {3})",
    "EXTRACT(YEAR FROM {0})",
    "EXTRACT(MILLENNIUM FROM {0})",
    "EXTRACT(WEEK FROM {0})",
    "EXTRACT(DOW FROM {0})",
    "EXTRACT(EPOCH FROM {0})",
    "EXTRACT(HOUR FROM {0})",
    "EXTRACT(MICROSECOND FROM {0})",
    "FLOOR({0} TO YEAR)",
    "FLOOR({0} TO WEEK)",
    "FLOOR({0} TO MINUTE)",
    "CEIL({0} TO CENTURY)",
    "CEIL({0} TO MONTH)",
    "CEIL({0} TO HOUR)",
    "FLOOR({0})",
    "CEIL({0})",
    "TIMESTAMPADD(MONTH, {0}, {1})",
    "TIMESTAMPADD(SECOND, {0}, {1})",
    "TIMESTAMPDIFF(QUARTER, {0}, {1})",
    "TIMESTAMPDIFF(MINUTE, {0}, {1})",
    "({0} - {1}) DAY",
    "({0} - {1}) MONTH",
    "INTERVAL {0} HOUR",
    "({0}, {1}) OVERLAPS ({2}, {3})",
    "{0} + INTERVAL '1' MONTH",
    "{0} - INTERVAL '99 23:59:59.999' DAY TO SECOND",
    "{0} IS JSON",
    "{0} IS NOT JSON OBJECT",
    "{0} IS JSON ARRAY",
    "{0} IS JSON SCALAR",
    "JSON_EXISTS({0}, '$.a' ERROR ON ERROR)",
    "JSON_VALUE({0}, '$.a')",
    "JSON_VALUE({0}, '$.a' RETURNING INT DEFAULT 7 ON EMPTY DEFAULT 8 ON ERROR)",
    "JSON_VALUE({0}, 'strict $.a[0].b' RETURNING DOUBLE ERROR ON EMPTY NULL ON ERROR)",
    "JSON_QUERY({0}, '$.a')",
    "JSON_QUERY({0}, '$.a[*]' WITH CONDITIONAL ARRAY WRAPPER EMPTY ARRAY ON EMPTY EMPTY OBJECT ON ERROR)",
    "JSON_QUERY({0}, '$' RETURNING ARRAY<STRING> WITH UNCONDITIONAL WRAPPER)",
    "JSON_OBJECT(KEY 'a' VALUE {0}, KEY 'b' VALUE {1} NULL ON NULL)",
    "JSON_OBJECT(KEY {0} VALUE {1} ABSENT ON NULL)",
    "JSON_ARRAY({0}, {1} NULL ON NULL)",
    "JSON_ARRAY(JSON_OBJECT(KEY 'a' VALUE {0}), {1})",
    "CAST({0} AS STRING) || TRY_CAST({1} AS CHAR(3))",
    "TRY_CAST({0} AS INT) + TRY_CAST({1} AS DECIMAL(38, 10))",
    "CAST({0} AS VARCHAR(2)) LIKE TRY_CAST({1} AS STRING)",
];

const LITERALS: [&str; 44] = [
    "NULL",
    "TRUE",
    "0",
    "1",
    "-1",
    "2147483647",
    "-2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "CAST(-128 AS TINYINT)",
    "1.5",
    "0.0",
    "-99999999999999999999999999999999999999",
    "0.00000000000000000000000000000000000001",
    "1E0",
    "-1E308",
    "CAST('NaN' AS DOUBLE)",
    "CAST('-Infinity' AS FLOAT)",
    "''",
    "'a'",
    "'%\\_'",
    "'12'",
    "'2024-02-29'",
    "'DAY'",
    "_UTF16'ä😀'",
    "X'00ff'",
    "DATE '0001-01-01'",
    "DATE '9999-12-31'",
    "TIME '23:59:59.999'",
    "TIMESTAMP '1970-01-01 00:00:00'",
    "TIMESTAMP '9999-12-31 23:59:59.999999999'",
    "CAST(TIMESTAMP '2024-03-31 02:30:00' AS TIMESTAMP_LTZ(3))",
    "INTERVAL '1' SECOND",
    "INTERVAL -'99' DAY",
    "INTERVAL '9999-11' YEAR(4) TO MONTH",
    "ARRAY[1, 2, NULL]",
    "ARRAY['a', 'b']",
    "MAP['a', 1]",
    "MAP[1, 'x']",
    "ROW(1, 'a')",
    "PARSE_JSON('{\"a\": [1]}')",
    "BITMAP_BUILD(ARRAY[1, 2])",
    "CAST(NULL AS STRING)",
    "CAST(NULL AS ARRAY<INT>)",
];

/// Slots of a form.
fn slots(form: &str) -> usize {
    (0..4).filter(|i| form.contains(&format!("{{{i}}}"))).count()
}

/// A column of this type, or a literal.
#[derive(Clone)]
enum Slot {
    Column(LogicalType),
    Literal(&'static str),
}

fn slot(sampler: &mut Sampler, before: Option<&Slot>) -> Slot {
    match before {
        Some(before) if sampler.one_in(2) => before.clone(),
        _ if sampler.one_in(4) => Slot::Literal(LITERALS[sampler.below(LITERALS.len())]),
        _ => Slot::Column(any_type(sampler)),
    }
}

/// Slots by chance, or those that were taken with another one at one place.
fn chosen(count: usize, sampler: &mut Sampler, taken: &[Vec<Slot>]) -> Vec<Slot> {
    if !taken.is_empty() && sampler.one_in(2) {
        let mut slots = sampler.pick(taken).clone();
        let place = sampler.below(count);
        slots[place] = slot(sampler, place.checked_sub(1).map(|b| &taken[0][b]));
        return slots;
    }
    let mut slots: Vec<Slot> = vec![];
    for _ in 0..count {
        let next = slot(sampler, slots.last());
        slots.push(next);
    }
    slots
}

/// The form with its slots filled, and the columns that it is over.
fn filled(form: &str, slots: &[Slot]) -> (String, Vec<LogicalType>) {
    let (mut text, mut columns) = (form.to_string(), vec![]);
    for (i, slot) in slots.iter().enumerate() {
        let written = match slot {
            Slot::Literal(literal) => (*literal).to_string(),
            Slot::Column(t) => {
                columns.push(t.clone());
                name(columns.len() - 1)
            }
        };
        text = text.replace(&format!("{{{i}}}"), &written);
    }
    (text, columns)
}

fn bound(binder: &Binder<'_>, text: &str, columns: &[LogicalType]) -> Result<Option<Typed>, String> {
    let columns: Vec<(String, LogicalType)> = columns.iter().enumerate().map(|(i, t)| (name(i), t.clone())).collect();
    match caught(|| binder.expression_text(text, &columns))? {
        Ok(bound) => Ok(Some(bound)),
        Err(e) if e.kind() == ErrorKind::Internal => Err(e.to_string()),
        Err(_) => Ok(None),
    }
}

fn run(form: &str, binder: &Binder<'_>, zone: SessionZone, sampler: &mut Sampler) -> Vec<String> {
    let (mut taken, mut wrong) = (vec![], vec![]);
    let values = Cell::new(0);
    for _ in 0..TRIES_MAX {
        if taken.len() >= USES && values.get() >= VALUES_MIN {
            break;
        }
        let slots = chosen(slots(form), sampler, &taken);
        let (text, columns) = filled(form, &slots);
        let computed = bound(binder, &text, &columns)
            .and_then(|e| e.map(|e| Computed::new(&e, &columns, zone).map_err(|e| e.to_string())).transpose());
        let computed = match computed {
            Ok(None) => continue,
            Ok(Some(computed)) => computed,
            Err(e) => {
                wrong.push(format!("{text} over {columns:?}: {e}"));
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
                wrong.push(format!("{text}: {e}"));
                break;
            }
        }
        taken.push(slots);
    }
    if values.get() < VALUES_MIN {
        wrong.push(format!("{form} gave only {} values in {} uses", values.get(), taken.len()));
    }
    wrong
}

#[test]
fn every_operator_and_special_form() {
    const ZONE: &str = "Europe/Berlin";
    let session = Session::new();
    let config: Options = [("table.local-time-zone", ZONE)].into_iter().collect();
    let binder = Binder::new(&session.tables, &session.registry, &config).unwrap();
    let mut sampler = Sampler::new();
    let zone = SessionZone::parse(ZONE).unwrap();
    let wrong: Vec<String> = FORMS.iter().flat_map(|form| run(form, &binder, zone, &mut sampler)).collect();
    sampler.finish(&wrong);
}
