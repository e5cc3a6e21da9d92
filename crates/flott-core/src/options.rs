//! Options: typed, documented tables of keys, and the values that a user gave.
//!
//! One [`ConfigOption`] feeds validation, completion and the generated reference page.

use std::time::Duration;

use indexmap::IndexMap;

use crate::error::{Error, Result};
use crate::{Secret, memory_size, secret, suggest, time_text};

/// What kind of value an option takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OptionType {
    /// Any text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A 32-bit integer.
    Int,
    /// A 64-bit integer.
    Long,
    /// A floating-point number.
    Double,
    /// A duration such as `10 s`.
    Duration,
    /// A memory size such as `64 mb`.
    MemorySize,
    /// One of these words (case does not matter).
    Enum(&'static [&'static str]),
    /// Texts separated by `;`.
    List,
    /// A password or key: masked wherever options are shown.
    Secret,
}

/// One option that a connector, a format or the engine knows.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigOption {
    /// The key, Flink's where Flink has it. A `#` stands for any text without a dot or several parts
    /// (`fields.#.kind`, `properties.#`).
    pub key: &'static str,
    /// What values it takes.
    pub value: OptionType,
    /// The default, as a user would write it.
    pub default: Option<&'static str>,
    /// Must be given.
    pub required: bool,
    /// What it does, in one or two sentences.
    pub description: &'static str,
}

impl ConfigOption {
    /// An option that may be left out.
    pub const fn optional(
        key: &'static str,
        value: OptionType,
        default: Option<&'static str>,
        description: &'static str,
    ) -> ConfigOption {
        ConfigOption { key, value, default, required: false, description }
    }

    /// An option that must be given.
    pub const fn required(key: &'static str, value: OptionType, description: &'static str) -> ConfigOption {
        ConfigOption { key, value, default: None, required: true, description }
    }

    /// True where `key` is this option's key, or fits its pattern.
    pub fn matches(&self, key: &str) -> bool {
        match self.key.split_once('#') {
            None => self.key == key,
            Some((prefix, suffix)) => {
                key.len() > prefix.len() + suffix.len() && key.starts_with(prefix) && key.ends_with(suffix)
            }
        }
    }

    /// Checks a value; the error says what would be right.
    pub fn check(&self, key: &str, value: &str) -> Result<()> {
        let wrong = |expected: String| {
            let shown = if matches!(self.value, OptionType::Secret) { secret::MASK } else { value };
            Err(Error::user(format!("Invalid value '{shown}' for option '{key}': {expected}")).with("option", key))
        };
        match self.value {
            OptionType::String | OptionType::List | OptionType::Secret => Ok(()),
            OptionType::Boolean => match value.to_ascii_lowercase().as_str() {
                "true" | "false" => Ok(()),
                _ => wrong("expected 'true' or 'false'".into()),
            },
            OptionType::Int if value.trim().parse::<i32>().is_err() => wrong("expected an integer (INT)".into()),
            OptionType::Long if value.trim().parse::<i64>().is_err() => wrong("expected an integer (BIGINT)".into()),
            OptionType::Double if value.trim().parse::<f64>().is_err() => wrong("expected a number".into()),
            OptionType::Int | OptionType::Long | OptionType::Double => Ok(()),
            OptionType::Duration => time_text::parse_duration(value).map(|_| ()).or_else(wrong),
            OptionType::MemorySize => memory_size::parse_bytes(value).map(|_| ()).or_else(wrong),
            OptionType::Enum(words) => {
                if words.iter().any(|w| w.eq_ignore_ascii_case(value)) {
                    return Ok(());
                }
                let near = suggest::nearest(value, words.iter().copied());
                let near = near.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
                wrong(format!("expected one of {}{near}", words.join(", ")))
            }
        }
    }
}

/// A public constant for an option that may be left out, documented by its description.
///
/// ```
/// use flott_core::options::{ConfigOption, OptionType};
///
/// flott_core::config_option!(PARALLELISM, "sink.parallelism", OptionType::Int, None, "Parallelism of the sink.");
/// assert_eq!(PARALLELISM.key, "sink.parallelism");
/// ```
#[macro_export]
macro_rules! config_option {
    ($name:ident, $key:literal, $value:expr, $default:expr, $description:literal) => {
        #[doc = $description]
        pub const $name: $crate::options::ConfigOption =
            $crate::options::ConfigOption::optional($key, $value, $default, $description);
    };
}

/// Options as a user gave them, in the order in which they were given.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options(IndexMap<String, String>);

impl std::fmt::Debug for Options {
    /// Values of keys that name secrets are masked.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |(k, v)| (k, if Secret::is_sensitive_key(k) { secret::MASK.into() } else { secret::mask_urls(v) });
        f.debug_map().entries(self.iter().map(shown)).finish()
    }
}

impl Options {
    /// No options.
    pub fn new() -> Options {
        Options::default()
    }

    /// Sets or replaces.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert(key.into(), value.into());
    }

    /// Removes; true where it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        self.0.shift_remove(key).is_some()
    }

    /// The text given for a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// True where the key was given.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Number of options.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where none was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The options whose keys start with `prefix`, without it: `csv.` for a format.
    pub fn with_prefix(&self, prefix: &str) -> Options {
        self.iter().filter_map(|(k, v)| k.strip_prefix(prefix).map(|k| (k.to_string(), v.to_string()))).collect()
    }

    /// Checks all keys and values against a table: unknown keys, missing keys, wrong values. `what` names whose
    /// options they are (`connector 'filesystem'`).
    pub fn validate(&self, what: &str, known: &[ConfigOption]) -> Result<()> {
        self.validate_below("", what, known)
    }

    /// The same of options [without a prefix](Self::with_prefix), whose whole keys errors name.
    pub fn validate_below(&self, prefix: &str, what: &str, known: &[ConfigOption]) -> Result<()> {
        for (key, value) in self.iter() {
            match known.iter().find(|o| o.matches(key)) {
                Some(option) => option.check(&format!("{prefix}{key}"), value)?,
                None => {
                    let near = near_keys(key, known);
                    let mut keys: Vec<_> = match near.is_empty() {
                        true => known.iter().map(|o| o.key).collect(),
                        false => near.clone(),
                    };
                    keys.sort_unstable();
                    let keys = keys.iter().map(|key| format!("{prefix}{key}")).collect::<Vec<_>>();
                    let hint = match near.is_empty() {
                        true => format!("Supported options: {}", keys.join(", ")),
                        false => format!("Did you mean '{}'?", keys.join("' or '")),
                    };
                    return Err(Error::user(format!("Unsupported option '{prefix}{key}' for {what}"))
                        .with("option", format!("{prefix}{key}"))
                        .hint(hint));
                }
            }
        }
        let missing: Vec<String> = known
            .iter()
            .filter(|o| o.required && !self.contains(o.key))
            .map(|o| format!("{prefix}{}", o.key))
            .collect();
        if let Some(first) = missing.first() {
            return Err(Error::user(format!("Missing required option '{}' for {what}", missing.join("', '")))
                .with("option", first)
                .hint(format!("Add '{first}' = '…' to the WITH clause")));
        }
        Ok(())
    }

    /// The value of an option or its default.
    pub fn text<'a>(&'a self, option: &'a ConfigOption) -> Option<&'a str> {
        self.get(option.key).or(option.default)
    }

    fn parsed<T>(&self, option: &ConfigOption, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(text) = self.text(option) else { return Ok(None) };
        option.check(option.key, text)?;
        match parse(text) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::internal(format!("option '{}' was asked for as another type", option.key))),
        }
    }

    /// A boolean option; false without value and default.
    pub fn bool(&self, option: &ConfigOption) -> Result<bool> {
        Ok(self.parsed(option, |t| t.to_ascii_lowercase().parse().ok())?.unwrap_or(false))
    }

    /// An integer option.
    pub fn int(&self, option: &ConfigOption) -> Result<Option<i32>> {
        self.parsed(option, |t| t.trim().parse().ok())
    }

    /// An integer option that counts something: more than 0.
    pub fn positive(&self, option: &ConfigOption) -> Result<Option<usize>> {
        match self.int(option)? {
            None => Ok(None),
            Some(n) if n > 0 => Ok(usize::try_from(n).ok()),
            Some(_) => Err(Error::user(format!("'{}' must be more than 0", option.key)).with("option", option.key)),
        }
    }

    /// A long option.
    pub fn long(&self, option: &ConfigOption) -> Result<Option<i64>> {
        self.parsed(option, |t| t.trim().parse().ok())
    }

    /// A double option.
    pub fn double(&self, option: &ConfigOption) -> Result<Option<f64>> {
        self.parsed(option, |t| t.trim().parse().ok())
    }

    /// A duration option.
    pub fn duration(&self, option: &ConfigOption) -> Result<Option<Duration>> {
        self.parsed(option, |t| time_text::parse_duration(t).ok())
    }

    /// A memory size option, in bytes.
    pub fn bytes(&self, option: &ConfigOption) -> Result<Option<u64>> {
        self.parsed(option, |t| memory_size::parse_bytes(t).ok())
    }
}

/// How many keys an error proposes that hold what was written.
const PROPOSED_MAX: usize = 3;

/// The keys that an unknown one may stand for: the nearest, or the few that are it and more (`delimiter` for
/// `field-delimiter`).
pub fn near_keys<'a>(key: &str, known: &'a [ConfigOption]) -> Vec<&'a str> {
    if let Some(near) = suggest::nearest(key, known.iter().map(|o| o.key)) {
        return vec![near];
    }
    let parts = |key: &str| -> Vec<String> {
        key.split(['.', '-', '_']).filter(|p| !p.is_empty()).map(str::to_lowercase).collect()
    };
    let asked = parts(key);
    let holds = |option: &&ConfigOption| {
        let parts = parts(option.key);
        asked.iter().all(|part| parts.contains(part))
    };
    let found: Vec<&str> = known.iter().filter(holds).map(|o| o.key).collect();
    if asked.is_empty() || found.len() > PROPOSED_MAX { vec![] } else { found }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Options {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(items: T) -> Self {
        Options(items.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [ConfigOption; 4] = [
        ConfigOption::required("path", OptionType::String, "Where the files are."),
        ConfigOption::optional("rows-per-second", OptionType::Long, Some("10000"), "Rows."),
        ConfigOption::optional("fields.#.kind", OptionType::Enum(&["random", "sequence"]), Some("random"), "Kind."),
        ConfigOption::optional("monitor", OptionType::Duration, None, "Interval."),
    ];

    fn message(options: &[(&str, &str)]) -> String {
        let options: Options = options.iter().map(|(k, v)| (*k, *v)).collect();
        options.validate("connector 'x'", &KNOWN).expect_err("must be refused").to_string()
    }

    #[test]
    fn unknown_missing_and_wrong_are_named_with_the_nearest() {
        assert_eq!(
            message(&[("path", "/"), ("row-per-second", "5")]),
            "Unsupported option 'row-per-second' for connector 'x' (option row-per-second). Did you mean 'rows-per-second'?"
        );
        assert!(message(&[]).starts_with("Missing required option 'path' for connector 'x'"));
        assert!(message(&[("path", "/"), ("rows-per-second", "many")]).contains("expected an integer"));
        assert!(message(&[("path", "/"), ("fields.a.kind", "randon")]).contains("did you mean 'random'?"));
        assert!(message(&[("path", "/"), ("monitor", "5 parsec")]).contains("unit of time"));
    }

    #[test]
    fn a_part_of_a_key_finds_it_and_prefixes_are_named() {
        assert!(message(&[("path", "/"), ("rows", "5")]).ends_with("Did you mean 'rows-per-second'?"));
        let options: Options = [("per.second", "5")].into_iter().collect();
        let error = options.validate_below("x.", "format 'x'", &KNOWN).expect_err("unknown");
        assert_eq!(error.context("option"), Some("x.per.second"));
        assert!(error.to_string().ends_with("Did you mean 'x.rows-per-second'?"), "{error}");
        let wrong: Options = [("rows-per-second", "many")].into_iter().collect();
        let error = wrong.validate_below("x.", "format 'x'", &KNOWN).expect_err("no number");
        assert!(error.message().contains("for option 'x.rows-per-second'"), "{error}");
        let error = Options::new().validate_below("x.", "format 'x'", &KNOWN).expect_err("missing");
        assert!(error.message().starts_with("Missing required option 'x.path'"), "{error}");
    }

    #[test]
    fn patterns_and_defaults() {
        let options: Options = [("path", "/"), ("fields.a.b.kind", "Sequence")].into_iter().collect();
        options.validate("x", &KNOWN).expect("valid");
        assert_eq!(options.long(&KNOWN[1]).expect("a long"), Some(10_000));
        assert_eq!(options.duration(&KNOWN[3]).expect("nothing"), None);
    }
}
