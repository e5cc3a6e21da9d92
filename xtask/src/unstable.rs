//! The whole test run: a test that fails in it is run once more, alone, and both results are told.
//!
//! Tests with real servers, processes that are killed and two threads per core meet moments that no other run has. One
//! such failure neither hides what the other tests say nor is it forgotten: what passes alone is named in the last lines as
//! UNSTABLE and is a defect to look into; what fails twice, more than a few tests, and what dies without naming a test fail
//! the run.

use std::io::{BufRead, BufReader, Write};

use crate::{Failure, say};

/// Tests that are run once more.
const AGAIN_MAX: usize = 3;

/// Runs all tests with these variables. The names of those that failed once and passed alone.
pub(crate) fn run(variables: &[(String, String)]) -> Result<Vec<String>, Failure> {
    let mut seen = Seen::default();
    let args = ["test", "--workspace", "--locked", "--no-fail-fast"].map(String::from);
    if cargo(&args, variables, &mut |line| seen.line(line))? {
        return Ok(vec![]);
    }
    let failed = seen.failed()?;
    for Failed { target, test } in &failed {
        say(&format!("{test} failed; once more, alone:"));
        let mut args = ["test", "--workspace", "--locked"].map(String::from).to_vec();
        args.extend(target.iter().cloned());
        args.extend(["--", "--exact", test].map(String::from));
        let passed_line = format!("test {test} ... ok");
        let mut passed = false;
        let ended_well = cargo(&args, variables, &mut |line| passed |= line == passed_line)?;
        if !(ended_well && passed) {
            return Err(format!("{test} failed twice"));
        }
    }
    Ok(failed.into_iter().map(|failed| failed.test).collect())
}

/// Runs cargo, shows what it prints and hands on each line. Whether it ended well.
fn cargo(args: &[String], variables: &[(String, String)], on_line: &mut dyn FnMut(&str)) -> Result<bool, Failure> {
    say(&format!("+ cargo {}", args.join(" ")));
    // One pipe for both streams: which target a test is of is known from the order of their lines.
    let (reader, writer) = std::io::pipe().map_err(|e| e.to_string())?;
    let mut child = crate::command("cargo")
        .args(args)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(crate::root())
        .stdout(writer.try_clone().map_err(|e| e.to_string())?)
        .stderr(writer)
        .spawn()
        .map_err(|e| format!("cargo cannot be started: {e}"))?;
    let mut reader = BufReader::new(reader);
    let mut line = vec![];
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(|e| e.to_string())? == 0 {
            break;
        }
        std::io::stdout().write_all(&line).map_err(|e| e.to_string())?;
        on_line(String::from_utf8_lossy(&line).trim_end());
    }
    Ok(child.wait().map_err(|e| e.to_string())?.success())
}

/// A test that failed, and cargo's arguments for the target that it is in.
#[derive(Debug, PartialEq, Eq)]
struct Failed {
    target: Vec<String>,
    test: String,
}

/// What the lines of a run of all tests said.
#[derive(Debug, Default)]
struct Seen {
    /// Cargo's arguments for the target whose tests are running; none for those that cannot be run one by one.
    target: Option<Vec<String>>,
    /// The number of the running target.
    number: usize,
    failed: Vec<Failed>,
    /// The targets of these.
    targets_named: std::collections::BTreeSet<usize>,
    /// How many failed as cargo counts them.
    targets_failed: Option<usize>,
}

impl Seen {
    fn line(&mut self, line: &str) {
        let text = line.trim_start();
        if let Some(running) = text.strip_prefix("Running ") {
            self.number += 1;
            self.target = target(running);
        } else if text.starts_with("Doc-tests ") {
            self.number += 1;
            self.target = None;
        } else if let Some(test) = line.strip_prefix("test ").and_then(|l| l.strip_suffix(" ... FAILED")) {
            if let Some(target) = &self.target {
                let test = test.trim_end_matches(" - should panic").to_string();
                self.failed.push(Failed { target: target.clone(), test });
                self.targets_named.insert(self.number);
            }
        } else if let Some(count) = line.strip_prefix("error: ").and_then(|l| l.split_once(" target"))
            && count.1.ends_with("failed:")
        {
            self.targets_failed = count.0.parse().ok();
        }
    }

    /// The tests to run once more.
    fn failed(self) -> Result<Vec<Failed>, Failure> {
        if self.targets_failed.is_none() || self.targets_failed != Some(self.targets_named.len()) {
            return Err("cargo test".to_string());
        }
        if self.failed.len() > AGAIN_MAX {
            let names: Vec<&str> = self.failed.iter().map(|f| f.test.as_str()).collect();
            return Err(format!("{} tests: {}", names.len(), names.join(", ")));
        }
        Ok(self.failed)
    }
}

/// Cargo's arguments for a target that it says it runs.
fn target(running: &str) -> Option<Vec<String>> {
    let path = running.split(" (").next()?;
    Some(match path.strip_prefix("unittests ") {
        Some(path) if path.ends_with("lib.rs") => vec!["--lib".to_string()],
        Some(_) => vec!["--bins".to_string()],
        None => {
            let path = path.strip_prefix("tests/")?;
            let name = path.split('/').next()?.trim_end_matches(".rs");
            vec!["--test".to_string(), name.to_string()]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Seen {
        let mut seen = Seen::default();
        text.lines().for_each(|line| seen.line(line));
        seen
    }

    #[test]
    fn tests_that_failed_are_named_with_their_target() {
        let seen = seen(
            "     Running unittests src/lib.rs (target/debug/deps/a-0)\n\
             test one::two ... FAILED\ntest one::three ... ok\n\
             \x20    Running tests/it/main.rs (target/debug/deps/it-1)\n\
             test four ... ok\ntest five ... FAILED\n\
             \x20    Running tests/slt.rs (target/debug/deps/slt-1)\n\
             error: 2 targets failed:\n    `-p a --lib`\n    `-p b --test it`",
        );
        let named = |target: &[&str], test: &str| Failed {
            target: target.iter().map(|t| (*t).to_string()).collect(),
            test: test.to_string(),
        };
        let expected = vec![named(&["--lib"], "one::two"), named(&["--test", "it"], "five")];
        assert_eq!(seen.failed(), Ok(expected));
    }

    #[test]
    fn what_names_no_test_fails_the_run() {
        let build = "error: could not compile `a` (lib) due to 1 previous error";
        assert!(seen(build).failed().is_err());
        let died = "     Running tests/it/main.rs (target/debug/deps/it-1)\ntest four ... ok\n\
             error: 1 target failed:\n    `-p b --test it`";
        assert!(seen(died).failed().is_err());
        let example =
            "   Doc-tests a\ntest src/lib.rs - (line 3) ... FAILED\nerror: 1 target failed:\n    `-p a --doc`";
        assert!(seen(example).failed().is_err());
        let many = "     Running tests/it/main.rs (target/debug/deps/it-1)\ntest a ... FAILED\ntest b ... FAILED\n\
             test c ... FAILED\ntest d ... FAILED\nerror: 1 target failed:\n    `-p b --test it`";
        assert_eq!(seen(many).failed(), Err("4 tests: a, b, c, d".to_string()));
    }
}
