//! What was once written to disk: checkpoints and savepoints in `tests/fixtures` go on, in every format that is read.
//!
//! Each folder there holds, as the product has written it, a checkpoint that is decided and not committed (a job killed at
//! that point), a savepoint of another job, and one of a job with operators of all kinds. Its name lists the versions in it.
//!
//! *A version was raised, and a test here fails?* Before 0.1 a format may change with a new version: run
//! `UPDATE_FIXTURES=1 cargo test -p flott-cli --test it fixtures::the_present`, which writes a folder for the present
//! versions, remove the folders that are no longer read, and say in the changelog that older checkpoints are refused. From
//! 0.1 on the old folders stay: what they hold has to be read for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::{Place, Ran, ran, rest, until};

/// Rows of the job with checkpoints.
const ROWS: u64 = 2_000;
const FILES: u64 = 40;
/// A source's files are known by their time.
const MODIFIED: Duration = Duration::from_secs(1_767_225_600);
/// Of the job with a savepoint.
const COUNTED: u64 = 3_000;
/// A version that no build knows yet.
const UNKNOWN: u32 = 99;

/// Files, and windows of two kinds that are open until the end. The source's files have the same absolute path wherever the
/// fixture lies.
const CHECKPOINT_JOB: &str = "\
SET 'execution.checkpointing.dir' = 'checkpoints';
SET 'execution.checkpointing.interval' = '2 ms';
CREATE TABLE s (id BIGINT, k AS MOD(id, 50), ts AS TO_TIMESTAMP_LTZ(id * 100, 3), WATERMARK FOR ts AS ts - INTERVAL '1' DAY)
  WITH ('connector' = 'filesystem', 'path' = '/proc/self/cwd/in', 'format' = 'csv');
CREATE TABLE copies (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'copies', 'format' = 'csv');
CREATE TABLE tumbles (w TIMESTAMP_LTZ(3), k BIGINT, n BIGINT, total BIGINT)
  WITH ('connector' = 'filesystem', 'path' = 'tumbles', 'format' = 'csv');
CREATE TABLE sessions (w TIMESTAMP_LTZ(3), k BIGINT, n BIGINT)
  WITH ('connector' = 'filesystem', 'path' = 'sessions', 'format' = 'json');
EXECUTE STATEMENT SET BEGIN
INSERT INTO copies SELECT id FROM s;
INSERT INTO tumbles SELECT window_start, k, COUNT(*), SUM(id)
  FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '60' SECOND)) GROUP BY k, window_start, window_end;
INSERT INTO sessions SELECT window_start, k, COUNT(*)
  FROM TABLE(SESSION(TABLE s PARTITION BY k, DESCRIPTOR(ts), INTERVAL '30' SECOND)) GROUP BY k, window_start, window_end;
END;
";
const CHECKPOINT_OUTPUTS: [&str; 3] = ["copies", "tumbles", "sessions"];

const SAVEPOINT_JOB: &str = "\
SET 'execution.checkpointing.dir' = 'checkpoints';
SET 'execution.checkpointing.interval' = '200 ms';
CREATE TABLE s (id BIGINT, ts AS TO_TIMESTAMP_LTZ(id * 10, 3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
  WITH ('connector' = 'datagen', 'rows-per-second' = '1500',
  'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '3000');
CREATE TABLE o (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
CREATE TABLE c (k BIGINT, n BIGINT, total BIGINT) WITH ('connector' = 'filesystem', 'path' = 'c', 'format' = 'csv');
EXECUTE STATEMENT SET BEGIN
INSERT INTO o SELECT id FROM s;
INSERT INTO c SELECT k, COUNT(*), SUM(id)
  FROM TABLE(TUMBLE((SELECT id, MOD(id, 10) AS k, ts FROM s), DESCRIPTOR(ts), INTERVAL '5' SECOND))
  GROUP BY k, window_start, window_end;
END;
";

/// Operators of all kinds whose state says something until the end, each before a sink of its own.
const OPERATORS_JOB: &str = include_str!("operators.sql");
/// Its sinks' folders.
fn operators_outputs() -> Vec<&'static str> {
    let path =
        |line: &'static str| line.split_once("'filesystem', 'path' = '")?.1.split_once('\'').map(|(path, _)| path);
    OPERATORS_JOB.lines().filter_map(path).collect()
}

/// The parts of a fixture.
const HALVES: [&str; 3] = ["checkpoint", "savepoint", "operators"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// The folders of all formats that are read.
fn fixtures() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root()).expect("tests/fixtures").flatten();
    let mut folders: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Names of files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).expect("below it").to_string_lossy().into_owned();
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// One half of a fixture, in a scratch folder.
fn open(fixture: &Path, half: &str) -> Place {
    let place = Place::new();
    copy(&fixture.join(half), place.path());
    set_times(&place);
    place
}

fn set_times(place: &Place) {
    for name in files(&place.path().join("in")) {
        let file = std::fs::File::options().write(true).open(place.path().join("in").join(name)).expect("a file");
        file.set_modified(SystemTime::UNIX_EPOCH + MODIFIED).expect("a time");
    }
}

fn savepoint(place: &Place) -> String {
    let saved = files(&place.path().join("saved"));
    let metadata = saved.iter().find(|f| f.ends_with("_metadata")).expect("a savepoint");
    format!("saved/{}", metadata.trim_end_matches("/_metadata"))
}

fn run_checkpoint(place: &Place) -> Ran {
    place.flott(&["run", "job.sql", "-p", "2", "--restore", "latest"])
}

fn run_savepoint(place: &Place) -> Ran {
    place.flott(&["run", "job.sql", "-p", "3", "--restore", &savepoint(place)])
}

#[test]
fn checkpoints_of_every_format_go_on() {
    for fixture in fixtures() {
        let place = open(&fixture, "checkpoint");
        assert!((place.rows("copies").len() as u64) < ROWS);
        let ran = run_checkpoint(&place);
        assert_eq!(ran.code, Some(0), "{}: {ran:?}", fixture.display());
        for output in CHECKPOINT_OUTPUTS {
            let expected = std::fs::read_to_string(place.path().join("expected").join(output)).expect("a file");
            assert!(place.rows(output) == expected.lines().collect::<Vec<_>>(), "{}: {output}", fixture.display());
            assert!(!place.path().join(output).join(".flott-staging").exists(), "{output}: what was staged is left");
        }
    }
}

#[test]
fn savepoints_of_every_format_start_jobs() {
    for fixture in fixtures() {
        let place = open(&fixture, "savepoint");
        let before = place.rows("o").len() as u64;
        assert!(0 < before && before < COUNTED, "{before}");
        let saved = files(&place.path().join("saved"));
        let ran = run_savepoint(&place);
        assert_eq!(ran.code, Some(0), "{}: {ran:?}", fixture.display());
        let mut ids: Vec<u64> = place.rows("o").iter().map(|r| r.parse().expect("a number")).collect();
        ids.sort_unstable();
        assert!(ids == (1..=COUNTED).collect::<Vec<_>>(), "{}", fixture.display());
        let (mut n, mut total) = (0, 0);
        for row in place.rows("c") {
            let fields: Vec<u64> = row.split(',').map(|f| f.parse().expect("a number")).collect();
            (n, total) = (n + fields[1], total + fields[2]);
        }
        assert_eq!((n, total), (COUNTED, COUNTED * (COUNTED + 1) / 2), "{}", fixture.display());
        assert_eq!(files(&place.path().join("saved")), saved, "it is not the job's");
    }
}

/// What a changelog or a table of additions comes to, as lines `row x times`.
fn consolidated(place: &Place, output: &str) -> Vec<String> {
    let mut rows: BTreeMap<String, i64> = BTreeMap::new();
    for line in place.rows(output) {
        let Some(change) = serde_json::from_str::<Value>(&line).ok().filter(Value::is_object) else {
            *rows.entry(line).or_default() += 1;
            continue;
        };
        for (image, by) in [("before", -1), ("after", 1)] {
            if !change[image].is_null() {
                *rows.entry(change[image].to_string()).or_default() += by;
            }
        }
    }
    rows.into_iter().filter(|(_, times)| *times != 0).map(|(row, times)| format!("{row} x {times}")).collect()
}

#[test]
fn state_of_every_operator_of_every_format_goes_on() {
    for fixture in fixtures() {
        let place = open(&fixture, "operators");
        let ran = place.flott(&["run", "job.sql", "-p", "2", "--restore", &savepoint(&place)]);
        assert_eq!(ran.code, Some(0), "{}: {ran:?}", fixture.display());
        for output in operators_outputs() {
            let expected = std::fs::read_to_string(place.path().join("expected").join(output)).expect("a file");
            let expected: Vec<&str> = expected.lines().collect();
            assert_eq!(consolidated(&place, output), expected, "{}: {output}", fixture.display());
        }
    }
}

/// `flott <kind> <version> <checksum>`, a line, and JSON behind it.
struct Record {
    kind: String,
    version: u32,
    json: Value,
}

impl Record {
    fn read(path: &Path) -> Record {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (header, json) = text.split_once('\n').expect("a header");
        let words: Vec<&str> = header.split(' ').collect();
        let json = serde_json::from_str(json).expect("JSON");
        Record { kind: words[1].to_string(), version: words[2].parse().expect("a number"), json }
    }

    /// The bytes' checksum is what names or lists the file elsewhere.
    fn write(&self, path: &Path) -> u32 {
        let json = serde_json::to_vec(&self.json).expect("JSON");
        let mut bytes = format!("flott {} {} {:08x}\n", self.kind, self.version, crc32(&json)).into_bytes();
        bytes.extend(json);
        std::fs::write(path, &bytes).expect("written");
        crc32(&bytes)
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn state_version(path: &Path) -> u32 {
    let bytes = std::fs::read(path).expect("a file");
    u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"))
}

/// Every layout in a folder, with its version.
fn versions(folder: &Path) -> BTreeSet<(String, u64)> {
    let mut found = BTreeSet::new();
    for name in files(folder) {
        let path = folder.join(&name);
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        if file.ends_with(".run") {
            found.insert(("state file".to_string(), u64::from(state_version(&path))));
        } else if file == "HEAD" || file == "_metadata" || file.ends_with(".json") {
            let record = Record::read(&path);
            if record.kind == "manifest" {
                found.extend(inner_versions(&record.json));
            }
            found.insert((record.kind, u64::from(record.version)));
        }
    }
    found
}

/// What sources, operators and sinks have put into a manifest.
fn inner_versions(manifest: &Value) -> BTreeSet<(String, u64)> {
    let mut found = BTreeSet::new();
    let mut add = |what: String, version: &Value| found.extend(version.as_u64().map(|v| (what, v)));
    let all = |of: &Value| of.as_object().cloned().unwrap_or_default();
    for (uid, source) in all(&manifest["sources"]) {
        add(format!("enumerator of {uid}"), &source["enumerator"]["version"]);
        for split in source["splits"].as_array().into_iter().flatten() {
            add(format!("split of {uid}"), &split["data"]["version"]);
        }
    }
    for (uid, operator) in all(&manifest["operators"]) {
        // Which of several equal operators it is says nothing of what it keeps.
        let kind =
            uid.rsplit_once('#').filter(|(_, n)| n.parse::<u32>().is_ok()).map_or(uid.as_str(), |(kind, _)| kind);
        add(format!("state of {kind}"), &operator["version"]);
    }
    for (uid, sink) in all(&manifest["sinks"]) {
        for committable in sink["committables"].as_array().into_iter().flatten() {
            add(format!("committable of {uid}"), &committable["data"]["version"]);
        }
    }
    found
}

/// Those of all its parts.
fn all_versions(fixture: &Path) -> BTreeSet<(String, u64)> {
    let stored = ["checkpoint/checkpoints", "savepoint/saved", "operators/saved"];
    stored.iter().flat_map(|folder| versions(&fixture.join(folder))).collect()
}

#[test]
fn the_present_formats_have_a_fixture() {
    let known: BTreeSet<_> = fixtures().iter().flat_map(|folder| all_versions(folder)).collect();
    let now = tempfile::tempdir().expect("a folder");
    write_checkpoint(&now.path().join("checkpoint"));
    write_savepoint(&now.path().join("savepoint"));
    write_operators(&now.path().join("operators"));
    let present = all_versions(now.path());
    let kinds: BTreeSet<&str> = present.iter().map(|(kind, _)| kind.split(' ').next().unwrap_or(kind)).collect();
    let all = ["bundle", "committable", "enumerator", "head", "manifest", "savepoint", "split", "state"];
    assert!(kinds.iter().copied().eq(all), "{kinds:?}");
    let missing: Vec<_> = present.difference(&known).collect();
    if !missing.is_empty() && std::env::var_os("UPDATE_FIXTURES").is_some() {
        let outer = present.iter().filter(|(kind, _)| !kind.contains(" of "));
        let name: Vec<String> = outer.map(|(kind, version)| format!("{}{version}", kind.replace(' ', "-"))).collect();
        let to = root().join(name.join("-"));
        let new: Vec<_> = HALVES.iter().filter(|half| !to.join(half).exists()).collect();
        assert!(!new.is_empty(), "{} is there already", to.display());
        return new.iter().for_each(|half| copy(&now.path().join(half), &to.join(half)));
    }
    assert!(
        missing.is_empty(),
        "nothing in tests/fixtures is of these versions: {missing:?}. {} says what to do",
        file!()
    );
}

/// HEAD names the manifest with its checksum, and the bundle, whose name holds its own.
fn change_manifest(place: &Place, change: impl FnOnce(&mut Record)) {
    let folder = place.path().join("checkpoints/job");
    let mut head = Record::read(&folder.join("HEAD"));
    let path = folder.join(head.json["retained"][0]["manifest"].as_str().expect("a file"));
    let mut manifest = Record::read(&path);
    change(&mut manifest);
    head.json["retained"][0]["crc32"] = manifest.write(&path).into();
    head.write(&folder.join("HEAD"));
}

fn each<'a>(of: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    of[key].as_object_mut().into_iter().flat_map(|map| map.values_mut())
}

type Change = (&'static str, fn(&Place));

/// Every kind of stored file, and of what is in a manifest, of a version that does not exist.
const OF_CHECKPOINT: [Change; 8] = [
    ("the HEAD record", |place| {
        let path = place.path().join("checkpoints/job/HEAD");
        let head = Record::read(&path);
        Record { version: UNKNOWN, ..head }.write(&path);
    }),
    ("the manifest", |place| change_manifest(place, |manifest| manifest.version = UNKNOWN)),
    ("the job bundle", |place| {
        let folder = place.path().join("checkpoints/job");
        let mut head = Record::read(&folder.join("HEAD"));
        let old = folder.join(head.json["bundle"].as_str().expect("a file"));
        let crc32 = Record { version: UNKNOWN, ..Record::read(&old) }.write(&old);
        let name = format!("bundle-{crc32:08x}-1.json");
        std::fs::rename(old, folder.join(&name)).expect("renamed");
        head.json["bundle"] = name.into();
        head.write(&folder.join("HEAD"));
    }),
    ("state file", |place| raise_state_files(&place.path().join("checkpoints/job"))),
    ("split", |place| {
        change_manifest(place, |m| {
            for source in each(&mut m.json, "sources") {
                let splits = source["splits"].as_array_mut().into_iter().flatten();
                splits.for_each(|split| split["data"]["version"] = UNKNOWN.into());
            }
        });
    }),
    ("enumerator", |place| {
        change_manifest(place, |m| {
            each(&mut m.json, "sources").for_each(|source| source["enumerator"]["version"] = UNKNOWN.into());
        });
    }),
    ("state", |place| {
        change_manifest(place, |m| each(&mut m.json, "operators").for_each(|o| o["version"] = UNKNOWN.into()));
    }),
    ("committable", |place| {
        change_manifest(place, |m| {
            for sink in each(&mut m.json, "sinks") {
                let committables = sink["committables"].as_array_mut().into_iter().flatten();
                committables.for_each(|c| c["data"]["version"] = UNKNOWN.into());
            }
        });
    }),
];

const OF_SAVEPOINT: [Change; 4] = [
    ("the savepoint", |place| {
        let path = place.path().join(savepoint(place)).join("_metadata");
        Record { version: UNKNOWN, ..Record::read(&path) }.write(&path);
    }),
    ("the manifest", |place| raise_in_savepoint(place, "manifest.json")),
    ("the job bundle", |place| raise_in_savepoint(place, "bundle.json")),
    ("state file", |place| raise_state_files(&place.path().join("saved"))),
];

/// A savepoint lists its files with their checksums.
fn raise_in_savepoint(place: &Place, name: &str) {
    let folder = place.path().join(savepoint(place));
    let path = folder.join(name);
    let crc32 = Record { version: UNKNOWN, ..Record::read(&path) }.write(&path);
    let mut metadata = Record::read(&folder.join("_metadata"));
    let files = metadata.json["files"].as_array_mut().expect("a list");
    let entry = files.iter_mut().find(|f| f["name"] == name).expect("it is listed");
    entry["crc32"] = crc32.into();
    entry["bytes"] = std::fs::metadata(&path).expect("a file").len().into();
    metadata.write(&folder.join("_metadata"));
}

fn raise_state_files(folder: &Path) {
    for name in files(folder).iter().filter(|n| n.ends_with(".run")) {
        let path = folder.join(name);
        let mut bytes = std::fs::read(&path).expect("a file");
        bytes[8..12].copy_from_slice(&UNKNOWN.to_le_bytes());
        std::fs::write(path, bytes).expect("written");
    }
}

#[test]
fn unknown_versions_are_refused_by_their_number() {
    let fixture = fixtures().pop().expect("a fixture");
    let halves: [(&str, &[Change], fn(&Place) -> Ran, &str); 2] =
        [("checkpoint", &OF_CHECKPOINT, run_checkpoint, "copies"), ("savepoint", &OF_SAVEPOINT, run_savepoint, "o")];
    for (half, changes, run, output) in halves {
        for (what, change) in changes {
            let place = open(&fixture, half);
            change(&place);
            let before = place.rows(output);
            let ran = run(&place);
            let text = &ran.err;
            assert!(matches!(ran.code, Some(1 | 2)), "{half}, {what}: {ran:?}");
            assert!(text.contains(&format!("version {UNKNOWN}")) && text.contains(what), "{half}, {what}: {text}");
            let says_why = ["this build reads version", "This build reads version", "which is not known"];
            assert!(says_why.iter().any(|why| text.contains(why)), "{half}, {what}: {text}");
            assert!(!text.contains("panicked"), "{half}, {what}: {text}");
            // What is decided is shown as soon as all of its committables are read, whatever else there is.
            let may_be_shown = ["split", "enumerator", "state"].contains(what);
            let mut shown = place.rows(output);
            assert!(may_be_shown || shown == before, "{half}, {what}: output was shown");
            let rows = shown.len();
            shown.dedup();
            assert_eq!(shown.len(), rows, "{half}, {what}: rows were shown twice");
        }
    }
}

/// Kills a job when a checkpoint is decided and not committed, in which everything is underway.
fn write_checkpoint(to: &Path) {
    for round in 0..200 {
        let place = Place::new();
        place.write("job.sql", CHECKPOINT_JOB);
        for file in 0..FILES {
            let each = ROWS / FILES;
            // A gap in time, so that there is more than one session.
            let id = |row: u64| (file * each + row) + (file / 10) * 1_000;
            place.write(
                &format!("in/{file:02}.csv"),
                &(0..each).map(|row| format!("{}\n", id(row))).collect::<String>(),
            );
        }
        set_times(&place);
        let undisturbed = Place::new();
        copy(place.path(), undisturbed.path());
        set_times(&undisturbed);
        let mut command = place.command(&["run", "job.sql", "-p", "2"]);
        let reached = place.path().join("reached");
        let point = format!("after_decided_before_commit:{}", 1 + round % 3);
        command.env("FLOTT_FAILPOINT", point).env("FLOTT_FAILPOINT_REPORT", &reached);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("flott starts");
        until("the point or the end", || reached.exists() || child_has_ended(&child));
        drop(child.kill());
        drop(child.wait());
        if !reached.exists() || !is_underway(&place.path().join("checkpoints/job")) {
            continue;
        }
        std::fs::remove_file(&reached).expect("removed");
        let ran = undisturbed.flott(&["run", "job.sql"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for output in CHECKPOINT_OUTPUTS {
            let rows: String = undisturbed.rows(output).iter().map(|row| format!("{row}\n")).collect();
            place.write(&format!("expected/{output}"), &rows);
        }
        return copy(place.path(), to);
    }
    panic!("the job is always over too soon");
}

fn child_has_ended(child: &Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

/// The decided checkpoint holds something of every kind.
fn is_underway(job: &Path) -> bool {
    let head = Record::read(&job.join("HEAD")).json;
    let Some(manifest) = head["retained"][0]["manifest"].as_str() else { return false };
    let manifest = Record::read(&job.join(manifest)).json;
    let found = inner_versions(&manifest);
    let has = |kind: &str| found.iter().any(|(k, _)| k.starts_with(kind));
    let runs = manifest["operators"].as_object().into_iter().flat_map(|all| all.values());
    has("split of")
        && has("enumerator of")
        && has("committable of")
        && runs.filter(|o| o["runs"][0].is_object()).count() > 1
}

fn write_savepoint(to: &Path) {
    copy(stopped_with_savepoint(SAVEPOINT_JOB, "2", &["o", "c"]).path(), to);
}

/// A job that was stopped with a savepoint when these outputs had rows. The savepoint stands alone.
fn stopped_with_savepoint(job: &str, parallelism: &str, outputs: &[&str]) -> Place {
    for _ in 0..20 {
        let (place, runtime) = (Place::new(), tempfile::tempdir().expect("a folder"));
        place.write("job.sql", job);
        let mut command = place.command(&["run", "job.sql", "-p", parallelism]);
        let mut child = command.env("FLOTT_RUNTIME_DIR", runtime.path().join("flott")).spawn().expect("flott starts");
        until("rows or the end", || {
            child_has_ended(&child) || outputs.iter().all(|output| !place.rows(output).is_empty())
        });
        rest(100);
        let mut stop = place.command(&["stop", "job", "--savepoint", "saved"]);
        let stopped = ran(stop.env("FLOTT_RUNTIME_DIR", runtime.path().join("flott")).output().expect("flott runs"));
        let ended = child.wait().expect("an end");
        assert!(ended.success() || stopped.code == Some(0), "{ended}, {stopped:?}");
        // On a slow machine the job may have come to its end first.
        if stopped.code == Some(0) {
            std::fs::remove_dir_all(place.path().join("checkpoints")).expect("removed");
            return place;
        }
    }
    panic!("the job is always over too soon");
}

/// Operators whose state there has to be something of.
const OPERATORS_MIN: usize = 17;

fn write_operators(to: &Path) {
    let place = stopped_with_savepoint(OPERATORS_JOB, "1", &["so_far", "hops", "grouped", "near", "runs"]);
    let manifest = Record::read(&place.path().join(savepoint(&place)).join("manifest.json")).json;
    let operators = manifest["operators"].as_object().expect("operators").values();
    let with_state = operators.filter(|o| o["runs"][0].is_object()).count();
    assert!(with_state >= OPERATORS_MIN, "only {with_state} operators have state");
    let undisturbed = Place::new();
    undisturbed.write("job.sql", OPERATORS_JOB);
    let ran = undisturbed.flott(&["run", "job.sql", "-p", "1"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for output in operators_outputs() {
        let rows: String = consolidated(&undisturbed, output).iter().map(|row| format!("{row}\n")).collect();
        assert!(!rows.is_empty(), "{output} is empty");
        place.write(&format!("expected/{output}"), &rows);
    }
    copy(place.path(), to);
}
