//! Runs `tests/sql/**/*.slt` against sessions: statements, types, windows, errors.
//!
//! `INSERT` waits for its job. A query that only adds rows shows them; one that changes rows shows the kind first.
//! Relative paths start at a folder that is new for each file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flott::{Outcome, Session};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

/// A file that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

struct Database {
    session: Session,
}

#[async_trait::async_trait]
impl AsyncDB for Database {
    type Error = flott::Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, flott::Error> {
        let mut last = DBOutput::StatementComplete(0);
        for statement in self.session.parse(sql)? {
            last = match self.session.execute(&statement).await? {
                Outcome::Done => DBOutput::StatementComplete(0),
                Outcome::Rows { columns, rows } => {
                    let text = |v: Option<String>| v.unwrap_or_else(|| "NULL".to_string());
                    let rows = rows.into_iter().map(|r| r.into_iter().map(text).collect()).collect();
                    DBOutput::Rows { types: vec![DefaultColumnType::Any; columns.len()], rows }
                }
                Outcome::Text(text) => DBOutput::Rows {
                    types: vec![DefaultColumnType::Text],
                    rows: text.lines().filter(|l| !l.is_empty()).map(|l| vec![l.to_string()]).collect(),
                },
                Outcome::Job(mut job) => {
                    job.wait().await?;
                    DBOutput::StatementComplete(0)
                }
                Outcome::Query(mut query) => {
                    let mut rows = vec![];
                    while let Some(batch) = query.next().await {
                        for (i, mut row) in query.texts(&batch)?.into_iter().enumerate() {
                            if !query.insert_only {
                                row.insert(0, batch.kind(i).to_string());
                            }
                            rows.push(row);
                        }
                    }
                    let columns = query.columns.len() + usize::from(!query.insert_only);
                    query.job.wait().await?;
                    DBOutput::Rows { types: vec![DefaultColumnType::Any; columns], rows }
                }
                Outcome::AlreadyFinished { job } => panic!("job '{job}' had finished before"),
            };
        }
        Ok(last)
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "flott"
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).expect("tests/sql").map(|e| e.expect("entry").path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            files(&entry, found);
        } else if entry.extension().is_some_and(|e| e == "slt") {
            found.push(entry);
        }
    }
}

/// `SLT=part-of-a-name` runs only those files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sql");
    let only = std::env::var("SLT").unwrap_or_default();
    let mut found = vec![];
    files(&root, &mut found);
    found.retain(|f| f.to_string_lossy().contains(&only));
    assert!(!found.is_empty(), "no .slt file with '{only}' in its name");
    let mut failures = vec![];
    for file in found {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path().to_path_buf();
        let mut runner = Runner::new(move || {
            let session = Session::builder().base_dir(&base).option("parallelism.default", "2").build();
            std::future::ready(session.map(|session| Database { session }))
        });
        match tokio::time::timeout(PATIENCE, runner.run_file_async(&file)).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => failures.push(e.display(false).to_string()),
            Err(_) => failures.push(format!("{} hangs", file.display())),
        }
        runner.shutdown_async().await;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
