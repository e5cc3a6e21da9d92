//! The options.

use flott_core::config_option as option;
use flott_core::options::{ConfigOption, OptionType};

/// Where the server is.
pub const URL: ConfigOption = ConfigOption::required(
    "url",
    OptionType::String,
    "The server: `redis://host:6379/0`, with TLS `rediss://host:6380/0`; the number is the database. Without a user: see `username`.",
);
option!(
    DATA_TYPE,
    "data-type",
    OptionType::Enum(&["string", "hash", "list"]),
    Some("string"),
    "`string`: the row in the table's `format`, by PRIMARY KEY. `hash`: a field for each column, by PRIMARY KEY. `list`: rows in the table's `format` are appended to the list `key`."
);
option!(FORMAT, "format", OptionType::String, None, "The rows' format, for `string` and `list`.");
option!(
    KEY_PREFIX,
    "key.prefix",
    OptionType::String,
    Some(""),
    "What keys begin with; the values of the PRIMARY KEY follow."
);
option!(
    KEY_DELIMITER,
    "key.delimiter",
    OptionType::String,
    Some(":"),
    "What stands between the values of a PRIMARY KEY of several columns. Where it is in a value, it and `%` are written as `%XX` there."
);
option!(KEY, "key", OptionType::String, None, "The key of the list, for `list`.");
option!(TTL, "ttl", OptionType::Duration, None, "How long a key lives after its last row; without it for ever.");
option!(USERNAME, "username", OptionType::String, None, "The user's name, where the server knows users.");
option!(PASSWORD, "password", OptionType::Secret, None, "The user's password, or that of the server.");
option!(TLS_CA, "tls.ca", OptionType::String, None, "Certificates that are trusted instead of the system's, as PEM.");
option!(TIMEOUT, "sink.request.timeout", OptionType::Duration, Some("10 s"), "How long an answer may take.");
option!(
    RETRIES,
    "sink.max-retries",
    OptionType::Int,
    Some("3"),
    "How often rows are sent again while the server is away, after pauses that double from 200 ms on. Then the attempt fails."
);
option!(SINK_PARALLELISM, "sink.parallelism", OptionType::Int, None, "Parallelism of the sink.");

/// All of them.
pub static ALL: &[ConfigOption] = &[
    URL,
    DATA_TYPE,
    FORMAT,
    KEY_PREFIX,
    KEY_DELIMITER,
    KEY,
    TTL,
    USERNAME,
    PASSWORD,
    TLS_CA,
    TIMEOUT,
    RETRIES,
    SINK_PARALLELISM,
];
