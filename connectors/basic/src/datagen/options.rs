//! The options of `datagen`.

use flott_connector::watermark_options;
use flott_core::options::{ConfigOption, OptionType, Options};
use flott_core::{Error, Result, suggest};

pub(super) const ROWS_PER_SECOND: ConfigOption = ConfigOption::optional(
    "rows-per-second",
    OptionType::Long,
    Some("10000"),
    "Rows per second of all subtasks together.",
);
pub(super) const NUMBER_OF_ROWS: ConfigOption = ConfigOption::optional(
    "number-of-rows",
    OptionType::Long,
    None,
    "Total number of rows. Without it the source is unbounded, unless a column is a sequence.",
);
pub(super) const PARALLELISM: ConfigOption =
    ConfigOption::optional("scan.parallelism", OptionType::Int, None, "Parallelism of the source.");

/// All of them. Those of columns are checked by [`FieldOptions`], since what is allowed depends on the column's type.
pub(super) const OPTIONS: [ConfigOption; 12] = [
    ROWS_PER_SECOND,
    NUMBER_OF_ROWS,
    PARALLELISM,
    ConfigOption::optional(
        "fields.#.kind",
        OptionType::Enum(&["random", "sequence"]),
        Some("random"),
        "How the column '#' is made.",
    ),
    ConfigOption::optional(
        "fields.#.min",
        OptionType::String,
        None,
        "Smallest random number (inclusive). By default the smallest of the column's type.",
    ),
    ConfigOption::optional(
        "fields.#.max",
        OptionType::String,
        None,
        "Largest random number (inclusive). By default the largest of the column's type.",
    ),
    ConfigOption::optional(
        "fields.#.max-past",
        OptionType::Duration,
        Some("0 s"),
        "How far random timestamps lie before the current time at most.",
    ),
    ConfigOption::optional(
        "fields.#.length",
        OptionType::Int,
        None,
        "Length of random strings and bytes (by default that of the type, 100 for STRING and BYTES) and number of \
         elements of random collections (by default 3).",
    ),
    ConfigOption::optional(
        "fields.#.var-len",
        OptionType::Boolean,
        Some("false"),
        "Whether random VARCHAR, STRING, VARBINARY and BYTES have lengths from 1 to 'length'.",
    ),
    ConfigOption::optional(
        "fields.#.null-rate",
        OptionType::Double,
        Some("0"),
        "Share of NULLs among the random values, from 0 to 1.",
    ),
    ConfigOption::optional("fields.#.start", OptionType::String, None, "First number of a sequence."),
    ConfigOption::optional("fields.#.end", OptionType::String, None, "Last number of a sequence."),
];

/// The options of the columns, which remembers what was asked for: any other key is a mistake.
pub(super) struct FieldOptions<'a> {
    options: &'a Options,
    known: Vec<String>,
}

impl<'a> FieldOptions<'a> {
    pub(super) fn new(options: &'a Options) -> FieldOptions<'a> {
        let known = ["connector", ROWS_PER_SECOND.key, NUMBER_OF_ROWS.key, PARALLELISM.key];
        FieldOptions { options, known: known.map(String::from).to_vec() }
    }

    /// The text of `fields.<path>.<name>`.
    pub(super) fn text(&mut self, path: &str, name: &str) -> Option<&'a str> {
        let key = format!("fields.{path}.{name}");
        let value = self.options.get(&key);
        self.known.push(key);
        value
    }

    /// The value of `fields.<path>.<name>`; `expected` describes it for the error.
    pub(super) fn value<T>(
        &mut self,
        path: &str,
        name: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(text) = self.text(path, name) else { return Ok(None) };
        parse(text.trim()).map(Some).ok_or_else(|| {
            let key = format!("fields.{path}.{name}");
            Error::user(format!("Invalid value '{text}' for option '{key}': expected {expected}")).with("option", key)
        })
    }

    /// Refuses keys that nothing asked for: misspelt ones, columns that are not there, options of another kind.
    pub(super) fn finish(self, what: &str) -> Result<()> {
        let is_known = |k: &str| k.starts_with(watermark_options::PREFIX) || self.known.iter().any(|known| known == k);
        let Some((key, _)) = self.options.iter().find(|(k, _)| !is_known(k)) else {
            return Ok(());
        };
        let hint = match suggest::nearest(key, self.known.iter().map(String::as_str)) {
            Some(near) => format!("Did you mean '{near}'?"),
            None => {
                let mut known: Vec<&str> =
                    self.known.iter().map(String::as_str).filter(|k| *k != "connector").collect();
                known.sort_unstable();
                format!("Supported options: {}", known.join(", "))
            }
        };
        Err(Error::user(format!("Unsupported option '{key}' for {what}")).with("option", key).hint(hint))
    }
}
