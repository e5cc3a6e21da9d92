//! Which attempts this very process has under way. That a process lives says nothing of a job that is its own: one program
//! may run many sessions, and two of them may mean the same job.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many hold each attempt's [`Alive`]: an attempt's name is drawn by chance, but not in tests.
static ATTEMPTS: Mutex<Option<HashMap<String, usize>>> = Mutex::new(None);

fn attempts() -> MutexGuard<'static, Option<HashMap<String, usize>>> {
    ATTEMPTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this process runs an attempt, or is between it and the next one of the same job.
pub fn runs_here(attempt: &str) -> bool {
    attempts().as_ref().is_some_and(|all| all.contains_key(attempt))
}

/// An attempt that this process runs, until it is dropped.
pub(super) struct Alive(String);

impl Alive {
    pub(super) fn begin(attempt: &str) -> Alive {
        *attempts().get_or_insert_default().entry(attempt.to_string()).or_insert(0) += 1;
        Alive(attempt.to_string())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let mut attempts = attempts();
        let Some(all) = attempts.as_mut() else { return };
        if let Some(holders) = all.get_mut(&self.0) {
            *holders -= 1;
            if *holders == 0 {
                all.remove(&self.0);
            }
        }
    }
}

impl fmt::Debug for Alive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alive")
    }
}
