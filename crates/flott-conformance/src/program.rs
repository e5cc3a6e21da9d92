//! One program: set up, run to its end, run in two halves around a savepoint, and scored.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flott::{Outcome, Restore, SavepointTarget, Session, StopMode, default_registry};
use flott_core::clock::{Clock, ShiftedClock, SystemClock};
use flott_testkit::values::{Phase, Values, ValuesStore};
use serde_json::Value;

use crate::table::{materialised, primary_key, sorted};

/// A job that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for a job in two halves whose rows are waited for.
const PATIENCE_HELD: Duration = Duration::from_secs(60);
/// Rows of the first half that have not come by then do not come.
const ARRIVAL: Duration = Duration::from_secs(4);
/// The same where the processing time must pass.
const ARRIVAL_HELD: Duration = Duration::from_secs(12);
/// Where in ten seconds of processing time the rows of a half come: what is aligned to seconds has them in one window.
const ALIGNMENT_MS: i64 = 10_000;
const ALIGNED_MS: i64 = 2_000;
/// The processing time between two halves.
const BETWEEN_MS: i64 = 3_600_000;

/// How the second half ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With the sources' rows: what waits for processing time comes to nothing, in Flink as here.
    OfSources,
    /// Sources stay open until the rows that are expected have come, as in Flink's runs of programs over processing time.
    OfSinks,
}

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
    /// They are, and a run to the end is not. It is the only way in which Flink runs such a program.
    pub only_in_halves: bool,
    /// It is no query for a stream, and is right in batch mode: Flink runs some of its programs only there.
    pub only_in_batch: bool,
    /// A statement that must run is refused.
    pub(crate) refused: bool,
    /// Statements that must be refused.
    pub to_be_refused: usize,
    /// Those that are: what was said. "Not supported yet" is no refusal.
    pub refusals: Vec<String>,
    /// The first thing that went wrong.
    pub reason: Option<String>,
}

/// Whether two messages have words in common that say what is wrong: a refusal for any other reason is none.
fn is_about_the_same(flott: &str, flink: &str) -> bool {
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 2);
        words.map(str::to_lowercase).collect()
    };
    let (ours, theirs) = (words(flott), words(flink));
    theirs.is_empty() || 3 * theirs.intersection(&ours).count() >= theirs.len()
}

impl Score {
    fn wrong(&mut self, reason: impl Into<String>) {
        self.reason.get_or_insert_with(|| reason.into());
    }

    /// Both halves are right. Where a run to the end is not, they are what counts: Flink knows no other expectation.
    fn restored_well(&mut self) {
        self.only_in_halves = !self.materialised || !self.changelog;
        (self.restored, self.materialised, self.changelog, self.reason) = (true, true, true, None);
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
    clock: Arc<ShiftedClock>,
    mode: &'static str,
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
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
            .option("execution.runtime-mode", self.mode)
            .option("parallelism.default", "1")
            .option("execution.checkpointing.interval", "1 h")
            .option("table.local-time-zone", "UTC")
            // The plans of Flink's programs with a restore are older than the check.
            .option("table.exec.sink.require-on-conflict", if self.is_in_halves() { "false" } else { "true" })
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

    /// Each with what Flink says of it, where it must be refused.
    fn statements(&self) -> Vec<(String, Option<String>)> {
        let run = self.json["run"].as_array().map(Vec::as_slice).unwrap_or_default();
        run.iter()
            .map(|step| match text(step, "kind") {
                "STATEMENT_SET" => {
                    let inserts: String = texts(&step["statements"]).iter().map(|s| format!("{s};\n")).collect();
                    (format!("EXECUTE STATEMENT SET BEGIN\n{inserts}END"), None)
                }
                kind => {
                    let must_fail = kind == "FAILING_SQL";
                    (text(step, "sql").to_string(), must_fail.then(|| text(step, "expectedErrorMessage").to_string()))
                }
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
        score.to_be_refused = statements.iter().filter(|(_, flink)| flink.is_some()).count();
        self.store.set_phase(Phase::Steps);
        let mut session = match self.session(Restore::Fresh).await {
            Ok(session) => session,
            Err(e) => return score.wrong(format!("set-up: {e}")),
        };
        for (sql, flink) in statements {
            let mut started = false;
            let run = async {
                let job = self.job(&mut session, &sql).await?;
                started = true;
                if let Some(mut job) = job {
                    if self.store.is_looked_up() {
                        // What is looked up before a restore is looked up in the first rows.
                        self.until_arrived(ARRIVAL).await;
                    }
                    self.store.advance();
                    job.wait().await?;
                }
                Ok::<(), flott::Error>(())
            };
            let ended = tokio::time::timeout(PATIENCE, run).await;
            match (ended, flink) {
                (Err(_), _) => return score.wrong("it hangs"),
                (Ok(Err(e)), Some(_)) if e.to_string().contains("not supported yet") => score.wrong(e.to_string()),
                (Ok(Err(e)), Some(flink)) if !is_about_the_same(&e.to_string(), &flink) => {
                    score.wrong(format!("refused for another reason: {e} (Flink: {flink})"));
                }
                (Ok(Err(e)), Some(_)) => score.refusals.push(e.to_string()),
                (Ok(Ok(())), Some(_)) => score.wrong(format!("not refused: {sql}")),
                (Ok(Err(e)), None) => {
                    score.refused = !started;
                    return score.wrong(e.to_string());
                }
                (Ok(Ok(())), None) => {}
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
            if is_changelog && sorted(&received) == sorted(&expected) {
                // Flink compares nothing else then: materialised rows are those of a batch.
                continue;
            }
            if have != last {
                (score.materialised, score.changelog) = (false, false);
                score.wrong(format!("{name} holds {have:?} and not {last:?}"));
            } else if is_changelog {
                score.changelog = false;
                score.wrong(format!("{name} got {received:?} and not {expected:?}"));
            }
        }
    }

    /// Waits until sinks have what is expected before a restore, as far as it comes, and sources have given all of it: as
    /// many rows as are expected may be there before the last change has come.
    async fn until_arrived(&self, patience: Duration) {
        // Those that only show rows when state is shown show them at the savepoint.
        self.until_all_received("before", patience).await;
        drop(tokio::time::timeout(ARRIVAL, self.store.until_given()).await);
    }

    /// Sinks have as many rows as a part of the expected ones, or will not have them.
    async fn until_all_received(&self, part: &str, patience: Duration) {
        for sink in self.steps().iter().filter(|s| is_sink(s)) {
            let (name, wanted) = (text(sink, "name"), texts(&sink[part]).len());
            drop(tokio::time::timeout(patience, self.store.until_received(name, wanted)).await);
        }
    }

    /// It has rows for before and after a savepoint.
    fn is_in_halves(&self) -> bool {
        let has = |kind: &str| self.steps().iter().any(|s| text(s, "kind") == kind);
        let statements = self.statements();
        has("SOURCE_WITH_RESTORE_DATA") && has("SINK_WITH_RESTORE_DATA") && matches!(statements.as_slice(), [(_, None)])
    }

    /// The rows of a half come early in a window of processing time.
    fn align(&self) {
        self.clock.advance_ms(ALIGNMENT_MS - (self.clock.now_ms() - ALIGNED_MS).rem_euclid(ALIGNMENT_MS));
    }

    /// The first rows, a savepoint, the rest.
    async fn in_two_halves(&self, score: &mut Score, end: End) {
        let statements = self.statements();
        let sinks: Vec<&Value> = self.steps().iter().filter(|s| is_sink(s)).collect();
        score.restorable = self.is_in_halves();
        let (true, [(sql, _)]) = (score.restorable, statements.as_slice()) else { return };
        let (patience, arrival) = match end {
            End::OfSources => (PATIENCE, ARRIVAL),
            End::OfSinks => (PATIENCE_HELD, ARRIVAL_HELD),
        };
        self.store.clear_sinks();
        self.store.set_phase(Phase::Before);
        let halves = async {
            if end == End::OfSinks {
                self.align();
            }
            let mut session = self.session(Restore::Fresh).await?;
            let job = self.job(&mut session, sql).await?.ok_or_else(|| flott::Error::user("no job"))?;
            self.until_arrived(arrival).await;
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
            if end == End::OfSinks {
                self.store.set_phase(Phase::Held);
                self.clock.advance_ms(BETWEEN_MS);
                self.align();
            }
            let mut session = self.session(Restore::Path(savepoint.location.into())).await?;
            if let Some(mut job) = self.job(&mut session, sql).await? {
                if end == End::OfSinks {
                    self.until_all_received("after", arrival).await;
                    self.store.advance();
                }
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
        match tokio::time::timeout(patience, halves).await {
            Err(_) => score.wrong("restore: it hangs"),
            Ok(Err(e)) => score.wrong(format!("restore: {e}")),
            Ok(Ok(wrong)) => match wrong.first() {
                None => score.restored_well(),
                Some(wrong) => score.wrong(format!("restore: {wrong}")),
            },
        }
    }

    fn agrees(&self, sink: &Value, have: &[String], wanted: &[String]) -> bool {
        let same = sorted(have) == sorted(wanted);
        if same || sink["changelog"].as_bool().unwrap_or(true) && sink["materialized"].is_null() {
            return same;
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
    let clock = ShiftedClock::of(SystemClock::shared(), 0);
    let mut program = Program { json, store, folder, clock, mode: "streaming" };
    for step in program.steps().iter().filter(|s| is_source(s)) {
        let options = &step["options"];
        let name = options["data-id"].as_str().unwrap_or_else(|| text(step, "name"));
        program.store.insert_rows(name, &texts(&step["rows_before"]), &texts(&step["rows_after"]));
    }
    program.to_the_end(&mut score).await;
    program.in_two_halves(&mut score, End::OfSources).await;
    if score.restorable && !score.is_good() {
        program.in_two_halves(&mut score, End::OfSinks).await;
    }
    // A restore in batch mode has no state to go on from: Flink gives it all rows.
    if score.refused && !score.is_good() {
        program.mode = "batch";
        program.store.clear_sinks();
        let mut in_batch = Score::default();
        program.to_the_end(&mut in_batch).await;
        if in_batch.is_good() {
            let restorable = score.restorable;
            return Score { only_in_batch: true, restorable, restored: restorable, ..in_batch };
        }
    }
    score
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_another_reason_is_none() {
        let flink = "Column 'a.ab[0].c' is CHAR(2), however, a string of length 1 is being written into it.";
        assert!(is_about_the_same("Column 'a.ab[0].c' is CHAR(2), and a string of length 1 is being written", flink));
        assert!(!is_about_the_same("Column 'id' not found in table 'source_t'", flink));
        assert!(is_about_the_same("anything", ""));
    }
}
