//! Every statement and clause that there is, with an example each. The examples follow each other as one script, which a
//! test runs as it stands on the page.

/// A section of the page.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) examples: &'static [Example],
}

/// A statement, or a form of it.
pub(super) struct Example {
    /// What it does.
    pub(super) text: &'static str,
    /// How it is written.
    pub(super) sql: &'static str,
    /// It can be run as it stands; otherwise it needs something of a running session.
    pub(super) runs: bool,
}

const fn example(text: &'static str, sql: &'static str) -> Example {
    Example { text, sql, runs: true }
}

const fn form(text: &'static str, sql: &'static str) -> Example {
    Example { text, sql, runs: false }
}

pub(super) const INTRODUCTION: &str = "\
What Flott runs of Flink SQL, with an example of every form. The examples follow each other as one script. Names are
case-sensitive, keywords are not; a name that is a keyword stands in backquotes. Statements end with `;`. Comments are
`-- to the end of the line` and `/* .. */`. What is not here is refused with an error.
";

pub(super) const SECTIONS: &[Section] = &[
    Section {
        title: "Options of the session",
        examples: &[
            example(
                "SET sets an option of [configuration.md](configuration.md) for the statements behind it.",
                "SET 'parallelism.default' = '2';",
            ),
            example("SET alone lists what is set.", "SET;"),
            example(
                "RESET takes one option back to its default, or all of them.",
                "RESET 'parallelism.default';\nRESET;",
            ),
        ],
    },
    Section {
        title: "Catalogs and databases",
        examples: &[
            example(
                "CREATE CATALOG. The kind that there is keeps its objects in memory, as `default_catalog` does. Its first \
                 database is `default`, or what 'default-database' says.",
                "CREATE CATALOG IF NOT EXISTS archive COMMENT 'old things' WITH ('type' = 'generic_in_memory');",
            ),
            example(
                "ALTER CATALOG changes options and the comment.",
                "ALTER CATALOG archive SET ('default-database' = 'default');\n\
                 ALTER CATALOG archive RESET ('default-database');\n\
                 ALTER CATALOG archive COMMENT 'older things';",
            ),
            example(
                "CREATE DATABASE and ALTER DATABASE.",
                "CREATE DATABASE IF NOT EXISTS shop COMMENT 'a coffee shop' WITH ('owner' = 'me');\n\
                 ALTER DATABASE shop SET ('owner' = 'you');",
            ),
            example(
                "USE makes names without a catalog or database stand for those in it.",
                "USE CATALOG default_catalog;\nUSE shop;",
            ),
        ],
    },
    Section {
        title: "Tables",
        examples: &[
            example(
                "CREATE TABLE: physical columns, columns computed from others, event time with its watermark, a primary \
                 key (not checked, so NOT ENFORCED), comments, and the connector's options \
                 ([connectors.md](connectors.md), [formats.md](formats.md)).",
                "\
CREATE TABLE orders (
  id BIGINT NOT NULL COMMENT 'counted up',
  item STRING,
  cents BIGINT,
  price AS CAST(cents / 100.0 AS DECIMAL(10, 2)),
  ordered_at TIMESTAMP(3),
  WATERMARK FOR ordered_at AS ordered_at - INTERVAL '5' SECOND,
  CONSTRAINT pk PRIMARY KEY (id) NOT ENFORCED
) COMMENT 'what was ordered' WITH (
  'connector' = 'datagen',
  'number-of-rows' = '20',
  'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '20',
  'fields.cents.min' = '100', 'fields.cents.max' = '900'
);",
            ),
            example(
                "A table in files: METADATA columns come from the connector, PARTITIONED BY makes folders.",
                "\
CREATE TABLE IF NOT EXISTS sales (
  file STRING METADATA FROM 'file.name' VIRTUAL,
  item STRING,
  cents BIGINT,
  dt STRING
) PARTITIONED BY (dt) WITH ('connector' = 'filesystem', 'path' = 'sales', 'format' = 'csv');",
            ),
            example(
                "TEMPORARY tables hide others of their name.",
                "CREATE TEMPORARY TABLE scratch (v INT) WITH ('connector' = 'blackhole');",
            ),
            example(
                "LIKE takes over another table's definition: INCLUDING, EXCLUDING or OVERWRITING each of ALL, \
                 CONSTRAINTS, DISTRIBUTION, GENERATED, METADATA, OPTIONS, PARTITIONS and WATERMARKS.",
                "\
CREATE TABLE printed WITH ('connector' = 'print')
LIKE orders (EXCLUDING OPTIONS EXCLUDING CONSTRAINTS EXCLUDING GENERATED EXCLUDING WATERMARKS);",
            ),
            example(
                "DISTRIBUTED BY is kept for connectors that have buckets.",
                "CREATE TABLE bucketed (id BIGINT, item STRING) DISTRIBUTED BY HASH(id) INTO 4 BUCKETS \
                 WITH ('connector' = 'blackhole');",
            ),
            example(
                "CREATE TABLE AS makes a table of a query's columns and starts the job that fills it. CREATE OR REPLACE \
                 TABLE AS and REPLACE TABLE AS do so in place of a table that there is; what lies in its target stays.",
                "\
CREATE TABLE cheap WITH ('connector' = 'filesystem', 'path' = 'cheap', 'format' = 'json')
AS SELECT id, item FROM orders WHERE cents < 500;
REPLACE TABLE cheap WITH ('connector' = 'filesystem', 'path' = 'cheaper', 'format' = 'json')
AS SELECT id, item FROM orders WHERE cents < 300;",
            ),
            example(
                "ALTER TABLE adds, modifies, renames and drops columns, keys, watermarks and the distribution, and \
                 changes options and the name.",
                "\
ALTER TABLE bucketed ADD (total INT FIRST, doubled AS total * 2);
ALTER TABLE bucketed ADD at TIMESTAMP(3) AFTER total;
ALTER TABLE bucketed MODIFY total BIGINT;
ALTER TABLE bucketed ADD WATERMARK FOR at AS at - INTERVAL '1' SECOND;
ALTER TABLE bucketed DROP WATERMARK;
ALTER TABLE bucketed DROP doubled;
ALTER TABLE bucketed RENAME total TO amount;
ALTER TABLE bucketed DROP (amount, at);
ALTER TABLE bucketed MODIFY id BIGINT NOT NULL;
ALTER TABLE bucketed ADD PRIMARY KEY (id) NOT ENFORCED;
ALTER TABLE bucketed DROP PRIMARY KEY;
ALTER TABLE bucketed ADD CONSTRAINT pk PRIMARY KEY (id) NOT ENFORCED;
ALTER TABLE bucketed DROP CONSTRAINT pk;
ALTER TABLE bucketed MODIFY DISTRIBUTION BY (item) INTO 2 BUCKETS;
ALTER TABLE bucketed DROP DISTRIBUTION;
ALTER TABLE bucketed SET ('note' = 'x');
ALTER TABLE bucketed RESET ('note');
ALTER TABLE IF EXISTS bucketed RENAME TO thrown_away;",
            ),
            example(
                "Partitions are known by what is written; others can be added to the catalog and dropped from it.",
                "\
ALTER TABLE sales ADD IF NOT EXISTS PARTITION (dt = '2026-01-01') PARTITION (dt = '2026-01-02') WITH ('note' = 'x');
SHOW PARTITIONS sales;
ALTER TABLE sales DROP IF EXISTS PARTITION (dt = '2026-01-02'), PARTITION (dt = '2026-01-01');",
            ),
        ],
    },
    Section {
        title: "Views",
        examples: &[
            example(
                "CREATE VIEW names a query.",
                "CREATE VIEW IF NOT EXISTS bargains (id, item COMMENT 'what') COMMENT 'below 2' AS \
                 SELECT id, item FROM orders WHERE cents < 200;",
            ),
            example(
                "ALTER VIEW gives it another query or name.",
                "ALTER VIEW bargains AS SELECT id, item FROM orders WHERE cents < 300;\n\
                 ALTER VIEW bargains RENAME TO offers;",
            ),
        ],
    },
    Section {
        title: "Functions of your own",
        examples: &[
            example(
                "CREATE FUNCTION names an expression over parameters. Its arguments are cast to the types of the parameters \
                 where that loses nothing; a job carries the expression, not the name. TEMPORARY ones end with the session, and \
                 TEMPORARY SYSTEM ones come before what is built in.",
                "\
CREATE FUNCTION euros(cents BIGINT) RETURNS STRING LANGUAGE SQL AS 'CONCAT(CAST(cents / 100 AS STRING), '' EUR'')';
SELECT id, euros(cents) FROM orders;
SHOW USER FUNCTIONS;
DROP FUNCTION euros;",
            ),
            example(
                "A table function is a query over its parameters: of rows of collections (UNNEST), of VALUES, or of tables. It is \
                 called in FROM, for each row before it; LEFT JOIN .. ON TRUE keeps rows that it makes nothing of.",
                "\
CREATE FUNCTION words(t STRING) RETURNS TABLE (word STRING, n INT) LANGUAGE SQL AS
'SELECT w, CHAR_LENGTH(w) FROM UNNEST(SPLIT(t, '' '')) AS u (w)';
SELECT id, word FROM orders, LATERAL TABLE(words(item)) WHERE n > 3;",
            ),
            form(
                "A function in WebAssembly: one value of a row, or with RETURNS TABLE rows. \
                 [user-functions.md](user-functions.md) says how it is written, and what functions in Rust are.",
                "\
CREATE FUNCTION title_case(t STRING) RETURNS STRING LANGUAGE WASM AS 'title_case' USING ARTIFACT 'text.wasm'
WITH ('fuel-per-row' = '100000', 'memory' = '64 mb');",
            ),
            form(
                "Functions of LANGUAGE JAVA, SCALA and PYTHON are refused: there is no Java virtual machine and no Python here. Write \
                 the expression in SQL, or code in a language that compiles to WebAssembly.",
                "CREATE FUNCTION f AS 'com.example.F' LANGUAGE JAVA;",
            ),
        ],
    },
    Section {
        title: "Queries",
        examples: &[
            example("SELECT without a table.", "SELECT 1 + 1 AS two, CURRENT_DATE < DATE '2000-01-01' AS past;"),
            example("VALUES. Rows of one value need no brackets: `VALUES 1, 2`.", "VALUES (1, 'a'), (2, 'b');"),
            example("TABLE is all of a table.", "TABLE orders;"),
            example(
                "Columns, expressions, CASE, CAST and the functions of [functions.md](functions.md); WHERE keeps rows.",
                "\
SELECT o.id, UPPER(item) AS item, CASE WHEN cents < 500 THEN 'low' ELSE 'high' END AS level,
       CAST(cents AS STRING), TRY_CAST(item AS INT)
FROM orders AS o WHERE id BETWEEN 1 AND 3 AND item IS NOT NULL;",
            ),
            example(
                "`*`, and hints that change a table's options for one query.",
                "\
SELECT * FROM orders /*+ OPTIONS('number-of-rows' = '2') */;",
            ),
            example(
                "WITH names a query inside of another one; queries stand in FROM.",
                "WITH few AS (SELECT id, cents FROM orders WHERE id < 4)\n\
                 SELECT id, euros FROM (SELECT id, cents / 100 AS euros FROM few) AS t (id, euros);",
            ),
            example(
                "UNION ALL puts rows of several queries together.",
                "SELECT id, item FROM orders WHERE id = 1 UNION ALL SELECT id, item FROM offers WHERE id = 2;",
            ),
            example(
                "GROUP BY without a window keeps one row a group, which changes: in a stream the result is a changelog. DISTINCT and \
                 UNION give every row once.",
                "SELECT item, COUNT(*) AS orders, SUM(cents) AS cents FROM orders GROUP BY item HAVING COUNT(*) > 1;\n\
                 SELECT DISTINCT item FROM orders;\n\
                 SELECT id FROM orders UNION SELECT id FROM offers;",
            ),
            example(
                "ROW, ARRAY and MAP values, their fields and elements.",
                "\
SELECT r.a, l[1], m['k']
FROM (SELECT CAST(ROW(1, 'x') AS ROW<a INT, b STRING>) AS r, ARRAY[7, 8] AS l, MAP['k', 9] AS m) AS t;",
            ),
        ],
    },
    Section {
        title: "Joins",
        examples: &[
            example(
                "Every row meets those of the other table that fit; both may change. LEFT, RIGHT and FULL also give rows \
                 that meet none. The rows of both are kept, for ever or for `table.exec.state.ttl`.",
                "SELECT a.id, b.item FROM orders AS a JOIN offers AS b ON a.id = b.id AND a.cents > 100;\n\
                 SELECT id, a.cents FROM orders AS a LEFT JOIN offers AS b USING (id) WHERE b.item IS NULL;",
            ),
            example(
                "IN, EXISTS and their opposites; a sub-query of one value.",
                "SELECT id FROM orders WHERE id IN (SELECT id FROM offers);\n\
                 SELECT id FROM orders AS a WHERE NOT EXISTS (SELECT 1 FROM offers AS b WHERE b.id = a.id);\n\
                 SELECT id FROM orders WHERE cents > (SELECT AVG(cents) FROM orders);",
            ),
            example(
                "Where time bounds the distance of two rows, or both are of one window, rows are kept only so long.",
                "\
SELECT a.id, b.id FROM orders AS a JOIN orders AS b
ON a.item = b.item AND b.ordered_at BETWEEN a.ordered_at AND a.ordered_at + INTERVAL '1' MINUTE;",
            ),
            example(
                "UNNEST gives a row for each element.",
                "SELECT id, e, n FROM (SELECT id, ARRAY[cents, 0] AS l FROM orders) AS t \
                 CROSS JOIN UNNEST(l) WITH ORDINALITY AS u (e, n);",
            ),
            example(
                "LATERAL is a query that names columns of the tables before it: in its WHERE (where it groups or is DISTINCT \
                 only as `own = other`), and where it does not group in its SELECT list. With ORDER BY and LIMIT it gives the first \
                 rows of each row outside.",
                "\
SELECT o.id, dearer.item FROM offers AS o, LATERAL (SELECT item FROM orders WHERE id = o.id AND cents > 100) AS dearer;
SELECT o.id, t.n FROM offers AS o LEFT JOIN LATERAL
(SELECT COUNT(*) AS n FROM orders WHERE item = o.item) AS t ON TRUE;
SELECT o.id, top.cents FROM offers AS o, LATERAL
(SELECT cents FROM orders WHERE item = o.item ORDER BY cents DESC LIMIT 2) AS top;",
            ),
            example(
                "FOR SYSTEM_TIME AS OF a time attribute: of event time, each row meets the version that a table with a \
                 primary key and a watermark had at its time.",
                "\
SELECT a.id, b.cents FROM orders AS a JOIN orders FOR SYSTEM_TIME AS OF a.ordered_at AS b ON a.id = b.id;",
            ),
            form(
                "Of processing time, it meets what a table outside has for it when it comes, where the table's connector can \
                 be asked by key. The hint says how.",
                "\
SELECT /*+ LOOKUP('table'='customers', 'async'='true', 'retry-predicate'='lookup_miss', 'retry-strategy'='fixed_delay',
                  'fixed-delay'='1s', 'max-attempts'='3') */ o.id, c.name
FROM (SELECT *, PROCTIME() AS now FROM orders) AS o
LEFT JOIN customers FOR SYSTEM_TIME AS OF o.now AS c ON o.customer = c.id;",
            ),
            form(
                "VECTOR_SEARCH gives each row the rows of a table outside whose vectors are nearest to its own, and how near \
                 they are (`score`), where the table's connector can search. WHERE is asked of what was found. The last \
                 argument may say `async`, `output-mode`, `max-concurrent-operations` and `timeout`.",
                "\
SELECT q.id, d.title, d.score
FROM questions AS q, LATERAL TABLE(VECTOR_SEARCH(TABLE documents, DESCRIPTOR(embedding), q.embedding, 10)) AS d;
SELECT q.id, d.title FROM questions AS q LEFT JOIN LATERAL TABLE(VECTOR_SEARCH(
  SEARCH_TABLE => TABLE documents, COLUMN_TO_SEARCH => DESCRIPTOR(embedding), COLUMN_TO_QUERY => q.embedding, TOP_K => 3,
  CONFIG => MAP['timeout', '5 s'])) AS d ON TRUE;",
            ),
        ],
    },
    Section {
        title: "Windows",
        examples: &[
            example(
                "A window table function gives each row the columns `window_start`, `window_end` and `window_time`; \
                 GROUP BY the first two aggregates windows of event time. HAVING keeps groups.",
                "\
SELECT window_start, window_end, item, COUNT(*) AS orders, SUM(cents) AS cents
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' MINUTES))
GROUP BY window_start, window_end, item HAVING COUNT(*) > 0;",
            ),
            example(
                "HOP windows overlap (slide, size), CUMULATE windows grow (step, size); arguments can be named.",
                "\
SELECT window_end, MAX(cents)
FROM TABLE(HOP(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES))
GROUP BY window_start, window_end;
SELECT window_end, AVG(cents)
FROM TABLE(CUMULATE(DATA => TABLE orders, TIMECOL => DESCRIPTOR(ordered_at),
                    STEP => INTERVAL '1' HOUR, SIZE => INTERVAL '1' DAY))
GROUP BY window_start, window_end;",
            ),
            example(
                "SESSION windows end after a gap; PARTITION BY gives each key sessions of its own. Grouped by other keys than its \
                 own, a session is no window of the groups: they change with each of its rows.",
                "\
SELECT window_start, window_end, item, COUNT(*)
FROM TABLE(SESSION(TABLE orders PARTITION BY item, DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, item;",
            ),
            example(
                "Without GROUP BY each row goes on with its windows; windows of windows take `window_time`.",
                "\
SELECT id, window_start, window_end FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '10' MINUTES))
WHERE id < 3;
CREATE VIEW per_minute AS
SELECT window_time AS minute_end, COUNT(*) AS orders
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end, window_time;
SELECT window_end, SUM(orders) FROM TABLE(TUMBLE(TABLE per_minute, DESCRIPTOR(minute_end), INTERVAL '1' HOUR))
GROUP BY window_start, window_end;",
            ),
            example(
                "The older group windows stand in GROUP BY: TUMBLE (time, size), HOP (time, slide, size; any two lengths) and \
                 SESSION (time, gap), whose sessions are those of the other keys. TUMBLE_START, TUMBLE_END, TUMBLE_ROWTIME and \
                 TUMBLE_PROCTIME tell the bounds of the window, with the same arguments; so do those of HOP and SESSION. The \
                 `_ROWTIME` is a time attribute. There are no GROUPING SETS beside them.",
                "\
SELECT item, TUMBLE_START(ordered_at, INTERVAL '10' MINUTE) AS since, COUNT(*) AS orders
FROM orders GROUP BY item, TUMBLE(ordered_at, INTERVAL '10' MINUTE);
SELECT item, SESSION_ROWTIME(ordered_at, INTERVAL '1' MINUTE) AS ended, SUM(cents)
FROM orders GROUP BY item, SESSION(ordered_at, INTERVAL '1' MINUTE);",
            ),
            example(
                "GROUPING SETS, ROLLUP and CUBE aggregate by several keys at once; DISTINCT and FILTER choose what an \
                 aggregate takes.",
                "\
SELECT window_end, item, GROUPING(item) AS total, COUNT(DISTINCT cents), SUM(cents) FILTER (WHERE cents > 500)
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ordered_at), INTERVAL '1' HOUR))
GROUP BY window_start, window_end, GROUPING SETS ((item), ());",
            ),
        ],
    },
    Section {
        title: "OVER",
        examples: &[
            example(
                "A function with OVER keeps every row, and sees the rows up to it in an order. In the order of event time a \
                 row leaves once, when the watermark has passed it; RANGE with an interval sees what is near in time, ROWS \
                 so many rows.",
                "\
SELECT id, item, SUM(cents) OVER (PARTITION BY item ORDER BY ordered_at) AS so_far FROM orders;
SELECT id, AVG(cents) OVER w AS mean, MAX(cents) OVER w AS most FROM orders
WINDOW w AS (PARTITION BY item ORDER BY ordered_at RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW);
SELECT id, SUM(cents) OVER (ORDER BY ordered_at ROWS BETWEEN 9 PRECEDING AND CURRENT ROW) AS of_ten FROM orders;",
            ),
            example(
                "LAG looks at a row before, ROW_NUMBER counts. QUALIFY chooses rows by such results.",
                "\
SELECT id, cents - LAG(cents) OVER (PARTITION BY item ORDER BY ordered_at) AS more FROM orders;
SELECT id FROM orders QUALIFY COUNT(*) OVER (PARTITION BY item ORDER BY ordered_at) = 1;",
            ),
            example(
                "In any other order rows behind one that comes or goes change; the frame begins with the partition.",
                "SELECT item, n, SUM(n) OVER (ORDER BY n) AS rising FROM \
                 (SELECT item, COUNT(*) AS n FROM orders GROUP BY item);",
            ),
            example(
                "In batch mode there is every frame, and RANK, DENSE_RANK, PERCENT_RANK, CUME_DIST, NTILE and LEAD, which \
                 need the whole partition (in a stream RANK and DENSE_RANK count rows, as Flink's do).",
                "\
SET 'execution.runtime-mode' = 'batch';
SELECT id, RANK() OVER (ORDER BY cents DESC) AS place, NTILE(4) OVER (ORDER BY cents) AS fourth,
  SUM(cents) OVER (PARTITION BY item ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS around
FROM orders;
RESET 'execution.runtime-mode';",
            ),
        ],
    },
    Section {
        title: "Patterns",
        examples: &[example(
            "MATCH_RECOGNIZE finds rows of a partition that follow each other as a pattern says, in the order of a time \
             attribute; each match is a row. Quantifiers are `*`, `+`, `?`, `{n}`, `{n,}`, `{n,m}`, with `?` behind them \
             for as few rows as can be.",
            "\
SELECT * FROM orders MATCH_RECOGNIZE (
PARTITION BY item ORDER BY ordered_at
MEASURES FIRST(few.cents) AS first_cents, LAST(few.cents, 1) AS before_last, SUM(few.cents) AS total, many.id AS id,
  MATCH_ROWTIME() AS found_at
ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW
PATTERN (few+ many) WITHIN INTERVAL '1' HOUR
DEFINE few AS cents < 500, many AS cents > AVG(few.cents)) AS m;",
        )],
    },
    Section {
        title: "INSERT",
        examples: &[
            example(
                "INSERT INTO starts a job that writes a query's rows to a table. The columns of the query are taken in \
                 the table's order, or in that of a list of columns.",
                "\
INSERT INTO printed SELECT id, item, cents, ordered_at FROM orders;
INSERT INTO printed (id, item) VALUES (100, 'cake');",
            ),
            example(
                "PARTITION fixes partition keys; a hint behind the table changes its options for this job.",
                "\
INSERT INTO sales /*+ OPTIONS('sink.rolling-policy.file-size' = '1 mb') */ PARTITION (dt = '2026-01-01') (item, cents)
VALUES ('tea', 250), ('coffee', 300);",
            ),
            example(
                "A statement set writes to several tables with one job, which reads each source once.",
                "\
EXECUTE STATEMENT SET BEGIN
INSERT INTO thrown_away SELECT id, item FROM orders;
INSERT INTO printed (id) SELECT id FROM orders WHERE id < 3;
END;",
            ),
            example(
                "The same in another form.",
                "BEGIN STATEMENT SET;\nINSERT INTO thrown_away VALUES (1, 'a');\nEND;",
            ),
            example("EXECUTE before a statement changes nothing.", "EXECUTE INSERT INTO thrown_away VALUES (1, 'a');"),
        ],
    },
    Section {
        title: "EXPLAIN, DESCRIBE, SHOW",
        examples: &[
            example(
                "EXPLAIN shows the plan of a query, an INSERT, a statement set or a CREATE TABLE AS, with details before \
                 it where they are asked for (CHANGELOG_MODE, ESTIMATED_COST, PLAN_ADVICE, JSON_EXECUTION_PLAN), or (WATERMARK) where event time comes from.",
                "\
EXPLAIN SELECT id FROM orders;
EXPLAIN PLAN FOR SELECT id FROM orders;
EXPLAIN CHANGELOG_MODE INSERT INTO thrown_away SELECT id, item FROM orders;
EXPLAIN WATERMARK SELECT id FROM orders;
EXPLAIN STATEMENT SET BEGIN INSERT INTO thrown_away SELECT id, item FROM orders; END;",
            ),
            example(
                "DESCRIBE (or DESC) shows the columns of a table or view, or what a catalog or database is.",
                "\
DESCRIBE orders;
DESC EXTENDED orders;
DESCRIBE CATALOG EXTENDED archive;
DESCRIBE DATABASE EXTENDED shop;",
            ),
            example(
                "SHOW lists objects; LIKE and ILIKE (with NOT before them) choose by a pattern of `%` and `_`.",
                "\
SHOW CATALOGS;
SHOW CURRENT CATALOG;
SHOW DATABASES FROM default_catalog LIKE 's%';
SHOW CURRENT DATABASE;
SHOW TABLES FROM shop NOT LIKE 'p%';
SHOW VIEWS;
SHOW COLUMNS FROM orders ILIKE 'ORDER%';
SHOW PARTITIONS sales;
SHOW FUNCTIONS LIKE 'to%';
SHOW USER FUNCTIONS;
SHOW FULL MODULES;
SHOW JARS;
SHOW PROCEDURES;
SHOW MODELS;
SHOW MATERIALIZED TABLES;",
            ),
            example(
                "SHOW CREATE gives the statement that makes an object.",
                "\
SHOW CREATE TABLE orders;
SHOW CREATE VIEW offers;
SHOW CREATE CATALOG archive;",
            ),
        ],
    },
    Section {
        title: "Jobs",
        examples: &[
            example(
                "SHOW JOBS lists the jobs that the session has started, with their ids and how they stand.",
                "SHOW JOBS;",
            ),
            form(
                "STOP JOB ends one with a last checkpoint, and with a savepoint below \
                 `execution.checkpointing.savepoint-dir` where one is wanted; WITH DRAIN fires all windows first. It is for \
                 `flott sql`, whose jobs run on while statements are typed.",
                "STOP JOB 'ab369696e40d4af886a68b1020a86a9d' WITH SAVEPOINT;\n\
                 STOP JOB 'ab369696e40d4af886a68b1020a86a9d' WITH SAVEPOINT WITH DRAIN;",
            ),
            form(
                "EXPLAIN WATERMARK FOR JOB shows, of a running job of this user, how far event time has come in each split and \
                 operator, since when, which of them holds the others back, and what is emitted next. `flott watermarks` does \
                 the same from outside.",
                "EXPLAIN WATERMARK FOR JOB 'orders';",
            ),
        ],
    },
    Section {
        title: "DROP",
        examples: &[example(
            "DROP forgets tables, views, databases and catalogs; what lies in the target of a table stays. A database \
             that is not empty needs CASCADE.",
            "\
DROP VIEW offers;
DROP TEMPORARY TABLE IF EXISTS scratch;
DROP TABLE sales;
DROP TABLE thrown_away;
USE default_database;
DROP DATABASE shop CASCADE;
DROP CATALOG archive;",
        )],
    },
];
