//! `CREATE FUNCTION .. LANGUAGE WASM`, with the functions of `examples/wasm-function`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use flott::{Outcome, Session, SessionBuilder, default_registry};
use flott_testkit::values::{Values, ValuesStore};

const TARGET: &str = "wasm32-unknown-unknown";

/// The module of the example, compiled; `None`, and a word on why, where that cannot be done here.
fn example() -> Option<&'static Path> {
    static COMPILED: OnceLock<Result<(tempfile::TempDir, PathBuf), String>> = OnceLock::new();
    let compiled = COMPILED.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let rustc = |arguments: &[&str]| Command::new("rustc").current_dir(&root).args(arguments).output();
        let folder = rustc(&["--print", "target-libdir", "--target", TARGET]).map_err(|e| format!("rustc: {e}"))?;
        if !Path::new(String::from_utf8_lossy(&folder.stdout).trim()).exists() {
            return Err(format!("the target {TARGET} is not installed: rustup target add {TARGET}"));
        }
        let place = tempfile::tempdir().expect("a folder");
        let module = place.path().join("wasm_function.wasm");
        let path = module.to_str().expect("a path");
        let options = ["-Copt-level=s", "-Cpanic=abort", "-Cstrip=symbols"];
        let crate_of = ["--edition", "2024", "--crate-type", "cdylib", "--target", TARGET, "-o", path];
        let source = ["examples/wasm-function/src/lib.rs"];
        let made = rustc(&[&options[..], &crate_of, &source].concat()).expect("rustc runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Ok((place, module))
    });
    match compiled {
        Ok((_, module)) => Some(module),
        Err(reason) => {
            flott_testkit::skipped(reason);
            None
        }
    }
}

/// A folder with the module in it.
fn folder() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(example()?, folder.path().join("text.wasm")).expect("copied");
    Some(folder)
}

const CREATE: &str = "
    CREATE FUNCTION title_case(t STRING) RETURNS STRING LANGUAGE WASM AS 'title_case' USING ARTIFACT 'text.wasm';
    CREATE TEMPORARY SYSTEM FUNCTION ngrams(t STRING, n INT) RETURNS TABLE (gram STRING NOT NULL, place INT NOT NULL)
      LANGUAGE WASM AS 'ngrams' USING ARTIFACT 'text.wasm' WITH ('memory' = '32 mb', 'fuel-per-row' = '50000');";

fn builder(folder: &Path) -> SessionBuilder {
    Session::builder().base_dir(folder).option("parallelism.default", "2")
}

async fn run(session: &mut Session, script: &str) -> flott::Result<()> {
    for statement in session.parse(script)? {
        if let Outcome::Job(mut job) = session.execute(&statement).await? {
            tokio::time::timeout(Duration::from_secs(60), job.wait()).await.expect("in time")?;
        }
    }
    Ok(())
}

/// The texts and numbers of a query, sorted.
async fn rows(session: &mut Session, sql: &str) -> flott::Result<Vec<String>> {
    let mut lines = vec![];
    for batch in session.sql_query(sql).await?.collect().await? {
        for i in 0..batch.num_rows() {
            let texts = batch.columns().iter().map(|c| match c.as_string_opt::<i32>() {
                _ if c.is_null(i) => "NULL".to_string(),
                Some(texts) => texts.value(i).to_string(),
                None => c.as_primitive::<Int32Type>().value(i).to_string(),
            });
            lines.push(texts.collect::<Vec<_>>().join("|"));
        }
    }
    lines.sort();
    Ok(lines)
}

async fn refused(session: &mut Session, sql: &str) -> String {
    match session.execute_sql(sql).await {
        Ok(_) => panic!("it was taken: {sql}"),
        Err(e) => e.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_the_documentation_runs() {
    let Some(folder) = folder() else { return };
    let mut session = builder(folder.path()).build().expect("a session");
    run(&mut session, CREATE).await.expect("made");
    // The file is not read again.
    std::fs::remove_file(folder.path().join("text.wasm")).expect("removed");
    let t = "(VALUES (1, 'a cup of tea'), (2, CAST(NULL AS STRING)), (3, 'ÄÖ'), (4, '')) AS t (id, s)";
    let got = rows(&mut session, &format!("SELECT id, TITLE_CASE(s) FROM {t}")).await.expect("rows");
    assert_eq!(got, ["1|A Cup Of Tea", "2|NULL", "3|Äö", "4|"]);
    let sql = format!("SELECT id, u.g, u.p FROM {t} LEFT JOIN LATERAL TABLE(ngrams(s, 11)) AS u (g, p) ON TRUE");
    let got = rows(&mut session, &sql).await.expect("rows");
    assert_eq!(got, ["1| cup of tea|2", "1|a cup of te|1", "2|NULL|NULL", "3|NULL|NULL", "4|NULL|NULL"]);
    let got = rows(&mut session, "SELECT gram FROM TABLE(ngrams('abc', 2)) WHERE place > 1").await.expect("rows");
    assert_eq!(got, ["bc"]);
    let failed =
        rows(&mut session, "SELECT gram FROM TABLE(ngrams('abc', 0))").await.expect_err("no such n").to_string();
    assert!(
        failed.contains("the function failed: ngrams of 0 letters") && failed.contains("function ngrams"),
        "{failed}"
    );
    let described = session.execute_sql("DESCRIBE FUNCTION EXTENDED title_case").await.expect("described");
    let Outcome::Rows { rows: described, .. } = described else { panic!("rows") };
    let described: Vec<String> =
        described.into_iter().map(|r| r.into_iter().flatten().collect::<Vec<_>>().join("=")).collect();
    for row in ["is temporary=false", "class name=title_case", "function language=WASM", "is deterministic=true"] {
        assert!(described.iter().any(|d| d == row), "{row}: {described:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_starts_again_writes_each_row_once() {
    let Some(folder) = folder() else { return };
    let store = ValuesStore::new();
    let given: Vec<String> = (0..1_000).map(|i| format!("+I[row {i}]")).collect();
    store.insert_rows("s", &given, &[] as &[&str]);
    store.set_rows_per_batch(7);
    let mut registry = default_registry();
    registry.add_connector(Arc::new(Values::new(store)));
    let mut session = builder(folder.path()).registry(registry).build().expect("a session");
    let script = "
        SET 'restart-strategy.type' = 'fixed-delay';
        SET 'restart-strategy.fixed-delay.delay' = '10 ms';
        SET 'execution.checkpointing.interval' = '50 ms';
        CREATE TABLE s (t STRING) WITH ('connector' = 'values', 'failing-source' = 'true');
        CREATE TABLE o (t STRING, place INT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
        INSERT INTO o SELECT title_case(t), place FROM s, LATERAL TABLE(ngrams(t, 6));";
    run(&mut session, &format!("{CREATE}{script}")).await.expect("the job ends well");
    let mut written = vec![];
    for file in std::fs::read_dir(folder.path().join("o")).expect("a folder").flatten().filter(|f| f.path().is_file()) {
        let text = std::fs::read_to_string(file.path()).expect("text");
        written.extend(text.lines().map(|l| l.replace('"', "")));
    }
    written.sort();
    let grams = |i: usize| format!("row {i}").len().saturating_sub(5);
    let mut expected: Vec<String> =
        (0..1_000).flat_map(|i| (1..=grams(i)).map(move |place| format!("Row {i},{place}"))).collect();
    expected.sort();
    assert_eq!(written, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_made_is_refused_with_what_to_do() {
    let Some(folder) = folder() else { return };
    std::fs::write(folder.path().join("no.wasm"), "(module)").expect("written");
    let mut session = builder(folder.path()).build().expect("a session");
    let create =
        |types: &str, symbol: &str, rest: &str| format!("CREATE FUNCTION f{types} LANGUAGE WASM AS '{symbol}' {rest}");
    let text = "(t STRING) RETURNS STRING";
    for (sql, why) in [
        (create(text, "title_case", ""), "USING ARTIFACT 'file'"),
        (create(text, "title_case", "USING JAR 'text.wasm'"), "USING JAR is not for"),
        (create(text, "title_case", "USING ARTIFACT 'text.wasm', ARTIFACT 'no.wasm'"), "here are 2"),
        (create(text, "title_case", "USING ARTIFACT 'other.wasm'"), "other.wasm"),
        (create(text, "title_case", "USING ARTIFACT '.'"), "the artifact is no file"),
        (create(text, "title_case", "USING ARTIFACT 's3://b/text.wasm'"), "Copy it to this machine"),
        (create(text, "title_case", "USING ARTIFACT 'no.wasm'"), "no WebAssembly module"),
        (create(text, "titlecase", "USING ARTIFACT 'text.wasm'"), "Did you mean 'title_case'?"),
        (create(text, "title_case", "USING ARTIFACT 'text.wasm' WITH ('memroy' = '1 mb')"), "Did you mean 'memory'?"),
        (create(text, "title_case", "USING ARTIFACT 'text.wasm' WITH ('memory' = '64 kb')"), "Raise 'memory'"),
        (create("(t VARIANT) RETURNS STRING", "title_case", "USING ARTIFACT 'text.wasm'"), "of type VARIANT"),
        (create("", "title_case", "USING ARTIFACT 'text.wasm'"), "no parameters and no result"),
        ("CREATE FUNCTION f AS 'com.example.F' LANGUAGE JAVA".to_string(), "LANGUAGE WASM"),
        ("CREATE FUNCTION f AS 'm.f' LANGUAGE PYTHON".to_string(), "LANGUAGE SQL"),
    ] {
        let error = refused(&mut session, &sql).await;
        assert!(error.contains(why), "{sql}: {error}");
    }
    // It is of the declared types, and a module of others is found out.
    let sql = create("(t STRING) RETURNS INT", "title_case", "USING ARTIFACT 'text.wasm'");
    session.execute_sql(&sql).await.expect("nothing says what it gives");
    let error = rows(&mut session, "SELECT f('a')").await.expect_err("texts are no numbers").to_string();
    assert!(error.contains("3 buffers and 0 children for INT") && error.contains("function f"), "{error}");
    // So is one that takes too long.
    let sql =
        create(text, "title_case", "USING ARTIFACT 'text.wasm' WITH ('fuel-per-row' = '1')").replace(" f(", " g(");
    session.execute_sql(&sql).await.expect("made");
    let error = rows(&mut session, "SELECT g('a')").await.expect_err("too many instructions").to_string();
    assert!(error.contains("'fuel-per-row' is 1") && error.contains("function g"), "{error}");
}
