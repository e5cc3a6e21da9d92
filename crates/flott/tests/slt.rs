//! Runs `tests/sql/**/*.slt` against sessions: statements, types, windows, errors.
//!
//! `INSERT` waits for its job. A query that only adds rows shows them; one that changes rows shows the kind first.
//! Relative paths start at a folder that is new for each file.
//!
//! Results are compared exactly, types too:
//!
//! - Types: `I` is TINYINT, SMALLINT, INT, BIGINT; `R` is FLOAT, DOUBLE, DECIMAL; `T` is everything else, and every column
//!   of SHOW, DESCRIBE and the like.
//! - A row is a line: its values as the SQL client prints them, with one blank between. NULL is `<NULL>` in a query and
//!   `NULL` in the rows of SHOW and DESCRIBE.
//! - A value whose borders would not be seen stands in single quotes, with `''` for a quote, `\n`, `\t`, `\r` and `\\`:
//!   one that is empty, begins or ends with a blank, holds two blanks or a line break, or is a text that reads like NULL.
//! - One text of several lines alone (EXPLAIN, SHOW CREATE) is printed as it is, line by line, without its empty lines.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::Array;
use flott::{Outcome, Query, Session};
use flott_core::LogicalType;
use flott_core::types::TypeKind;
use flott_testkit::values::{Values, ValuesStore};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, MakeConnection, Normalizer, Runner, strict_column_validator};

/// A file that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

struct Database {
    session: Session,
}

fn column_type(of: &LogicalType) -> DefaultColumnType {
    match of.kind {
        TypeKind::TinyInt | TypeKind::SmallInt | TypeKind::Int | TypeKind::BigInt => DefaultColumnType::Integer,
        TypeKind::Float | TypeKind::Double | TypeKind::Decimal { .. } => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Text,
    }
}

/// A value whose borders can be seen in a line.
fn visible(value: &str) -> String {
    let hidden = value.is_empty()
        || value.starts_with([' ', '\''])
        || value.ends_with(' ')
        || value.contains("  ")
        || value.contains(['\n', '\t', '\r']);
    if hidden { quoted(value) } else { value.to_string() }
}

fn quoted(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r");
    format!("'{}'", escaped.replace('\'', "''"))
}

fn lines(text: &str) -> DBOutput<DefaultColumnType> {
    let lines = text.lines().filter(|l| !l.trim().is_empty());
    DBOutput::Rows { types: vec![DefaultColumnType::Text], rows: lines.map(|l| vec![l.to_string()]).collect() }
}

/// Rows of SHOW and DESCRIBE.
fn texts(columns: &[String], rows: &[Vec<Option<String>>]) -> DBOutput<DefaultColumnType> {
    if let [row] = rows
        && let [Some(text)] = row.as_slice()
        && text.contains('\n')
    {
        return lines(text);
    }
    let text = |v: &Option<String>| match v.as_deref() {
        None => "NULL".to_string(),
        Some("NULL") => quoted("NULL"),
        Some(v) => visible(v),
    };
    let rows = rows.iter().map(|r| r.iter().map(text).collect()).collect();
    DBOutput::Rows { types: vec![DefaultColumnType::Text; columns.len()], rows }
}

/// All rows of a query, once its job has ended well.
async fn results(mut query: Query) -> Result<DBOutput<DefaultColumnType>, flott::Error> {
    let mut rows = vec![];
    while let Some(batch) = query.next().await {
        for (i, row) in query.texts(&batch)?.into_iter().enumerate() {
            let text = |(c, v): (usize, String)| match v.as_str() {
                "<NULL>" if batch.rows.column(c).is_null(i) => v,
                "<NULL>" => quoted(&v),
                v => visible(v),
            };
            let kind = (!query.insert_only).then(|| batch.kind(i).to_string());
            rows.push(kind.into_iter().chain(row.into_iter().enumerate().map(text)).collect());
        }
    }
    let kind = (!query.insert_only).then_some(DefaultColumnType::Text);
    let types = kind.into_iter().chain(query.columns.iter().map(|(_, t)| column_type(t))).collect();
    query.job.wait().await?;
    Ok(DBOutput::Rows { types, rows })
}

/// The library's own comparison takes any number of blanks for one.
fn exactly(_: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    actual.iter().map(|row| row.join(" ")).eq(expected.iter().cloned())
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
                Outcome::Rows { columns, rows } => texts(&columns, &rows),
                Outcome::Text(text) => lines(&text),
                Outcome::Job(mut job) => {
                    job.wait().await?;
                    DBOutput::StatementComplete(0)
                }
                Outcome::Query(query) => results(query).await?,
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

/// Runs a whole file and tells every difference, not only the first.
async fn run<D, M>(runner: &mut Runner<D, M>, file: &Path, failures: &mut Vec<String>)
where
    D: AsyncDB<ColumnType = DefaultColumnType>,
    M: MakeConnection<Conn = D>,
{
    let records = match sqllogictest::parse_file(file) {
        Ok(records) => records,
        Err(e) => return failures.push(e.to_string()),
    };
    for record in records {
        match runner.run_async(record).await {
            Ok(_) => {}
            Err(e) => failures.push(e.display(false).to_string()),
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
            let mut registry = flott::default_registry();
            // Tables that are looked up, and that give changes: their rows stand in their option 'rows'.
            registry.add_connector(Arc::new(Values::new(ValuesStore::new())));
            let session =
                Session::builder().registry(registry).base_dir(&base).option("parallelism.default", "2").build();
            std::future::ready(session.map(|session| Database { session }))
        });
        runner.with_validator(exactly);
        runner.with_column_validator(strict_column_validator);
        if tokio::time::timeout(PATIENCE, run(&mut runner, &file, &mut failures)).await.is_err() {
            failures.push(format!("{} hangs", file.display()));
        }
        runner.shutdown_async().await;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn what_cannot_be_seen_is_quoted() {
    for (value, printed) in [
        ("a b", "a b"),
        ("", "''"),
        (" a", "' a'"),
        ("a ", "'a '"),
        ("a  b", "'a  b'"),
        ("it's", "it's"),
        ("'a'", "'''a'''"),
        ("a\nb\\", "'a\\nb\\\\'"),
    ] {
        assert_eq!(visible(value), printed);
    }
    let row = [vec!["a".to_string(), "b".to_string()]];
    assert!(exactly(|v| v.clone(), &row, &["a b".to_string()]));
    assert!(!exactly(|v| v.clone(), &row, &["a  b".to_string()]));
}
