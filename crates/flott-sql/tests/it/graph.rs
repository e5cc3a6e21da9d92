//! Job graphs: nodes, edges, ids.

use flott_graph::{JobGraph, OperatorSpec, Partitioning};

use crate::common::{Session, void_sink};

fn uids(graph: &JobGraph) -> Vec<String> {
    graph.nodes.iter().map(|n| n.uid.clone()).collect()
}

const WINDOWED: &str = "SELECT bidder, CAST(COUNT(*) AS STRING) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, bidder";

#[test]
fn a_query_becomes_source_calc_sink() {
    let mut session = Session::standard();
    let graph = session.graph("INSERT INTO two SELECT b + 1, c FROM t WHERE a > 1").unwrap();
    assert_eq!(
        uids(&graph),
        [
            "source:default_catalog.default_database.t",
            "calc:default_catalog.default_database.t",
            "sink:default_catalog.default_database.two"
        ]
    );
    assert_eq!(graph.name, "insert-into_default_catalog.default_database.two");
    let names: Vec<&str> = graph.nodes[0].schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["a", "b", "c"], "only what is needed is read");
    let sink: Vec<&str> = graph.nodes[1].schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(sink, ["x", "y"], "the sink gets its own names");
}

#[test]
fn a_source_is_shared_by_a_statement_set_and_reads_the_union() {
    let mut session = Session::standard();
    let graph =
        session.graph("INSERT INTO two SELECT b, c FROM t; INSERT INTO two SELECT b, q FROM t WHERE a = 1").unwrap();
    assert_eq!(graph.sources().count(), 1);
    let names: Vec<&str> = graph.nodes[0].schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "q"]);
    let sinks: Vec<&str> = graph.sinks().map(|(_, n)| n.uid.as_str()).collect();
    assert_eq!(sinks, ["sink:default_catalog.default_database.two", "sink:default_catalog.default_database.two#2"]);
}

#[test]
fn a_window_aggregate_runs_in_two_phases() {
    let mut session = Session::standard();
    let graph = session.graph(&format!("INSERT INTO two {WINDOWED}")).unwrap();
    let kinds: Vec<&str> = graph.nodes.iter().map(|n| n.name.split('(').next().unwrap()).collect();
    assert_eq!(
        kinds,
        ["TableSourceScan", "LocalWindowAggregate", "GlobalWindowAggregate", "Calc", "Sink"],
        "nothing is computed before the aggregate"
    );
    let global = &graph.nodes[2];
    assert_eq!(global.inputs[0].partitioning, Partitioning::Hash(vec![0]));
    let OperatorSpec::Source(source) = &graph.nodes[0].spec else { panic!("a source") };
    assert!(source.watermark.is_some());
}

#[test]
fn an_edit_elsewhere_or_a_filter_before_keeps_ids() {
    let id = |script: &str| {
        let graph = Session::standard().graph(script).unwrap();
        graph
            .iter()
            .find(|(_, n)| matches!(n.spec, OperatorSpec::GlobalWindowAggregate(_) | OperatorSpec::WindowAggregate(_)))
            .map(|(_, n)| n.uid.clone())
            .unwrap()
    };
    let plain = id(&format!("INSERT INTO two {WINDOWED}"));
    let filtered = id(&format!("INSERT INTO two {}", WINDOWED.replace("GROUP BY", "WHERE price > 3 GROUP BY")));
    let beside = id(&format!("INSERT INTO two SELECT b, c FROM t; INSERT INTO two {WINDOWED}"));
    let one_phase = id(&format!("SET 'table.optimizer.agg-phase-strategy' = 'ONE_PHASE'; INSERT INTO two {WINDOWED}"));
    assert_eq!(plain, filtered);
    assert_eq!(plain, beside);
    assert_eq!(plain, one_phase);
    assert_ne!(plain, id(&format!("INSERT INTO two {}", WINDOWED.replace("'1' MINUTE", "'2' MINUTE"))));
}

#[test]
fn late_rows_go_to_their_table() {
    let mut session = Session::standard();
    let graph = session
        .graph(&format!(
            "CREATE TABLE late (auction BIGINT, bidder BIGINT, price DECIMAL(10, 2), channel STRING, ts TIMESTAMP(3), pt TIMESTAMP_LTZ(3)) WITH ('connector' = 'fake');
             SET 'table.exec.late-records.table' = 'late';
             INSERT INTO two {WINDOWED}"
        ))
        .unwrap();
    let (_, late) = graph.sinks().find(|(_, n)| n.uid.ends_with("late")).expect("a sink of late rows");
    let calc = graph.node(late.inputs[0].node);
    assert_eq!(calc.inputs[0].port, 1);
    let OperatorSpec::WindowAggregate(spec) = &graph.node(calc.inputs[0].node).spec else { panic!("one phase") };
    assert!(spec.late_output);
}

/// What is below a rank is looked at for its keys, too: that leaves no second sink and no late rows of a node that is not
/// in the job.
#[test]
fn late_rows_below_a_rank_go_to_their_table_once() {
    let mut session = Session::standard();
    let ranked = format!(
        "SELECT a, b FROM (SELECT a, b, ROW_NUMBER() OVER (PARTITION BY a ORDER BY b DESC) AS n FROM ({WINDOWED}) AS w (a, b)) WHERE n <= 3"
    );
    let graph = session
        .graph(&format!(
            "CREATE TABLE late (auction BIGINT, bidder BIGINT, price DECIMAL(10, 2), channel STRING, ts TIMESTAMP(3), pt TIMESTAMP_LTZ(3)) WITH ('connector' = 'fake');
             SET 'table.exec.late-records.table' = 'late';
             CREATE TABLE changes (a BIGINT, b STRING) WITH ('connector' = 'fake', 'changelog' = 'ALL');
             INSERT INTO changes {ranked}"
        ))
        .unwrap();
    assert_eq!(graph.sinks().filter(|(_, n)| n.uid.ends_with("late")).count(), 1);
    assert_eq!(graph.iter().filter(|(_, n)| matches!(n.spec, OperatorSpec::WindowAggregate(_))).count(), 1);
}

#[test]
fn a_query_without_a_table_and_values_have_a_bounded_source() {
    let session = Session::standard();
    for query in ["SELECT 1 + 1", "VALUES (1, 'a'), (2, 'b')", "SELECT * FROM (VALUES (1), (2)) AS v (x) WHERE x > 1"] {
        let query = flott_sql::parser::parse_query(query).unwrap();
        let graph = session.planner().plan_query(&query).unwrap().into_graph(void_sink(), Some(1), None).unwrap();
        assert!(graph.is_bounded());
    }
}

#[test]
fn grouping_sets_expand_the_rows() {
    let mut session = Session::standard();
    let graph = session
        .graph(
            "INSERT INTO two SELECT COUNT(*), CAST(bidder AS STRING) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) \
             GROUP BY window_start, window_end, GROUPING SETS ((bidder), ())",
        )
        .unwrap();
    let expand = graph.nodes.iter().find_map(|n| match &n.spec {
        OperatorSpec::Expand(e) => Some(e),
        _ => None,
    });
    assert_eq!(expand.expect("an Expand").expand_ids, [0, 1]);
}

#[test]
fn rows_go_to_a_sink_by_its_primary_key_where_that_is_asked_for() {
    let into = |table: &str, shuffle: &str| {
        let graph = Session::standard()
            .graph(&format!(
                "CREATE TABLE by_key (x BIGINT, y STRING, PRIMARY KEY (x) NOT ENFORCED) WITH ('connector' = 'fake');
                 SET 'table.exec.sink.require-on-conflict' = 'false';
                 SET 'table.exec.sink.upsert-materialize' = 'NONE';
                 SET 'table.exec.sink.keyed-shuffle' = '{shuffle}';
                 INSERT INTO {table} SELECT b + 1, c FROM t"
            ))
            .unwrap();
        let (_, sink) = graph.sinks().next().expect("a sink");
        sink.inputs[0].partitioning.clone()
    };
    assert_eq!(into("by_key", "FORCE"), Partitioning::Hash(vec![0]));
    assert_eq!(into("by_key", "AUTO"), Partitioning::Forward, "as many subtasks as before it");
    assert_eq!(into("by_key", "NONE"), Partitioning::Forward);
    assert_eq!(into("two", "FORCE"), Partitioning::Forward, "without a key nothing to go by");
}

/// What the state of the first operator that says so stands for, by part.
fn meaning(query: &str) -> std::collections::BTreeMap<String, String> {
    let script = format!(
        "CREATE TABLE by_key (x BIGINT, y STRING) WITH ('connector' = 'fake', 'changelog' = 'ALL');
         INSERT INTO by_key {query}"
    );
    let graph = Session::standard().graph(&script).expect("a graph");
    let meaning = graph.nodes.iter().find_map(|n| match &n.spec {
        OperatorSpec::OverAggregate(spec) => Some(spec.meaning.clone()),
        OperatorSpec::Match(spec) => Some(spec.meaning.clone()),
        OperatorSpec::GroupAggregate(spec) => Some(spec.meaning.clone()),
        OperatorSpec::WindowAggregate(spec) | OperatorSpec::GlobalWindowAggregate(spec) => Some(spec.meaning.clone()),
        _ => None,
    });
    meaning.expect("such an operator").parts.into_iter().collect()
}

/// The parts that differ.
fn changed(one: &str, other: &str) -> Vec<String> {
    let (one, other) = (meaning(one), meaning(other));
    one.iter().filter(|(name, text)| other.get(*name) != Some(text)).map(|(name, _)| name.clone()).collect()
}

#[test]
fn the_state_of_an_over_says_what_it_was_computed_of() {
    let over = |call: &str, frame: &str, condition: &str| {
        format!("SELECT {call} OVER (PARTITION BY bidder ORDER BY ts {frame}), channel FROM bid WHERE {condition}")
    };
    let plain = over("COUNT(auction + 1)", "", "price > 1");
    let parts = meaning(&plain);
    assert_eq!(parts["functions"], "COUNT(+(auction, 1) BIGINT)", "{parts:?}");
    assert_eq!(parts["frame"], "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW");
    assert_eq!(changed(&plain, &over("COUNT(auction + 1)", "", "price > 2")), [""; 0], "a filter before it");
    assert_eq!(changed(&plain, &over("MAX(auction + 1)", "", "price > 1")), ["functions"]);
    assert_eq!(changed(&plain, &over("COUNT(DISTINCT auction + 1)", "", "price > 1")), ["functions"]);
    let literal = changed(&plain, &over("COUNT(auction + 2)", "", "price > 1"));
    assert_eq!(literal, ["functions", "input columns"]);
    let rows = over("COUNT(auction + 1)", "ROWS UNBOUNDED PRECEDING", "price > 1");
    assert_eq!(changed(&plain, &rows), ["frame"]);
    let other_column = plain.replace("channel", "CAST(price AS STRING)");
    assert_eq!(changed(&plain, &other_column), ["input columns"]);
}

#[test]
fn the_state_of_a_pattern_says_what_was_matched() {
    let plain = "SELECT a, CAST(n AS STRING) FROM bid MATCH_RECOGNIZE (PARTITION BY bidder ORDER BY ts \
                 MEASURES FIRST(A.auction) AS a, COUNT(B.price) AS n AFTER MATCH SKIP PAST LAST ROW PATTERN (A B+? C) \
                 WITHIN INTERVAL '1' HOUR DEFINE A AS A.price > 1, B AS B.price > LAST(B.price, 1), C AS C.price < 5)";
    for (from, to, parts) in [
        ("COUNT(B.price)", "COUNT(B.price) + 1", vec![]),
        ("COUNT(B.price)", "MAX(B.auction)", vec![]),
        ("B+?", "B*?", vec!["PATTERN"]),
        ("A.price > 1", "A.price > 2", vec!["DEFINE"]),
        ("'1' HOUR", "'2' HOUR", vec!["WITHIN"]),
        ("SKIP PAST LAST ROW", "SKIP TO NEXT ROW", vec!["AFTER MATCH"]),
    ] {
        assert_eq!(changed(plain, &plain.replace(from, to)), parts, "{from} -> {to}");
    }
}

#[test]
fn the_state_of_aggregates_says_what_it_was_computed_of() {
    let plain = "SELECT SUM(auction + 1) FILTER (WHERE price > 1), MAX(channel) FROM bid GROUP BY bidder";
    assert_eq!(meaning(plain)["GROUP BY"], "bidder");
    for (from, to, parts) in [
        ("auction + 1", "auction - 1", vec!["functions"]),
        ("price > 1", "price > 2", vec!["functions"]),
        ("SUM", "MIN", vec!["functions"]),
        ("GROUP BY bidder", "GROUP BY auction", vec!["GROUP BY"]),
        ("FROM bid", "FROM (SELECT bidder, auction AS auction, price, channel FROM bid) AS b", vec![]),
    ] {
        assert_eq!(changed(plain, &plain.replace(from, to)), parts, "{from} -> {to}");
    }
    let plain = "SELECT SUM(auction + 1), MAX(channel) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' HOUR)) \
                 GROUP BY window_start, window_end, bidder";
    assert_eq!(meaning(plain)["time"], "ts");
    for (from, to, parts) in [
        ("auction + 1", "auction - 1", vec!["functions"]),
        ("SUM", "MIN", vec!["functions"]),
        ("window_end, bidder", "window_end, auction", vec!["GROUP BY"]),
    ] {
        assert_eq!(changed(plain, &plain.replace(from, to)), parts, "{from} -> {to}");
    }
}

/// What rows have passed that an operator keeps, by the operator's kind. These texts are stored with checkpoints: another
/// text for the same condition needs another `CONDITIONS_VERSION`.
#[test]
fn conditions_below_operators_with_state_have_a_stored_form() {
    let conditions = |query: &str| {
        let mut session = Session::standard();
        session.run("CREATE VIEW v AS SELECT bidder AS b, LOWER(channel) AS c, price, ts FROM bid").unwrap();
        let query = flott_sql::parser::parse_query(query).unwrap();
        let graph = session.planner().plan_query(&query).unwrap().into_graph(void_sink(), None, None).unwrap();
        let of = |n: &flott_graph::Node| {
            let all = graph.conditions.get(&n.uid)?;
            Some(format!("{}: {}", n.name.split('(').next()?, all.all().into_iter().collect::<Vec<_>>().join("; ")))
        };
        graph.nodes.iter().filter_map(of).collect::<Vec<_>>()
    };
    const COUNTED: &str =
        "SELECT b AS x, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE v, DESCRIPTOR(ts), INTERVAL '1' MINUTE))";
    let windowed = |below: &str, above: &str| {
        conditions(&format!("SELECT x FROM ({COUNTED} {below} GROUP BY window_start, window_end, b, c) {above}"))
    };
    assert_eq!(windowed("", "WHERE x > 5 AND n > 3"), ["GlobalWindowAggregate: bid.bidder > 5"]);
    assert_eq!(windowed("WHERE 5 < b AND price > 2", ""), ["GlobalWindowAggregate: bid.bidder > 5"]);
    assert_eq!(
        windowed("WHERE c = 'it''s' OR b IN (3, 1, 2)", ""),
        ["GlobalWindowAggregate: (LOWER(bid.channel) = 'it''s') OR (bid.bidder IN (1, 2, 3))"]
    );
    assert_eq!(
        conditions("SELECT l.x FROM two l JOIN t ON l.x = t.b AND t.f WHERE l.y LIKE 'a%' AND NOT t.a + 1 <= l.x"),
        ["Join: LIKE(two.y, 'a%'); t.f"],
        "what reads both sides is asked when they meet"
    );
    assert_eq!(
        conditions("SELECT SUM(x) AS x FROM two WHERE x > 1 GROUP BY y HAVING y IS NOT NULL"),
        Vec::<String>::new(),
        "a group is shown when a row of it comes"
    );
    assert_eq!(
        conditions(
            "SELECT l.s AS x FROM (SELECT y, SUM(x) AS s FROM two WHERE x <> 0 GROUP BY y) l
             JOIN (SELECT x FROM two UNION ALL SELECT b FROM t) r ON l.s = r.x WHERE l.s < 10 AND l.y <> 'a'"
        ),
        ["Join: SUM(two.x) < 10; t.b < 10; two.x < 10; two.y <> 'a'"],
        "of a grouping those on its keys pass it; of a union each input has its own"
    );
}

/// A row that leaves a rank does so without a word where only the new row of a number is sent: a join keeps it by partition and number, and
/// not by a key that it had before, which is smaller here.
#[test]
fn a_join_keeps_ranked_rows_by_what_tells_of_their_end() {
    for (join_column, t) in [("rn", "BIGINT"), ("p", "INT")] {
        let script = format!(
            "CREATE TABLE t (id INT, p INT, v INT) WITH ('connector' = 'fake');
             CREATE TABLE d (n {t}, w INT) WITH ('connector' = 'fake');
             CREATE TABLE snk (p INT, rn BIGINT, id INT, w INT, PRIMARY KEY (p, rn) NOT ENFORCED)
             WITH ('connector' = 'fake', 'changelog' = 'UPSERT');
             INSERT INTO snk SELECT r.p, r.rn, r.id, m.w
             FROM (SELECT * FROM (SELECT id, p, s, ROW_NUMBER() OVER (PARTITION BY p ORDER BY s DESC) AS rn
                   FROM (SELECT id, p, COUNT(*) AS s FROM t GROUP BY id, p)) WHERE rn <= 2) r
             JOIN (SELECT n, MAX(w) AS w FROM d GROUP BY n) m ON r.{join_column} = m.n;"
        );
        let graph = Session::new().graph(&script).unwrap();
        let joins = graph.iter().filter_map(|(_, n)| match &n.spec {
            OperatorSpec::Join(spec) => Some(spec),
            _ => None,
        });
        let [join] = joins.collect::<Vec<_>>()[..] else { panic!("one join") };
        let key = join.left.unique_key.clone().expect("a unique key");
        let names: Vec<&str> = key.iter().map(|c| join.condition.left_schema.field(*c).name().as_str()).collect();
        assert_eq!(names, ["p", "rn"], "joined by {join_column}");
    }
}

/// `table.exec.deduplicate.insert-update-after-sensitive-enabled`, for whoever asks for updates alone and for others.
#[test]
fn a_deduplication_tells_first_rows_where_the_option_says_so() {
    let sinks = "CREATE TABLE src (a INT, rt TIMESTAMP(3), pt AS PROCTIME(), WATERMARK FOR rt AS rt) WITH ('connector' = 'fake');
         CREATE TABLE upserts (a INT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'fake', 'changelog' = 'UPSERT');";
    for option in ["true", "false"] {
        for time in ["rt", "pt"] {
            let mut session = Session::new();
            let graph = session.graph(&format!(
                "{sinks} SET 'table.exec.deduplicate.insert-update-after-sensitive-enabled' = '{option}';
                 INSERT INTO upserts SELECT a FROM (
                   SELECT *, ROW_NUMBER() OVER (PARTITION BY a ORDER BY {time} DESC) AS n FROM src) WHERE n = 1"
            ));
            let graph = graph.unwrap();
            let specs = graph.nodes.iter().filter_map(|n| match &n.spec {
                OperatorSpec::Deduplicate(spec) => Some((spec.insert, spec.update_before)),
                _ => None,
            });
            assert_eq!(specs.collect::<Vec<_>>(), [(option == "true", false)], "{option} {time}");
        }
    }
}
