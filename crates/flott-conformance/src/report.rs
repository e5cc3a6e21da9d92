//! The counts of many programs, by class and in total.

use std::collections::BTreeMap;

use crate::Score;

/// How many programs of a class did what.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub programs: usize,
    /// Final rows equal.
    pub materialised: usize,
    /// Changelog equal as a multiset.
    pub changelog: usize,
    /// Both halves around a savepoint equal.
    pub restore: usize,
    /// Programs that have two halves.
    pub restorable: usize,
    /// Programs of which everything that must be refused is.
    pub refused: usize,
    /// Programs that must refuse something.
    pub to_be_refused: usize,
    /// Programs that need what is not SQL.
    pub skipped: usize,
    /// Programs that are right in two halves and not in a run to the end.
    pub only_in_halves: usize,
}

impl Counts {
    fn add(&mut self, score: &Score) {
        self.programs += 1;
        self.materialised += usize::from(score.materialised);
        self.changelog += usize::from(score.changelog);
        self.restore += usize::from(score.restored);
        self.restorable += usize::from(score.restorable);
        self.refused += usize::from(score.is_refused());
        self.to_be_refused += usize::from(score.to_be_refused > 0);
        self.skipped += usize::from(score.skipped.is_some());
        self.only_in_halves += usize::from(score.only_in_halves);
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        serde_json::json!({
            "programs": self.programs,
            "materialised": self.materialised,
            "changelog": self.changelog,
            "restore": self.restore,
            "restorable": self.restorable,
            "refused": self.refused,
            "skipped": self.skipped,
            "only_in_halves": self.only_in_halves,
        })
        .to_string()
    }
}

/// What all programs scored.
#[derive(Debug, Default)]
pub struct Report {
    classes: BTreeMap<String, Counts>,
    refusals: Vec<String>,
    skipped: Vec<String>,
    only_in_halves: Vec<String>,
    only_in_batch: Vec<String>,
    failing: Vec<String>,
}

/// The longest reason that is printed, in characters.
const REASON: usize = 600;

impl Report {
    /// Takes in a program's score.
    pub fn add(&mut self, class: &str, id: &str, score: &Score) {
        self.classes.entry(class.to_string()).or_default().add(score);
        let line = |reason: &str| format!("{class} {id}: {}", reason.chars().take(REASON).collect::<String>());
        if let Some(reason) = &score.skipped {
            self.skipped.push(line(reason));
        } else if !score.is_good() {
            self.failing.push(line(score.reason.as_deref().unwrap_or("something must be refused and is not")));
        }
        if score.only_in_halves {
            self.only_in_halves.push(format!("{class} {id}"));
        }
        if score.only_in_batch {
            self.only_in_batch.push(format!("{class} {id}"));
        }
        self.refusals.extend(score.refusals.iter().map(|r| line(r)));
    }

    /// The sum of all classes.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        for c in self.classes.values() {
            total.programs += c.programs;
            total.materialised += c.materialised;
            total.changelog += c.changelog;
            total.restore += c.restore;
            total.restorable += c.restorable;
            total.refused += c.refused;
            total.to_be_refused += c.to_be_refused;
            total.skipped += c.skipped;
            total.only_in_halves += c.only_in_halves;
        }
        total
    }

    /// A table by class, what was refused and why, what was skipped, what is not as it should be; the counts as JSON last.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let head = ["class", "programs", "materialised", "changelog", "restored", "refused", "skipped"];
        let row = |class: &str, c: &Counts| {
            let of = |have: usize, all: usize| if all == 0 { "-".to_string() } else { format!("{have}/{all}") };
            [
                class.to_string(),
                c.programs.to_string(),
                c.materialised.to_string(),
                c.changelog.to_string(),
                of(c.restore, c.restorable),
                of(c.refused, c.to_be_refused),
                c.skipped.to_string(),
            ]
        };
        let rows = self.classes.iter().map(|(class, c)| row(class, c));
        for cells in [head.map(str::to_string)].into_iter().chain(rows).chain([row("total", &self.total())]) {
            let [class, numbers @ ..] = &cells;
            let numbers: String = numbers.iter().map(|n| format!("{n:>13}")).collect();
            text.push_str(&format!("{class:<24}{numbers}\n"));
        }
        let lists = [
            ("REFUSED", &self.refusals),
            ("SKIPPED", &self.skipped),
            ("ONLY IN HALVES", &self.only_in_halves),
            ("ONLY IN BATCH", &self.only_in_batch),
            ("FAILS", &self.failing),
        ];
        for (word, lines) in lists {
            for line in lines {
                text.push_str(&format!("{word} {line}\n"));
            }
        }
        text + &self.total().json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_right_counts_where_it_is_and_is_listed() {
        let mut report = Report::default();
        let good = Score { materialised: true, changelog: true, ..Score::default() };
        let half = Score { materialised: true, reason: Some("no -U".into()), restorable: true, ..Score::default() };
        let refusing = Score {
            materialised: true,
            changelog: true,
            to_be_refused: 1,
            refusals: vec!["no".into()],
            ..Score::default()
        };
        let skipped = Score { skipped: Some("a model".into()), ..Score::default() };
        for (id, score) in [("a", &good), ("b", &half), ("c", &refusing), ("d", &skipped)] {
            report.add("Class", id, score);
        }
        let text = report.text();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().expect("lines")).expect("JSON");
        let expected = serde_json::json!({"programs": 4, "materialised": 3, "changelog": 2, "restore": 0, "restorable": 1,
            "refused": 1, "skipped": 1, "only_in_halves": 0});
        assert_eq!(last, expected, "{text}");
        assert!(text.contains("FAILS Class b: no -U") && text.contains("SKIPPED Class d: a model"), "{text}");
        assert!(!text.contains("FAILS Class c"), "{text}");
    }

    #[test]
    fn one_refusal_of_two_is_none() {
        let score = Score { to_be_refused: 2, refusals: vec!["no".into()], ..Score::default() };
        assert!(!score.is_refused() && !score.is_good());
    }
}
