//! The examples of the reference page give what it says.

use flott::reference::{CONVERSIONS, Example, FAMILIES, GROUPING};
use flott::{Error, Outcome, Result, Session};

/// In batch mode an aggregate has one value; what a script of its own creates is read as a stream.
fn session(mode: &str) -> Session {
    Session::builder().option("execution.runtime-mode", mode).build().expect("a session")
}

/// The rows of an example as the SQL client prints them.
async fn rows(batch: &mut Session, sql: &str) -> Result<Vec<String>> {
    let mut stream;
    let (session, script) = match sql.split(' ').next() {
        Some("CREATE") => {
            stream = session("streaming");
            (&mut stream, sql.to_string())
        }
        Some("SELECT" | "WITH") => (batch, sql.to_string()),
        _ => (batch, format!("SELECT {sql}")),
    };
    let mut rows = vec![];
    for statement in session.parse(&script)? {
        if let Outcome::Query(mut query) = session.execute(&statement).await? {
            while let Some(batch) = query.next().await {
                let texts = query.texts(&batch)?.into_iter().map(|row| row.join(", "));
                rows.extend(texts.enumerate().map(|(i, text)| (batch.kind(i).short_string(), text)));
            }
            query.job.wait().await?;
        }
    }
    let only_added = rows.iter().all(|(kind, _)| *kind == "+I");
    Ok(rows.into_iter().map(|(kind, text)| if only_added { text } else { format!("{kind} {text}") }).collect())
}

/// What is wrong with an example. Rows have no order.
async fn difference(batch: &mut Session, name: &str, example: &Example) -> Option<String> {
    let Example { sql, result } = example;
    let mut expected: Vec<&str> = result.split('\n').collect();
    expected.sort_unstable();
    match rows(batch, sql).await {
        Ok(mut rows) => {
            rows.sort_unstable();
            (rows != expected).then(|| format!("{name}: {sql} is {rows:?}, not {expected:?}"))
        }
        Err(e) => Some(format!("{name}: {sql} fails: {}", Error::to_string(&e))),
    }
}

/// No connector that is built in searches vectors, or gives watermarks of its own.
const WITHOUT_EXAMPLES: [&str; 2] = ["VECTOR_SEARCH", "SOURCE_WATERMARK"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_of_functions_give_what_they_say() {
    let mut batch = session("batch");
    let scalar = flott::functions().map(|f| (f.name, f.examples));
    let aggregates = flott::aggregates().map(|a| (a.name(), a.documentation().examples));
    let others = CONVERSIONS.iter().chain([&GROUPING]).map(|d| (d.syntax, d.examples));
    let of_places = FAMILIES.iter().flat_map(|f| f.functions).map(|d| (d.syntax, d.examples));
    let all: Vec<_> = scalar.chain(aggregates).chain(others).chain(of_places).collect();
    let mut wrong = vec![];
    for (name, examples) in &all {
        for example in *examples {
            // Only a call of the function is an example of it.
            let word = name.split('(').next().unwrap_or(name).split('_').next().unwrap_or(name);
            if !example.sql.contains(word) {
                wrong.push(format!("{name}: {} does not call it", example.sql));
            }
            wrong.extend(difference(&mut batch, name, example).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let without: Vec<&str> = all.iter().filter(|e| e.1.is_empty()).filter_map(|e| e.0.split('(').next()).collect();
    assert_eq!(without, WITHOUT_EXAMPLES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_example_is_seen() {
    let mut batch = session("batch");
    for (sql, result) in [
        ("1 + 1", "3"),
        ("CAST(NULL AS INT)", "NULL"),
        ("UPPER(1)", "1"),
        ("SELECT 1, 2", "1"),
        ("SELECT 1 UNION ALL SELECT 2", "1"),
    ] {
        let example = Example { sql, result };
        assert!(difference(&mut batch, "wrong", &example).await.is_some(), "{sql}");
    }
    assert_eq!(difference(&mut batch, "right", &Example { sql: "1 + 1", result: "2" }).await, None);
}
