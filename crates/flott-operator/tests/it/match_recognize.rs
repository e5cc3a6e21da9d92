//! MATCH_RECOGNIZE beside a matcher that tries, for each row, every way in which a match could start there.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use datafusion_physical_expr::expressions::{binary, col, is_null, lit};
use flott_core::types::TimeAttribute;
use flott_core::{ChangeBatch, Watermark};
use flott_graph::spec::ExprRef;
use flott_graph::{
    AfterMatch, MatchReference, MatchSpec, Node, OperatorSpec, Partitioning, PatternCondition, PatternQuantifier,
    PatternVariable, StateMeaning,
};
use flott_operator::harness::Harness;
use flott_testkit::{batch_of, rows_of, schema};
use proptest::prelude::*;

use crate::common::*;
use crate::over::meaning;
use crate::rank::ascending;

const COLUMNS: &str = "k STRING, id BIGINT, c BIGINT, ts TIMESTAMP(3) *ROWTIME*";

/// What is asked of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ask {
    Any,
    AtMost(i64),
    AtLeast(i64),
    /// More than the row of the variable before.
    Rises,
}

#[derive(Debug, Clone, Copy)]
struct Var {
    ask: Ask,
    least: u32,
    most: Option<u32>,
    greedy: bool,
}

impl Var {
    fn is(&self, row: &Row, last: Option<i64>) -> bool {
        match self.ask {
            Ask::Any => true,
            Ask::AtMost(n) => row.c <= n,
            Ask::AtLeast(n) => row.c >= n,
            Ask::Rises => last.is_none_or(|l| row.c > l),
        }
    }

    fn is_greedy(&self) -> bool {
        self.greedy && self.most != Some(1) && self.most != Some(self.least)
    }
}

#[derive(Debug, Clone, Copy)]
struct Row {
    k: u8,
    id: i64,
    c: i64,
    ts: i64,
}

fn column(schema: &Schema, name: &str) -> ExprRef {
    col(name, schema).expect("a column")
}

fn number(n: i64) -> ExprRef {
    lit(ScalarValue::Int64(Some(n)))
}

fn condition(place: usize, ask: Ask, input: &SchemaRef) -> Option<PatternCondition> {
    let compared = |op: Operator, n: i64| PatternCondition {
        references: vec![],
        expression: binary(column(input, "c"), op, number(n), input).expect("a comparison"),
        schema: Arc::clone(input),
    };
    match ask {
        Ask::Any => None,
        Ask::AtMost(n) => Some(compared(Operator::LtEq, n)),
        Ask::AtLeast(n) => Some(compared(Operator::GtEq, n)),
        Ask::Rises => {
            let mut fields: Vec<Field> = input.fields().iter().map(|f| f.as_ref().clone()).collect();
            fields.push(Field::new("$m0", DataType::Int64, true));
            let schema: SchemaRef = Arc::new(Schema::new(fields));
            let more = binary(column(&schema, "c"), Operator::Gt, column(&schema, "$m0"), &schema).expect("valid");
            let first = is_null(column(&schema, "$m0")).expect("valid");
            Some(PatternCondition {
                references: vec![MatchReference::Row { variable: Some(place), first: false, offset: 1, column: 2 }],
                expression: binary(first, Operator::Or, more, &schema).expect("valid"),
                schema,
            })
        }
    }
}

fn matching(
    vars: &[Var],
    after_match: AfterMatch,
    within_ms: Option<i64>,
    attribute: TimeAttribute,
) -> Vec<(Node, Partitioning)> {
    let input = schema(COLUMNS);
    let variables = vars
        .iter()
        .enumerate()
        .map(|(i, v)| PatternVariable {
            name: format!("V{i}"),
            quantifier: PatternQuantifier { at_least: v.least, at_most: v.most, greedy: v.greedy },
            condition: condition(i, v.ask, &input),
        })
        .collect();
    let of_all = |first: bool| MatchReference::Row { variable: None, first, offset: 0, column: 1 };
    let count = MatchReference::Aggregate {
        variable: None,
        call: call(&input, "COUNT", None, "BIGINT NOT NULL"),
        arguments: vec![],
        schema: Arc::new(Schema::empty()),
    };
    let reference_schema = schema("f BIGINT, l BIGINT, n BIGINT");
    let spec = MatchSpec {
        partition_keys: vec![0],
        attribute,
        time_column: 3,
        then: if attribute == TimeAttribute::Rowtime { vec![ascending(1)] } else { vec![] },
        variables,
        within_ms,
        after_match,
        references: vec![of_all(true), of_all(false), count],
        measures: ["f", "l", "n"].map(|n| column(&reference_schema, n)).to_vec(),
        reference_schema,
        input_schema: Arc::clone(&input),
        meaning: StateMeaning::default(),
    };
    let out = schema("k STRING, f BIGINT, l BIGINT, n BIGINT");
    vec![(node("match", OperatorSpec::Match(spec), out), Partitioning::Hash(vec![0]))]
}

fn rows(rows: &[Row]) -> ChangeBatch {
    let lines: Vec<String> = rows
        .iter()
        .map(|r| format!("+I[k{}, {}, {}, 1970-01-01 00:00:{:02}.{:03}]", r.k, r.id, r.c, r.ts / 1000, r.ts % 1000))
        .collect();
    batch_of(&schema(COLUMNS), &lines)
}

/// Where a run could be: in a variable (none yet), with so many of its rows, the last of them.
type Place = (Option<usize>, u32, Option<i64>);

/// The row at which a match that starts here ends first; else whether one still could.
fn first_end(vars: &[Var], rows: &[Row], within_ms: Option<i64>, now: i64) -> Result<usize, bool> {
    let mut places: Vec<Place> = vec![(None, 0, None)];
    for (end, row) in rows.iter().enumerate() {
        if within_ms.is_some_and(|w| row.ts - rows[0].ts >= w) {
            return Err(false);
        }
        let mut next: Vec<Place> = vec![];
        let mut ends = false;
        for (at, taken, last) in places {
            let from = at.map_or(0, |i| i);
            for j in from..vars.len() {
                let same = at == Some(j);
                if same && vars[j].most.is_some_and(|m| taken >= m) {
                    continue;
                }
                if !same {
                    // What is left behind has enough rows, what is passed over needs none.
                    let enough = at.is_none_or(|i| taken >= vars[i].least);
                    let passed = at.map_or(0, |i| i + 1)..j;
                    if !enough || passed.clone().any(|i| vars[i].least > 0) {
                        continue;
                    }
                    if j > 0 && vars[j - 1].is_greedy() {
                        let last = if at == Some(j - 1) { last } else { None };
                        if vars[j - 1].is(row, last) {
                            continue;
                        }
                    }
                }
                if !vars[j].is(row, if same { last } else { None }) {
                    continue;
                }
                let count = if same { taken + 1 } else { 1 };
                ends |= count >= vars[j].least && vars[j + 1..].iter().all(|v| v.least == 0);
                if j + 1 < vars.len() || vars[j].most.is_none_or(|m| count < m) {
                    next.push((Some(j), count, Some(row.c)));
                }
            }
        }
        if ends {
            return Ok(end);
        }
        next.sort_unstable();
        next.dedup();
        places = next;
    }
    Err(!places.is_empty() && within_ms.is_none_or(|w| now - rows[0].ts < w))
}

fn expected(vars: &[Var], all: &[Row], past_last: bool, within_ms: Option<i64>, now: i64) -> Vec<String> {
    let mut found = vec![];
    for key in 0..3u8 {
        let mut of_key: Vec<Row> = all.iter().filter(|r| r.k == key).copied().collect();
        of_key.sort_by_key(|r| (r.ts, r.id));
        let mut start = 0;
        while start < of_key.len() {
            match first_end(vars, &of_key[start..], within_ms, now) {
                Ok(end) => {
                    let (f, l) = (of_key[start].id, of_key[start + end].id);
                    found.push(format!("+I[k{key}, {f}, {l}, {}]", end + 1));
                    start += if past_last { end + 1 } else { 1 };
                }
                // A run that may still match keeps those that start behind it.
                Err(true) => break,
                Err(false) => start += 1,
            }
        }
    }
    found.sort();
    found
}

fn variables() -> impl Strategy<Value = Vec<Var>> {
    let ask = prop_oneof![
        Just(Ask::Any),
        (0i64..4).prop_map(Ask::AtMost),
        (0i64..4).prop_map(Ask::AtLeast),
        Just(Ask::Rises),
    ];
    let quantifier = prop_oneof![
        3 => Just((1, Some(1))),
        1 => Just((0, None)),
        1 => Just((1, None)),
        1 => Just((2, None)),
        1 => Just((0, Some(1))),
        1 => Just((0, Some(2))),
        1 => Just((1, Some(3))),
        1 => Just((2, Some(2))),
    ];
    let var = (ask, quantifier, any::<bool>()).prop_map(|(ask, (least, most), greedy)| Var {
        ask,
        least,
        most,
        greedy: greedy || (least, most) == (0, Some(1)),
    });
    proptest::collection::vec(var, 1..5).prop_filter("a pattern that Flink takes", |vars| {
        vars.iter().any(|v| v.least > 0)
            && !vars.last().is_some_and(Var::is_greedy)
            && vars.windows(2).all(|w| !(w[0].is_greedy() && w[1].least == 0))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn finds_what_every_way_of_matching_finds(
        vars in variables(),
        past_last in any::<bool>(),
        within in proptest::option::of(1i64..12),
        keys in 1u8..4,
        steps in proptest::collection::vec((0u8..3, 0i64..5, 0i64..3, 0usize..10), 1..40),
    ) {
        let within_ms = within.map(|w| w * 1000);
        let after = if past_last { AfterMatch::PastLastRow } else { AfterMatch::ToNextRow };
        let nodes = matching(&vars, after, within_ms, TimeAttribute::Rowtime);
        let mut harness = Harness::new(&nodes, 2, 128).expect("operators");
        let (mut all, mut actual, mut waiting, mut now) = (vec![], vec![], vec![], 0i64);
        for (i, (key, c, ahead, act)) in steps.iter().enumerate() {
            // Rows come up to two seconds before the ones that they stand behind.
            let row = Row { k: key % keys, id: i as i64, c: *c, ts: (now + 1 + ahead) * 1000 };
            all.push(row);
            waiting.push(row);
            if act % 2 == 0 {
                harness.process(0, rows(&std::mem::take(&mut waiting))).expect("rows");
                now += (*act as i64) / 5;
                harness.watermark_all(Watermark(now * 1000)).expect("time");
            }
            if *act == 3 {
                actual.extend(rows_of(&harness.take_output()));
                let snapshot = harness.snapshot().expect("a snapshot");
                harness = Harness::restore(&nodes, &snapshot, 1 + i % 3, 128).expect("restores");
            }
        }
        if !waiting.is_empty() {
            harness.process(0, rows(&waiting)).expect("rows");
        }
        let end = 59_000;
        harness.watermark_all(Watermark(end)).expect("time");
        actual.extend(rows_of(&harness.take_output()));
        actual.sort();
        let wanted = expected(&vars, &all, past_last, within_ms, end);
        prop_assert_eq!(actual, wanted);
        prop_assert_eq!(harness.late_records_dropped(), 0);
        if within_ms.is_some() {
            // Nothing is open any more.
            harness.watermark_all(Watermark(10_000_000)).expect("time");
            prop_assert_eq!((harness.state_rows(), harness.state_bytes()), (0, 0));
        }
    }

    #[test]
    fn rows_of_processing_time_are_matched_as_they_come(
        vars in variables(),
        past_last in any::<bool>(),
        steps in proptest::collection::vec((0u8..2, 0i64..5, 0usize..8), 1..40),
    ) {
        let after = if past_last { AfterMatch::PastLastRow } else { AfterMatch::ToNextRow };
        let nodes = matching(&vars, after, None, TimeAttribute::Proctime);
        let mut harness = Harness::new(&nodes, 2, 128).expect("operators");
        let (mut all, mut actual) = (vec![], vec![]);
        for (i, (key, c, act)) in steps.iter().enumerate() {
            let row = Row { k: *key, id: i as i64, c: *c, ts: i as i64 };
            all.push(row);
            harness.process(0, rows(&[row])).expect("rows");
            if *act == 0 {
                actual.extend(rows_of(&harness.take_output()));
                let snapshot = harness.snapshot().expect("a snapshot");
                harness = Harness::restore(&nodes, &snapshot, 1 + i % 3, 128).expect("restores");
            }
        }
        actual.extend(rows_of(&harness.take_output()));
        actual.sort();
        prop_assert_eq!(actual, expected(&vars, &all, past_last, None, 0));
    }
}

#[test]
fn late_rows_are_dropped_and_counted() {
    let any = Var { ask: Ask::Any, least: 1, most: Some(1), greedy: true };
    let nodes = matching(&[any, any], AfterMatch::PastLastRow, None, TimeAttribute::Rowtime);
    let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
    let row = |id: i64, ts: i64| Row { k: 0, id, c: 0, ts };
    harness.process(0, rows(&[row(1, 1000)])).expect("rows");
    harness.watermark_all(Watermark(2000)).expect("time");
    harness.process(0, rows(&[row(2, 2000), row(3, 2001)])).expect("rows");
    harness.watermark_all(Watermark(3000)).expect("time");
    assert_eq!(rows_of(&harness.take_output()), ["+I[k0, 1, 3, 2]"]);
    assert_eq!(harness.late_records_dropped(), 1);
}

/// Matches leave once no run that started before them can match any more, and where one does, what is skipped goes.
#[test]
fn the_next_match_starts_where_it_may() {
    let var = |ask: Ask, least, most| Var { ask, least, most, greedy: false };
    let vars = [var(Ask::AtMost(1), 1, Some(1)), var(Ask::AtLeast(3), 1, None), var(Ask::AtMost(1), 1, Some(1))];
    let all: Vec<Row> = [1, 3, 4, 0, 4, 1, 3, 1]
        .iter()
        .enumerate()
        .map(|(i, c)| Row { k: 0, id: i as i64, c: *c, ts: i as i64 * 1000 })
        .collect();
    for (after, expected) in [
        (AfterMatch::PastLastRow, vec!["+I[k0, 0, 3, 4]", "+I[k0, 5, 7, 3]"]),
        (AfterMatch::ToFirst(1), vec!["+I[k0, 0, 3, 4]", "+I[k0, 3, 5, 3]", "+I[k0, 5, 7, 3]"]),
        (AfterMatch::ToLast(2), vec!["+I[k0, 0, 3, 4]", "+I[k0, 3, 5, 3]", "+I[k0, 5, 7, 3]"]),
    ] {
        let mut harness = Harness::new(&matching(&vars, after, None, TimeAttribute::Rowtime), 1, 128).expect("valid");
        harness.process(0, rows(&all)).expect("rows");
        harness.watermark_all(Watermark::MAX).expect("time");
        assert_eq!(rows_of(&harness.take_output()), expected, "{after:?}");
    }
    let mut harness =
        Harness::new(&matching(&vars, AfterMatch::ToFirst(0), None, TimeAttribute::Rowtime), 1, 128).expect("valid");
    harness.process(0, rows(&all)).expect("rows");
    let error = harness.watermark_all(Watermark::MAX).expect_err("the same match would be found for ever");
    assert!(error.to_string().contains("Could not skip to first element of a match"), "{error}");
}

/// A condition that fails for a row is an error where a run asks for it, and nowhere else.
#[test]
fn a_condition_is_of_no_account_where_nobody_asks() {
    let any = Var { ask: Ask::AtMost(1), least: 1, most: Some(1), greedy: true };
    let ratio = |nodes: &mut Vec<(Node, Partitioning)>, of_run: bool| {
        let OperatorSpec::Match(spec) = &mut nodes[0].0.spec else { unreachable!("a match") };
        let input = Arc::clone(&spec.input_schema);
        let divided = |schema: &Schema| {
            let quotient = binary(number(6), Operator::Divide, column(schema, "c"), schema).expect("a quotient");
            binary(quotient, Operator::GtEq, number(2), schema).expect("a comparison")
        };
        spec.variables[1].condition = Some(if of_run {
            let mut with = condition(1, Ask::Rises, &input).expect("a condition");
            with.expression = divided(&with.schema);
            with
        } else {
            PatternCondition { references: vec![], expression: divided(&input), schema: input }
        });
    };
    for of_run in [false, true] {
        let mut nodes = matching(&[any, any], AfterMatch::PastLastRow, None, TimeAttribute::Rowtime);
        ratio(&mut nodes, of_run);
        let row = |id: i64, c: i64| Row { k: 0, id, c, ts: id * 1000 };
        let mut harness = Harness::new(&nodes, 1, 128).expect("operators");
        // 5 begins nothing, so nobody asks whether 0 follows; 0 begins what 3 ends.
        harness.process(0, rows(&[row(1, 5), row(2, 0), row(3, 3), row(4, 0)])).expect("rows");
        harness.watermark_all(Watermark(4_000)).expect("nobody asks for 6 / 0");
        assert_eq!(rows_of(&harness.take_output()), ["+I[k0, 2, 3, 2]"]);
        harness.process(0, rows(&[row(5, 0)])).expect("rows");
        let error = harness.watermark_all(Watermark(5_000)).expect_err("6 / 0 is asked for");
        assert!(error.to_string().to_lowercase().contains("divi"), "{error}");
    }
}

#[test]
fn runs_of_another_pattern_are_refused() {
    let any = Var { ask: Ask::Any, least: 2, most: Some(2), greedy: true };
    let nodes = || matching(&[any], AfterMatch::PastLastRow, None, TimeAttribute::Rowtime);
    let of = |define: &str| meaning(nodes(), &[("PATTERN", "A{2}"), ("DEFINE", define)]);
    let mut harness = Harness::new(&of("A=>(c, 1)"), 1, 128).expect("operators");
    harness.process(0, rows(&[Row { k: 0, id: 1, c: 1, ts: 1_000 }])).expect("rows");
    harness.watermark_all(Watermark(2_000)).expect("time");
    let snapshot = harness.snapshot().expect("a snapshot");
    Harness::restore(&of("A=>(c, 1)"), &snapshot, 2, 128).expect("the same pattern");
    let error = Harness::restore(&of("A=>(c, 2)"), &snapshot, 2, 128).map(|_| ()).expect_err("another condition");
    assert!(error.to_string().contains("DEFINE: [A=>(c, 1)] before, [A=>(c, 2)] now"), "{error}");
}
