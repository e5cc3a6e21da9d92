//! The options.

use flott_core::config_option as option;
use flott_core::options::{ConfigOption, OptionType};

/// Where rows go.
pub const URL: ConfigOption = ConfigOption::required(
    "url",
    OptionType::String,
    "Where rows go: `http://` or `https://`. `{column}` in path or query stands for the row's value, escaped. A table with a PRIMARY KEY has to have all of its columns there.",
);
/// The rows' format.
pub const FORMAT: ConfigOption = ConfigOption::required("format", OptionType::String, "The format of bodies.");
option!(
    METHOD,
    "method",
    OptionType::Enum(&["POST", "PUT", "PATCH"]),
    None,
    "By default `PUT` for a table with a PRIMARY KEY, else `POST`. Rows that are deleted are sent as `DELETE` without a body."
);
option!(
    HEADERS,
    "header.secret.#",
    OptionType::Secret,
    None,
    "A header of every request whose value is a secret: `'header.secret.X-Api-Key' = '…'`."
);
option!(PLAIN_HEADERS, "header.plain.#", OptionType::String, None, "A header of every request.");
option!(
    CONTENT_TYPE,
    "content-type",
    OptionType::String,
    None,
    "By default `application/json` for `json`, `application/x-ndjson` for several in `lines`, `text/csv` for `csv`, else `application/octet-stream`."
);
option!(USERNAME, "username", OptionType::String, None, "The user's name, for basic authentication.");
option!(PASSWORD, "password", OptionType::Secret, None, "The user's password.");
option!(TOKEN, "token", OptionType::Secret, None, "A bearer token.");
option!(TLS_CA, "tls.ca", OptionType::String, None, "Certificates that are trusted beside the system's, as PEM.");
option!(
    ID_HEADER,
    "sink.id-header",
    OptionType::String,
    Some("Idempotency-Key"),
    "The header with the request's id, which is the same when it is sent again; empty sends none."
);
option!(
    BATCH_ROWS,
    "sink.batch.max-rows",
    OptionType::Int,
    Some("1"),
    "Rows of a request at most. More than one needs a URL without `{column}`."
);
option!(
    BATCH_LAYOUT,
    "sink.batch.layout",
    OptionType::Enum(&["json-array", "lines"]),
    Some("json-array"),
    "How several rows make a body: `[row,row]`, or each on a line of its own. Only where `sink.batch.max-rows` is more than 1, and then also for a single one."
);
option!(
    IN_FLIGHT,
    "sink.requests.max-in-flight",
    OptionType::Int,
    Some("1"),
    "Requests of a writer that are under way at most. With more than 1 their order is not kept."
);
option!(TIMEOUT, "sink.request.timeout", OptionType::Duration, Some("30 s"), "How long an answer may take.");
option!(
    RETRIES,
    "sink.request.max-retries",
    OptionType::Int,
    Some("8"),
    "How often a request is sent again that was not answered, or with one of `sink.retry-codes`; before that a pause that doubles from 200 ms up to 10 s, or as long as `Retry-After` says, up to a minute. Then the attempt fails."
);
option!(
    RETRY_CODES,
    "sink.retry-codes",
    OptionType::List,
    Some("408;425;429;5xx"),
    "Answers after which a request is sent again."
);
option!(
    SUCCESS_CODES,
    "sink.success-codes",
    OptionType::List,
    Some("2xx"),
    "Answers that mean that the row was taken: `'2xx;409'` where a service answers 409 to an id that it knows. To `DELETE` also 404 and 410."
);
option!(SINK_PARALLELISM, "sink.parallelism", OptionType::Int, None, "Parallelism of the sink.");

/// All of them.
pub static ALL: &[ConfigOption] = &[
    URL,
    FORMAT,
    METHOD,
    HEADERS,
    PLAIN_HEADERS,
    CONTENT_TYPE,
    USERNAME,
    PASSWORD,
    TOKEN,
    TLS_CA,
    ID_HEADER,
    BATCH_ROWS,
    BATCH_LAYOUT,
    IN_FLIGHT,
    TIMEOUT,
    RETRIES,
    RETRY_CODES,
    SUCCESS_CODES,
    SINK_PARALLELISM,
];
