//! What the program that embeds a session keeps for itself.
#![cfg(target_os = "linux")]

use flott::{Outcome, Session};

/// SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM.
const SIGNALS: [u32; 6] = [1, 2, 3, 10, 12, 15];

/// Of [`SIGNALS`], those that this process catches or ignores.
fn handled() -> Vec<u32> {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let mask = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name)).expect("a line of that name");
        u64::from_str_radix(line.trim(), 16).expect("a mask")
    };
    let mask = mask("SigCgt:") | mask("SigIgn:");
    SIGNALS.into_iter().filter(|signal| mask >> (signal - 1) & 1 == 1).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_run_and_fail_leave_its_signals_alone_and_the_process_alive() {
    let before = handled();
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = Session::builder().base_dir(folder.path()).build().expect("a session");
    for statement in [
        "CREATE TABLE s (id INT) WITH ('connector' = 'datagen', 'fields.id.kind' = 'sequence', 'fields.id.start' = '0', \
         'fields.id.end' = '9')",
        "CREATE TABLE o (id INT) WITH ('connector' = 'blackhole')",
    ] {
        session.execute_sql(statement).await.expect("made");
    }
    for (query, fails) in [("SELECT id FROM s", false), ("SELECT 1 / (id - 5) FROM s", true)] {
        let outcome = session.execute_sql(&format!("INSERT INTO o {query}")).await.expect("starts");
        let Outcome::Job(mut job) = outcome else { panic!("an INSERT starts a job") };
        assert_eq!(handled(), before, "while '{query}' runs");
        assert_eq!(job.wait().await.is_err(), fails, "{query}");
    }
    assert_eq!(handled(), before);
}
