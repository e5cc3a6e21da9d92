//! Which names a query's columns have, and what a wrong name gets.

use crate::common::Session;

#[test]
fn columns_are_named_as_in_flink() {
    let mut session = Session::standard();
    session.run("CREATE VIEW v AS SELECT a, a AS z FROM t; CREATE VIEW w (p, q) AS SELECT a, b FROM t").unwrap();
    for (query, names) in [
        ("SELECT a, b + 1 FROM t", "a, EXPR$1"),
        ("SELECT a, a FROM t", "a, a0"),
        ("SELECT a AS x, b AS x FROM t", "x, x0"),
        ("SELECT T.a, j.x, j.y.z FROM t AS T", "a, x, z"),
        ("SELECT (a) FROM t", "a"),
        ("SELECT 1", "EXPR$0"),
        ("SELECT * FROM two", "x, y"),
        ("SELECT *, x FROM two", "x, y, x0"),
        ("SELECT two.*, 1 FROM two", "x, y, EXPR$2"),
        ("SELECT default_catalog.default_database.two.x FROM default_catalog.default_database.two", "x"),
        ("SELECT * FROM v", "a, z"),
        ("SELECT * FROM w", "p, q"),
        ("SELECT p.q FROM w AS p", "q"),
        ("SELECT * FROM (SELECT a, a FROM t) AS s (m, n)", "m, n"),
        ("WITH c (a, a0) AS (SELECT a, a FROM t) SELECT a0 FROM c", "a0"),
        ("SELECT x0 FROM (SELECT t.*, u.* FROM two AS t, two AS u)", "x0"),
        ("WITH c (k) AS (SELECT a FROM t), e AS (SELECT k FROM c) SELECT k FROM e", "k"),
        ("SELECT * FROM (VALUES (1, 'a'), (2, 'bb')) AS v (id, name)", "id, name"),
        ("VALUES (1, 2)", "EXPR$0, EXPR$1"),
        ("SELECT `a` AS `weird name` FROM t", "weird name"),
        ("SELECT j.* FROM t", "x, y"),
    ] {
        let columns = session.columns(query).unwrap_or_else(|e| panic!("{query}: {e}"));
        let planned: Vec<String> = {
            let query = flott_sql::parser::parse_query(query).unwrap();
            session.planner().plan_query(&query).unwrap().columns().unwrap().into_iter().map(|c| c.0).collect()
        };
        assert_eq!(planned.join(", "), names, "{query}: {columns}");
    }
}

#[test]
fn wrong_names_are_pointed_at_with_the_nearest() {
    let session = Session::standard();
    for (query, message) in [
        ("SELECT A FROM t", "Column 'A' not found in table 't' (column A, line 1, column 8). Did you mean 'a'?"),
        (
            "SELECT auctoin\nFROM bid",
            "Column 'auctoin' not found in table 'bid' (column auctoin, line 1, column 8). Did you mean 'auction'?",
        ),
        (
            "SELECT x.auction FROM bid",
            "Table 'x' not found (line 1, column 8). Tables here (one with an alias has no other name): bid",
        ),
        (
            "SELECT bid.auction FROM bid AS b",
            "Table 'bid' not found (line 1, column 8). Tables here (one with an alias has no other name): b",
        ),
        ("SELECT x.* FROM bid AS b", "Tables here (one with an alias has no other name): b"),
        ("SELECT w FROM bid", "Column 'w' not found in table 'bid' (column w, line 1, column 8). Columns here: "),
        ("SELECT t.auction FROM t, bid", "Table 'bid' has it: write bid.auction"),
        ("SELECT X(a) FROM t", "Function 'X' not found, or not supported yet (line 1, column 8). SHOW FUNCTIONS"),
        ("SELECT 1 FROM bidd", "Object 'bidd' not found (table bidd, line 1, column 15). Did you mean 'bid'?"),
        ("SELECT 1\nFROM Bid", "line 2, column 6"),
        ("SELECT j.q FROM t", "Field 'q' not found"),
        ("SELECT UPPR(c) FROM t", "Did you mean"),
        ("SELECT \"a\" FROM t", "Strings stand in single quotes"),
    ] {
        let e = session.columns(query).expect_err(query).to_string();
        assert!(e.contains(message) || (message.starts_with("Strings") && e.contains("quotes")), "{query}: {e}");
    }
}

#[test]
fn functions_of_other_systems_get_what_to_write() {
    let session = Session::standard();
    for (query, message, hint) in [
        ("SELECT NVL(a, b) FROM t", "Function 'NVL' not found", "COALESCE(a, b)"),
        ("SELECT IsNull(a, b) FROM t", "Function 'ISNULL' not found", "COALESCE(a, b)"),
        ("SELECT STRING_AGG(c, ',') FROM t", "Function 'STRING_AGG' not found", "LISTAGG"),
        ("SELECT STRING_AGG(c, ',') WITHIN GROUP (ORDER BY c) FROM t", "Function 'STRING_AGG' not found", "LISTAGG"),
        ("SELECT GROUP_CONCAT(c ORDER BY c SEPARATOR ',') FROM t", "Function 'GROUP_CONCAT' not found", "LISTAGG"),
        ("SELECT DATE_TRUNC('day', ts) FROM bid", "Function 'DATE_TRUNC' not found", "FLOOR(ts TO DAY)"),
        (
            "SELECT DATEDIFF(day, ts, ts) FROM bid",
            "Function 'DATEDIFF' not found",
            "TIMESTAMPDIFF(DAY, earlier, later)",
        ),
        ("SELECT DATE_ADD(ts, INTERVAL 3 DAY) FROM bid", "Function 'DATE_ADD' not found", "TIMESTAMPADD(DAY, n, ts)"),
        ("SELECT TOP(3) a FROM t", "Function 'TOP' not found", "LIMIT"),
        ("SELECT TOP 3 a FROM t", "unexpected '3'", "LIMIT 3"),
        ("SELECT SYSDATE", "Column 'SYSDATE' not found in any table", "CURRENT_TIMESTAMP"),
        ("SELECT SAFE_CAST(a AS STRING) FROM t", "not supported yet: SAFE_CAST", "TRY_CAST"),
        ("SELECT MAX(ts) - MIN(ts) FROM bid", "Cannot apply '-'", "TIMESTAMPDIFF(SECOND, b, a)"),
        ("SELECT a FROM t WHERE a == 1", "== is no operator of Flink SQL", "Write ="),
    ] {
        let e = session.columns(query).expect_err(query);
        assert!(e.message().contains(message), "{query}: {e}");
        assert!(e.hint_text().is_some_and(|h| h.contains(hint)), "{query}: {e}");
        assert!(e.position().is_some(), "{query}: {e}");
    }
}

#[test]
fn items_of_the_select_list_are_explained_where_they_are_not_seen() {
    let session = Session::standard();
    for (query, clause) in [
        ("SELECT a + 1 AS later FROM t WHERE later > 1", "WHERE does not see: write a + 1 in its place"),
        ("SELECT a + 1 AS later, COUNT(*) FROM t GROUP BY later", "GROUP BY does not see: write a + 1"),
        ("SELECT a, COUNT(*) AS later FROM t GROUP BY a HAVING later > 1", "HAVING does not see: write COUNT(*)"),
        ("SELECT a + 1 AS later, later * 2 FROM t", "the SELECT list itself does not see: write a + 1"),
    ] {
        let e = session.columns(query).expect_err(query);
        assert!(e.message().starts_with("Column 'later' not found"), "{query}: {e}");
        assert!(e.hint_text().is_some_and(|h| h.contains(clause)), "{query}: {e}");
    }
    // Another column that is not found keeps its own hint.
    let e = session.columns("SELECT a + 1 AS later FROM (SELECT later AS a FROM t)").expect_err("not there");
    assert!(!e.hint_text().unwrap_or_default().contains("SELECT list"), "{e}");
}

#[test]
fn a_view_that_reads_itself_ends() {
    let mut session = Session::standard();
    session.run("CREATE VIEW v AS SELECT * FROM v").unwrap();
    let e = session.columns("SELECT * FROM v").expect_err("endless").to_string();
    assert!(e.contains("nest deeper"), "{e}");
}

#[test]
fn an_error_inside_a_view_points_at_its_use() {
    let mut session = Session::standard();
    session.run("CREATE VIEW v AS SELECT nope FROM t").unwrap();
    let e = session.columns("SELECT *\nFROM v").expect_err("a bad view");
    assert_eq!(e.position().map(|p| (p.line, p.column)), Some((2, 6)), "{e}");
    assert_eq!(e.context("view"), Some("v"));
}
