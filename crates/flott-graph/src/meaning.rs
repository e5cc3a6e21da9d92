//! What the state of an operator stands for, as far as its layout does not say it.

/// Parts of a query (`frame`, `functions`, `DEFINE`) as text. Stored with an operator's state and compared where it is
/// restored: a sum that goes on as the sum of another column would be wrong without a word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateMeaning {
    /// Name and text of each part.
    pub parts: Vec<(String, String)>,
}

impl StateMeaning {
    /// With one part more.
    pub fn with(mut self, name: &str, text: impl Into<String>) -> StateMeaning {
        self.parts.push((name.to_string(), text.into()));
        self
    }

    /// Without the parts of these names.
    pub fn without(&self, names: &[&str]) -> StateMeaning {
        StateMeaning { parts: self.parts.iter().filter(|p| !names.contains(&p.0.as_str())).cloned().collect() }
    }

    /// With the parts of these names alone.
    pub fn only(&self, names: &[&str]) -> StateMeaning {
        StateMeaning { parts: self.parts.iter().filter(|p| names.contains(&p.0.as_str())).cloned().collect() }
    }
}

/// The columns of an operator's input: what rows that are kept consist of.
pub const COLUMNS: &str = "input columns";
