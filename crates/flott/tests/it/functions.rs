//! Functions in Rust that a program offers to its sessions.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow_array::builder::{Int32Builder, ListBuilder, StructBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, StringArray};
use arrow_schema::{DataType, Field};
use flott::function::{FunctionDefinition, FunctionSignature};
use flott::{Error, Outcome, Session, SessionBuilder, default_registry};
use flott_testkit::values::{Values, ValuesStore};

fn scalar(parameters: &[(&str, &str)], returns: &str) -> FunctionSignature {
    FunctionSignature::scalar(parameters, returns).expect("a signature")
}

/// `TRIPLE(a)`, which counts its calls.
fn triple(calls: &Arc<AtomicUsize>) -> FunctionDefinition {
    let calls = Arc::clone(calls);
    FunctionDefinition::new(scalar(&[("a", "INT")], "INT"), move |arguments: &[ArrayRef], _: usize| {
        calls.fetch_add(1, Ordering::Relaxed);
        let values = arguments[0].as_primitive::<Int32Type>();
        Ok(Arc::new(values.iter().map(|v| v.map(|v| v * 3)).collect::<Int32Array>()) as ArrayRef)
    })
}

/// `UPTO(n)`: the rows 1 to n.
fn up_to() -> FunctionDefinition {
    let signature = FunctionSignature::table(&[("n", "INT")], &[("i", "INT NOT NULL"), ("square", "INT")]);
    FunctionDefinition::new(signature.expect("a signature"), |arguments: &[ArrayRef], _: usize| {
        let fields = ["i", "square"].map(|name| Field::new(name, DataType::Int32, true)).to_vec();
        let columns = vec![Box::new(Int32Builder::new()) as _, Box::new(Int32Builder::new()) as _];
        let mut rows = ListBuilder::new(StructBuilder::new(fields, columns));
        for n in arguments[0].as_primitive::<Int32Type>() {
            for i in 1..=n.unwrap_or(0) {
                let row = rows.values();
                row.field_builder::<Int32Builder>(0).expect("a column").append_value(i);
                row.field_builder::<Int32Builder>(1).expect("a column").append_value(i * i);
                row.append(true);
            }
            rows.append(true);
        }
        Ok(Arc::new(rows.finish()) as ArrayRef)
    })
}

fn builder() -> SessionBuilder {
    Session::builder().option("parallelism.default", "2").function("UPTO", up_to())
}

/// The rows of a query as texts, sorted.
async fn rows(session: &mut Session, sql: &str) -> flott::Result<Vec<String>> {
    let mut lines = vec![];
    for batch in session.sql_query(sql).await?.collect().await? {
        let columns = batch.columns().iter().map(arrow_cast_text).collect::<Vec<_>>();
        lines.extend((0..batch.num_rows()).map(|i| columns.iter().map(|c| c[i].clone()).collect::<Vec<_>>().join("|")));
    }
    lines.sort();
    Ok(lines)
}

fn arrow_cast_text(column: &ArrayRef) -> Vec<String> {
    let text = |i: usize| match column.data_type() {
        _ if column.is_null(i) => "NULL".to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(i).to_string(),
        DataType::Utf8 => column.as_string::<i32>().value(i).to_string(),
        other => panic!("no text of {other}"),
    };
    (0..column.len()).map(text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_and_rows_of_code_stand_in_queries() {
    let calls = Arc::default();
    let mut session = builder().function("triple", triple(&calls)).build().expect("a session");
    let t = "(VALUES (1, 'a'), (2, 'b'), (CAST(NULL AS INT), 'c'), (0, 'd')) AS t (n, s)";
    let got = rows(&mut session, &format!("SELECT s, TRIPLE(n) FROM {t} WHERE triple(n) IS DISTINCT FROM 6")).await;
    assert_eq!(got.expect("rows"), ["a|3", "c|NULL", "d|0"]);
    assert!(calls.load(Ordering::Relaxed) > 0);
    let got = rows(&mut session, &format!("SELECT s, i, square FROM {t}, LATERAL TABLE(UPTO(n))")).await;
    assert_eq!(got.expect("rows"), ["a|1|1", "b|1|1", "b|2|4"]);
    let sql = format!("SELECT s, u.x FROM {t} LEFT JOIN LATERAL TABLE(upto(TRIPLE(n) - 2)) AS u (x, y) ON TRUE");
    assert_eq!(rows(&mut session, &sql).await.expect("rows"), ["a|1", "b|1", "b|2", "b|3", "b|4", "c|NULL", "d|NULL"]);
    let got = rows(&mut session, "SELECT square FROM TABLE(UPTO(3)) WHERE i > 1").await;
    assert_eq!(got.expect("rows"), ["4", "9"]);
    // In the body of a function in SQL, and where an argument is cast.
    session
        .execute_sql("CREATE FUNCTION nine(a SMALLINT) RETURNS INT LANGUAGE SQL AS 'triple(triple(a))'")
        .await
        .expect("made");
    assert_eq!(rows(&mut session, "SELECT nine(CAST(2 AS SMALLINT))").await.expect("rows"), ["18"]);
    // Over rows that change.
    let sql = "SELECT MAX(square) FROM (SELECT MAX(n) AS n FROM (VALUES (2), (1)) AS t (n)), LATERAL TABLE(UPTO(n))";
    session.execute_sql("SET 'execution.runtime-mode' = 'batch'").await.expect("set");
    assert_eq!(rows(&mut session, sql).await.expect("rows"), ["4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_stands_for_the_first_of_program_built_in_temporary_and_database() {
    let says = |text: &'static str| {
        FunctionDefinition::new(scalar(&[("t", "STRING")], "STRING NOT NULL"), move |_: &[ArrayRef], rows: usize| {
            Ok(Arc::new(StringArray::from(vec![text; rows])) as ArrayRef)
        })
    };
    let mut session = builder().function("Upper", says("program")).build().expect("a session");
    for (create, name) in [
        ("CREATE FUNCTION", "mine"),
        ("CREATE TEMPORARY FUNCTION", "mine"),
        ("CREATE FUNCTION", "lower"),
        ("CREATE FUNCTION", "upper"),
    ] {
        let sql = format!("{create} {name}(t STRING) RETURNS STRING LANGUAGE SQL AS '''{create}'''");
        session.execute_sql(&sql).await.expect("made");
    }
    let got = rows(&mut session, "SELECT UPPER('x'), lower('X'), mine('x'), default_database.upper('x')").await;
    assert_eq!(got.expect("rows"), ["program|x|CREATE TEMPORARY FUNCTION|CREATE FUNCTION"]);
    // It is listed and described, and belongs to the program.
    let shown = session.execute_sql("SHOW USER FUNCTIONS").await.expect("shown");
    let Outcome::Rows { rows: shown, .. } = shown else { panic!("rows") };
    let shown: Vec<_> = shown.into_iter().flatten().flatten().collect();
    assert_eq!(shown, ["lower", "mine", "upper", "upto"]);
    let Outcome::Rows { rows: described, .. } =
        session.execute_sql("DESCRIBE FUNCTION EXTENDED upto").await.expect("described")
    else {
        panic!("rows")
    };
    let signature = described.last().and_then(|row| row[1].clone());
    assert_eq!(signature.as_deref(), Some("upto(n INT) RETURNS TABLE(i INT NOT NULL, square INT)"));
    let dropped = session.execute_sql("DROP TEMPORARY SYSTEM FUNCTION upto").await.err().expect("refused").to_string();
    assert!(dropped.contains("function of the program"), "{dropped}");
    let sql = "CREATE TEMPORARY SYSTEM FUNCTION upto(t STRING) RETURNS STRING LANGUAGE SQL AS 't'";
    let taken = session.execute_sql(sql).await.err().expect("refused").to_string();
    assert!(taken.contains("already exists") && taken.contains("the program"), "{taken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_is_wrong_gives_an_error_with_its_name_and_no_value() {
    let gives = |returns: &str, array: ArrayRef| {
        FunctionDefinition::new(scalar(&[], returns), move |_: &[ArrayRef], _: usize| Ok(Arc::clone(&array)))
    };
    let mut session = builder()
        .function("null_there", gives("INT NOT NULL", Arc::new(Int32Array::from(vec![None::<i32>]))))
        .function("other_type", gives("INT", Arc::new(Int64Array::from(vec![1]))))
        .function("long_text", gives("VARCHAR(2)", Arc::new(StringArray::from(vec!["abc"]))))
        .function("two_rows", gives("INT", Arc::new(Int32Array::from(vec![1, 2]))))
        .function(
            "fails",
            FunctionDefinition::new(scalar(&[], "INT"), |_: &[ArrayRef], _: usize| Err(Error::user("no luck"))),
        )
        .build()
        .expect("a session");
    for (name, why) in [
        ("null_there", "NULL, which INT NOT NULL is not"),
        ("other_type", "Arrow type Int64"),
        ("long_text", "length 3"),
        ("two_rows", "2 values for 1 rows"),
        ("fails", "no luck"),
    ] {
        let error = rows(&mut session, &format!("SELECT {name}()")).await.expect_err(name).to_string();
        assert!(error.contains(why) && error.contains(&format!("function {name}")), "{name}: {error}");
    }
    for (call, why) in
        [("upto(1)", "is a table function"), ("fails(1)", "No match found for function signature fails(INT)")]
    {
        let error = rows(&mut session, &format!("SELECT {call}")).await.expect_err(call).to_string();
        assert!(error.contains(why), "{call}: {error}");
    }
    let binary = builder().function(
        "f",
        FunctionDefinition::new(scalar(&[("v", "VARIANT")], "INT"), |_: &[ArrayRef], _: usize| {
            Err(Error::user("it is never called"))
        }),
    );
    let refused = binary.build().err().expect("no code reads a VARIANT").to_string();
    assert!(refused.contains("VARIANT") && refused.contains("function f"), "{refused}");
}

fn written(folder: &Path) -> Vec<String> {
    let mut rows = vec![];
    for file in std::fs::read_dir(folder.join("o")).expect("a folder").flatten().filter(|f| f.path().is_file()) {
        let text = std::fs::read_to_string(file.path()).expect("text");
        rows.extend(text.lines().map(str::to_string));
    }
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_starts_again_calls_it_again_and_writes_each_row_once() {
    let (store, folder) = (ValuesStore::new(), tempfile::tempdir().expect("a folder"));
    let given: Vec<String> = (0..1_000).map(|i| format!("+I[{i}]")).collect();
    store.insert_rows("s", &given, &[] as &[&str]);
    store.set_rows_per_batch(7);
    let mut registry = default_registry();
    registry.add_connector(Arc::new(Values::new(store)));
    let builder = builder().registry(registry).function("triple", triple(&Arc::default())).base_dir(folder.path());
    let mut session = builder.build().expect("a session");
    let script = "
        SET 'restart-strategy.type' = 'fixed-delay';
        SET 'restart-strategy.fixed-delay.delay' = '10 ms';
        SET 'execution.checkpointing.interval' = '50 ms';
        CREATE TABLE s (id INT) WITH ('connector' = 'values', 'failing-source' = 'true');
        CREATE TABLE o (id INT, i INT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
        INSERT INTO o SELECT TRIPLE(id), i FROM s, LATERAL TABLE(UPTO(MOD(id, 3)));";
    for statement in session.parse(script).expect("parses") {
        if let Outcome::Job(mut job) = session.execute(&statement).await.expect("runs") {
            let end = tokio::time::timeout(Duration::from_secs(60), job.wait()).await.expect("in time");
            end.expect("the job ends well");
        }
    }
    let mut expected: Vec<String> =
        (0..1_000).flat_map(|id| (1..=id % 3).map(move |i| format!("{},{i}", id * 3))).collect();
    expected.sort();
    assert_eq!(written(folder.path()), expected);
}
