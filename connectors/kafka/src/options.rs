//! The options of both connectors, as Flink names them.

use flott_connector::dead_letter::{INVALID_RECORDS, TABLE as DEAD_LETTER_TABLE};
use flott_core::config_option as option;
use flott_core::options::{ConfigOption, OptionType};

option!(
    TOPIC,
    "topic",
    OptionType::List,
    None,
    "The topic, or several with `;` between them. A sink with several needs the metadata column `topic`, which then names one of them."
);
option!(
    TOPIC_PATTERN,
    "topic-pattern",
    OptionType::String,
    None,
    "A regular expression that whole topic names have to fit (no look-around, no back references). Either this or `topic`."
);
/// Where the cluster is.
pub const SERVERS: ConfigOption = ConfigOption::required(
    "properties.bootstrap.servers",
    OptionType::String,
    "Brokers to begin with: `host:port`, several with commas.",
);
option!(
    GROUP_ID,
    "properties.group.id",
    OptionType::String,
    None,
    "The consumer group to which offsets are committed once a checkpoint that covers them is decided. Reading goes on from the checkpoint, never from there. Without it nothing is committed."
);
option!(
    PROPERTIES,
    "properties.#",
    OptionType::String,
    None,
    "A setting of Kafka's clients, from a list of those that are understood: connection, fetching, producing, `security.protocol`, `sasl.*`, `ssl.*`."
);
option!(FORMAT, "format", OptionType::String, None, "The values' format; the same as `value.format`.");
option!(VALUE_FORMAT, "value.format", OptionType::String, None, "The values' format. Its options begin with `value.`.");
option!(KEY_FORMAT, "key.format", OptionType::String, None, "The keys' format. Its options begin with `key.`.");
option!(
    KEY_FIELDS,
    "key.fields",
    OptionType::List,
    None,
    "The physical columns of the key, with `;` between them. Needs `key.format`."
);
option!(
    KEY_FIELDS_PREFIX,
    "key.fields-prefix",
    OptionType::String,
    None,
    "What the names of the key's columns begin with in the table, and not in the key. Needs `value.fields-include` = `EXCEPT_KEY`."
);
option!(
    VALUE_FIELDS_INCLUDE,
    "value.fields-include",
    OptionType::Enum(&["ALL", "EXCEPT_KEY"]),
    Some("ALL"),
    "Whether the value holds the key's columns, too."
);
option!(
    STARTUP_MODE,
    "scan.startup.mode",
    OptionType::Enum(&["group-offsets", "earliest-offset", "latest-offset", "timestamp", "specific-offsets"]),
    Some("group-offsets"),
    "Where reading begins without a checkpoint. Where a group has no offset, `properties.auto.offset.reset` decides; without it the job fails. Partitions that appear later are read from their beginning."
);
option!(
    STARTUP_OFFSETS,
    "scan.startup.specific-offsets",
    OptionType::String,
    None,
    "`partition:0,offset:42;partition:1,offset:300`, for the mode `specific-offsets`."
);
option!(
    STARTUP_TIMESTAMP,
    "scan.startup.timestamp-millis",
    OptionType::Long,
    None,
    "Milliseconds since the epoch, for the mode `timestamp`: the first record that is not older."
);
option!(
    BOUNDED_MODE,
    "scan.bounded.mode",
    OptionType::Enum(&["unbounded", "latest-offset", "group-offsets", "timestamp", "specific-offsets"]),
    Some("unbounded"),
    "Where reading ends, found out when it begins."
);
option!(
    BOUNDED_OFFSETS,
    "scan.bounded.specific-offsets",
    OptionType::String,
    None,
    "The first offset of each partition that is not read. A partition that is not named is not read at all."
);
option!(
    BOUNDED_TIMESTAMP,
    "scan.bounded.timestamp-millis",
    OptionType::Long,
    None,
    "Reading ends before the first record that is not older."
);
option!(
    DISCOVERY_INTERVAL,
    "scan.topic-partition-discovery.interval",
    OptionType::Duration,
    Some("5 min"),
    "How often to look for new topics and partitions; 0 is never."
);
option!(SCAN_PARALLELISM, "scan.parallelism", OptionType::Int, None, "Parallelism of the source.");
option!(
    PARTITIONER,
    "sink.partitioner",
    OptionType::String,
    Some("default"),
    "`default` puts a key where the Java client puts it and rows without a key where it is best; `fixed` puts all rows of a writer into one partition; `round-robin` is `default`, and refused where there is a key."
);
option!(
    GUARANTEE,
    "sink.delivery-guarantee",
    OptionType::Enum(&["exactly-once", "at-least-once", "none"]),
    None,
    "By default `exactly-once` where checkpoints are made at an interval, and `at-least-once` where they are not. Readers of exactly-once output need `isolation.level` = `read_committed`."
);
option!(
    SEMANTIC,
    "sink.semantic",
    OptionType::Enum(&["exactly-once", "at-least-once", "none"]),
    None,
    "The older name of `sink.delivery-guarantee`."
);
option!(
    TRANSACTION_PREFIX,
    "sink.transactional-id-prefix",
    OptionType::String,
    Some("flott"),
    "What transactional ids begin with, for the cluster's access rules. The job's identity follows it, so that jobs never share one."
);
option!(
    TRANSACTION_NAMING,
    "sink.transaction-naming-strategy",
    OptionType::Enum(&["incrementing", "pooling"]),
    None,
    "No effect: there is one transactional id for each sink, and no transaction is left open between checkpoints."
);
option!(
    MARKER_TOPIC,
    "sink.marker-topic",
    OptionType::String,
    Some("flott-markers"),
    "The compacted topic that says which checkpoints of which job are committed. It is made where it is missing; several jobs may share it."
);
option!(
    TRANSACTION_ROWS,
    "sink.transaction.max-rows",
    OptionType::Long,
    Some("5000000"),
    "Rows of one transaction at most. A checkpoint with more is committed in several, one after another, and is seen so; also where a transaction has used a quarter of `properties.transaction.timeout.ms`."
);
option!(SINK_PARALLELISM, "sink.parallelism", OptionType::Int, None, "Parallelism of the sink.");
option!(
    BUFFER_ROWS,
    "sink.buffer-flush.max-rows",
    OptionType::Int,
    Some("0"),
    "Keys that are held back at most, so that only the last row of each is written; 0 holds none back. Only together with the interval. Rows go before where they have 16 MiB, and at each checkpoint."
);
option!(
    BUFFER_INTERVAL,
    "sink.buffer-flush.interval",
    OptionType::Duration,
    Some("0 s"),
    "How long they are held back at most."
);

/// Of `kafka`.
pub static KAFKA: &[ConfigOption] = &[
    TOPIC,
    TOPIC_PATTERN,
    SERVERS,
    GROUP_ID,
    PROPERTIES,
    FORMAT,
    VALUE_FORMAT,
    KEY_FORMAT,
    KEY_FIELDS,
    KEY_FIELDS_PREFIX,
    VALUE_FIELDS_INCLUDE,
    STARTUP_MODE,
    STARTUP_OFFSETS,
    STARTUP_TIMESTAMP,
    BOUNDED_MODE,
    BOUNDED_OFFSETS,
    BOUNDED_TIMESTAMP,
    DISCOVERY_INTERVAL,
    INVALID_RECORDS,
    DEAD_LETTER_TABLE,
    SCAN_PARALLELISM,
    PARTITIONER,
    GUARANTEE,
    SEMANTIC,
    TRANSACTION_PREFIX,
    TRANSACTION_NAMING,
    MARKER_TOPIC,
    TRANSACTION_ROWS,
    SINK_PARALLELISM,
];

/// Of `upsert-kafka`.
pub static UPSERT: &[ConfigOption] = &[
    TOPIC,
    TOPIC_PATTERN,
    SERVERS,
    GROUP_ID,
    PROPERTIES,
    ConfigOption::required(
        "key.format",
        OptionType::String,
        "The keys' format: the columns of the primary key. Its options begin with `key.`.",
    ),
    ConfigOption::required("value.format", OptionType::String, "The values' format. Its options begin with `value.`."),
    KEY_FIELDS_PREFIX,
    VALUE_FIELDS_INCLUDE,
    BOUNDED_MODE,
    BOUNDED_OFFSETS,
    BOUNDED_TIMESTAMP,
    DISCOVERY_INTERVAL,
    INVALID_RECORDS,
    DEAD_LETTER_TABLE,
    SCAN_PARALLELISM,
    GUARANTEE,
    TRANSACTION_PREFIX,
    TRANSACTION_NAMING,
    MARKER_TOPIC,
    TRANSACTION_ROWS,
    SINK_PARALLELISM,
    BUFFER_ROWS,
    BUFFER_INTERVAL,
];
