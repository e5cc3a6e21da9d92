//! Flink's semantic test programs as data (one JSON object a line: set-up steps with rows, statements, expected rows), run
//! on Flott. SKIPPED where the file is not there.
//!
//! `FLOTT_CONFORMANCE=file` names another file, `PROGRAMS=part` runs those whose class or id holds it, and shows all.
//! The form is that of the file's own README; no program is treated in another way than the others.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flott::{Outcome, Restore, SavepointTarget, Session, StopMode, default_registry};
use flott_testkit::values::{Phase, Values, ValuesStore};
use serde_json::Value;

/// A job that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Rows of the first half that have not come by then do not come.
const ARRIVAL: Duration = Duration::from_secs(4);
/// Programs at one time.
const AT_ONCE: usize = 4;
/// Where the file lies beside a checkout.
const FILE: &str = "../../../shared/conformance/programs.jsonl";
/// Programs whose final rows are Flink's, at least: fewer is a step back.
const MATERIALISED_MIN: usize = 120;

#[derive(Debug, Default)]
struct Score {
    materialised: bool,
    changelog: bool,
    restorable: bool,
    restored: bool,
    /// Statements that must be refused, and are.
    refusals: (usize, usize),
    /// The first thing that went wrong.
    reason: Option<String>,
}

impl Score {
    fn wrong(&mut self, reason: impl Into<String>) {
        self.reason.get_or_insert_with(|| reason.into());
    }

    fn is_good(&self) -> bool {
        self.materialised && self.changelog && (!self.restorable || self.restored) && self.refusals.0 == self.refusals.1
    }
}

fn texts(v: &Value) -> Vec<String> {
    v.as_array().map(|a| a.iter().filter_map(|s| s.as_str().map(str::to_string)).collect()).unwrap_or_default()
}

fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v[key].as_str().unwrap_or_default()
}

fn is_source(step: &Value) -> bool {
    text(step, "kind").starts_with("SOURCE_")
}

fn is_sink(step: &Value) -> bool {
    text(step, "kind").starts_with("SINK_")
}

fn ddl(step: &Value) -> String {
    let quoted = |s: &str| format!("'{}'", s.replace('\'', "''"));
    let mut options: Vec<(String, String)> = step["options"]
        .as_object()
        .map(|o| o.iter().map(|(k, v)| (k.clone(), v.as_str().map_or(v.to_string(), str::to_string))).collect())
        .unwrap_or_default();
    if !options.iter().any(|(k, _)| k == "connector") {
        options.push(("connector".into(), "values".into()));
    }
    let partition = texts(&step["partition"]);
    let partition =
        if partition.is_empty() { String::new() } else { format!(" PARTITIONED BY ({})", partition.join(", ")) };
    let options: Vec<String> = options.iter().map(|(k, v)| format!("{} = {}", quoted(k), quoted(v))).collect();
    let schema = texts(&step["schema"]).join(", ");
    format!("CREATE TABLE {} ({schema}){partition} WITH ({})", text(step, "name"), options.join(", "))
}

/// Cells of a row, cut outside of brackets.
fn cells(row: &str) -> Vec<&str> {
    let body = row.get(3..row.len().saturating_sub(1)).unwrap_or_default();
    let (mut depth, mut from, mut cells) = (0i32, 0, vec![]);
    for (i, c) in body.char_indices() {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            ',' if depth == 0 && body[i..].starts_with(", ") => {
                cells.push(&body[from..i]);
                from = i + 2;
            }
            _ => {}
        }
    }
    cells.push(&body[from..]);
    cells
}

/// Places of a sink's primary key.
fn primary_key(step: &Value) -> Vec<usize> {
    let parts = texts(&step["schema"]);
    let name = |part: &str| part.split_whitespace().next().unwrap_or_default().trim_matches('`').to_string();
    let is_column = |p: &&String| {
        let upper = p.trim().to_uppercase();
        !upper.starts_with("PRIMARY KEY") && !upper.starts_with("WATERMARK") && !upper.starts_with("CONSTRAINT")
    };
    let columns: Vec<&String> = parts.iter().filter(is_column).collect();
    let names: Vec<String> = columns.iter().map(|c| name(c)).collect();
    let declared = parts.iter().find_map(|p| {
        let at = p.to_uppercase().find("PRIMARY KEY")?;
        let rest = &p[at + "PRIMARY KEY".len()..];
        let (open, close) = (rest.find('(')?, rest.find(')')?);
        Some(rest[open + 1..close].split(',').map(|c| c.trim().trim_matches('`').to_string()).collect::<Vec<_>>())
    });
    let key = declared.unwrap_or_else(|| {
        columns.iter().filter(|c| c.to_uppercase().contains("PRIMARY KEY")).map(|c| name(c)).collect()
    });
    key.iter().filter_map(|k| names.iter().position(|n| n == k)).collect()
}

/// The table that a changelog makes.
fn materialised(changelog: &[String], key: &[usize]) -> Vec<String> {
    let mut rows: Vec<&str> = vec![];
    let of_key = |row: &str| {
        let cells = cells(row);
        key.iter().map(|k| cells.get(*k).copied().unwrap_or_default().to_string()).collect::<Vec<_>>()
    };
    for change in changelog {
        let same = |row: &&str| if key.is_empty() { row[2..] == change[2..] } else { of_key(row) == of_key(change) };
        let at = rows.iter().position(same);
        match (&change[..2], at) {
            ("+I" | "+U", Some(at)) if !key.is_empty() => rows[at] = change,
            ("+I" | "+U", _) => rows.push(change),
            // The row that it takes away may have been replaced by then.
            ("-U", Some(at)) if !key.is_empty() && rows[at][2..] != change[2..] => {}
            (_, Some(at)) => {
                rows.remove(at);
            }
            (_, None) => {}
        }
    }
    let mut rows: Vec<String> = rows.iter().map(|r| r[2..].to_string()).collect();
    rows.sort();
    rows
}

struct Program {
    json: Value,
    store: ValuesStore,
    folder: tempfile::TempDir,
}

impl Program {
    fn steps(&self) -> &[Value] {
        self.json["setup"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    async fn session(&self, restore: Restore) -> flott::Result<Session> {
        let mut registry = default_registry();
        registry.add_connector(Arc::new(Values::new(self.store.clone())));
        let mut session = Session::builder()
            .registry(registry)
            .base_dir(self.folder.path())
            .restore(restore)
            .option("parallelism.default", "1")
            .option("execution.checkpointing.interval", "1 h")
            .option("table.local-time-zone", "UTC")
            .build()?;
        for step in self.steps() {
            let statement = match text(step, "kind") {
                "CONFIG" => format!("SET '{}' = '{}'", text(step, "option"), text(step, "value")),
                "SQL" => text(step, "sql").to_string(),
                _ if is_source(step) || is_sink(step) => ddl(step),
                other => return Err(flott::Error::user(format!("a set-up step '{other}'"))),
            };
            session.execute_sql(&statement).await?;
        }
        Ok(session)
    }

    fn statements(&self) -> Vec<(String, bool)> {
        let run = self.json["run"].as_array().map(Vec::as_slice).unwrap_or_default();
        run.iter()
            .map(|step| match text(step, "kind") {
                "STATEMENT_SET" => {
                    let inserts: String = texts(&step["statements"]).iter().map(|s| format!("{s};\n")).collect();
                    (format!("EXECUTE STATEMENT SET BEGIN\n{inserts}END"), false)
                }
                kind => (text(step, "sql").to_string(), kind == "FAILING_SQL"),
            })
            .collect()
    }

    async fn job(&self, session: &mut Session, sql: &str) -> flott::Result<Option<flott::Job>> {
        let mut started = None;
        for statement in session.parse(sql)? {
            if let Outcome::Job(job) = session.execute(&statement).await? {
                started = Some(job);
            }
        }
        Ok(started)
    }

    /// All rows, to the end.
    async fn to_the_end(&self, score: &mut Score) {
        self.store.set_phase(Phase::All);
        let mut session = match self.session(Restore::Fresh).await {
            Ok(session) => session,
            Err(e) => return score.wrong(format!("set-up: {e}")),
        };
        for (sql, must_fail) in self.statements() {
            let run = async {
                if let Some(mut job) = self.job(&mut session, &sql).await? {
                    job.wait().await?;
                }
                Ok::<(), flott::Error>(())
            };
            let ended = tokio::time::timeout(PATIENCE, run).await;
            match (ended, must_fail) {
                (Err(_), _) => return score.wrong("it hangs"),
                (Ok(Err(_)), true) => {
                    score.refusals.0 += 1;
                    score.refusals.1 += 1;
                }
                (Ok(Ok(())), true) => {
                    score.refusals.1 += 1;
                    score.wrong("what must be refused is not");
                }
                (Ok(Err(e)), false) => return score.wrong(e.to_string()),
                (Ok(Ok(())), false) => {}
            }
        }
        (score.materialised, score.changelog) = (true, true);
        for sink in self.steps().iter().filter(|s| is_sink(s)) {
            let name = text(sink, "name");
            let expected: Vec<String> = texts(&sink["before"]).into_iter().chain(texts(&sink["after"])).collect();
            let received = self.store.changelog(name);
            let key = primary_key(sink);
            let is_changelog = sink["changelog"].as_bool().unwrap_or(true);
            let last = match (&sink["materialized"], is_changelog) {
                (Value::Array(_), _) => materialised(&texts(&sink["materialized"]), &[]),
                (_, false) => materialised(&expected, &[]),
                _ => materialised(&expected, &key),
            };
            let have = materialised(&received, &key);
            if have != last {
                (score.materialised, score.changelog) = (false, false);
                score.wrong(format!("{name} holds {have:?} and not {last:?}"));
            } else if is_changelog && sorted(&received) != sorted(&expected) {
                score.changelog = false;
                score.wrong(format!("{name} got {received:?} and not {expected:?}"));
            }
        }
    }

    /// The first rows, a savepoint, the rest.
    async fn in_two_halves(&self, score: &mut Score) {
        let statements = self.statements();
        let sinks: Vec<&Value> = self.steps().iter().filter(|s| is_sink(s)).collect();
        score.restorable = self.steps().iter().any(|s| text(s, "kind") == "SOURCE_WITH_RESTORE_DATA")
            && sinks.iter().any(|s| text(s, "kind") == "SINK_WITH_RESTORE_DATA")
            && statements.iter().all(|s| !s.1);
        let [(sql, _)] = statements.as_slice() else { return score.restorable = false };
        if !score.restorable || !score.materialised {
            return;
        }
        self.store.clear_sinks();
        self.store.set_phase(Phase::Before);
        let halves = async {
            let mut session = self.session(Restore::Fresh).await?;
            let job = self.job(&mut session, sql).await?.ok_or_else(|| flott::Error::user("no job"))?;
            for sink in &sinks {
                let (name, wanted) = (text(sink, "name"), texts(&sink["before"]).len());
                // Those that only show rows when state is shown show them at the savepoint.
                drop(tokio::time::timeout(ARRIVAL, self.store.until_received(name, wanted)).await);
            }
            let into = self.folder.path().join("savepoints").display().to_string();
            let stopped = job.handle.stop(StopMode::suspend().with_savepoint(SavepointTarget::In(into))).await?;
            let savepoint = stopped.ok_or_else(|| flott::Error::user("no savepoint"))?;
            let mut wrong = vec![];
            for sink in &sinks {
                let (have, wanted) = (self.store.changelog(text(sink, "name")), texts(&sink["before"]));
                if !self.agrees(sink, &have, &wanted) {
                    wrong.push(format!("before the savepoint {have:?} and not {wanted:?}"));
                }
            }
            self.store.clear_sinks();
            self.store.set_phase(Phase::All);
            let mut session = self.session(Restore::Path(savepoint.location.into())).await?;
            if let Some(mut job) = self.job(&mut session, sql).await? {
                job.wait().await?;
            }
            for sink in &sinks {
                let (have, wanted) = (self.store.changelog(text(sink, "name")), texts(&sink["after"]));
                if !self.agrees(sink, &have, &wanted) {
                    wrong.push(format!("after the savepoint {have:?} and not {wanted:?}"));
                }
            }
            Ok::<Vec<String>, flott::Error>(wrong)
        };
        match tokio::time::timeout(PATIENCE, halves).await {
            Err(_) => score.wrong("restore: it hangs"),
            Ok(Err(e)) => score.wrong(format!("restore: {e}")),
            Ok(Ok(wrong)) => match wrong.first() {
                None => score.restored = true,
                Some(wrong) => score.wrong(format!("restore: {wrong}")),
            },
        }
    }

    fn agrees(&self, sink: &Value, have: &[String], wanted: &[String]) -> bool {
        if sink["changelog"].as_bool().unwrap_or(true) && sink["materialized"].is_null() {
            return sorted(have) == sorted(wanted);
        }
        let key = primary_key(sink);
        materialised(have, &key) == materialised(wanted, &key)
    }
}

fn sorted(rows: &[String]) -> Vec<String> {
    let mut rows = rows.to_vec();
    rows.sort();
    rows
}

async fn run(json: Value) -> Score {
    let mut score = Score::default();
    let store = ValuesStore::new();
    let program = Program { json, store, folder: tempfile::tempdir().expect("a folder") };
    for step in program.steps().iter().filter(|s| is_source(s)) {
        let options = &step["options"];
        let name = options["data-id"].as_str().unwrap_or_else(|| text(step, "name"));
        program.store.insert_rows(name, &texts(&step["rows_before"]), &texts(&step["rows_after"]));
    }
    program.to_the_end(&mut score).await;
    program.in_two_halves(&mut score).await;
    score
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs() {
    let file = std::env::var_os("FLOTT_CONFORMANCE")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(FILE), PathBuf::from);
    let Ok(lines) = std::fs::read_to_string(&file) else {
        println!("SKIPPED: there is no {}", file.display());
        return;
    };
    let only = std::env::var("PROGRAMS").unwrap_or_default();
    let programs: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).expect("a program is JSON"))
        .filter(|p| text(p, "class").contains(&only) || text(p, "id").contains(&only))
        .collect();
    let turns = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut running = vec![];
    for program in programs {
        let turns = Arc::clone(&turns);
        running.push(tokio::spawn(async move {
            let _turn = turns.acquire_owned().await.expect("a turn");
            let name = (text(&program, "class").to_string(), text(&program, "id").to_string());
            (name, run(program).await)
        }));
    }
    let mut classes: BTreeMap<String, [usize; 7]> = BTreeMap::new();
    let mut failing = vec![];
    for program in running {
        let ((class, id), score) = program.await.expect("a program runs");
        let counts = classes.entry(class.clone()).or_default();
        let add = [
            1,
            usize::from(score.materialised),
            usize::from(score.changelog),
            usize::from(score.restorable),
            usize::from(score.restored),
            score.refusals.1,
            score.refusals.0,
        ];
        counts.iter_mut().zip(add).for_each(|(c, a)| *c += a);
        if !score.is_good() {
            failing.push(format!("{class} {id}: {}", score.reason.unwrap_or_default()));
        }
    }
    let mut all = [0; 7];
    println!("class: programs, final rows equal, changelog equal, restorable, restored, to be refused, refused");
    for (class, counts) in &classes {
        println!("{class}: {counts:?}");
        all.iter_mut().zip(counts).for_each(|(a, c)| *a += c);
    }
    println!("all: {all:?}");
    for line in &failing {
        println!("FAILS {}", line.chars().take(600).collect::<String>());
    }
    println!("expected to pass: {MATERIALISED_MIN} programs at least, {} do", all[1]);
    assert!(!only.is_empty() || all[1] >= MATERIALISED_MIN, "only {} programs give Flink's final rows", all[1]);
}
