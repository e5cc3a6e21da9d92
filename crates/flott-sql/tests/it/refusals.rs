//! Every construct that has no plan is refused by its name, with its place: never dropped.

use flott_core::ErrorKind;

use crate::common::Session;

const WINDOW: &str = "TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '10' MINUTES))";

#[test]
fn unsupported_constructs_are_named() {
    let session = Session::standard();
    for (query, named) in [
        ("SELECT a FROM t FETCH FIRST 5 ROWS WITH TIES", "WITH TIES"),
        ("SELECT a FROM t LIMIT b", "'b' as a number of rows"),
        ("SELECT a FROM t FOR UPDATE", "FOR UPDATE / FOR SHARE"),
        ("SELECT 1 FROM t FOR SYSTEM_TIME AS OF TIMESTAMP '2020-01-01 00:00:00'", "FOR SYSTEM_TIME AS OF"),
        ("SELECT 1 FROM t TABLESAMPLE BERNOULLI (10)", "TABLESAMPLE"),
        ("WITH RECURSIVE r AS (SELECT 1) SELECT * FROM r", "WITH RECURSIVE"),
        ("SELECT a FROM t WHERE c ILIKE 'x'", "ILIKE"),
        ("SELECT a::STRING FROM t", "the operator ::"),
        ("SELECT 1 FROM LATERAL f(g(1)) AS x (y)", "LATERAL f(..)"),
    ] {
        let e = session.columns(query).expect_err(query);
        assert_eq!(e.kind(), ErrorKind::User, "{query}: {e}");
        assert_eq!(e.message(), format!("not supported yet: {named}"), "{query}");
        assert!(e.position().is_some(), "{query}: {e}");
    }
    let e = session.columns("SELECT * EXCLUDE (a) FROM t").expect_err("not Flink's");
    assert_eq!(e.message(), "unexpected 'EXCLUDE'");
}

#[test]
fn hints_name_pages_that_there_are() {
    let e = Session::standard().columns("WITH RECURSIVE r AS (SELECT 1) SELECT * FROM r").expect_err("no recursion");
    let hint = e.hint_text().expect("a hint");
    let page = hint.split_once("flott docs ").and_then(|(_, rest)| rest.split(' ').next()).expect("a page");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert!(root.join(format!("docs/reference/{page}.md")).is_file(), "{page}");
    // Whoever has the binary alone has no docs folder.
    assert!(!hint.contains("docs/"), "{hint}");
}

#[test]
fn hints_that_fit_nothing_are_taken_as_by_flink() {
    let session = Session::standard();
    for query in [
        "SELECT x FROM two /*+ OPTIONS('changelog' = 'I') */",
        "SELECT /*+ STATE_TTL('two' = '1d') */ x FROM two",
        "SELECT /*+ BROADCAST(two), shuffle_hash(two, t) */ x FROM two",
        "SELECT /*+ NEST_LOOP(two) SHUFFLE_MERGE(two) */ x FROM two",
        "SELECT /*+ LOOKUP('table' = 'two', 'async' = 'true') */ x FROM two",
        "SELECT x FROM two /*+ LOOKUP('table' = 'two') */",
        "SELECT /*+ ALIAS('two') */ x FROM two",
        "SELECT /*+ OPTIONS('a' = 'b') */ x FROM two",
        "WITH q AS (SELECT x FROM two) SELECT x FROM q /*+ BROADCAST(q) */",
        &format!(
            "SELECT /*+ STATE_TTL('bid' = '1 d') */ window_end, COUNT(*) FROM {WINDOW} GROUP BY window_start, window_end"
        ),
    ] {
        session.columns(query).unwrap_or_else(|e| panic!("{query}: {e}"));
    }
}

#[test]
fn hints_that_flink_refuses_are_refused_at_their_place() {
    let mut session = Session::standard();
    session.run("CREATE VIEW v AS SELECT x FROM two").expect("a view");
    for (query, said) in [
        ("SELECT /*+ BRODCAST(two) */ x FROM two", "Hint: BRODCAST should be registered in the HintStrategyTable"),
        ("SELECT x FROM two /*+ FOO('a' = 'b') */", "Hint: FOO should be registered in the HintStrategyTable"),
        ("SELECT x FROM v /*+ FOO */", "Hint: FOO should be registered in the HintStrategyTable"),
        ("SELECT /*+ BROADCAST */ x FROM two", "expecting at least one table or view specified in hint BROADCAST."),
        ("SELECT /*+ LOOKUP('async' = 'true') */ x FROM two", "incomplete required option(s): 'table'"),
        ("SELECT /*+ LOOKUP('table' = 'two', 'asinc' = 'true') */ x FROM two", "Invalid LOOKUP hint option 'asinc'"),
        ("SELECT /*+ LOOKUP('table' = 'two', 'max-attempts' = '3') */ x FROM two", "can be both null or all not null"),
        ("SELECT /*+ STATE_TTL('two' = '1 parsec') */ x FROM two", "Invalid STATE_TTL hint value for table 'two'"),
        ("SELECT /*+ STATE_TTL('two' */ x FROM two", "a ) is missing"),
        ("SELECT x FROM two /*+ OPTIONS() */", "Hint [OPTIONS] only support non empty key value options"),
        (
            "SELECT x FROM v /*+ OPTIONS('changelog' = 'I') */",
            "View '`default_catalog`.`default_database`.`v`' cannot be enriched with new options.",
        ),
        (
            &format!(
                "SELECT /*+ STATE_TTL('bit' = '1 d') */ window_end, COUNT(*) FROM {WINDOW} GROUP BY window_start, window_end"
            ),
            "cannot match the name of input tables or views: \n`bit` in `STATE_TTL`",
        ),
    ] {
        let e = session.columns(query).expect_err(query);
        assert!(e.message().contains(said), "{query}: {e}");
        assert!(e.position().is_some(), "{query}: {e}");
    }
}

#[test]
fn options_hints_can_be_switched_off() {
    let mut session = Session::standard();
    let insert = "INSERT INTO two /*+ OPTIONS('changelog' = 'I') */ SELECT b, c FROM t";
    session.run(insert).expect("allowed by default");
    session.run("SET 'table.dynamic-table-options.enabled' = 'false'").expect("set");
    for statement in [insert, "SELECT x FROM two /*+ OPTIONS('changelog' = 'I') */"] {
        let e = session.run(statement).expect_err(statement);
        let expected = "OPTIONS hint is allowed only when 'table.dynamic-table-options.enabled' is set to true";
        assert_eq!(e.message(), expected, "{statement}");
        assert!(e.position().is_some(), "{statement}: {e}");
    }
}

#[test]
fn windows_are_checked_with_flinks_words() {
    let mut session = Session::standard();
    session.run("CREATE VIEW shifted AS SELECT ts + INTERVAL '1' SECOND AS ts FROM bid").expect("a view");
    let aggregate = |tvf: &str| {
        format!("SELECT window_start, window_end, COUNT(*) FROM TABLE({tvf}) GROUP BY window_start, window_end")
    };
    for (query, message) in [
        (
            aggregate("HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '4' MINUTES, INTERVAL '10' MINUTES)"),
            "requires size must be an integral multiple of slide, but got size 600000 ms and slide 240000 ms",
        ),
        (
            aggregate("CUMULATE(TABLE bid, DESCRIPTOR(ts), INTERVAL '4' MINUTES, INTERVAL '10' MINUTES)"),
            "requires maxSize must be an integral multiple of step, but got maxSize 600000 ms and step 240000 ms",
        ),
        (
            aggregate("TUMBLE(TABLE t, DESCRIPTOR(h), INTERVAL '10' MINUTES)"),
            "The window function requires the timecol is a time attribute type, but is TIMESTAMP(3)",
        ),
        (aggregate("TUMBLE(TABLE bid, DESCRIPTOR(tss), INTERVAL '10' MINUTES)"), "Did you mean 'ts'?"),
        (aggregate("TUMBLE(TABLE bid, DESCRIPTOR(ts))"), "TUMBLE needs the argument SIZE"),
        (aggregate("TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '0' MINUTES)"), "positive SIZE"),
        (aggregate("TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MONTH)"), "months"),
        (aggregate("TUMBLE(TABLE bid, DESCRIPTOR(ts), 5)"), "interval literal"),
        (aggregate("TUMBLE(TABLE bid, ts, INTERVAL '1' MINUTE)"), "DESCRIPTOR"),
        (aggregate("TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '2' MINUTE)"), "abs(offset)"),
        (
            aggregate("TUMBLE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(ts), LENGTH => INTERVAL '1' MINUTE)"),
            "no argument 'LENGTH'",
        ),
        (aggregate("TUMBEL(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE)"), "Did you mean 'TUMBLE'?"),
        (
            format!("SELECT bidder FROM {WINDOW} GROUP BY window_start, window_end"),
            "Expression 'bidder' is not being grouped",
        ),
        (
            format!("SELECT COUNT(*) FROM {WINDOW} WHERE COUNT(*) > 1 GROUP BY window_start, window_end"),
            "not allowed in WHERE",
        ),
        (
            aggregate("TUMBLE(TABLE shifted, DESCRIPTOR(ts), INTERVAL '1' MINUTE)"),
            "The window function requires the timecol is a time attribute type, but is TIMESTAMP(3)",
        ),
    ] {
        let e = session.columns(&query).expect_err(&query);
        assert!(e.to_string().contains(message), "{query}: {e}");
    }
}

#[test]
fn sinks_are_checked_with_flinks_words() {
    let mut session = Session::standard();
    session
        .run(
            "CREATE TABLE s (a INT, b STRING NOT NULL) WITH ('connector' = 'fake');
             CREATE TABLE changes (x BIGINT, y STRING) WITH ('connector' = 'fake', 'changelog' = 'ALL');
             CREATE TABLE upserts (x BIGINT, y STRING) WITH ('connector' = 'fake', 'changelog' = 'UPSERT');
             CREATE TABLE keyed (x BIGINT, y STRING, PRIMARY KEY (x) NOT ENFORCED)
               WITH ('connector' = 'fake', 'changelog' = 'UPSERT')",
        )
        .unwrap();
    for (statement, message) in [
        (
            "INSERT INTO s SELECT a FROM t",
            "Column types of query result and sink for 'default_catalog.default_database.s' do not match.\n\
             Cause: Different number of columns.\n\n\
             Query schema: [a: INT]\n\
             Sink schema:  [a: INT, b: STRING NOT NULL]",
        ),
        (
            "INSERT INTO s SELECT c, c FROM t",
            "Cause: Incompatible types for sink column 'a' at position 1.\n\n\
             Query schema: [c: STRING, c0: STRING]\n\
             Sink schema:  [a: INT, b: STRING NOT NULL]",
        ),
        ("INSERT INTO s (a) SELECT a FROM t", "Column 'b' has no default value and does not allow NULLs"),
        ("INSERT INTO s (a, bb) SELECT a, c FROM t", "Unknown target column 'bb'"),
        ("INSERT INTO s (a, a) SELECT a, a FROM t", "assigned more than once"),
        ("INSERT INTO s PARTITION (a = 1) SELECT c FROM t", "not a partition key"),
        ("INSERT INTO nowhere SELECT 1", "Object 'nowhere' not found"),
        ("INSERT OVERWRITE s SELECT a, c FROM t", "OVERWRITE"),
        (
            "INSERT INTO two SELECT x, y FROM changes",
            "Table sink 'default_catalog.default_database.two' doesn't support consuming update and delete changes which is produced by node TableSourceScan(",
        ),
        (
            "INSERT INTO two SELECT x, y FROM upserts",
            "Table 'default_catalog.default_database.upserts' produces a changelog stream that contains UPDATE_AFTER but no \
             UPDATE_BEFORE. This requires defining a primary key constraint on the table.",
        ),
        (
            "INSERT INTO two SELECT x, y FROM keyed",
            "Table sink 'default_catalog.default_database.two' doesn't support consuming update and delete changes which is \
             produced by node ChangelogNormalize(key=[x])",
        ),
        (
            "INSERT INTO two SELECT COUNT(*), y FROM changes GROUP BY y",
            "doesn't support consuming update and delete changes which is produced by node GroupAggregate(groupBy=[y], \
             select=[y, COUNT_RETRACT(*) AS EXPR$0])",
        ),
        (
            "INSERT INTO keyed SELECT x, y FROM changes",
            "The query has an upsert key that differs from the primary key of the sink table \
             'default_catalog.default_database.keyed'. Primary key: [x], upsert key: none.",
        ),
        (
            "INSERT INTO keyed SELECT x, y FROM changes ON CONFLICT DO NOTHING",
            "ON CONFLICT DO NOTHING requires all source tables to define watermarks, but the following source(s) do not: \
             default_catalog.default_database.changes. Please add a WATERMARK declaration to these tables.",
        ),
        (
            "INSERT INTO changes SELECT x, y FROM changes ON CONFLICT DO DEDUPLICATE",
            "ON CONFLICT clause is only allowed for upsert sinks. The sink 'default_catalog.default_database.changes' is \
             not an upsert sink because it requires UPDATE_BEFORE (retract mode).",
        ),
        (
            "SET 'table.exec.source.cdc-events-duplicate' = 'true'; INSERT INTO changes SELECT x, y FROM changes",
            "enabled which requires the changelog sources to define a PRIMARY KEY",
        ),
    ] {
        let e = session.run(statement).expect_err(statement);
        assert!(e.to_string().contains(message), "{statement}: {e}");
    }
}

#[test]
fn an_updating_window_needs_a_sink_that_takes_updates() {
    let mut session = Session::standard();
    let insert = format!(
        "SET 'table.exec.emit.early-fire.enabled' = 'true'; SET 'table.exec.emit.early-fire.delay' = '1 s';
         INSERT INTO two SELECT COUNT(*), 'x' FROM {WINDOW} GROUP BY window_start, window_end"
    );
    let e = session.run(&insert).expect_err("an append-only sink").to_string();
    assert!(e.contains("doesn't support consuming update changes which is produced by node"), "{e}");
}

#[test]
fn deep_and_wide_expressions_end_with_an_error_or_a_plan() {
    let session = Session::standard();
    let wide = format!("SELECT a FROM t WHERE {}", vec!["a = 1"; 5_000].join(" OR "));
    session.columns(&wide).expect("a wide OR");
    let long = format!("SELECT {} FROM t", vec!["a"; 200].join(" + "));
    session.columns(&long).expect("a long sum");
    for query in [
        format!("SELECT {}a{} FROM t", "(".repeat(2_000), ")".repeat(2_000)),
        format!("SELECT {}f FROM t", "NOT ".repeat(2_000)),
    ] {
        let planned = session.columns(&query);
        assert!(planned.is_err(), "{}..: {planned:?}", &query[..60]);
    }
}

#[test]
fn window_functions_take_every_form_of_their_input() {
    let session = Session::standard();
    let size = "INTERVAL '10' MINUTES";
    for tvf in [
        format!("TUMBLE(TABLE bid, DESCRIPTOR(ts), {size})"),
        format!("TUMBLE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(ts), SIZE => {size})"),
        format!("TUMBLE(size => {size}, timecol => DESCRIPTOR(ts), data => TABLE bid)"),
        format!("TUMBLE((SELECT * FROM bid), DESCRIPTOR(ts), {size})"),
        format!("TUMBLE(DATA => (SELECT * FROM bid WHERE price > 1), TIMECOL => DESCRIPTOR(ts), SIZE => {size})"),
        format!("TUMBLE(TABLE (SELECT * FROM bid), DESCRIPTOR(ts), {size})"),
        format!(
            "TUMBLE(DATA => TABLE (WITH q AS (SELECT * FROM bid) SELECT * FROM q), TIMECOL => DESCRIPTOR(ts), SIZE => {size})"
        ),
        format!("TUMBLE(TABLE default_catalog.default_database.bid, DESCRIPTOR(ts), {size}, INTERVAL '1' MINUTE)"),
        format!("SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(ts), {size})"),
        format!("SESSION(DATA => TABLE bid PARTITION BY (bidder), TIMECOL => DESCRIPTOR(ts), GAP => {size})"),
        format!("SESSION((SELECT * FROM bid) PARTITION BY bidder, DESCRIPTOR(ts), {size})"),
        format!("SESSION(DATA => (SELECT * FROM bid) PARTITION BY (bidder), TIMECOL => DESCRIPTOR(ts), GAP => {size})"),
    ] {
        let key = if tvf.contains("PARTITION") { ", bidder" } else { "" };
        for from in [format!("TABLE({tvf})"), tvf.clone()] {
            let query = format!("SELECT window_end, COUNT(*) FROM {from} GROUP BY window_start, window_end{key}");
            session.columns(&query).unwrap_or_else(|e| panic!("{query}: {e}"));
        }
    }
    let e =
        session.columns(&format!("SELECT * FROM TABLE(TUMBLE(bid, DESCRIPTOR(ts), {size}))")).expect_err("no TABLE");
    assert_eq!(e.message(), "the input of TUMBLE is a table or a query, not bid");
    assert_eq!(e.position().map(|p| p.column), Some(28));
}
