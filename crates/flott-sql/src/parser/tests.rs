//! Every statement and every form of expression that Flink knows: what parses, what is refused, and with which words.

use std::ops::ControlFlow;

use proptest::prelude::*;
use sqlparser::ast::{Expr, SelectItem, SetExpr, TableFactor, visit_expressions_mut};

use super::ast::*;
use super::{ParseLimits, parse_expression, parse_query, parse_script, parse_script_with_limits};

fn one(text: &str) -> Statement {
    let mut parsed = parse_script(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(parsed.len(), 1, "{text}");
    parsed.remove(0).statement
}

fn refused(text: &str) -> String {
    match parse_script(text) {
        Ok(parsed) => panic!("{text} was read as {parsed:?}"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn every_statement_of_flink_is_known() {
    let kinds: &[(&str, fn(&Statement) -> bool)] = &[
        ("SELECT 1", |s| matches!(s, Statement::Query(_))),
        ("(SELECT 1) UNION ALL (SELECT 2)", |s| matches!(s, Statement::Query(_))),
        ("VALUES (1, 'a'), (2, 'b')", |s| matches!(s, Statement::Query(_))),
        ("WITH a AS (SELECT 1) SELECT * FROM a", |s| matches!(s, Statement::Query(_))),
        ("INSERT INTO t SELECT 1", |s| matches!(s, Statement::Insert(i) if !i.overwrite)),
        ("INSERT INTO t VALUES (1)", |s| matches!(s, Statement::Insert(_))),
        ("INSERT INTO t (a, b) VALUES (1, 2)", |s| matches!(s, Statement::Insert(i) if i.columns.len() == 2)),
        ("INSERT INTO t (SELECT 1)", |s| matches!(s, Statement::Insert(i) if i.columns.is_empty())),
        (
            "INSERT OVERWRITE c.d.t PARTITION (p = 'x', q = 1) SELECT 1",
            |s| matches!(s, Statement::Insert(i) if i.overwrite && i.partition.len() == 2 && i.table.parts.len() == 3),
        ),
        (
            "INSERT INTO t SELECT 1 ON CONFLICT DO DEDUPLICATE",
            |s| matches!(s, Statement::Insert(i) if i.on_conflict.as_deref() == Some("DEDUPLICATE")),
        ),
        ("EXECUTE INSERT INTO t SELECT 1", |s| matches!(s, Statement::Insert(_))),
        ("EXECUTE SELECT 1", |s| matches!(s, Statement::Query(_))),
        (
            "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END",
            |s| matches!(s, Statement::StatementSet(i) if i.len() == 2),
        ),
        (
            "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END;",
            |s| matches!(s, Statement::StatementSet(i) if i.len() == 1),
        ),
        ("EXPLAIN SELECT 1", |s| matches!(s, Statement::Explain { .. })),
        ("EXPLAIN PLAN FOR SELECT 1", |s| matches!(s, Statement::Explain { .. })),
        (
            "EXPLAIN ESTIMATED_COST, CHANGELOG_MODE, PLAN_ADVICE, JSON_EXECUTION_PLAN INSERT INTO t SELECT 1",
            |s| matches!(s, Statement::Explain { details, .. } if details.len() == 4),
        ),
        (
            "EXPLAIN STATEMENT SET BEGIN INSERT INTO a SELECT 1; END",
            |s| matches!(s, Statement::Explain { inner, .. } if matches!(**inner, Statement::StatementSet(_))),
        ),
        (
            "EXPLAIN EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; END",
            |s| matches!(s, Statement::Explain { inner, .. } if matches!(**inner, Statement::StatementSet(_))),
        ),
        (
            "EXPLAIN WATERMARK FOR SELECT 1",
            |s| matches!(s, Statement::Explain { details, .. } if details[..] == [ExplainDetail::Watermark]),
        ),
        ("EXPLAIN WATERMARK, CHANGELOG_MODE INSERT INTO a SELECT 1", |s| {
            matches!(s, Statement::Explain { details, .. }
                if details[..] == [ExplainDetail::Watermark, ExplainDetail::ChangelogMode])
        }),
        ("SET", |s| matches!(s, Statement::Set(None))),
        ("SET 'a.b' = 'c d'", |s| matches!(s, Statement::Set(Some((k, v))) if k == "a.b" && v == "c d")),
        (
            "SET table.exec.state.ttl = 1 h",
            |s| matches!(s, Statement::Set(Some((k, v))) if k == "table.exec.state.ttl" && v == "1 h"),
        ),
        ("RESET", |s| matches!(s, Statement::Reset(None))),
        ("RESET 'a'", |s| matches!(s, Statement::Reset(Some(k)) if k == "a")),
        ("USE d", |s| matches!(s, Statement::Use(_))),
        ("USE c.d", |s| matches!(s, Statement::Use(n) if n.parts.len() == 2)),
        ("USE CATALOG c", |s| matches!(s, Statement::UseCatalog(_))),
        ("CREATE CATALOG IF NOT EXISTS c COMMENT 'x' WITH ('type' = 'generic_in_memory')", |s| {
            matches!(s, Statement::CreateCatalog { if_not_exists: true, .. })
        }),
        ("CREATE DATABASE c.d COMMENT 'x' WITH ('a' = 'b')", |s| matches!(s, Statement::CreateDatabase { .. })),
        ("CREATE TEMPORARY VIEW IF NOT EXISTS v (a COMMENT 'x', b) COMMENT 'y' AS SELECT 1, 2", |s| {
            matches!(s, Statement::CreateView { temporary: true, if_not_exists: true, columns, text, .. }
                if columns.len() == 2 && text == "SELECT 1, 2")
        }),
        (
            "CREATE TEMPORARY SYSTEM FUNCTION IF NOT EXISTS f AS 'a.B' LANGUAGE SCALA USING JAR '/a.jar', JAR '/b.jar'",
            |s| matches!(s, Statement::CreateFunction(f) if f.system && f.language == "SCALA" && f.resources.len() == 2),
        ),
        ("CREATE FUNCTION f(a INT, b MAP<STRING, INT> NOT NULL) RETURNS BIGINT LANGUAGE SQL AS 'a + b[''x'']'", |s| {
            matches!(s, Statement::CreateFunction(f) if f.language == "SQL" && f.class == "a + b['x']"
                && f.signature.as_ref().is_some_and(|(p, r)| p.len() == 2 && r.to_string() == "BIGINT"))
        }),
        (
            "CREATE FUNCTION c.d.f AS 'm.f' LANGUAGE PYTHON",
            |s| matches!(s, Statement::CreateFunction(f) if f.language == "PYTHON" && !f.temporary),
        ),
        (
            "CREATE OR REPLACE TABLE t WITH ('a' = 'b') AS SELECT 1",
            |s| matches!(s, Statement::CreateTable(t) if t.or_replace && t.query.is_some()),
        ),
        ("ALTER TABLE IF EXISTS t RENAME TO u", |s| matches!(s, Statement::AlterTable { if_exists: true, .. })),
        (
            "ALTER TABLE t ADD IF NOT EXISTS PARTITION (a = 1, b = 'x') WITH ('k' = 'v') PARTITION (a = 2, b = 'y')",
            |s| {
                matches!(s, Statement::AlterTable {
                change: AlterTable::AddPartitions { if_not_exists: true, partitions }, ..
            } if partitions.len() == 2 && partitions[0].1.len() == 1)
            },
        ),
        ("ALTER TABLE t DROP IF EXISTS PARTITION (a = 1), PARTITION (a = 2)", |s| {
            matches!(s, Statement::AlterTable {
                change: AlterTable::DropPartitions { if_exists: true, partitions }, ..
            } if partitions.len() == 2)
        }),
        ("ALTER TABLE t ADD partition INT", |s| {
            matches!(s, Statement::AlterTable { change: AlterTable::Schema { .. }, .. })
        }),
        ("ALTER VIEW v RENAME TO w", |s| matches!(s, Statement::AlterViewRename { .. })),
        ("ALTER VIEW v AS SELECT 2", |s| matches!(s, Statement::AlterViewAs { text, .. } if text == "SELECT 2")),
        ("ALTER DATABASE d SET ('a' = 'b')", |s| matches!(s, Statement::AlterDatabase { .. })),
        (
            "ALTER CATALOG c SET ('a' = 'b')",
            |s| matches!(s, Statement::AlterCatalog { change: AlterCatalog::Set(o), .. } if o.len() == 1),
        ),
        (
            "ALTER CATALOG c RESET ('a', 'b')",
            |s| matches!(s, Statement::AlterCatalog { change: AlterCatalog::Reset(k), .. } if k.len() == 2),
        ),
        ("ALTER CATALOG c COMMENT 'x'", |s| {
            matches!(s, Statement::AlterCatalog { change: AlterCatalog::Comment(_), .. })
        }),
        ("DROP TEMPORARY TABLE IF EXISTS t", |s| {
            matches!(s, Statement::Drop { kind: ObjectKind::Table, temporary: true, if_exists: true, .. })
        }),
        ("DROP VIEW v", |s| matches!(s, Statement::Drop { kind: ObjectKind::View, .. })),
        ("DROP DATABASE d CASCADE", |s| matches!(s, Statement::Drop { cascade: true, .. })),
        ("DROP DATABASE IF EXISTS d RESTRICT", |s| matches!(s, Statement::Drop { cascade: false, .. })),
        ("DROP CATALOG c", |s| matches!(s, Statement::Drop { kind: ObjectKind::Catalog, .. })),
        ("DROP TEMPORARY SYSTEM FUNCTION f", |s| matches!(s, Statement::Drop { kind: ObjectKind::Function, .. })),
        ("DESCRIBE t", |s| matches!(s, Statement::Describe { kind: ObjectKind::Table, .. })),
        ("DESC EXTENDED c.d.t", |s| matches!(s, Statement::Describe { extended: true, .. })),
        ("DESCRIBE CATALOG EXTENDED c", |s| matches!(s, Statement::Describe { kind: ObjectKind::Catalog, .. })),
        ("DESCRIBE DATABASE d", |s| matches!(s, Statement::Describe { kind: ObjectKind::Database, .. })),
        ("DESCRIBE FUNCTION EXTENDED f", |s| matches!(s, Statement::Describe { kind: ObjectKind::Function, .. })),
    ];
    for (text, check) in kinds {
        let statement = one(text);
        assert!(check(&statement), "{text}: {statement:?}");
    }
}

#[test]
fn what_is_not_supported_is_named_with_a_way_out() {
    for (text, name) in [
        ("COMPILE PLAN '/p.json' FOR INSERT INTO t SELECT 1", "COMPILE PLAN"),
        ("COMPILE AND EXECUTE PLAN '/p.json' FOR INSERT INTO t SELECT 1", "COMPILE AND EXECUTE PLAN"),
        ("EXECUTE PLAN '/p.json'", "EXECUTE PLAN"),
        ("ADD JAR '/a.jar'", "ADD JAR"),
        ("REMOVE JAR '/a.jar'", "REMOVE JAR"),
        ("LOAD MODULE hive WITH ('a' = 'b')", "MODULE"),
        ("UNLOAD MODULE core", "MODULE"),
        ("USE MODULES core", "USE MODULES"),
        ("CALL p(1, a => 2)", "CALL"),
        ("ANALYZE TABLE t COMPUTE STATISTICS", "ANALYZE TABLE"),
        ("UPDATE t SET a = 1 WHERE b = 2", "UPDATE"),
        ("DELETE FROM t WHERE a = 1", "DELETE"),
        ("TRUNCATE TABLE t", "TRUNCATE"),
        ("DESCRIBE JOB 'x'", "DESCRIBE JOB"),
        ("DESCRIBE MODEL m", "MODEL"),
        ("CREATE MODEL m INPUT (a INT) OUTPUT (b INT) WITH ('a' = 'b')", "MODEL"),
        ("CREATE MATERIALIZED TABLE t FRESHNESS = INTERVAL '1' MINUTE AS SELECT 1", "MATERIALIZED TABLE"),
        ("CREATE OR ALTER MATERIALIZED TABLE t AS SELECT 1", "CREATE OR ALTER"),
        ("ALTER MATERIALIZED TABLE t SUSPEND", "MATERIALIZED TABLE"),
        ("ALTER MODEL m SET ('a' = 'b')", "MODEL"),
        ("ALTER FUNCTION f AS 'x'", "ALTER FUNCTION"),
        ("DROP MODEL m", "MODEL"),
        ("DROP MATERIALIZED TABLE t", "MATERIALIZED TABLE"),
        ("CREATE CONNECTION c WITH ('a' = 'b')", "CONNECTION"),
        ("QUIT", "QUIT"),
    ] {
        match one(text) {
            Statement::Unsupported { what, hint, position } => {
                assert!(what.contains(name), "{text}: {what}");
                assert!(!hint.is_empty() && position.line == 1, "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn expressions_of_flink_parse() {
    for text in [
        "a.b.c",
        "`a b`.`c``d`",
        "arr[1]",
        "m['k']",
        "arr[1].x",
        "(r).x",
        "ROW(1, 'a')",
        "(1, 2)",
        "ARRAY[1, 2]",
        "MAP['a', 1]",
        "MAP[]",
        "CAST(a AS ROW<x INT NOT NULL, `y z` ARRAY<STRING>>)",
        "TRY_CAST(a AS TIMESTAMP(3) WITH LOCAL TIME ZONE)",
        "CAST(a AS MULTISET<INT>)",
        "CAST(a AS INTERVAL DAY TO SECOND)",
        "CAST(x AS MAP<STRING, ARRAY<ROW<a INT>>>)",
        "a IS JSON",
        "a IS NOT JSON OBJECT",
        "INTERVAL '1' DAY",
        "INTERVAL '1 10' DAY TO HOUR",
        "INTERVAL '1:30' HOUR TO MINUTE",
        "INTERVAL '10' SECONDS",
        "INTERVAL '1-2' YEAR TO MONTH",
        "INTERVAL '5' DAY(2)",
        "- INTERVAL '1' HOUR",
        "EXTRACT(HOUR FROM ts)",
        "EXTRACT(EPOCH FROM ts)",
        "FLOOR(ts TO HOUR)",
        "CEIL(ts TO DAY)",
        "CEILING(x)",
        "FLOOR(x)",
        "TIMESTAMP '2024-01-01 00:00:00'",
        "DATE '2024-01-01'",
        "TIME '12:00:00'",
        "TIMESTAMPADD(DAY, 1, ts)",
        "TIMESTAMPDIFF(SECOND, a, b)",
        "TRIM(a)",
        "TRIM(BOTH 'x' FROM a)",
        "TRIM(LEADING FROM a)",
        "TRIM(TRAILING ' ' FROM a)",
        "POSITION('a' IN b)",
        "OVERLAY('abc' PLACING 'x' FROM 2 FOR 1)",
        "SUBSTRING(a FROM 2 FOR 3)",
        "SUBSTRING(a, 2)",
        "CURRENT_TIMESTAMP",
        "LOCALTIME",
        "PROCTIME()",
        "COUNT(DISTINCT a) FILTER (WHERE b > 1)",
        "COUNT(*)",
        "SUM(a) OVER (PARTITION BY b ORDER BY ts RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW)",
        "ROW_NUMBER() OVER (PARTITION BY a ORDER BY b DESC)",
        "LISTAGG(a, ',')",
        "a BETWEEN 1 AND 2",
        "a NOT BETWEEN 1 AND 2",
        "a IN (1, 2)",
        "a NOT IN (SELECT b FROM t)",
        "EXISTS (SELECT 1)",
        "a LIKE 'x%' ESCAPE '!'",
        "a SIMILAR TO 'x'",
        "a IS DISTINCT FROM b",
        "a IS NOT TRUE",
        "a IS UNKNOWN",
        "NOT a",
        "CASE a WHEN 1 THEN 2 ELSE 3 END",
        "CASE WHEN a THEN b END",
        "a || b",
        "a % b",
        "a <> b",
        "NULLIF(a, b)",
        "COALESCE(a, b)",
        "IF(a, b, c)",
        "U&'\\00e9'",
        "X'0a'",
        "'it''s'",
        "1e10",
        "1.5",
        ".5",
        "TUMBLE(ts, INTERVAL '1' MINUTE)",
        "JSON_VALUE(a, '$.b')",
        "f(a => 1, b => 2)",
        "DESCRIPTOR(ts)",
        "GROUPING(a)",
        "a AT TIME ZONE 'UTC'",
        "value",
        "`user`",
        "`timestamp`",
        "`order`",
        "TO_TIMESTAMP_LTZ(a, 3)",
        "a.b['x'][1].c",
        "(a, b) OVERLAPS (c, d)",
    ] {
        if let Err(e) = parse_expression(text) {
            panic!("{text}: {e}");
        }
    }
}

/// An expression without the brackets that group it.
fn grouped(text: &str) -> Expr {
    let mut e = parse_expression(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let walked = visit_expressions_mut(&mut e, |e| {
        while let Expr::Nested(inner) = e {
            *e = inner.as_ref().clone();
        }
        ControlFlow::<()>::Continue(())
    });
    assert!(walked.is_continue());
    e
}

#[test]
fn operators_take_their_operands_in_the_order_of_calcite() {
    for (plain, explicit) in [
        ("p = r IN (q)", "p = (r IN (q))"),
        ("r NOT IN (q) <> p", "(r NOT IN (q)) <> p"),
        ("NOT p = r IN (q)", "NOT (p = (r IN (q)))"),
        ("p = i BETWEEN a AND b = q", "(p = (i BETWEEN a AND b)) = q"),
        ("r BETWEEN q OR r AND p OR q", "(r BETWEEN (q OR r) AND p) OR q"),
        ("r BETWEEN q = r AND p AND q", "(r BETWEEN (q = r) AND p) AND q"),
        ("r NOT BETWEEN q IS NULL AND p IS NULL", "(r NOT BETWEEN (q IS NULL) AND p) IS NULL"),
        ("p = i BETWEEN SYMMETRIC a OR b AND c = q", "(p = (i BETWEEN SYMMETRIC (a OR b) AND c)) = q"),
        ("p = i NOT BETWEEN SYMMETRIC a AND b + c", "p = (i NOT BETWEEN SYMMETRIC a AND (b + c))"),
        ("i BETWEEN ASYMMETRIC a AND b", "i BETWEEN a AND b"),
        ("i BETWEEN a AND b IN (p)", "(i BETWEEN a AND b) IN (p)"),
        ("p = s LIKE t", "p = (s LIKE t)"),
        ("s LIKE t = p", "(s LIKE t) = p"),
        ("s NOT LIKE t || u <> u LIKE t", "(s NOT LIKE (t || u)) <> (u LIKE t)"),
        ("s SIMILAR TO t AND p", "(s SIMILAR TO t) AND p"),
        ("p IS DISTINCT FROM q AND r", "(p IS DISTINCT FROM q) AND r"),
        ("p IS NOT DISTINCT FROM q OR r", "(p IS NOT DISTINCT FROM q) OR r"),
        ("p IS DISTINCT FROM q = r", "(p IS DISTINCT FROM q) = r"),
        ("p = q IS DISTINCT FROM r IS NULL", "((p = q) IS DISTINCT FROM r) IS NULL"),
        ("p IS DISTINCT FROM r IN (q)", "p IS DISTINCT FROM (r IN (q))"),
        ("NOT p IS DISTINCT FROM q", "NOT (p IS DISTINCT FROM q)"),
        ("p = NOT q = r", "p = (NOT (q = r))"),
        ("p = q IS NULL", "(p = q) IS NULL"),
        ("NOT p IS NULL", "NOT (p IS NULL)"),
        ("NOT p AND q", "(NOT p) AND q"),
        ("p < q < r", "(p < q) < r"),
        ("i + k * c || t", "i + ((k * c) || t)"),
    ] {
        assert_eq!(grouped(plain), grouped(explicit), "{plain}");
    }
    assert_ne!(grouped("p = q = r"), grouped("p = (q = r)"));
    assert!(parse_expression("p BETWEEN q AND").is_err());
    assert!(parse_expression("p BETWEEN q OR r").is_err());
}

#[test]
fn forms_of_flink_queries_parse() {
    for text in [
        "SELECT * FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '10' MINUTES))",
        "SELECT * FROM TABLE(HOP(DATA => TABLE bid, TIMECOL => DESCRIPTOR(ts), SLIDE => INTERVAL '5' MINUTES, SIZE => INTERVAL '10' MINUTES))",
        "SELECT * FROM TABLE(SESSION(TABLE c.d.bid PARTITION BY (a, b), DESCRIPTOR(ts), INTERVAL '5' MINUTES))",
        "SELECT * FROM o JOIN r FOR SYSTEM_TIME AS OF o.ts AS r ON o.c = r.c",
        "SELECT * FROM o LEFT JOIN r /*+ OPTIONS('lookup.async' = 'true') */ FOR SYSTEM_TIME AS OF o.pt AS r2 ON o.c = r2.c",
        "SELECT * FROM o, LATERAL TABLE(f(o.a)) AS T(x, y)",
        "SELECT * FROM o LEFT JOIN LATERAL TABLE(f(a)) AS T(x) ON TRUE",
        "SELECT * FROM o CROSS JOIN UNNEST(arr) AS t (x)",
        "SELECT * FROM o CROSS JOIN UNNEST(arr) WITH ORDINALITY AS t (x, i)",
        "SELECT a, COUNT(*) FROM t GROUP BY GROUPING SETS ((a), ())",
        "SELECT a, b, COUNT(*) FROM t GROUP BY CUBE (a, b)",
        "SELECT a FROM t GROUP BY a HAVING COUNT(*) > 1 ORDER BY a DESC NULLS LAST LIMIT 10 OFFSET 5",
        "SELECT a FROM t FETCH FIRST 5 ROWS ONLY",
        "SELECT a FROM t UNION SELECT b FROM u EXCEPT ALL SELECT 1 INTERSECT SELECT 2",
        "SELECT DISTINCT a FROM t",
        "SELECT * FROM (VALUES (1, 'a')) AS v(x, y)",
        "SELECT SUM(a) OVER w FROM t WINDOW w AS (PARTITION BY b ORDER BY c)",
        "SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY a ORDER BY ts MEASURES A.x AS x ONE ROW PER MATCH \
         AFTER MATCH SKIP TO NEXT ROW PATTERN (A B+ C) DEFINE B AS B.x > 1) AS m",
        "SELECT t.* FROM t AS t (a, b)",
        "SELECT a AS `x y`, b z FROM t",
        "SELECT /*+ BROADCAST(t) */ * FROM t",
        "SELECT a FROM t WHERE (a, b) IN (SELECT 1, 2)",
    ] {
        if let Err(e) = parse_query(text) {
            panic!("{text}: {e}");
        }
    }
}

#[test]
fn hints_reach_the_ast_or_are_refused() {
    let Statement::Insert(i) =
        one("INSERT INTO t /*+ OPTIONS('a' = 'b', 'c' = 'd') */ SELECT * FROM s /*+ OPTIONS('x'='y') */ AS u (p, q)")
    else {
        panic!("an insert")
    };
    assert_eq!(i.hints[0].name, "OPTIONS");
    assert_eq!(i.hints[0].options, [("a".into(), "b".into()), ("c".into(), "d".into())]);
    let SetExpr::Select(select) = *i.query.body else { panic!("a select") };
    let TableFactor::Table { with_hints, alias, .. } = &select.from[0].relation else { panic!("a table") };
    assert_eq!(with_hints.len(), 1);
    assert_eq!(with_hints[0].to_string(), "`$hint$OPTIONS`('x' = 'y')");
    assert_eq!(alias.as_ref().map(|a| a.to_string()).as_deref(), Some("AS u (p, q)"));

    for (text, shown) in [
        (
            "SELECT * FROM t /*+ LOOKUP('table' = 'd', 'retry-predicate' = 'x') */ d",
            "`$hint$LOOKUP`('table' = 'd', 'retry-predicate' = 'x')",
        ),
        (
            "SELECT * FROM t /*+ STATE_TTL('a' = '1d') OPTIONS('b' = 'c') */ WHERE x = 1",
            "`$hint$STATE_TTL`('a' = '1d')",
        ),
        ("SELECT * FROM a JOIN t /*+ OPTIONS('b' = 'c') */ ON a.x = t.x", ""),
        ("SELECT * FROM t /*+ OPTIONS('b' = 'c') */ value", "`$hint$OPTIONS`('b' = 'c')"),
    ] {
        let query = parse_query(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let SetExpr::Select(select) = *query.body else { panic!("a select") };
        let from = &select.from[0];
        let factor = from.joins.first().map_or(&from.relation, |j| &j.relation);
        let TableFactor::Table { with_hints, .. } = factor else { panic!("a table") };
        assert!(!with_hints.is_empty() && with_hints[0].to_string().contains(shown), "{text}: {with_hints:?}");
    }
    let query = parse_query("SELECT /*+ BROADCAST(t1, t2) */ 1").expect("a query");
    let SetExpr::Select(select) = *query.body else { panic!("a select") };
    assert_eq!(select.optimizer_hints[0].text, " BROADCAST(t1, t2) ");

    for text in [
        "SELECT a /*+ OPTIONS('a' = 'b') */ FROM t",
        "SELECT * FROM t WHERE a = b /*+ OPTIONS('a' = 'b') */",
        "SELECT * FROM t /*+ OPTIONS('a' = 'b') */ AS x /*+ OPTIONS('a' = 'b') */",
        "/*+ OPTIONS('a' = 'b') */ SELECT 1",
        "SELECT * FROM (SELECT 1) /*+ OPTIONS('a' = 'b') */",
        "INSERT /*+ OPTIONS('a' = 'b') */ INTO t SELECT 1",
        "CREATE TABLE t /*+ OPTIONS('a' = 'b') */ (a INT)",
        "DROP TABLE t /*+ X() */",
    ] {
        let e = refused(text);
        assert!(e.contains("a hint cannot stand here"), "{text}: {e}");
    }
    assert!(one("SELECT 1 /* no hint */ + 2 -- + neither").eq(&one("SELECT 1 /* no hint */ + 2")));
}

#[test]
fn strings_names_and_their_case() {
    let Statement::Set(Some((key, value))) = one("set 'Key' = 'It''s'") else { panic!("a set") };
    assert_eq!((key.as_str(), value.as_str()), ("Key", "It's"));
    let Statement::Use(name) = one("use `a``b`.C") else { panic!("a use") };
    assert_eq!(name.texts(), ["a`b", "C"]);
    let e = refused("SELECT \"a\" FROM t");
    assert!(e.contains("double quotes") && e.contains("line 1, column 8") && e.contains("backticks"), "{e}");
}

#[test]
fn errors_say_where_what_and_what_was_meant() {
    for (text, parts) in [
        ("CREAT TABLE t (a INT)", vec!["line 1, column 1", "Did you mean CREATE?"]),
        ("CREATE TABEL t (a INT)", vec!["line 1, column 8", "found TABEL", "Did you mean TABLE?"]),
        ("DROP VEIW v", vec!["line 1, column 6", "Did you mean VIEW?"]),
        ("SHOW TABELS", vec!["line 1, column 6", "Did you mean TABLES?"]),
        ("SELECT a FORM t", vec!["line 1, column 15", "Did you mean FROM instead of FORM?"]),
        ("SELECT a FROM t WERE a = 1", vec!["line 1, column 22", "Did you mean WHERE instead of WERE?"]),
        ("SELECT 1;\n\n  SELECT FROM t WHERE;", vec!["line 3"]),
        ("INSERT t SELECT 1", vec!["expected INTO", "line 1, column 8"]),
        ("CREATE VIEW v SELECT 1", vec!["expected AS", "line 1, column 15"]),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", vec!["TABLE after CREATE OR REPLACE"]),
        ("CREATE TEMPORARY DATABASE d", vec!["only tables, views and functions can be TEMPORARY", "line 1, column 8"]),
        ("CREATE CATALOG a.b WITH ('type' = 'x')", vec!["line 1, column 17"]),
        ("ALTER THING t", vec!["TABLE, VIEW, DATABASE or CATALOG after ALTER"]),
        ("DROP TABLE t CASCADE", vec!["unexpected 'CASCADE'", "line 1, column 14"]),
        ("EXECUTE STATEMENT SET BEGIN END", vec!["an INSERT statement in the set"]),
        ("CREATE TABLE t (a INT) DISTRIBUTED BY HASH(a) INTO 0 BUCKETS", vec!["must be positive", "line 1, column 52"]),
        ("CREATE TABLE t (a INT, UNIQUE (a))", vec!["UNIQUE", "NOT ENFORCED"]),
        ("CREATE TABLE t (a INT, PRIMARY KEY (a) ENFORCED)", vec!["NOT ENFORCED", "line 1, column 24"]),
        ("CREATE TABLE t (a INT, WATERMARK FOR a AS a, WATERMARK FOR a AS a)", vec!["at most one watermark"]),
        ("SELECT a FROM a.b.c.d.e WHERE", vec!["line 1, column 30"]),
        ("SELECT (1", vec!["line 1, column 10"]),
        ("§", vec!["line 1, column 1"]),
    ] {
        let e = refused(text);
        for part in parts {
            assert!(e.contains(part), "{text}: {e} lacks {part}");
        }
    }
}

#[test]
fn long_chains_become_shallow_and_deep_ones_are_refused() {
    let ors = format!("SELECT {}", vec!["a = 1"; 4_000].join(" OR "));
    let Statement::Query(query) = one(&ors) else { panic!("a query") };
    let SetExpr::Select(select) = *query.body else { panic!("a select") };
    let SelectItem::UnnamedExpr(mut e) = select.projection[0].clone() else { panic!("an expression") };
    let mut depth = 0;
    while let Expr::BinaryOp { left, .. } = e {
        e = *left;
        depth += 1;
    }
    assert!(depth < 20, "{depth}");
    for (what, text) in [
        ("more than 2000 operators", format!("SELECT {}", vec!["1"; 3_000].join(" + "))),
        ("more than 2000 operators", format!("SELECT 1 = {}", vec!["1"; 3_000].join(" || "))),
        ("nests deeper", format!("SELECT 1{}", " IS NULL".repeat(1_000))),
        ("nests deeper", format!("SELECT {}1{}", "f(".repeat(400), ")".repeat(400))),
        ("nests deeper", format!("SELECT {}", "INTERVAL ".repeat(5_000))),
        ("more than 256 parts", format!("SELECT a{} FROM t", ".b".repeat(20_000))),
        ("more than 256 parts", format!("SELECT a{} FROM t", "[1].b".repeat(20_000))),
        ("nests deeper", format!("{}SELECT 1{}", "SELECT * FROM (".repeat(300), ")".repeat(300))),
        ("nests deeper", format!("SELECT {}1{}", "a[".repeat(400), "]".repeat(400))),
        ("chains more than", format!("SELECT {}", vec!["1"; 20_000].join(" + "))),
        ("chains more than", format!("SELECT {}", vec!["a"; 20_000].join(" AND "))),
        ("set operations", vec!["SELECT 1"; 2_000].join(" UNION ALL ")),
        ("expressions", format!("SELECT {}", vec!["1"; 60_000].join(","))),
        ("tokens", format!("SELECT a FROM t WHERE a IN ({})", vec!["1"; 110_000].join(","))),
        ("bytes", format!("SELECT '{}'", "x".repeat(2 << 20))),
    ] {
        let e = refused(&text);
        assert!(e.contains(what), "{what}: {}", &e[..e.len().min(200)]);
    }
    for text in [
        format!("{}SELECT 1{}", "SELECT * FROM (".repeat(120), ")".repeat(120)),
        format!("SELECT {}1{}", "(SELECT ".repeat(120), ")".repeat(120)),
        format!("SELECT {}1{}", "f(a + ".repeat(120), ")".repeat(120)),
        format!("SELECT a{}", "[1]".repeat(10_000)),
        format!("{}SELECT 1{}", "SELECT * FROM (".repeat(60), ")".repeat(60)),
        vec!["SELECT 1"; 500].join(" UNION ALL "),
        format!("SELECT {}1{}", "CASE WHEN a THEN ".repeat(100), " END".repeat(100)),
        format!("SELECT a FROM t WHERE a IN ({})", vec!["1"; 40_000].join(",")),
        format!("SELECT {}", vec!["a"; 2_000].join(" + ")),
        format!("SELECT {}", vec!["a * 2"; 2_000].join(" - ")),
        format!("SELECT f({} > 1)", vec!["a"; 2_000].join(" || ")),
    ] {
        parse_script(&text).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn what_is_beyond_a_limit_is_told_where_it_is() {
    let at = |text: &str| parse_script(text).expect_err("refused").position().expect("a place");
    let chain = at(&format!("SELECT 1,\n  {} FROM t", vec!["a"; 2_100].join(" + ")));
    assert_eq!((chain.line, chain.column), (2, 3), "the chain begins there");
    let calls = at(&format!("SELECT 1,\n  {}1{}", "f(".repeat(255), ")".repeat(255)));
    assert_eq!((calls.line, calls.column), (2, 3 + 2 * 255), "what is inside the innermost one is too much");
    let brackets = at(&format!("SELECT\n{}1{}", "ARRAY[".repeat(10_000), "]".repeat(10_000)));
    assert_eq!((brackets.line, brackets.column), (2, 257 * 6));
}

#[test]
fn names_and_comments_inside_types_survive() {
    let text = "CREATE TABLE t (a ROW<`x ``y` INT 'it''s', `select` MAP<STRING, ARRAY<ROW<b INT NOT NULL>>> NOT NULL>, \
                watermark INT, `primary` ROW(p INT, q STRING) NOT NULL COMMENT 'c')";
    let Statement::CreateTable(t) = one(text) else { panic!("a table") };
    let types: Vec<String> = t
        .columns
        .iter()
        .map(|c| match &c.spec {
            ColumnSpec::Physical(t) => t.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(types[0], "ROW<`x ``y` INT 'it''s', `select` MAP<STRING, ARRAY<ROW<`b` INT NOT NULL>>> NOT NULL>");
    assert_eq!(types[1], "INT");
    assert_eq!(types[2], "ROW<`p` INT, `q` STRING> NOT NULL");
    assert_eq!(t.columns[2].comment.as_deref(), Some("c"));
}

#[test]
fn limits_are_settings() {
    let few = ParseLimits { tokens: 5, ..ParseLimits::DEFAULT };
    assert!(parse_script_with_limits("SELECT a, b, c", &few).is_err());
    let small = ParseLimits { script_bytes: 10, ..ParseLimits::DEFAULT };
    assert!(parse_script_with_limits("SELECT a, b, c", &small).expect_err("too long").to_string().contains("14 bytes"));
    let large = ParseLimits { statement_bytes: 4 << 20, ..ParseLimits::DEFAULT };
    parse_script_with_limits(&format!("SELECT '{}'", "x".repeat(2 << 20)), &large).expect("allowed");
}

#[test]
fn a_script_of_many_statements_is_read_in_linear_time() {
    let script = "INSERT INTO t SELECT 1;\n".repeat(3_000);
    let parsed = parse_script(&script).expect("parses");
    assert_eq!(parsed.len(), 3_000);
    assert_eq!(parsed[2_999].position.line, 3_000);
    assert_eq!(parsed[2_999].text, "INSERT INTO t SELECT 1");
}

/// Pieces that the soup is cooked from.
const PIECES: [&str; 74] = [
    "SELECT",
    "FROM",
    "WHERE",
    "CREATE",
    "TABLE",
    "VIEW",
    "INSERT",
    "INTO",
    "VALUES",
    "(",
    ")",
    ",",
    ";",
    "'a'",
    "`b`",
    "a",
    "b.c",
    "1",
    "1.5",
    "+",
    "-",
    "*",
    "=",
    "<",
    ">",
    "AND",
    "OR",
    "NOT",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "CAST(",
    "AS",
    "INT",
    "ROW<",
    "ARRAY",
    "[",
    "]",
    "MAP[",
    "WITH",
    "LIKE",
    "PRIMARY KEY",
    "WATERMARK FOR",
    "INTERVAL",
    "DAY",
    "TO",
    "/*+ OPTIONS('a'='b') */",
    "/*+",
    "*/",
    "--",
    "\n",
    "SHOW",
    "DESCRIBE",
    "EXPLAIN",
    "SET",
    "BEGIN",
    "STATEMENT SET",
    "EXECUTE",
    "DROP",
    "ALTER",
    "ADD",
    "MODIFY",
    "UNION",
    "GROUP BY",
    "OVER (",
    "FOR SYSTEM_TIME AS OF",
    "MATCH_RECOGNIZE (",
    "\"",
    "'",
    "`",
    "é",
    "U&'\\00e9'",
    "::",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn token_soup_never_panics(picks in prop::collection::vec(0..PIECES.len(), 0..40)) {
        let text: Vec<&str> = picks.iter().map(|i| PIECES[*i]).collect();
        // A panic would come back as an internal error of the thread with the large stack.
        if let Err(e) = parse_script(&text.join(" ")) {
            prop_assert_eq!(e.kind(), flott_core::ErrorKind::User, "{}", e);
        }
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,60}") {
        if let Err(e) = parse_script(&text) {
            prop_assert_eq!(e.kind(), flott_core::ErrorKind::User, "{}", e);
        }
    }
}

#[test]
fn stop_job_takes_its_options_in_any_order() {
    let stop = |savepoint, drain| Statement::StopJob { id: "x".to_string(), savepoint, drain };
    assert_eq!(one("STOP JOB 'x'"), stop(false, false));
    assert_eq!(one("stop job 'x' with savepoint"), stop(true, false));
    assert_eq!(one("STOP JOB 'x' WITH DRAIN"), stop(false, true));
    assert_eq!(one("STOP JOB 'x' WITH SAVEPOINT WITH DRAIN"), stop(true, true));
    for wrong in ["STOP JOB", "STOP JOB x", "STOP JOB 'x' WITH", "STOP JOB 'x' WITH DRAIN WITH DRAIN", "STOP 'x'"] {
        assert!(parse_script(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn words_of_other_dialects_are_names() {
    for name in
        ["analyze", "cluster", "div", "exclude", "operator", "regexp", "returning", "sort", "top", "view", "xor"]
    {
        for query in ["SELECT NAME FROM (VALUES (1)) AS x(NAME)", "SELECT v NAME FROM (VALUES (1)) AS NAME(v)"] {
            let query = query.replace("NAME", name);
            assert!(parse_script(&query).is_ok(), "{query}");
        }
    }
}

#[test]
fn between_symmetric_and_overlaps() {
    for e in [
        "a BETWEEN SYMMETRIC 1 AND 2 AND b",
        "a NOT BETWEEN ASYMMETRIC 1 AND 2",
        "(a, b) OVERLAPS (c, d)",
        "INTERVAL -'2' QUARTERS",
    ] {
        assert!(parse_expression(e).is_ok(), "{e}");
    }
    assert!(parse_expression("a BETWEEN SYMMETRIC 1").is_err());
}

#[test]
fn json_functions_have_clauses() {
    for e in [
        "JSON_VALUE(a, '$.b' RETURNING DECIMAL(10, 2) DEFAULT 1 + 2 ON EMPTY ERROR ON ERROR)",
        "JSON_QUERY(a, '$.b' RETURNING ARRAY<STRING> WITH CONDITIONAL ARRAY WRAPPER EMPTY ARRAY ON EMPTY)",
        "JSON_EXISTS(a, '$.b' UNKNOWN ON ERROR)",
        "JSON_OBJECT(KEY 'a' VALUE 1, key VALUE 2, 'c' : 3 ABSENT ON NULL)",
        "JSON_ARRAY(1, NULL NULL ON NULL)",
        "JSON_ARRAY()",
        "JSON_OBJECT(ABSENT ON NULL)",
    ] {
        assert!(parse_expression(e).is_ok(), "{e}: {:?}", parse_expression(e));
    }
    // A name whose bytes cannot be cut anywhere.
    assert!(parse_expression("日本語(1)").is_ok());
    for e in [
        "JSON_VALUE(a)",
        "JSON_VALUE(a, '$' NULL ON EMPTY NULL ON EMPTY)",
        "JSON_OBJECT('a', 1)",
        "JSON_QUERY(a, '$' DEFAULT 1 ON EMPTY)",
    ] {
        assert!(parse_expression(e).is_err(), "{e}");
    }
}
