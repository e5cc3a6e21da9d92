//! The examples of the reference page give what it says.

use flott::reference::{CONVERSIONS, Example, GROUPING};
use flott::{Error, Outcome, Result, Session};

/// In batch mode an aggregate has one value; what a script of its own creates is read as a stream.
struct Sessions {
    batch: Session,
    stream: Session,
}

impl Sessions {
    fn new() -> Sessions {
        let of = |mode| Session::builder().option("execution.runtime-mode", mode).build().expect("a session");
        Sessions { batch: of("batch"), stream: of("streaming") }
    }
}

/// The values of an example as the SQL client prints them.
async fn values(sessions: &mut Sessions, sql: &str) -> Result<Vec<String>> {
    let (session, script) = match sql.split(' ').next() {
        Some("CREATE") => (&mut sessions.stream, sql.to_string()),
        Some("SELECT") => (&mut sessions.batch, sql.to_string()),
        _ => (&mut sessions.batch, format!("SELECT {sql}")),
    };
    let mut values = vec![];
    for statement in session.parse(&script)? {
        if let Outcome::Query(mut query) = session.execute(&statement).await? {
            while let Some(batch) = query.next().await {
                values.extend(query.texts(&batch)?.into_iter().flatten());
            }
            query.job.wait().await?;
        }
    }
    Ok(values)
}

/// What is wrong with an example.
async fn difference(sessions: &mut Sessions, name: &str, example: &Example) -> Option<String> {
    let Example { sql, result } = example;
    match values(sessions, sql).await {
        Ok(values) if values == [*result] => None,
        Ok(values) => Some(format!("{name}: {sql} is {values:?}, not {result:?}")),
        Err(e) => Some(format!("{name}: {sql} fails: {}", Error::to_string(&e))),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_of_functions_give_what_they_say() {
    let mut sessions = Sessions::new();
    let scalar = flott::functions().map(|f| (f.name, f.examples));
    let aggregates = flott::aggregates().map(|a| (a.name(), a.documentation().examples));
    let others = CONVERSIONS.iter().chain([&GROUPING]).map(|d| (d.syntax, d.examples));
    let all: Vec<_> = scalar.chain(aggregates).chain(others).collect();
    let mut wrong = vec![];
    for (name, examples) in &all {
        for example in *examples {
            // Only a call of the function is an example of it.
            let word = name.split('(').next().unwrap_or(name).split('_').next().unwrap_or(name);
            if !example.sql.contains(word) {
                wrong.push(format!("{name}: {} does not call it", example.sql));
            }
            wrong.extend(difference(&mut sessions, name, example).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(all.iter().all(|(_, examples)| !examples.is_empty()), "a function has no example");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_example_is_seen() {
    let mut sessions = Sessions::new();
    for (sql, result) in [("1 + 1", "3"), ("CAST(NULL AS INT)", "NULL"), ("UPPER(1)", "1"), ("SELECT 1, 2", "1")] {
        let example = Example { sql, result };
        assert!(difference(&mut sessions, "wrong", &example).await.is_some(), "{sql}");
    }
    assert_eq!(difference(&mut sessions, "right", &Example { sql: "1 + 1", result: "2" }).await, None);
}
