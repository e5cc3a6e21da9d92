//! The options, with Flink's names where Flink has them.

use flott_connector::dead_letter::{INVALID_RECORDS, TABLE as DEAD_LETTER_TABLE};
use flott_core::config_option as option;
use flott_core::options::{ConfigOption, OptionType};

/// Where the servers are.
pub const URL: ConfigOption = ConfigOption::required(
    "url",
    OptionType::String,
    "Servers to begin with: `nats://host:4222`, or `tls://host:4222` where TLS is to be insisted on; several with commas. Without a user: see `username`.",
);
option!(
    STREAM,
    "stream",
    OptionType::List,
    None,
    "The JetStream stream, for a source several with `;` between them. It has to exist. A sink publishes to subjects; with a stream it makes sure that the message is stored there."
);
option!(
    SUBJECT,
    "subject",
    OptionType::List,
    None,
    "Source: only messages of these subjects, with `;` between them; each is read on its own, and they must not overlap. `*` and `>` stand for one and for all further parts. Sink: where messages go; without it the metadata column `subject` says so."
);
/// The messages' format.
pub const FORMAT: ConfigOption = ConfigOption::required("format", OptionType::String, "The messages' format.");
option!(USERNAME, "username", OptionType::String, None, "The user's name, with `password`.");
option!(PASSWORD, "password", OptionType::Secret, None, "The user's password.");
option!(TOKEN, "token", OptionType::Secret, None, "A token, where the server asks for one.");
option!(
    NKEY,
    "nkey.secret-seed",
    OptionType::Secret,
    None,
    "The seed of an NKey user (`SU…`): the server's challenge is signed with it, and it is never sent."
);
option!(
    CREDENTIALS,
    "credentials.secret",
    OptionType::Secret,
    None,
    "The content of a `.creds` file: a user's JWT and its seed."
);
option!(TLS_CA, "tls.ca", OptionType::String, None, "Certificates that are trusted, as PEM; without it the system's.");
option!(TLS_CERTIFICATE, "tls.certificate", OptionType::String, None, "The client's certificates, as PEM.");
option!(TLS_KEY, "tls.secret-key", OptionType::Secret, None, "The private key of `tls.certificate`, as PEM.");
option!(
    TLS_FIRST,
    "tls.handshake-first",
    OptionType::Boolean,
    Some("false"),
    "TLS begins before the server says anything; the server has to be set up so."
);
option!(
    DOMAIN,
    "jetstream.domain",
    OptionType::String,
    None,
    "The JetStream domain, where it is not the server's own."
);
option!(
    INBOX,
    "inbox-prefix",
    OptionType::String,
    Some("_INBOX"),
    "What the subjects of answers begin with, where the user may not listen to all of `_INBOX`."
);
option!(
    STARTUP_MODE,
    "scan.startup.mode",
    OptionType::Enum(&["earliest", "latest", "sequence", "timestamp"]),
    Some("earliest"),
    "Where reading begins without a checkpoint."
);
option!(
    STARTUP_SEQUENCE,
    "scan.startup.sequence",
    OptionType::Long,
    None,
    "The first sequence of the stream that is read, for the mode `sequence`."
);
option!(
    STARTUP_TIMESTAMP,
    "scan.startup.timestamp-millis",
    OptionType::Long,
    None,
    "Milliseconds since the epoch, for the mode `timestamp`: the first message that is not older."
);
option!(
    BOUNDED_MODE,
    "scan.bounded.mode",
    OptionType::Enum(&["unbounded", "latest", "sequence", "timestamp"]),
    Some("unbounded"),
    "Where reading ends, found out when it begins."
);
option!(
    BOUNDED_SEQUENCE,
    "scan.bounded.sequence",
    OptionType::Long,
    None,
    "The first sequence of the stream that is not read."
);
option!(
    BOUNDED_TIMESTAMP,
    "scan.bounded.timestamp-millis",
    OptionType::Long,
    None,
    "Reading ends before the first message that is not older."
);
option!(SCAN_PARALLELISM, "scan.parallelism", OptionType::Int, None, "Parallelism of the source.");
option!(
    GUARANTEE,
    "sink.delivery-guarantee",
    OptionType::Enum(&["exactly-once", "at-least-once", "none"]),
    None,
    "By default `exactly-once` where checkpoints are made at an interval, and `at-least-once` where they are not. `exactly-once` needs `stream`, and a stream that is set up for it."
);
option!(
    MARKER_SUBJECT,
    "sink.marker-subject",
    OptionType::String,
    None,
    "What the subjects of markers begin with, which say which checkpoints of which job are committed; a part that names the job follows. They have to be subjects of the stream. By default `flott.markers.` and the stream's name."
);
option!(
    BATCH_ROWS,
    "sink.batch.max-rows",
    OptionType::Int,
    Some("999"),
    "Rows of an atomic batch at most; with the marker a server takes 1,000 messages, unless it is set up for others."
);
option!(SINK_PARALLELISM, "sink.parallelism", OptionType::Int, None, "Parallelism of the sink.");

/// All of them.
pub static ALL: &[ConfigOption] = &[
    URL,
    STREAM,
    SUBJECT,
    FORMAT,
    USERNAME,
    PASSWORD,
    TOKEN,
    NKEY,
    CREDENTIALS,
    TLS_CA,
    TLS_CERTIFICATE,
    TLS_KEY,
    TLS_FIRST,
    DOMAIN,
    INBOX,
    STARTUP_MODE,
    STARTUP_SEQUENCE,
    STARTUP_TIMESTAMP,
    BOUNDED_MODE,
    BOUNDED_SEQUENCE,
    BOUNDED_TIMESTAMP,
    INVALID_RECORDS,
    DEAD_LETTER_TABLE,
    SCAN_PARALLELISM,
    GUARANTEE,
    MARKER_SUBJECT,
    BATCH_ROWS,
    SINK_PARALLELISM,
];
