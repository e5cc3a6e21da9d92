//! Statements end to end, with a resolver that knows a few expressions.

use flott_connector::factory::Registry;
use flott_connector::function::FunctionSignature;
use flott_core::clock::SystemClock;
use flott_core::error::{Error, Result};
use flott_core::options::OptionType;
use flott_core::types::{LogicalType, TimeAttribute, TypeKind};

use super::{ExpressionResolver, SessionState, StatementResult, create_table, execute};
use crate::parser::{Statement, parse_query, parse_script};

/// Types a column by its name, and a few shapes of expression; the binder does the same, and more, elsewhere.
struct Shapes;

impl ExpressionResolver for Shapes {
    fn resolve(&self, text: &str, columns: &[(String, LogicalType)]) -> Result<LogicalType> {
        if text.eq_ignore_ascii_case("PROCTIME()") {
            return Ok(LogicalType::from(TypeKind::TimestampLtz(3, TimeAttribute::Proctime)).not_null_type());
        }
        let text = text.trim_start_matches('`');
        let first: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if first == "TO_TIMESTAMP" {
            return Ok(TypeKind::timestamp(3).into());
        }
        let found = columns.iter().find(|c| c.0 == first).map(|c| c.1.with_time_attribute(TimeAttribute::None));
        found.ok_or_else(|| Error::user(format!("Column '{first}' not found")))
    }

    fn query_schema(&self, state: &SessionState, text: &str) -> Result<Vec<(String, LogicalType)>> {
        use crate::bind::{CatalogObject, Tables};
        parse_query(text)?;
        // What stands last, or before its alias.
        let table = text.split(" AS ").next().unwrap_or_default();
        let name = table.rsplit([' ', '\n']).next().unwrap_or_default().replace('`', "");
        let parts: Vec<String> = name.split('.').map(str::to_string).collect();
        match state.catalog.lookup(&parts)? {
            Some(CatalogObject::Table(_, t)) => {
                Ok(t.schema.columns.into_iter().map(|c| (c.name, c.data_type)).collect())
            }
            Some(CatalogObject::View { identifier, query, columns }) => {
                if query.contains(&identifier.to_string()) {
                    return Err(Error::user("nested too deep"));
                }
                let inner = self.query_schema(state, &query)?;
                Ok(columns.into_iter().zip(inner).map(|(n, (_, t))| (n, t)).collect())
            }
            None => Err(Error::user(format!("Object '{name}' not found"))),
        }
    }

    fn check_table_function(&self, _state: &SessionState, _function: &FunctionSignature, _body: &str) -> Result<()> {
        Ok(())
    }
}

trait NotNull {
    fn not_null_type(self) -> Self;
}

impl NotNull for LogicalType {
    fn not_null_type(self) -> LogicalType {
        self.with_nullable(false)
    }
}

fn run(state: &mut SessionState, text: &str) -> Result<StatementResult> {
    let mut result = StatementResult::Ok;
    for statement in parse_script(text)? {
        result = execute(&statement.statement, state, &Registry::default(), &Shapes)?;
    }
    Ok(result)
}

fn session(text: &str) -> SessionState {
    let mut state = SessionState { functions: vec!["UPPER".into(), "ABS".into()], ..Default::default() };
    run(&mut state, text).unwrap_or_else(|e| panic!("{text}: {e}"));
    state
}

/// Rows as lines, columns first, NULL as `-`.
fn shown(state: &mut SessionState, text: &str) -> String {
    match run(state, text).unwrap_or_else(|e| panic!("{text}: {e}")) {
        StatementResult::Ok => "ok".into(),
        StatementResult::Rows { columns, rows } => {
            let lines =
                rows.iter().map(|r| r.iter().map(|v| v.as_deref().unwrap_or("-")).collect::<Vec<_>>().join("|"));
            [columns.join("|")].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
        }
    }
}

fn refused(state: &mut SessionState, text: &str, why: &str) {
    let before = (state.catalog.clone(), state.config.clone());
    let error = run(state, text).expect_err(text).to_string();
    assert!(error.contains(why), "{text}: {error}");
    assert_eq!((state.catalog.clone(), state.config.clone()), before, "{text} changed something");
}

const ORDERS: &str = "CREATE TABLE orders (
  id BIGINT PRIMARY KEY NOT ENFORCED, price DECIMAL(10, 2) COMMENT 'in ''EUR''', ts TIMESTAMP(3), cost AS price * 2,
  pt AS PROCTIME(), part BIGINT METADATA FROM 'partition' VIRTUAL, h STRING METADATA,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) COMMENT 'all orders' PARTITIONED BY (price) WITH ('connector' = 'x', 'password' = 'p', 'a' = 'it''s')";

#[test]
fn create_table_refuses_what_flink_refuses() {
    let mut state = session(ORDERS);
    for (text, why) in [
        ("CREATE TABLE orders (a INT)", "already exists"),
        ("CREATE TABLE t (a INT, a INT)", "duplicate column names. Found duplicates: [a]"),
        ("CREATE TABLE t (a INT, PRIMARY KEY (b) NOT ENFORCED)", "Column 'b' does not exist"),
        ("CREATE TABLE t (a INT, b AS a, PRIMARY KEY (b) NOT ENFORCED)", "Column 'b' is not a physical column"),
        ("CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED, PRIMARY KEY (a) NOT ENFORCED)", "Duplicate primary key"),
        ("CREATE TABLE t (a INT, PRIMARY KEY (a, a) NOT ENFORCED)", "must not contain duplicate columns"),
        ("CREATE TABLE t (a INT, WATERMARK FOR b AS b)", "Invalid column name 'b' for rowtime"),
        ("CREATE TABLE t (a INT, WATERMARK FOR a AS a)", "but the time field type is INT"),
        ("CREATE TABLE t (a TIMESTAMP(6), WATERMARK FOR a AS a)", "but the time field type is TIMESTAMP(6)"),
        ("CREATE TABLE t (a TIMESTAMP(3), b INT, WATERMARK FOR a AS b)", "The expression must be of type"),
        ("CREATE TABLE t (a TIMESTAMP(3), b TIMESTAMP_LTZ(3), WATERMARK FOR a AS b)", "is different from"),
        ("CREATE TABLE t (a INT, p AS PROCTIME(), WATERMARK FOR p AS p)", "processing-time attribute"),
        ("CREATE TABLE t (a INT, b AS c)", "Column 'c' not found"),
        ("CREATE TABLE t (a INT, b AS a, c AS b)", "Column 'b' not found"),
        ("CREATE TABLE t (a INT) PARTITIONED BY (b)", "Invalid partition key 'b'"),
        ("CREATE TABLE t (a INT, b AS a) PARTITIONED BY (b)", "Invalid partition key 'b'"),
        ("CREATE TABLE t (a INT) DISTRIBUTED BY (b) INTO 2 BUCKETS", "Invalid bucket key 'b'"),
        ("CREATE TABLE nowhere.t (a INT)", "A database with name [nowhere] does not exist"),
        ("CREATE TABLE t LIKE ordrs", "Did you mean 'orders'?"),
    ] {
        refused(&mut state, text, why);
    }
    assert_eq!(shown(&mut state, "CREATE TABLE IF NOT EXISTS orders (a INT)"), "ok");
    assert_eq!(shown(&mut state, "SHOW TABLES"), "table name\norders");
}

#[test]
fn describe_and_show_create() {
    let mut state = session(ORDERS);
    let described = "name|type|null|key|extras|watermark|comment
id|BIGINT|FALSE|PRI(id)|-|-|-
price|DECIMAL(10, 2)|TRUE|-|-|-|in 'EUR'
ts|TIMESTAMP(3) *ROWTIME*|TRUE|-|-|`ts` - INTERVAL '5' SECOND|-
cost|DECIMAL(10, 2)|TRUE|-|AS `price` * 2|-|-
pt|TIMESTAMP_LTZ(3) *PROCTIME*|FALSE|-|AS PROCTIME()|-|-
part|BIGINT|TRUE|-|METADATA FROM 'partition' VIRTUAL|-|-
h|STRING|TRUE|-|METADATA|-|-";
    assert_eq!(shown(&mut state, "DESCRIBE orders"), described);
    assert_eq!(shown(&mut state, "SHOW COLUMNS FROM default_catalog.default_database.orders"), described);
    let p = "name|type|null|key|extras|watermark|comment\npt|TIMESTAMP_LTZ(3) *PROCTIME*|FALSE|-|AS PROCTIME()|-|-";
    assert_eq!(shown(&mut state, "SHOW COLUMNS IN orders LIKE 'p_'"), p);
    let created = "result
CREATE TABLE `default_catalog`.`default_database`.`orders` (
  `id` BIGINT NOT NULL,
  `price` DECIMAL(10, 2) COMMENT 'in ''EUR''',
  `ts` TIMESTAMP(3),
  `cost` AS `price` * 2,
  `pt` AS PROCTIME(),
  `part` BIGINT METADATA FROM 'partition' VIRTUAL,
  `h` VARCHAR(2147483647) METADATA,
  WATERMARK FOR `ts` AS `ts` - INTERVAL '5' SECOND,
  CONSTRAINT `PK_id` PRIMARY KEY (`id`) NOT ENFORCED
)
COMMENT 'all orders'
PARTITIONED BY (`price`)
WITH (
  'a' = 'it''s',
  'connector' = 'x',
  'password' = '******'
)
";
    let text = shown(&mut state, "SHOW CREATE TABLE orders");
    assert_eq!(text, created);
    // What SHOW CREATE prints makes the same table, but for the masked secret.
    let before = shown(&mut state, "DESCRIBE orders");
    run(&mut state, "DROP TABLE orders").expect("dropped");
    run(&mut state, text.strip_prefix("result\n").expect("a heading")).expect("created again");
    assert_eq!(shown(&mut state, "DESCRIBE orders"), before);
}

#[test]
fn like_merges_by_flinks_rules() {
    let mut state = session(ORDERS);
    let base = "orders";
    for (ddl, why) in [
        ("(price INT) LIKE orders", "A column named 'price' already exists in the base table."),
        ("(price AS 1) LIKE orders", "Computed columns can only overwrite other computed columns"),
        ("(cost AS id) LIKE orders", "EXCLUDING GENERATED or OVERWRITING GENERATED"),
        ("(h STRING METADATA VIRTUAL) LIKE orders", "EXCLUDING METADATA or OVERWRITING METADATA"),
        ("(cost INT METADATA) LIKE orders", "Metadata columns can only overwrite other metadata columns"),
        ("(n INT, PRIMARY KEY (n) NOT ENFORCED) LIKE orders", "EXCLUDING CONSTRAINTS"),
        ("(WATERMARK FOR ts AS ts) LIKE orders", "EXCLUDING WATERMARKS or OVERWRITING WATERMARKS"),
        ("(n TIMESTAMP(3), WATERMARK FOR n AS n) LIKE orders", "EXCLUDING WATERMARKS"),
        ("(n INT) PARTITIONED BY (n) LIKE orders", "EXCLUDING PARTITIONS"),
        ("WITH ('a' = '2') LIKE orders (INCLUDING OPTIONS)", "['a' -> 'it's']"),
        ("WITH ('password' = '2') LIKE orders (INCLUDING ALL)", "['password' -> '******']"),
        ("LIKE orders (EXCLUDING GENERATED OVERWRITING PARTITIONS)", "OVERWRITING works for GENERATED"),
        ("LIKE orders (OVERWRITING ALL)", "OVERWRITING works for GENERATED"),
        ("LIKE orders (INCLUDING METADATA EXCLUDING METADATA)", "declared only once"),
    ] {
        refused(&mut state, &format!("CREATE TABLE t {ddl}"), why);
    }
    let mut names = |ddl: &str| {
        run(&mut state, &format!("CREATE OR REPLACE TABLE t {ddl}")).unwrap_or_else(|e| panic!("{ddl}: {e}"));
        let table = state.catalog.table(&["t"]).expect("there").1.clone();
        let columns: Vec<&str> = table.schema.columns.iter().map(|c| c.name.as_str()).collect();
        let (key, mark) = (table.schema.primary_key.is_some(), table.schema.watermark.map(|w| w.expression));
        let options: Vec<String> = table.options.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mark = mark.unwrap_or("-".into());
        format!("{} key={key} {mark} {:?} {}", columns.join(","), table.partition_keys, options.join(","))
    };
    let all = "id,price,ts,cost,pt,part,h";
    let mark = "ts - INTERVAL '5' SECOND";
    let options = "connector=x,password=p,a=it's";
    for (ddl, expected) in [
        ("LIKE orders", format!("{all} key=true {mark} [\"price\"] {options}")),
        ("(n INT) LIKE orders", format!("{all},n key=true {mark} [\"price\"] {options}")),
        ("WITH ('a' = '2') LIKE orders", format!("{all} key=true {mark} [\"price\"] connector=x,password=p,a=2")),
        ("WITH ('b' = '2') LIKE orders (EXCLUDING ALL)", "id,price,ts key=false - [] b=2".to_string()),
        ("LIKE orders (EXCLUDING ALL INCLUDING WATERMARKS)", format!("id,price,ts key=false {mark} [] ")),
        ("(cost AS id) LIKE orders (OVERWRITING GENERATED)", format!("{all} key=true {mark} [\"price\"] {options}")),
        (
            "(WATERMARK FOR ts AS ts) LIKE orders (OVERWRITING WATERMARKS)",
            format!("{all} key=true ts [\"price\"] {options}"),
        ),
        (
            "(n INT, PRIMARY KEY (n) NOT ENFORCED) PARTITIONED BY (n) LIKE orders (EXCLUDING CONSTRAINTS EXCLUDING \
             PARTITIONS EXCLUDING METADATA)",
            format!("id,price,ts,cost,pt,n key=true {mark} [\"n\"] {options}"),
        ),
    ] {
        assert_eq!(names(ddl), expected, "{ddl} over {base}");
    }
}

#[test]
fn alter_table() {
    let ddl = "CREATE TABLE t (a INT, b INT, c AS b, ts TIMESTAMP(3), d INT, WATERMARK FOR ts AS ts, \
               PRIMARY KEY (a) NOT ENFORCED) PARTITIONED BY (d) WITH ('x' = '1', 'y' = '2'); CREATE TABLE u (a INT)";
    let mut state = session(ddl);
    for (change, why) in [
        ("DROP a", "The column `a` is used as the primary key."),
        ("DROP b", "The column `b` is referenced by computed column `c`."),
        ("DROP ts", "The column `ts` is referenced by watermark expression."),
        ("DROP d", "The column `d` is used as the partition keys."),
        ("DROP e", "The column `e` does not exist in the table."),
        ("RENAME b TO z", "The column `b` is referenced by computed column `c`."),
        ("RENAME a TO b", "The column `b` already existed in table schema."),
        ("ADD a INT", "Try to add a column `a` which already exists in the table."),
        ("ADD n INT AFTER nowhere", "reference column by AFTER `nowhere` does not exist"),
        ("ADD (n INT, n INT)", "Encounter duplicate column `n`."),
        ("ADD PRIMARY KEY (b) NOT ENFORCED", "already defined the primary key constraint [`a`]"),
        ("ADD WATERMARK FOR ts AS ts", "already defined the watermark strategy"),
        ("MODIFY n INT", "The column `n` does not exist in the table."),
        ("MODIFY ts INT", "but the time field type is INT"),
        ("DROP CONSTRAINT nope", "Available constraint name: ['PK_a']"),
        ("RENAME TO u", "already exists"),
        ("ADD DISTRIBUTION BY (nope) INTO 2 BUCKETS", "`nope` does not exist"),
        ("DROP DISTRIBUTION", "does not have a distribution"),
    ] {
        refused(&mut state, &format!("ALTER TABLE t {change}"), why);
    }
    refused(&mut state, "ALTER TABLE u DROP WATERMARK", "does not define any watermark");
    refused(&mut state, "ALTER TABLE u DROP PRIMARY KEY", "does not define any primary key");
    refused(&mut state, "ALTER TABLE u MODIFY WATERMARK FOR a AS a", "does not define any watermark");
    refused(&mut state, "ALTER TABLE u DROP a", "must keep at least one column");
    refused(&mut state, "ALTER TABLE nope DROP a", "does not exist");
    run(&mut state, "ALTER TABLE IF EXISTS nope DROP a").expect("nothing to do");
    run(&mut state, "CREATE TEMPORARY TABLE tt (a INT)").expect("created");
    refused(&mut state, "ALTER TABLE tt ADD b INT", "temporary table");

    for change in [
        "ALTER TABLE t ADD (first1 STRING FIRST, after1 INT AFTER a, last1 AS d)",
        "ALTER TABLE t MODIFY b BIGINT COMMENT 'bee'",
        "ALTER TABLE t DROP (c, after1)",
        "ALTER TABLE t RENAME a TO key1",
        "ALTER TABLE t MODIFY WATERMARK FOR ts AS ts - INTERVAL '1' SECOND",
        "ALTER TABLE t SET ('x' = '9', 'z' = '3')",
        "ALTER TABLE t RESET ('y')",
        "ALTER TABLE t RENAME TO t2",
    ] {
        run(&mut state, change).unwrap_or_else(|e| panic!("{change}: {e}"));
    }
    let expected = "result
CREATE TABLE `default_catalog`.`default_database`.`t2` (
  `first1` VARCHAR(2147483647),
  `key1` INT NOT NULL,
  `b` BIGINT COMMENT 'bee',
  `ts` TIMESTAMP(3),
  `d` INT,
  `last1` AS `d`,
  WATERMARK FOR `ts` AS `ts` - INTERVAL '1' SECOND,
  CONSTRAINT `PK_a` PRIMARY KEY (`key1`) NOT ENFORCED
)
PARTITIONED BY (`d`)
WITH (
  'x' = '9',
  'z' = '3'
)
";
    assert_eq!(shown(&mut state, "SHOW CREATE TABLE t2"), expected);
    run(&mut state, "ALTER TABLE t2 DROP WATERMARK; ALTER TABLE t2 DROP PRIMARY KEY").expect("dropped");
    let schema = state.catalog.table(&["t2"]).expect("there").1.schema.clone();
    let attribute = schema.column("ts").expect("a column").data_type.kind.time_attribute();
    assert_eq!((schema.primary_key, schema.watermark, attribute), (None, None, TimeAttribute::None));
}

#[test]
fn show_lists_and_patterns() {
    let mut state = session(
        "CREATE DATABASE db; CREATE TABLE a_b (x INT); CREATE TABLE aXb (x INT); CREATE TABLE db.other (x INT); \
         CREATE VIEW v AS SELECT x FROM a_b; CREATE CATALOG cat WITH ('type' = 'generic_in_memory')",
    );
    for (text, expected) in [
        ("SHOW TABLES", "table name\naXb\na_b\nv"),
        ("SHOW TABLES LIKE 'a_b'", "table name\naXb\na_b"),
        ("SHOW TABLES LIKE 'a\\_b'", "table name\na_b"),
        ("SHOW TABLES NOT LIKE 'a%'", "table name\nv"),
        ("SHOW TABLES LIKE 'AXB'", "table name"),
        ("SHOW TABLES ILIKE 'AX%'", "table name\naXb"),
        ("SHOW TABLES FROM db", "table name\nother"),
        ("SHOW VIEWS", "view name\nv"),
        ("SHOW DATABASES", "database name\ndb\ndefault_database"),
        ("SHOW DATABASES FROM cat", "database name\ndefault"),
        ("SHOW CATALOGS", "catalog name\ncat\ndefault_catalog"),
        ("SHOW CURRENT CATALOG", "current catalog name\ndefault_catalog"),
        ("SHOW CURRENT DATABASE", "current database name\ndefault_database"),
        ("SHOW FUNCTIONS LIKE 'u%'", "function name\nunixTimestamp\nupper\nupperCase\nuuid"),
        ("SHOW FUNCTIONS ILIKE 'abs'", "function name\nabs"),
        ("SHOW USER FUNCTIONS", "function name"),
        ("SHOW MODULES", "module name\ncore"),
        ("SHOW FULL MODULES", "module name|used\ncore|TRUE"),
        ("DESCRIBE CATALOG cat", "info name|info value\nname|cat\ntype|generic_in_memory\ncomment|-"),
        ("DESCRIBE FUNCTION upper", "info name|info value\nis system function|true\nis temporary|false"),
        (
            "DESCRIBE FUNCTION EXTENDED upper",
            "info name|info value\nis system function|true\nis temporary|false\nkind|SCALAR\nrequirements|[]\n\
             is deterministic|true\nsupports constant folding|true\nsignature|upper(<CHARACTER_STRING>)",
        ),
        ("DESCRIBE v", "name|type|null|key|extras|watermark\nx|INT|TRUE|-|-|-"),
        ("SHOW CREATE CATALOG cat", "result\nCREATE CATALOG `cat`\nWITH (\n  'type' = 'generic_in_memory'\n)\n"),
        (
            "SHOW CREATE VIEW v",
            "result\nCREATE VIEW `default_catalog`.`default_database`.`v` (\n  `x`\n)\nAS SELECT \
             `a_b`.`x`\nFROM `default_catalog`.`default_database`.`a_b` AS `a_b`\n",
        ),
    ] {
        assert_eq!(shown(&mut state, text), expected, "{text}");
    }
    // The title, and as many as in Flink.
    assert_eq!(shown(&mut state, "SHOW FUNCTIONS").lines().count(), 1 + 251);
    refused(&mut state, "SHOW TABLES FROM dbb", "Did you mean 'db'?");
    refused(&mut state, "SHOW CREATE TABLE v", "Please use SHOW CREATE VIEW instead");
    refused(
        &mut state,
        "SHOW PARTITIONS a_b",
        "Table default_database.a_b in catalog default_catalog is not partitioned.",
    );
    run(&mut state, "CREATE TABLE parts (x INT, day STRING) PARTITIONED BY (day)").expect("created");
    assert_eq!(shown(&mut state, "SHOW PARTITIONS parts"), "partition name");
    assert_eq!(shown(&mut state, "SHOW PARTITIONS parts PARTITION (day = 'monday')"), "partition name");
    refused(&mut state, "SHOW PARTITIONS parts PARTITION (x = 1)", "PartitionSpec key 'x' is no partition key");
    refused(&mut state, "DESCRIBE FUNCTION UPER", "Did you mean 'UPPER'?");
}

#[test]
fn views() {
    let mut state =
        session("CREATE TABLE t (a INT, b STRING); CREATE VIEW v (x, y COMMENT 'why') COMMENT 'c' AS SELECT * FROM t");
    assert_eq!(
        shown(&mut state, "DESCRIBE v"),
        "name|type|null|key|extras|watermark|comment\nx|INT|TRUE|-|-|-|-\ny|STRING|TRUE|-|-|-|why"
    );
    assert_eq!(
        shown(&mut state, "SHOW CREATE VIEW v"),
        "result\nCREATE VIEW `default_catalog`.`default_database`.`v` (\n  `x`,\n  `y` COMMENT 'why'\n)\nCOMMENT 'c'\n\
         AS SELECT `t`.`a`, `t`.`b`\nFROM `default_catalog`.`default_database`.`t` AS `t`\n"
    );
    refused(&mut state, "CREATE VIEW w (x) AS SELECT * FROM t", "VIEW definition and input fields not match");
    refused(&mut state, "CREATE VIEW w (x, x) AS SELECT * FROM t", "has been defined in the view");
    refused(&mut state, "CREATE VIEW w AS SELECT * FROM nope", "not found");
    refused(&mut state, "CREATE VIEW t AS SELECT * FROM v", "already exists");
    refused(&mut state, "ALTER VIEW v AS SELECT * FROM v", "would read itself");
    refused(&mut state, "ALTER VIEW t RENAME TO t2", "is a table, not a view");
    refused(&mut state, "DROP TABLE v", "It is a view");
    refused(&mut state, "ALTER TABLE v ADD c INT", "is a view, not a table");
    run(&mut state, "ALTER VIEW v RENAME TO w; ALTER VIEW w AS SELECT * FROM t; DROP VIEW IF EXISTS v").expect("done");
    assert_eq!(shown(&mut state, "SHOW VIEWS"), "view name\nw");
    run(&mut state, "CREATE DATABASE d; USE d").expect("done");
    assert_eq!(
        shown(&mut state, "DESCRIBE default_database.w"),
        "name|type|null|key|extras|watermark\na|INT|TRUE|-|-|-\nb|STRING|TRUE|-|-|-"
    );
}

#[test]
fn create_table_as_takes_the_columns_of_its_query() {
    let derived = || vec![("a".to_string(), TypeKind::Int.into()), ("b".to_string(), TypeKind::STRING.into())];
    let mut state = SessionState::default();
    let mut columns = |ddl: &str| -> Result<String> {
        let text = format!("CREATE OR REPLACE TABLE t {ddl} AS SELECT a, b FROM x");
        let statement = parse_script(&text)?.remove(0).statement;
        let Statement::CreateTable(create) = statement else { panic!("{text}") };
        create_table(&create, &mut state, &Shapes, Some(derived()))?;
        let table = state.catalog.table(&["t"])?.1;
        Ok(table.schema.columns.iter().map(|c| format!("{} {}", c.name, c.data_type)).collect::<Vec<_>>().join(", "))
    };
    for (ddl, expected) in [
        ("", "a INT, b STRING"),
        ("(b, a)", "b STRING, a INT"),
        ("(c DOUBLE, d AS a)", "c DOUBLE, d INT, a INT, b STRING"),
        ("(a BIGINT)", "a BIGINT, b STRING"),
        ("(PRIMARY KEY (a) NOT ENFORCED)", "a INT NOT NULL, b STRING"),
    ] {
        assert_eq!(columns(ddl).unwrap_or_else(|e| panic!("{ddl}: {e}")), expected, "{ddl}");
    }
    for (ddl, why) in [
        ("(a)", "must match the number of columns"),
        ("(a, c)", "Column 'c' not found in the source schema"),
        ("(a AS b)", "cannot overwrite columns from source"),
    ] {
        let error = columns(ddl).expect_err(ddl).to_string();
        assert!(error.contains(why), "{ddl}: {error}");
    }
}

#[test]
fn set_and_reset() {
    let mut state =
        session("SET 'table.exec.state.ttl' = '1 h'; SET 's3.secret-key' = 'x'; SET 'parallelism.default' = '4'");
    let listed = "key|value\nparallelism.default|4\ns3.secret-key|******\ntable.exec.state.ttl|1 h";
    assert_eq!(shown(&mut state, "SET"), listed);
    let mut with_url = session("SET 's3.endpoint' = 'http://u:CANARY@h:9000'");
    assert_eq!(shown(&mut with_url, "SET"), "key|value\ns3.endpoint|http://u:******@h:9000");
    for (text, why) in [
        ("SET 'table.exec.state.ttl' = '1 parsec'", "unit of time"),
        ("SET 'execution.checkpointing.min-pause' = '18446744073709551615 s'", "at most 1000 years"),
        ("SET 'execution.checkpointing.interval' = '9223372036854775807 ms'", "at most 1000 years"),
        ("SET 'parallelism.default' = 'many'", "expected an integer"),
        ("SET 'execution.runtime-mode' = 'streeming'", "did you mean 'STREAMING'?"),
        ("SET 'execution.runtime-mode' = 'automatic'", "Only an explicit BATCH or STREAMING mode is supported"),
        ("SET '' = '1'", "an option without a name"),
    ] {
        refused(&mut state, text, why);
    }
    run(
        &mut state,
        "SET 'restart-strategy.failure-rate.delay' = '1 s'; RESET 'parallelism.default'; RESET 'pipeline.name'",
    )
    .expect("known");
    assert_eq!(state.config.get("parallelism.default"), None);
    // Any other key is kept; what is wrong with it is told.
    run(&mut state, "SET 'table.exec.state.tl' = '1 h'; SET 'rest.port' = '1'; RESET 'parallelism.defaul'")
        .expect("any");
    assert_eq!(state.config.get("table.exec.state.tl"), Some("1 h"));
    run(&mut state, "RESET 'table.exec.state.tl'; RESET 'rest.port'").expect("set");
    for (key, told) in [
        ("table.exec.state.tl", "did you mean 'table.exec.state.ttl'?"),
        ("taskmanager.memory.process.size", "an option of Flink's cluster"),
        ("pipeline.time-characteristic", "no effect here"),
        ("nothing.like.that", "flott docs configuration lists"),
    ] {
        let text = super::config::about_unknown(key);
        assert!(text.contains(key) && text.contains(told), "{text}");
    }
    run(&mut state, "RESET").expect("all");
    assert!(state.config.is_empty());
}

#[test]
fn the_claim_mode_that_flink_advises_against_is_refused_with_what_to_use() {
    for key in ["execution.state-recovery.claim-mode", "execution.savepoint-restore-mode"] {
        let error = run(&mut SessionState::default(), &format!("SET '{key}' = 'legacy'")).expect_err("refused");
        assert!(error.to_string().contains("deprecated in Flink"), "{error}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("NO_CLAIM")), "{error}");
    }
}

#[test]
fn older_names_set_and_reset_the_option_of_today() {
    let mut state = SessionState::default();
    run(&mut state, "SET 'state.checkpoints.num-retained' = '5'; SET 'execution.savepoint-restore-mode' = 'CLAIM'")
        .expect("known");
    assert_eq!(state.config.get("execution.checkpointing.num-retained"), Some("5"));
    assert_eq!(state.config.get("execution.state-recovery.claim-mode"), Some("CLAIM"));
    run(&mut state, "RESET 'state.checkpoints.num-retained'").expect("known");
    assert_eq!(state.config.get("execution.checkpointing.num-retained"), None);
    for wrong in ["execution.state-recovery.pth", "execution.checkpointing.unaligned.enable"] {
        assert!(super::config::about_unknown(wrong).contains("did you mean"), "{wrong}");
    }
}

/// All that Flink 2.3 reads under these names is honoured or explained, with its defaults.
#[test]
fn checkpointing_options_of_flink_are_known() {
    let mut state = SessionState::default();
    for key in FLINKS_CHECKPOINTING_OPTIONS {
        let option = super::config::option_of(super::config::name_of_today(key));
        let default = option.as_ref().ok().and_then(|o| o.default);
        let value = default.unwrap_or_else(|| match option.as_ref().map(|o| o.value) {
            Ok(OptionType::Duration) => "10 s",
            Ok(OptionType::Enum(values)) => values[0],
            _ => "1",
        });
        run(&mut state, &format!("SET '{key}' = '{value}'")).unwrap_or_else(|e| panic!("{key}: {e}"));
    }
}

/// From CheckpointingOptions, StateRecoveryOptions, StateBackendOptions, StateChangelogOptions and RestartStrategyOptions of
/// Flink 2.3, older names included.
const FLINKS_CHECKPOINTING_OPTIONS: &[&str] = &[
    "execution.checkpointing.aligned-checkpoint-timeout",
    "execution.checkpointing.alignment-timeout",
    "execution.checkpointing.approximate-local-recovery",
    "execution.checkpointing.checkpoints-after-tasks-finish",
    "execution.checkpointing.checkpoints-after-tasks-finish.enabled",
    "execution.checkpointing.cleaner.parallel-mode",
    "execution.checkpointing.create-subdir",
    "execution.checkpointing.data-inline-threshold",
    "execution.checkpointing.dir",
    "execution.checkpointing.during-recovery.enabled",
    "execution.checkpointing.externalized-checkpoint-retention",
    "execution.checkpointing.file-merging.across-checkpoint-boundary",
    "execution.checkpointing.file-merging.enabled",
    "execution.checkpointing.file-merging.max-file-size",
    "execution.checkpointing.file-merging.max-space-amplification",
    "execution.checkpointing.file-merging.max-subtasks-per-file",
    "execution.checkpointing.file-merging.pool-blocking",
    "execution.checkpointing.incremental",
    "execution.checkpointing.interval",
    "execution.checkpointing.interval-during-backlog",
    "execution.checkpointing.local-backup.dirs",
    "execution.checkpointing.local-backup.enabled",
    "execution.checkpointing.max-concurrent-checkpoints",
    "execution.checkpointing.min-pause",
    "execution.checkpointing.mode",
    "execution.checkpointing.num-retained",
    "execution.checkpointing.recover-without-channel-state.checkpoint-id",
    "execution.checkpointing.savepoint-dir",
    "execution.checkpointing.storage",
    "execution.checkpointing.timeout",
    "execution.checkpointing.tolerable-failed-checkpoints",
    "execution.checkpointing.unaligned",
    "execution.checkpointing.unaligned.enabled",
    "execution.checkpointing.unaligned.forced",
    "execution.checkpointing.unaligned.interruptible-timers.enabled",
    "execution.checkpointing.unaligned.max-subtasks-per-channel-state-file",
    "execution.checkpointing.unaligned.recover-output-on-downstream.enabled",
    "execution.checkpointing.write-buffer-size",
    "execution.savepoint-restore-mode",
    "execution.savepoint.ignore-unclaimed-state",
    "execution.savepoint.path",
    "execution.state-recovery.approximate-local-recovery",
    "execution.state-recovery.claim-mode",
    "execution.state-recovery.from-local",
    "execution.state-recovery.ignore-unclaimed-state",
    "execution.state-recovery.path",
    "execution.state-recovery.without-channel-state.checkpoint-id",
    "restart-strategy.exponential-delay.attempts-before-reset-backoff",
    "restart-strategy.exponential-delay.backoff-multiplier",
    "restart-strategy.exponential-delay.initial-backoff",
    "restart-strategy.exponential-delay.jitter-factor",
    "restart-strategy.exponential-delay.max-backoff",
    "restart-strategy.exponential-delay.reset-backoff-threshold",
    "restart-strategy.failure-rate.delay",
    "restart-strategy.failure-rate.failure-rate-interval",
    "restart-strategy.failure-rate.max-failures-per-interval",
    "restart-strategy.fixed-delay.attempts",
    "restart-strategy.fixed-delay.delay",
    "restart-strategy.type",
    "state.backend.changelog.enabled",
    "state.backend.changelog.max-failures-allowed",
    "state.backend.changelog.periodic-materialize.enabled",
    "state.backend.changelog.periodic-materialize.interval",
    "state.backend.changelog.storage",
    "state.backend.fs.checkpointdir",
    "state.backend.fs.dir",
    "state.backend.fs.memory-threshold",
    "state.backend.fs.write-buffer-size",
    "state.backend.incremental",
    "state.backend.local-recovery",
    "state.changelog.enabled",
    "state.changelog.max-failures-allowed",
    "state.changelog.periodic-materialize.enabled",
    "state.changelog.periodic-materialize.interval",
    "state.changelog.storage",
    "state.checkpoint-storage",
    "state.checkpoint.cleaner.parallel-mode",
    "state.checkpoints.create-subdir",
    "state.checkpoints.dir",
    "state.checkpoints.num-retained",
    "state.local.root-dirs",
    "state.savepoints.dir",
    "state.storage.fs.memory-threshold",
    "state.storage.fs.write-buffer-size",
];

#[test]
fn known_options_are_sound() {
    let known = super::config::known();
    for (i, option) in known.iter().enumerate() {
        assert!(option.description.ends_with('.'), "{}", option.key);
        assert!(known[..i].iter().all(|o| o.key != option.key), "{} is there twice", option.key);
        if let Some(default) = option.default {
            option.check(option.key, default).unwrap_or_else(|e| panic!("{e}"));
        }
    }
    for (older, newer) in super::config::older_names() {
        assert!(known.iter().any(|o| o.key == *newer), "{older} is called {newer}, which there is not");
        assert!(known.iter().all(|o| o.key != *older), "{older} is an option and the older name of {newer}");
    }
    for planned in crate::plan::options::ALL {
        let listed = known.iter().find(|o| o.key == planned.key);
        let listed = listed.unwrap_or_else(|| panic!("{} is read and cannot be set", planned.key));
        assert_eq!((listed.value, listed.default), (planned.value, planned.default), "{}", planned.key);
    }
}

#[test]
fn functions_say_themselves_whether_they_are_deterministic() {
    let mut volatile = vec![];
    let functions = flott_function::scalar::functions().map(|f| f.name.to_string()).collect();
    let mut state = SessionState { functions, ..SessionState::default() };
    for name in state.functions.clone() {
        if name.starts_with('$') {
            continue;
        }
        if shown(&mut state, &format!("DESCRIBE FUNCTION EXTENDED `{name}`")).contains("is deterministic|false") {
            volatile.push(name);
        }
    }
    volatile.sort();
    let expected = [
        "CURRENT_DATE",
        "CURRENT_ROW_TIMESTAMP",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "CURRENT_WATERMARK",
        "RAND",
        "RAND_INTEGER",
        "UNIX_TIMESTAMP",
        "UUID",
    ];
    assert_eq!(volatile, expected);
}

#[test]
fn a_view_takes_as_long_among_many_as_among_few() {
    let time = |tables: usize| {
        let mut state = session("CREATE TABLE t (a INT)");
        for i in 0..tables {
            run(&mut state, &format!("CREATE TABLE t{i} (a INT)")).expect("a table");
        }
        let clock = SystemClock::shared();
        let started = clock.monotonic();
        for i in 0..100 {
            run(&mut state, &format!("CREATE VIEW v{i} AS SELECT a FROM t")).expect("a view");
        }
        clock.monotonic() - started
    };
    // As long as no copy of the catalog is made for each.
    let (few, many) = (time(0), time(20_000));
    assert!(many < few * 10, "{many:?} among many, {few:?} among few");
}
