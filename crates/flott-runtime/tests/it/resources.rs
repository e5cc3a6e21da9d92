//! What a job costs when it does nothing, and what it leaves behind. Each test measures in a process of its own.

use std::process::Command;
use std::time::Duration;

use flott_graph::Partitioning;

use crate::support::*;

const CHILD: &str = "FLOTT_TEST_CHILD";

/// True in the process of its own; elsewhere runs the test there.
fn in_own_process(test: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let me = std::env::current_exe().expect("a path");
    let output = Command::new(me).args(["--exact", test, "--nocapture"]).env(CHILD, "1").output().expect("runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // A name without a test is a success, too.
    assert!(output.status.success() && out.contains("1 passed"), "{test} did not run or failed: {out}{err}");
    false
}

/// CPU time of this process, in ms (the kernel's ticks are 10 ms).
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after = stat.rsplit(')').next().expect("fields");
    let field = |i: usize| after.split_whitespace().nth(i).and_then(|f| f.parse::<u64>().ok()).expect("a number");
    (field(11) + field(12)) * 10
}

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).expect("Linux").count()
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|l| l.starts_with("VmRSS")).expect("a line");
    line.split_whitespace().nth(1).and_then(|v| v.parse().ok()).expect("a number")
}

#[test]
#[should_panic(expected = "did not run")]
fn a_test_that_is_not_there_does_not_pass() {
    in_own_process("resources::not_there");
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_job_uses_no_cpu() {
    if !in_own_process("resources::an_idle_job_uses_no_cpu") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("starts");
    runtime.block_on(async {
        let mut g = Graph::new();
        let script = |_, step: u64| if step < 20 { Step::Rows(batch([(step as i64, 0, 0)])) } else { Step::Park };
        // With an idle timeout and watermarks, since both have timers.
        let source = g.source(ScriptSource::new(script), Some(watermark(0, Some(Duration::from_millis(200)))));
        let pass = g.operator("pass", &[(source, Partitioning::Hash(vec![0]))], |_, _, _| Box::new(Pass));
        g.sink(MemorySink::new(), pass, Partitioning::Hash(vec![0]));
        let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(2));
        job.work_for(Duration::from_millis(800)).await;
        let before = cpu_ms();
        tokio::time::sleep(Duration::from_secs(4)).await;
        let used = cpu_ms() - before;
        assert!(used <= 30, "{used} ms of CPU in 4 s");
        job.cancel().await;
    });
}

#[test]
#[cfg(target_os = "linux")]
fn two_hundred_attempts_leave_nothing() {
    if !in_own_process("resources::two_hundred_attempts_leave_nothing") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("starts");
    runtime.block_on(async {
        let mut after_warm_up = None;
        for i in 0..200u64 {
            let mut g = Graph::new();
            let end = i % 3 == 0;
            let script = move |_, step: u64| match step {
                0..5 => Step::Rows(batch((0..100).map(|k| (k, 1, step as i64)))),
                _ if end => Step::Finish,
                _ if i % 3 == 1 => Step::Fail("on purpose"),
                _ => Step::Park,
            };
            let source = g.source(ScriptSource::new(script), Some(watermark(0, None)));
            let sum = g.sum(&[(source, Partitioning::Hash(vec![0]))]);
            g.sink(MemorySink::new(), sum, Partitioning::Forward);
            let mut job = Job::start(g, &[(source, vec![split(0), split(1)])], Options::new(2));
            match i % 3 {
                0 => job.finish().await,
                1 => {
                    job.until("the failure", |l| l.finished.is_some()).await;
                    job.attempt.join().await;
                }
                _ => {
                    job.until("readers", |l| l.registered.len() == 2).await;
                    job.cancel().await;
                }
            }
            drop(job);
            if i == 30 {
                after_warm_up = Some((entries("/proc/self/task"), entries("/proc/self/fd"), resident_kb()));
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (threads, files, memory) = after_warm_up.expect("measured");
        assert!(entries("/proc/self/task") <= threads + 1, "{} threads, {threads} before", entries("/proc/self/task"));
        assert!(entries("/proc/self/fd") <= files, "{} files, {files} before", entries("/proc/self/fd"));
        assert!(resident_kb() < memory + 20_000, "{} kB, {memory} kB before", resident_kb());
        // Tasks that outlive their attempt would keep the runtime's metrics from returning to what is running here.
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    });
}
