//! debezium-json, canal-json, maxwell-json, ogg-json: changes in an envelope.

use std::sync::OnceLock;

use flott_connector::format::{FormatContext, FormatFactory};
use flott_format::changelog_json::ChangelogJson;

use crate::rows::{self, Table};

const ROW: &str = "ROW<id INT, name STRING, weight DECIMAL(10, 3)>";

/// A table, and one that reads everything that stands beside its columns.
fn tables_of(format: ChangelogJson, options: &[(&str, &str)]) -> Vec<Table> {
    let plain = Table::of(&format, ROW, &[]).inexact();
    let lenient = Table::of(&format, ROW, &[("ignore-parse-errors", "true")]).inexact();
    let keys: Vec<_> = format.readable_metadata().into_iter().map(|key| (key.key.to_string(), key.data_type)).collect();
    let fields = keys.iter().map(|(name, data_type)| format!("`{name}` {data_type}"));
    let wide = format!("{}, {}>", ROW.trim_end_matches('>'), fields.collect::<Vec<_>>().join(", "));
    let names: Vec<String> = keys.into_iter().map(|(name, _)| name).collect();
    let context = rows::context(ROW, ROW, options);
    let decoding = format.message_decoding_with(&context, &names).unwrap_or_else(|e| panic!("no metadata: {e}"));
    let with = Table {
        context: FormatContext { schema: rows::schema(&wide), ..context },
        stream: None,
        messages: Some(decoding),
        encoding: None,
        exact: false,
    };
    vec![plain, lenient, with]
}

fn check(tables: &[Table], data: &[u8]) {
    let Some((table, rest)) = rows::choose(tables, data) else { return };
    rows::check_pieces(table, rest);
    if let Some(factory) = &table.messages {
        let batch = rows::check_messages(&table.context.schema, factory.as_ref(), &rows::lines(rest));
        rows::check_message_round(table, &batch);
    }
}

pub(crate) fn debezium(data: &[u8]) {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    let tables = TABLES.get_or_init(|| {
        let mut tables = tables_of(ChangelogJson::Debezium, &[("schema-include", "true")]);
        tables.push(Table::of(&ChangelogJson::Debezium, ROW, &[("schema-include", "true")]).inexact());
        tables
    });
    check(tables, data);
}

pub(crate) fn canal(data: &[u8]) {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    let tables = TABLES.get_or_init(|| {
        let mut tables = tables_of(ChangelogJson::Canal, &[]);
        let some = [("database.include", "^d.*"), ("table.include", "t|u")];
        tables.push(Table::of(&ChangelogJson::Canal, ROW, &some).inexact());
        tables
    });
    check(tables, data);
}

pub(crate) fn maxwell(data: &[u8]) {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    check(TABLES.get_or_init(|| tables_of(ChangelogJson::Maxwell, &[])), data);
}

pub(crate) fn ogg(data: &[u8]) {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    check(TABLES.get_or_init(|| tables_of(ChangelogJson::Ogg, &[])), data);
}
