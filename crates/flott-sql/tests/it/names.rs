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
        ("SELECT x.auction FROM bid", "Table 'x' not found (line 1, column 8)"),
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
