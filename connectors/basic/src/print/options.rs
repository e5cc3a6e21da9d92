//! The options of `print`.

use flott_core::options::{ConfigOption, OptionType};

pub(super) const PRINT_IDENTIFIER: ConfigOption = ConfigOption::optional(
    "print-identifier",
    OptionType::String,
    None,
    "Message that identifies the printed rows and stands before each of them.",
);
pub(super) const STANDARD_ERROR: ConfigOption = ConfigOption::optional(
    "standard-error",
    OptionType::Boolean,
    Some("false"),
    "Prints to standard error instead of standard output.",
);
pub(super) const PARALLELISM: ConfigOption = ConfigOption::optional(
    "sink.parallelism",
    OptionType::Int,
    None,
    "Parallelism of the sink. By default that of the operator before it.",
);

/// All of them.
pub(super) const OPTIONS: [ConfigOption; 3] = [PRINT_IDENTIFIER, STANDARD_ERROR, PARALLELISM];
