//! Expressions and their Flink types.

use crate::common::Session;

fn type_of(session: &Session, e: &str) -> String {
    match session.columns(&format!("SELECT {e} AS x FROM t")) {
        Ok(columns) => columns.trim_start_matches("x ").to_string(),
        Err(e) => format!("ERROR {e}"),
    }
}

#[test]
fn literals_columns_and_operators() {
    let session = Session::standard();
    for (e, t) in [
        ("1", "INT NOT NULL"),
        ("-1", "INT NOT NULL"),
        ("3000000000", "BIGINT NOT NULL"),
        ("1.50", "DECIMAL(3, 2) NOT NULL"),
        ("1e0", "DOUBLE NOT NULL"),
        ("'abc'", "CHAR(3) NOT NULL"),
        ("TRUE", "BOOLEAN NOT NULL"),
        ("DATE '2020-01-01'", "DATE NOT NULL"),
        ("TIMESTAMP '2020-01-01 00:00:00.123'", "TIMESTAMP(3) NOT NULL"),
        ("TIME '12:00:00'", "TIME(0) NOT NULL"),
        ("INTERVAL '1' DAY", "INTERVAL DAY(2) NOT NULL"),
        ("a", "INT"),
        ("b", "BIGINT NOT NULL"),
        ("a + 1", "INT"),
        ("a + b", "BIGINT"),
        ("b + 1", "BIGINT NOT NULL"),
        ("a / 2", "INT"),
        ("e + 1", "DECIMAL(13, 2)"),
        ("e * e", "DECIMAL(21, 4)"),
        ("d + 1", "DOUBLE"),
        ("a > 1", "BOOLEAN"),
        ("b > 1", "BOOLEAN NOT NULL"),
        ("a IS NULL", "BOOLEAN NOT NULL"),
        ("f IS TRUE", "BOOLEAN NOT NULL"),
        ("NOT f", "BOOLEAN"),
        ("f AND b > 1", "BOOLEAN"),
        ("a IN (1, 2)", "BOOLEAN"),
        ("b BETWEEN 1 AND 2", "BOOLEAN NOT NULL"),
        ("c LIKE 'x%'", "BOOLEAN"),
        ("j.x", "INT"),
        ("j.y.z", "STRING"),
        ("k[1]", "INT"),
        ("m['a']", "INT"),
        ("CAST(a AS BIGINT)", "BIGINT"),
        ("CAST(b AS STRING)", "STRING NOT NULL"),
        ("TRY_CAST(c AS INT)", "INT"),
        ("CAST(b AS DECIMAL(20, 2))", "DECIMAL(20, 2) NOT NULL"),
        ("CASE WHEN f THEN 1 ELSE 2.5 END", "DECIMAL(11, 1) NOT NULL"),
        ("CASE a WHEN 1 THEN 'a' WHEN 2 THEN 'bbb' END", "VARCHAR(3)"),
        ("CASE WHEN f THEN NULL ELSE b END", "BIGINT"),
        ("h + INTERVAL '1' MINUTE", "TIMESTAMP(3)"),
        ("c || 'x'", "STRING"),
    ] {
        assert_eq!(type_of(&session, e), t, "{e}");
    }
}

#[test]
fn time_attributes_pass_through_names_and_are_lost_in_expressions() {
    let session = Session::standard();
    let tumble = |inner: &str| {
        format!(
            "SELECT COUNT(*) AS n FROM TABLE(TUMBLE(DATA => TABLE v, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '1' MINUTE)) GROUP BY window_start, window_end /* {inner} */"
        )
    };
    for (view, kept) in [
        ("SELECT ts, bidder FROM bid", true),
        ("SELECT ts AS ts FROM (SELECT ts FROM bid WHERE price > 1) AS x", true),
        ("SELECT ts FROM bid UNION ALL SELECT ts FROM bid", true),
        ("SELECT ts + INTERVAL '1' SECOND AS ts FROM bid", false),
        ("SELECT CASE WHEN price > 1 THEN ts ELSE ts END AS ts FROM bid", false),
        ("SELECT CAST(ts AS TIMESTAMP(3)) AS ts FROM bid", false),
    ] {
        let mut session = Session::standard();
        session.run(&format!("CREATE VIEW v AS {view}")).unwrap();
        let planned = session.columns(&tumble(view));
        assert_eq!(planned.is_ok(), kept, "{view}: {planned:?}");
    }
    // At the edge they are plain.
    assert_eq!(session.columns("SELECT ts FROM bid").unwrap(), "ts TIMESTAMP(3)");
}

#[test]
fn aggregates_have_flinks_types() {
    let session = Session::standard();
    let window = "TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE))";
    for (select, types) in [
        ("COUNT(*) AS x", "x BIGINT NOT NULL"),
        ("SUM(price) AS x", "x DECIMAL(38, 2)"),
        ("AVG(price) AS x", "x DECIMAL(38, 6)"),
        ("MAX(channel) AS x", "x STRING"),
        ("SUM(auction) + 1 AS x", "x BIGINT"),
        ("window_start AS x", "x TIMESTAMP(3) NOT NULL"),
    ] {
        let columns = session
            .columns(&format!("SELECT {select} FROM {window} GROUP BY window_start, window_end"))
            .unwrap_or_else(|e| panic!("{select}: {e}"));
        assert_eq!(columns, types, "{select}");
    }
    let columns = session
        .columns(&format!(
            "SELECT bidder, GROUPING(bidder) AS g FROM {window} GROUP BY window_start, window_end, ROLLUP (bidder)"
        ))
        .unwrap();
    assert_eq!(columns, "bidder BIGINT, g BIGINT NOT NULL");
}

#[test]
fn values_and_unions_have_least_common_types() {
    let session = Session::standard();
    for (query, types) in [
        ("VALUES (1, 'a'), (2.5, 'bbb')", "EXPR$0 DECIMAL(11, 1) NOT NULL, EXPR$1 VARCHAR(3) NOT NULL"),
        ("VALUES (1), (NULL)", "EXPR$0 INT"),
        ("SELECT a FROM t UNION ALL SELECT b FROM t", "a BIGINT"),
    ] {
        assert_eq!(session.columns(query).unwrap(), types, "{query}");
    }
}
