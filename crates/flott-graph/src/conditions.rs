//! Which conditions the rows that an operator keeps have passed.

use std::collections::{BTreeMap, BTreeSet};

/// The conditions below a stateful operator that decide which of its rows are seen above it, for each thing that rows come
/// from (a table, another stateful operator). What it kept under other conditions would be given on under these.
///
/// Texts are in a form of their own, which is stored with checkpoints and stays as it is: see
/// [`CONDITIONS_VERSION`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateConditions(pub BTreeMap<String, BTreeSet<String>>);

/// The version of the texts. Those of another version are not compared: state is of conditions that nobody knows.
pub const CONDITIONS_VERSION: u32 = 1;

impl StateConditions {
    /// Nothing is asked of any row.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(BTreeSet::is_empty)
    }

    /// What is asked of rows here and not there, as far as both have rows from the same places.
    pub fn without<'a>(&'a self, there: &'a StateConditions) -> Vec<&'a str> {
        let mut only = vec![];
        for (origin, own) in &self.0 {
            if let Some(theirs) = there.0.get(origin) {
                only.extend(own.difference(theirs).map(String::as_str));
            }
        }
        only
    }

    /// All of them.
    pub fn all(&self) -> BTreeSet<&str> {
        self.0.values().flatten().map(String::as_str).collect()
    }
}
