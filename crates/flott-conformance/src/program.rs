//! One program: set up, run to its end, run in two halves around a savepoint, and scored.

use std::sync::Arc;
use std::time::Duration;

use flott::{Outcome, Restore, SavepointTarget, Session, StopMode, default_registry};
use flott_testkit::values::{Phase, Values, ValuesStore};
use serde_json::Value;

use crate::table::{materialised, primary_key, sorted};

/// A job that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Rows of the first half that have not come by then do not come.
const ARRIVAL: Duration = Duration::from_secs(4);

/// What a program scored.
#[derive(Debug, Default)]
pub struct Score {
    /// Why it cannot run here at all: it needs a Java function, a model or the Table API.
    pub skipped: Option<String>,
    /// The final rows are the expected ones.
    pub materialised: bool,
    /// So is the changelog, as a multiset.
    pub changelog: bool,
    /// It has rows for before and after a savepoint.
    pub restorable: bool,
    /// Both halves are the expected ones.
    pub restored: bool,
    /// Statements that must be refused.
    pub to_be_refused: usize,
    /// Those that are: what was said. "Not supported yet" is no refusal.
    pub refusals: Vec<String>,
    /// The first thing that went wrong.
    pub reason: Option<String>,
}

impl Score {
    fn wrong(&mut self, reason: impl Into<String>) {
        self.reason.get_or_insert_with(|| reason.into());
    }

    /// All that must be refused is.
    pub fn is_refused(&self) -> bool {
        self.to_be_refused > 0 && self.refusals.len() == self.to_be_refused
    }

    /// Nothing is missing or wrong.
    pub fn is_good(&self) -> bool {
        let refused = self.to_be_refused == 0 || self.is_refused();
        self.skipped.is_none() && self.materialised && self.changelog && (!self.restorable || self.restored) && refused
    }
}

pub(crate) fn texts(v: &Value) -> Vec<String> {
    v.as_array().map(|a| a.iter().filter_map(|s| s.as_str().map(str::to_string)).collect()).unwrap_or_default()
}

pub(crate) fn text<'a>(v: &'a Value, key: &str) -> &'a str {
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
    let mut default = |key: &str, value: &str| {
        if !options.iter().any(|(k, _)| k == key) {
            options.push((key.into(), value.into()));
        }
    };
    default("connector", "values");
    let has_watermark = texts(&step["schema"]).iter().any(|part| part.starts_with("WATERMARK FOR"));
    if text(step, "kind") == "SOURCE_WITH_DATA" && has_watermark {
        // So does Flink's runner of programs without a restore: a watermark behind every row.
        default("enable-watermark-push-down", "true");
        default("scan.watermark.emit.strategy", "on-event");
    }
    let partition = texts(&step["partition"]);
    let partition =
        if partition.is_empty() { String::new() } else { format!(" PARTITIONED BY ({})", partition.join(", ")) };
    let options: Vec<String> = options.iter().map(|(k, v)| format!("{} = {}", quoted(k), quoted(v))).collect();
    let schema = texts(&step["schema"]).join(", ");
    format!("CREATE TABLE {} ({schema}){partition} WITH ({})", text(step, "name"), options.join(", "))
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
            match session.execute(&statement).await? {
                Outcome::Job(job) => started = Some(job),
                // Its rows are nobody's; what it fails with counts.
                Outcome::Query(mut query) => {
                    while query.next().await.is_some() {}
                    query.job.wait().await?;
                }
                _ => {}
            }
        }
        Ok(started)
    }

    /// All rows, to the end.
    async fn to_the_end(&self, score: &mut Score) {
        let statements = self.statements();
        score.to_be_refused = statements.iter().filter(|(_, must_fail)| *must_fail).count();
        self.store.set_phase(Phase::Steps);
        let mut session = match self.session(Restore::Fresh).await {
            Ok(session) => session,
            Err(e) => return score.wrong(format!("set-up: {e}")),
        };
        for (sql, must_fail) in statements {
            let run = async {
                if let Some(mut job) = self.job(&mut session, &sql).await? {
                    if self.store.is_looked_up() {
                        // What is looked up before a restore is looked up in the first rows.
                        self.until_arrived().await;
                    }
                    self.store.advance();
                    job.wait().await?;
                }
                Ok::<(), flott::Error>(())
            };
            let ended = tokio::time::timeout(PATIENCE, run).await;
            match (ended, must_fail) {
                (Err(_), _) => return score.wrong("it hangs"),
                (Ok(Err(e)), true) if e.to_string().contains("not supported yet") => score.wrong(e.to_string()),
                (Ok(Err(e)), true) => score.refusals.push(e.to_string()),
                (Ok(Ok(())), true) => score.wrong(format!("not refused: {sql}")),
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
            let last = match &sink["materialized"] {
                Value::Array(_) => materialised(&texts(&sink["materialized"]), &[]),
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

    /// Waits until sinks have what is expected before a restore, as far as it comes, and sources have given all of it: as
    /// many rows as are expected may be there before the last change has come.
    async fn until_arrived(&self) {
        for sink in self.steps().iter().filter(|s| is_sink(s)) {
            let (name, wanted) = (text(sink, "name"), texts(&sink["before"]).len());
            // Those that only show rows when state is shown show them at the savepoint.
            drop(tokio::time::timeout(ARRIVAL, self.store.until_received(name, wanted)).await);
        }
        drop(tokio::time::timeout(ARRIVAL, self.store.until_given()).await);
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
            self.until_arrived().await;
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

/// What Flott cannot have: parts of a program that are not SQL.
fn needs_more_than_sql(program: &Value) -> Option<String> {
    let setup = ["SOURCE_", "SINK_", "CONFIG", "SQL"];
    let run = ["SQL", "STATEMENT_SET", "FAILING_SQL"];
    let steps = |key: &str| program[key].as_array().cloned().unwrap_or_default();
    let strange_setup = steps("setup").into_iter().find(|s| !setup.iter().any(|k| text(s, "kind").starts_with(k)));
    let strange_run = steps("run").into_iter().find(|s| !run.contains(&text(s, "kind")));
    if let Some(step) = strange_setup.or(strange_run) {
        return Some(format!("the step {}", text(&step, "kind")));
    }
    let statements = steps("setup").into_iter().chain(steps("run")).map(|s| text(&s, "sql").to_uppercase());
    let declared: Vec<String> = statements.filter(|s| s.trim_start().starts_with("CREATE")).collect();
    let is_java = |s: &String| s.contains(" FUNCTION ") && s.contains(" AS '") && !s.contains("LANGUAGE SQL");
    declared.iter().find_map(|s| match s {
        s if s.contains(" MODEL ") => Some("a model".to_string()),
        s if is_java(s) => Some("a Java function".to_string()),
        _ => None,
    })
}

/// Runs a program: one JSON object of the file.
pub async fn run(json: Value) -> Score {
    let mut score = Score { skipped: needs_more_than_sql(&json), ..Score::default() };
    if score.skipped.is_some() {
        return score;
    }
    let store = ValuesStore::new();
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(e) => {
            score.wrong(format!("no folder for its files: {e}"));
            return score;
        }
    };
    let program = Program { json, store, folder };
    for step in program.steps().iter().filter(|s| is_source(s)) {
        let options = &step["options"];
        let name = options["data-id"].as_str().unwrap_or_else(|| text(step, "name"));
        program.store.insert_rows(name, &texts(&step["rows_before"]), &texts(&step["rows_after"]));
    }
    program.to_the_end(&mut score).await;
    program.in_two_halves(&mut score).await;
    score
}
