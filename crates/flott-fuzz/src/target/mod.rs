//! The list of targets.

mod avro;
mod avro_confluent;
mod avro_file;
mod avro_schema;
mod bitmap;
mod bulk;
mod cast;
mod changelog_json;
mod control;
mod csv;
mod date_pattern;
mod debezium_avro;
mod expression;
mod infer;
pub mod jaas;
mod json;
mod json_path;
mod kafka_records;
mod manifest;
mod nats_messages;
mod orc;
mod parquet;
mod pattern;
mod planted;
mod process_frames;
mod proto_schema;
mod protobuf;
mod raw;
mod registry;
mod scratch;
mod sql;
mod staged;
mod state_file;
mod stores;
mod types;
mod variant;
mod wasm;
mod wire;

use std::future::Future;

use crate::Target;

const KB: usize = 1 << 10;
const MB: usize = 1 << 20;

/// All of them, and one that fails on purpose, at the end.
pub const TARGETS: &[Target] = &[
    // --- formats ---
    of("csv", csv::run, "csv: pieces give what the whole gives, messages are independent, rows survive encoding"),
    of("json", json::run, "json: the same, and what is JSON to another parser is JSON here"),
    of("raw", raw::run, "raw: pieces, messages, encoding"),
    of("avro", avro::run, "avro messages: independent, rows survive encoding"),
    of("avro_confluent", avro_confluent::run, "avro-confluent: ids, truncation, schemas other than the table's"),
    of("avro_schema", avro_schema::run, "a schema of another's, and a message in it").floor(64 * MB),
    of("debezium_avro", debezium_avro::run, "debezium-avro-confluent: changes in an envelope"),
    of("protobuf", protobuf::run, "protobuf messages: independent, rows survive encoding"),
    of("proto_schema", proto_schema::run, "the text of a .proto file, a file of descriptors")
        .length(2 * KB)
        .floor(64 * MB),
    of("debezium_json", changelog_json::debezium, "debezium-json: pieces, messages, metadata"),
    of("canal_json", changelog_json::canal, "canal-json: the same"),
    of("maxwell_json", changelog_json::maxwell, "maxwell-json: the same"),
    of("ogg_json", changelog_json::ogg, "ogg-json: the same"),
    of("parquet", parquet::run, "parquet files: two parts give the whole, as does a row to go on from").file(),
    of("orc", orc::run, "orc files: the same").file(),
    of("avro_file", avro_file::run, "container files of avro: the same").file(),
    of("infer", infer::run, "what is proposed for lines of CSV or JSON is a table"),
    // --- connectors ---
    of("kafka_records", kafka_records::run, "records with key and value as rows: counts, deletions, stored positions"),
    of("nats_messages", nats_messages::run, "messages, subjects, deliveries, answers, stored positions"),
    of("stores", stores::run, "JKS, PKCS#12 and PEM, with and without passwords").length(8 * KB),
    of("jaas", jaas::run, "sasl.jaas.config: nothing of a wrong one is shown, a right one is read as written"),
    of("staged", staged::run, "files of staged records, markers"),
    // --- what is stored, and what processes say ---
    of("manifest", manifest::run, "HEAD, manifests, bundles: as they are stored they are read, damage is seen"),
    of("state_file", state_file::run, "runs behind a checksum that fits: whole, cut by key groups, written again"),
    of("wire", wire::run, "messages between workers: damaged ones are refused, rows arrive as they went"),
    of("process_frames", process_frames::run, "frames between coordinator and worker: read, written, read"),
    of("control", control::run, "requests and replies of the control socket: read, written, read"),
    // --- SQL ---
    of("sql", sql::run, "statements: parsed, bound and planned without a bug; secrets are masked").floor(256 * MB),
    of("types", types::run, "names of types: what is printed is read as the same"),
    of("cast", cast::run, "CAST from STRING: as TRY_CAST, rows alone as together, printed values come back"),
    of("json_path", json_path::run, "JSON functions: a constant path as a path in a column"),
    of("pattern", pattern::run, "LIKE against a plain matcher, SIMILAR TO, REGEXP and their kin: constants as columns"),
    of("date_pattern", date_pattern::run, "TO_TIMESTAMP, DATE_FORMAT and their kin: constants as columns"),
    of("variant", variant::run, "PARSE_JSON and the bytes of a VARIANT: printed ones are read as the same"),
    of("bitmap", bitmap::run, "the bytes of a BITMAP: read, written, read"),
    of("wasm", wasm::run, "WebAssembly modules: loaded and called within their limits").floor(160 * MB).length(2 * KB),
    // --- the proof that mistakes are found ---
    of(PLANTED, planted::run, "fails on purpose: what runs targets has to find it"),
];

/// The target that fails.
pub const PLANTED: &str = "planted";

/// Readers of messages and texts.
const fn of(name: &'static str, run: fn(&[u8]), checks: &'static str) -> Target {
    Target { name, checks, floor_bytes: 8 * MB, factor: 2_000, length_max: 4 * KB, run }
}

impl Target {
    const fn floor(self, floor_bytes: usize) -> Target {
        Target { floor_bytes, ..self }
    }

    const fn length(self, length_max: usize) -> Target {
        Target { length_max, ..self }
    }

    /// A file has parts that are compressed.
    const fn file(self) -> Target {
        Target { floor_bytes: 64 * MB, factor: 8_000, length_max: 8 * KB, ..self }
    }
}

/// Runs what is async where nothing waits for anything outside.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap_or_else(|e| panic!("no runtime: {e}"));
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}
