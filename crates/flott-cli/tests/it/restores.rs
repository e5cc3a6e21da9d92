//! What the command says of earlier runs.

use crate::support::{Place, ran, signal, until};

const ENDLESS: &str = "\
    CREATE TABLE s (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000',
      'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '1000000');
    CREATE TABLE o (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'o', 'format' = 'csv');
    SET 'execution.checkpointing.interval' = '200 ms';
    INSERT INTO o SELECT id FROM s;";

#[test]
fn a_path_that_nothing_restores_is_refused() {
    let place = Place::new();
    place.write("query.sql", "SELECT 1;");
    let ran = place.flott(&["run", "query.sql", "--restore", ".flott/query"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("no statement of the script writes to a table"), "{ran:?}");
    assert_eq!(ran.out, "", "nothing runs");
    // A job that keeps no checkpoints has none to go on from.
    place.write("printing.sql", "CREATE TABLE p (v INT) WITH ('connector' = 'print'); INSERT INTO p VALUES (1);");
    let ran = place.flott(&["run", "printing.sql", "--restore", ".flott/printing"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains(".flott/printing"), "{ran:?}");
    assert_eq!(ran.out, "", "nothing runs");
    assert_eq!(place.flott(&["run", "printing.sql", "--restore", "latest"]).code, Some(0));
}

#[test]
fn latest_of_a_job_that_never_ran_starts_and_says_where_it_looked() {
    let place = Place::new();
    place.write("job.sql", &ENDLESS.replace("1000000", "500"));
    let first = place.flott(&["run", "job.sql", "--restore", "latest"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    let folder = place.path().join(".flott/job").display().to_string();
    let told = format!("Job 'job' starts from the beginning: there is no checkpoint in {folder}.");
    assert_eq!(first.err.matches(&told).count(), 1, "{first:?}");
    assert_eq!(place.rows("o").len(), 500);
    let again = place.flott(&["run", "job.sql", "--restore", "latest"]);
    assert!(again.err.contains("had finished before") && !again.err.contains("from the beginning"), "{again:?}");
    place.write("p.sql", "CREATE TABLE p (v INT) WITH ('connector' = 'print'); INSERT INTO p VALUES (1);");
    let none = place.flott(&["run", "p.sql", "--restore", "latest"]);
    assert!(none.code == Some(0) && none.err.contains("it keeps no checkpoints"), "{none:?}");
    // A path that is named has to be there.
    let gone = place.flott(&["run", "job.sql", "--restore", "gone/chk-3-g1"]);
    assert_eq!(gone.code, Some(2), "{gone:?}");
}

#[test]
fn a_job_that_still_runs_is_named_when_it_is_taken_over() {
    let place = Place::new();
    place.write("job.sql", ENDLESS);
    let first = place.start(&["run", "job.sql"]);
    let first_id = first.id();
    until("the first file", || !place.rows("o").is_empty());
    let second = place.start(&["run", "job.sql", "--restore", "latest"]);
    let first = ran(first.wait_with_output().expect("an end"));
    assert_eq!(first.code, Some(3), "{first:?}");
    // The first ends before the second has said what it does.
    let files = place.rows("o").len();
    until("another file", || place.rows("o").len() > files);
    signal(&second, "INT");
    let second = ran(second.wait_with_output().expect("an end"));
    assert_eq!(second.code, Some(130), "{second:?}");
    let told = format!("process {first_id} on ");
    assert!(second.err.contains("was taken over from attempt 1, started 2"), "{second:?}");
    assert!(second.err.contains(&told) && second.err.contains("still runs"), "{second:?}");

    let third = place.start(&["run", "job.sql", "--restore", "latest"]);
    let files = place.rows("o").len();
    until("another file", || place.rows("o").len() > files);
    signal(&third, "KILL");
    let third = ran(third.wait_with_output().expect("an end"));
    assert!(!third.err.contains("taken over"), "the second had come to its end: {third:?}");
    let fourth = place.start(&["run", "job.sql", "--restore", "latest"]);
    let files = place.rows("o").len();
    until("another file", || place.rows("o").len() > files);
    signal(&fourth, "INT");
    let fourth = ran(fourth.wait_with_output().expect("an end"));
    assert!(
        fourth.err.contains("taken over from attempt 3") && fourth.err.contains("has ended without a last checkpoint"),
        "{fourth:?}"
    );
}

#[test]
fn a_head_that_cannot_be_read_says_what_to_do_and_fresh_does_it() {
    let damages: [fn(&str) -> String; 2] =
        [|head| head.replacen('{', "[", 1), |head| head.replacen("flott head ", "flott head 9", 1)];
    for (code, damage) in [1, 2].into_iter().zip(damages) {
        let place = Place::new();
        place.write("job.sql", &ENDLESS.replace("1000000", "500"));
        assert_eq!(place.flott(&["run", "job.sql"]).code, Some(0));
        let head = place.path().join(".flott/job/HEAD");
        let text = damage(&std::fs::read_to_string(&head).expect("HEAD"));
        std::fs::write(&head, &text).expect("written");
        for args in [&["run", "job.sql"][..], &["run", "job.sql", "--restore", "latest"]] {
            let refused = place.flott(args);
            assert_eq!(refused.code, Some(code), "{refused:?}");
            assert!(refused.err.contains("HEAD") && refused.err.contains("--fresh"), "{refused:?}");
        }
        let fresh = place.flott(&["run", "job.sql", "--fresh"]);
        assert_eq!(fresh.code, Some(0), "{fresh:?}");
        assert!(fresh.err.contains("HEAD-unreadable-") && fresh.err.contains("starts over"), "{fresh:?}");
        assert_eq!(place.rows("o").len(), 1_000, "twice the rows: what was committed stays");
        let kept = std::fs::read_dir(place.path().join(".flott/job")).expect("a folder").flatten();
        let kept = kept.map(|f| f.path()).find(|p| p.to_string_lossy().contains("HEAD-unreadable-")).expect("kept");
        assert_eq!(std::fs::read_to_string(kept).expect("text"), text);
    }
}

#[test]
fn a_job_that_fails_at_once_is_not_said_to_go_on() {
    let place = Place::new();
    place.write("job.sql", ENDLESS);
    let first = place.start(&["run", "job.sql"]);
    until("the first file", || !place.rows("o").is_empty());
    signal(&first, "INT");
    assert_eq!(ran(first.wait_with_output().expect("an end")).code, Some(130));
    place.write("job.sql", &ENDLESS.replace("SELECT id", "SELECT id / (id - id)"));
    let failed = place.flott(&["run", "job.sql", "--restore", "latest"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(!failed.err.contains("goes on from checkpoint"), "{failed:?}");
}

/// The disk is a small tmpfs.
#[test]
fn a_full_disk_is_named_with_what_to_do_and_the_attempt() {
    let place = Place::new();
    let disk = place.path().join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let mut mount = std::process::Command::new("mount");
    if !mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&disk).status().is_ok_and(|s| s.success()) {
        println!("SKIPPED: a small tmpfs cannot be mounted, which takes the rights to");
        return;
    }
    place.write("job.sql", &ENDLESS.replace("'path' = 'o'", "'path' = 'disk/o'").replace("1000'", "1000000'"));
    let job = place.start(&["run", "job.sql", "--log-level", "warn"]);
    let id = job.id().to_string();
    let listed = || place.flott(&["list"]).out.lines().any(|l| l.contains(&id) && l.contains("| RESTARTING |"));
    until("a restart", listed);
    signal(&job, "KILL");
    let ran = ran(job.wait_with_output().expect("an end"));
    std::process::Command::new("umount").arg("-l").arg(&disk).status().expect("umount");
    let told = ran.err.lines().find(|l| l.contains("a disk is full")).unwrap_or_else(|| panic!("{ran:?}"));
    for word in ["UNAVAILABLE", "attempt=2", "disk/o", "Free some space"] {
        assert!(told.contains(word), "no '{word}' in {told}");
    }
}

/// A plain second run asks for a word, and one that cannot start is refused, while the first goes on.
#[test]
fn a_job_that_runs_is_not_ended_by_chance() {
    let place = Place::new();
    place.write("job.sql", ENDLESS);
    let first = place.start(&["run", "job.sql"]);
    until("the first file", || !place.rows("o").is_empty());
    let again = place.flott(&["run", "job.sql"]);
    assert_eq!(again.code, Some(2), "{again:?}");
    let owner = format!("is running already: process {} on ", first.id());
    assert!(again.err.contains(&owner) && again.err.contains("flott stop job"), "{again:?}");
    let gone = "CREATE TABLE gone (id BIGINT) WITH ('connector' = 'filesystem', 'path' = 'gone', 'format' = 'csv');";
    let insert = ENDLESS.find("INSERT INTO").expect("an INSERT");
    let (tables, insert) = ENDLESS.split_at(insert);
    place.write(
        "job.sql",
        &format!("{tables}{gone}{}", insert.replace(" FROM s", " FROM s UNION ALL SELECT id FROM gone")),
    );
    let wrong = place.flott(&["run", "job.sql", "--restore", "latest"]);
    assert!(wrong.code != Some(0) && wrong.err.contains("gone"), "{wrong:?}");
    let files = place.rows("o").len();
    until("another file of the first", || place.rows("o").len() > files);
    signal(&first, "INT");
    let first = ran(first.wait_with_output().expect("an end"));
    assert_eq!(first.code, Some(130), "{first:?}");
}
