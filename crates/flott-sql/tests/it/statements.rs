//! Statements that are not jobs, with the binder's types: texts as Flink prints them, errors with their places.

use std::sync::Arc;

use flott_connector::Registry;
use flott_sql::catalog::CatalogManager;
use flott_sql::parser::parse_script;
use flott_sql::plan::TypeResolver;
use flott_sql::statement::{SessionState, StatementResult, execute};

use crate::common::Session;

struct Client {
    state: SessionState,
    registry: Arc<Registry>,
    resolver: TypeResolver,
}

impl Client {
    fn new() -> Client {
        let registry = Session::new().registry;
        Client { state: SessionState::default(), resolver: TypeResolver::new(registry.clone()), registry }
    }

    fn run(&mut self, script: &str) -> flott_core::Result<StatementResult> {
        let mut last = StatementResult::Ok;
        for s in parse_script(script)? {
            last = execute(&s.statement, &mut self.state, &self.registry, &self.resolver)?;
        }
        Ok(last)
    }

    /// The one text of a SHOW CREATE, or rows with `|` between.
    fn shows(&mut self, text: &str) -> String {
        match self.run(text).unwrap_or_else(|e| panic!("{text}: {e}")) {
            StatementResult::Ok => "ok".into(),
            StatementResult::Rows { columns, rows } if columns == ["result"] => rows[0][0].clone().unwrap(),
            StatementResult::Rows { columns, rows } => [columns.into_iter().map(Some).collect::<Vec<_>>()]
                .into_iter()
                .chain(rows)
                .map(|r| r.iter().map(|c| c.as_deref().unwrap_or("")).collect::<Vec<_>>().join("|"))
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }

    fn refuses(&mut self, text: &str) -> String {
        match self.run(text) {
            Ok(_) => panic!("{text} was done"),
            Err(e) => e.to_string(),
        }
    }
}

/// The table of Flink's own client tests.
const ORDERS: &str = "CREATE TABLE IF NOT EXISTS orders (
 `user` BIGINT NOT NULl,
 product VARCHAR(32),
 amount INT,
 ts TIMESTAMP(3),
 ptime AS PROCTIME(),
 PRIMARY KEY(`user`) NOT ENFORCED,
 WATERMARK FOR ts AS ts - INTERVAL '1' SECONDS
) with (
 'connector' = 'fake'
)";

#[test]
fn tables_are_shown_as_flink_shows_them() {
    let mut c = Client::new();
    c.run(ORDERS).unwrap();
    assert_eq!(
        c.shows("SHOW CREATE TABLE orders"),
        "CREATE TABLE `default_catalog`.`default_database`.`orders` (
  `user` BIGINT NOT NULL,
  `product` VARCHAR(32),
  `amount` INT,
  `ts` TIMESTAMP(3),
  `ptime` AS PROCTIME(),
  WATERMARK FOR `ts` AS `ts` - INTERVAL '1' SECOND,
  CONSTRAINT `PK_user` PRIMARY KEY (`user`) NOT ENFORCED
)
WITH (
  'connector' = 'fake'
)
"
    );
    let described = "name|type|null|key|extras|watermark
user|BIGINT|FALSE|PRI(user)||
product|VARCHAR(32)|TRUE|||
amount|INT|TRUE|||
ts|TIMESTAMP(3) *ROWTIME*|TRUE|||`ts` - INTERVAL '1' SECOND
ptime|TIMESTAMP_LTZ(3) *PROCTIME*|FALSE||AS PROCTIME()|";
    for text in ["DESCRIBE orders", "DESC orders", "SHOW COLUMNS FROM orders", "SHOW COLUMNS IN orders LIKE '%'"] {
        assert_eq!(c.shows(text), described, "{text}");
    }
    assert_eq!(
        c.shows("SHOW COLUMNS FROM orders LIKE '%r'"),
        "name|type|null|key|extras|watermark\nuser|BIGINT|FALSE|PRI(user)||"
    );
    // What is shown makes the same table.
    let again = c.shows("SHOW CREATE TABLE orders");
    c.run("DROP TABLE orders").unwrap();
    c.run(&again).unwrap();
    assert_eq!(c.shows("SHOW CREATE TABLE orders"), again);
}

#[test]
fn every_clause_is_shown() {
    let mut c = Client::new();
    c.run(
        "CREATE TEMPORARY TABLE t (
           id INT, `a b` ROW<x INT NOT NULL, `y z` ARRAY<STRING>> COMMENT 'it''s', s STRING, m BIGINT METADATA FROM 'offset' VIRTUAL,
           k AS CAST(id as  bigint)+1 comment 'next', u AS upper(s), l AS `a b`.x, d AS id between 1 AND 2 AND s is NOT null,
           CONSTRAINT pk PRIMARY KEY (id, s) NOT ENFORCED)
         COMMENT 'a ''table''' DISTRIBUTED BY hash (id) INTO 4 BUCKETS PARTITIONED BY (s)
         WITH ('connector' = 'fake', 'b' = '2', 'a' = 'it''s', 'password' = 'CANARY')",
    )
    .unwrap();
    let shown = c.shows("SHOW CREATE TABLE t");
    assert_eq!(
        shown,
        "CREATE TEMPORARY TABLE `default_catalog`.`default_database`.`t` (
  `id` INT NOT NULL,
  `a b` ROW<`x` INT NOT NULL, `y z` ARRAY<VARCHAR(2147483647)>> COMMENT 'it''s',
  `s` VARCHAR(2147483647) NOT NULL,
  `m` BIGINT METADATA FROM 'offset' VIRTUAL,
  `k` AS CAST(`id` AS BIGINT) + 1 COMMENT 'next',
  `u` AS UPPER(`s`),
  `l` AS `a b`.`x`,
  `d` AS `id` BETWEEN 1 AND 2 AND `s` IS NOT NULL,
  CONSTRAINT `pk` PRIMARY KEY (`id`, `s`) NOT ENFORCED
)
COMMENT 'a ''table'''
DISTRIBUTED BY HASH(`id`) INTO 4 BUCKETS
PARTITIONED BY (`s`)
WITH (
  'a' = 'it''s',
  'b' = '2',
  'connector' = 'fake',
  'password' = '******'
)
"
    );
    assert_eq!(c.shows("DESCRIBE t").lines().nth(5).unwrap(), "k|BIGINT|FALSE||AS CAST(`id` AS BIGINT) + 1||next");
}

#[test]
fn views_keep_their_meaning_and_are_shown() {
    let mut c = Client::new();
    c.run(ORDERS).unwrap();
    c.run(
        "CREATE VIEW v (u, t) COMMENT 'c' AS SELECT `user`, ts FROM orders WHERE amount > 1;
         CREATE TEMPORARY VIEW w AS
           SELECT u, window_start FROM TABLE(TUMBLE(TABLE v, DESCRIPTOR(t), INTERVAL '1' MINUTE));
         CREATE DATABASE d; USE d; CREATE TABLE orders (x INT)",
    )
    .unwrap();
    assert_eq!(
        c.shows("SHOW CREATE VIEW default_database.v"),
        "CREATE VIEW `default_catalog`.`default_database`.`v` (
  `u`,
  `t`
)
COMMENT 'c'
AS SELECT `orders`.`user`, `orders`.`ts`
FROM `default_catalog`.`default_database`.`orders` AS `orders`
WHERE `orders`.`amount` > 1
"
    );
    assert!(c.shows("SHOW CREATE VIEW default_database.w").contains("TABLE `default_catalog`.`default_database`.`v`,"));
    assert_eq!(
        c.shows("DESCRIBE default_database.w"),
        "name|type|null|key|extras|watermark\nu|BIGINT|FALSE|||\nwindow_start|TIMESTAMP(3)|FALSE|||"
    );
    c.run("CREATE VIEW over_it AS SELECT t FROM default_database.v").unwrap();
    assert_eq!(c.shows("DESCRIBE over_it").lines().nth(1).unwrap(), "t|TIMESTAMP(3) *ROWTIME*|TRUE|||");
    let e = c.refuses("SHOW CREATE TABLE default_database.v");
    assert!(e.contains("`v` is a view. Please use SHOW CREATE VIEW instead."), "{e}");
}

#[test]
fn errors_inside_parts_name_their_place_in_the_script() {
    let mut c = Client::new();
    c.run(ORDERS).unwrap();
    for (text, parts) in [
        ("CREATE TABLE t (\n  a INT,\n  b AS a + nope\n)", vec!["'nope'", "line 3, column 12", "computed column b"]),
        ("CREATE TABLE t (\n  a INT,\n  b AS a +\n    nope)", vec!["line 4, column 5"]),
        (
            "SHOW TABLES;\nCREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR ts AS ts - nope)",
            vec!["line 2, column 59", "watermark of column ts"],
        ),
        ("CREATE TABLE t LIKE orders;\nALTER TABLE t ADD (c AS nope + 1)", vec!["line 2, column 25"]),
        ("CREATE VIEW v AS\n  SELECT `user`, nope\n  FROM orders", vec!["'nope'", "line 2, column 18"]),
        ("CREATE VIEW v AS SELECT 1 AS x FROM ordres", vec!["'ordres'", "line 1, column 37", "orders"]),
        ("CREATE VIEW v AS SELECT 1 AS x;\nALTER VIEW v AS SELECT y FROM orders", vec!["line 2, column 24"]),
        ("CREATE VIEW orders_v AS SELECT 1 AS x;\nALTER VIEW orders RENAME TO w", vec!["a table, not a view"]),
        ("CREATE VIEW orders_v AS SELECT 1 AS x;\nALTER VIEW ordersv RENAME TO w", vec!["Did you mean 'orders_v'?"]),
        ("ALTER VIEW order RENAME TO w", vec!["View with identifier", "line 1, column 12"]),
        ("DROP TABLE nope", vec!["line 1, column 12", "does not exist"]),
        ("ALTER TABLE orders RESET ('connector')", vec!["does not support changing 'connector'"]),
        ("SHOW JOBS", vec!["SHOW JOBS is not supported"]),
        ("ADD JAR 'x'", vec!["ADD JAR", "line 1, column 1", "no JVM"]),
        ("SET 'table.sql-dialect' = 'hive'", vec!["not supported yet", "'default'"]),
        ("SET 'table.exec.sink.not-null-enforcer' = 'DORP'", vec!["did you mean 'DROP'?"]),
    ] {
        let e = c.refuses(text);
        for part in parts {
            assert!(e.contains(part), "{text}: {e} lacks {part}");
        }
        c.state.catalog = CatalogManager::new();
        c.run(ORDERS).unwrap();
    }
}

#[test]
fn a_snapshot_brings_everything_back() {
    let mut c = Client::new();
    c.run(ORDERS).unwrap();
    c.run(
        "CREATE CATALOG c1 WITH ('type' = 'generic_in_memory', 'default-database' = 'db');
         CREATE TABLE parts (a INT, k STRING) PARTITIONED BY (k) WITH ('x' = 'y');
         ALTER TABLE parts ADD PARTITION (k = 'v') WITH ('o' = 'p');
         CREATE TEMPORARY VIEW v AS SELECT ptime FROM orders; USE CATALOG c1; CREATE TABLE t (a INT) WITH ('x' = 'y')",
    )
    .unwrap();
    let text = serde_json::to_string(&c.state.catalog.snapshot()).unwrap();
    let back = CatalogManager::from_snapshot(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(back, c.state.catalog);
    assert_eq!(back.current_database(), "db");
    assert!(text.contains(r#"["parts",["v"],[["o","p"]]]"#), "{text}");
}

#[test]
fn views_are_kept_in_their_long_form() {
    let mut c = Client::new();
    c.run(
        "CREATE TABLE o (a INT, b STRING, r ROW<x INT>, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'fake')",
    )
    .unwrap();
    let full = "`default_catalog`.`default_database`.`o`";
    for (written, kept) in [
        ("select * from o", format!("SELECT `o`.`a`, `o`.`b`, `o`.`r`, `o`.`ts`\nFROM {full} AS `o`")),
        (
            "SELECT x.*, a + 1 AS n FROM o x",
            format!("SELECT `x`.`a`, `x`.`b`, `x`.`r`, `x`.`ts`, `x`.`a` + 1 AS `n`\nFROM {full} AS `x`"),
        ),
        (
            "SELECT b, o.r.x,  UPPER(b) u -- a comment\n FROM o\n where a in (1, 2) AND b = 'it''s  from  a'",
            format!(
                "SELECT `o`.`b`, `o`.`r`.`x`, UPPER(`o`.`b`) AS `u`\nFROM {full} AS `o`\nWHERE `o`.`a` IN (1, 2) AND `o`.`b` = 'it''s  from  a'"
            ),
        ),
        (
            "SELECT a FROM o UNION ALL SELECT a FROM (SELECT * FROM o WHERE a > 1) AS i",
            format!(
                "SELECT `o`.`a`\nFROM {full} AS `o`\nUNION ALL\nSELECT `i`.`a`\nFROM (SELECT `o`.`a`, `o`.`b`, `o`.`r`, `o`.`ts`\nFROM {full} AS `o`\nWHERE `o`.`a` > 1) AS `i`"
            ),
        ),
        (
            "SELECT window_end, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE o, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end",
            format!(
                "SELECT window_end, COUNT(*) AS `n`\nFROM TABLE(TUMBLE(TABLE {full}, DESCRIPTOR(ts), INTERVAL '1' MINUTE))\nGROUP BY window_start, window_end"
            ),
        ),
        (
            "WITH q AS (SELECT a FROM o) SELECT * FROM q",
            format!("WITH `q` AS (SELECT `o`.`a`\nFROM {full} AS `o`)\nSELECT `q`.`a`\nFROM `q` AS `q`"),
        ),
    ] {
        c.run(&format!("CREATE VIEW v AS {written}")).unwrap_or_else(|e| panic!("{written}: {e}"));
        let shown = c.shows("SHOW CREATE VIEW v");
        let query = shown.split_once("\n)\nAS ").map(|(_, q)| q.trim_end());
        assert_eq!(query, Some(kept.as_str()), "{written}");
        c.run("DROP VIEW v").unwrap();
    }
    // A view stays what it was when its table gets another column.
    c.run("CREATE VIEW v AS SELECT * FROM o; ALTER TABLE o ADD (c INT)").unwrap();
    c.run("CREATE VIEW w AS SELECT * FROM v").unwrap();
    assert_eq!(c.shows("DESCRIBE w").lines().count(), 5);
}
