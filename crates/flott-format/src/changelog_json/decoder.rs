//! From messages to changes.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StructArray, UInt32Array};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use flott_connector::format::{FormatContext, FormatFactory, MessageDecoder, MessageDecoderFactory, RecordPosition};
use flott_core::{ChangeBatch, Error, Result, RowKind};

use super::ChangelogJson;
use super::envelope::{self, Change, Head};
use super::metadata::Metadata;
use super::options::ChangeOptions;
use crate::builder::{ColumnBuilder, Values};
use crate::json::check_columns;
use crate::json::decoder::{JsonDecoder, JsonDecoding};
use crate::text::shown;

pub(super) struct ChangeDecoding {
    dialect: ChangelogJson,
    options: ChangeOptions,
    schema: SchemaRef,
    metadata: Vec<Metadata>,
    envelope: JsonDecoding,
}

/// The rows of a message, as json reads them: `before`, `after` (`old`, `data`), each a row or a list of rows; and the
/// fields of metadata.
fn envelope_schema(dialect: ChangelogJson, schema_include: bool, columns: &Fields, metadata: &[Metadata]) -> SchemaRef {
    // What is NOT NULL in the table may be absent here.
    let relaxed: Fields = columns.iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let row = |name: &str| Field::new(name, DataType::Struct(relaxed.clone()), true);
    let list = |name: &str| Field::new(name, DataType::List(Arc::new(row("item"))), true);
    let mut fields = match dialect {
        ChangelogJson::Debezium | ChangelogJson::Ogg => vec![row("before"), row("after")],
        ChangelogJson::Canal => vec![list("old"), list("data")],
        ChangelogJson::Maxwell => vec![row("old"), row("data")],
    };
    let mut beside = vec![];
    for m in metadata {
        let list = if schema_include && m.beside_payload { &mut beside } else { &mut fields };
        // Several columns may come from one field.
        if !list.iter().any(|f: &Field| f.name() == m.field) {
            list.push(m.json_field());
        }
    }
    if schema_include {
        let payload = Field::new("payload", DataType::Struct(fields.into()), true);
        return Arc::new(Schema::new([vec![payload], beside].concat()));
    }
    Arc::new(Schema::new(fields))
}

impl ChangeDecoding {
    pub(super) fn new(
        dialect: ChangelogJson,
        context: &FormatContext,
        options: ChangeOptions,
        metadata: Vec<Metadata>,
    ) -> Result<ChangeDecoding> {
        let schema = envelope_schema(dialect, options.schema_include, context.schema.fields(), &metadata);
        let of_json = FormatContext {
            schema: Arc::clone(&schema),
            declared: schema,
            options: options.json.clone(),
            local_time_zone: context.local_time_zone.clone(),
        };
        check_columns(&of_json.schema)?;
        let envelope = JsonDecoding::new(&of_json)?;
        let columns = context.schema.fields().iter().map(|f| f.as_ref().clone());
        let schema = Arc::new(Schema::new(columns.chain(metadata.iter().map(Metadata::column)).collect::<Vec<_>>()));
        Ok(ChangeDecoding { dialect, options, schema, metadata, envelope })
    }
}

impl MessageDecoderFactory for ChangeDecoding {
    fn create(&self) -> Result<Box<dyn MessageDecoder>> {
        Ok(Box::new(ChangeDecoder {
            dialect: self.dialect,
            options: self.options.clone(),
            schema: Arc::clone(&self.schema),
            metadata: self.metadata.clone(),
            envelope: self.envelope.decoder()?,
            messages: 0,
            places: vec![],
        }))
    }
}

/// Which rows of the envelope a row of the output is made of.
#[derive(Debug)]
struct Place {
    kind: RowKind,
    /// Of the rows before the change; else of those after it.
    before: bool,
    message: usize,
    /// In a message with several rows.
    row: usize,
    /// Columns that are taken from the row after the change, since the one before does not have them.
    unchanged: Option<Box<[bool]>>,
}

struct ChangeDecoder {
    dialect: ChangelogJson,
    options: ChangeOptions,
    /// The columns and the metadata behind them.
    schema: SchemaRef,
    metadata: Vec<Metadata>,
    envelope: JsonDecoder,
    /// Decoded since the last batch.
    messages: usize,
    places: Vec<Place>,
}

impl ChangeDecoder {
    /// Without the metadata.
    fn columns(&self) -> impl Iterator<Item = &Arc<Field>> {
        self.schema.fields().iter().take(self.schema.fields().len() - self.metadata.len())
    }

    fn corrupt(&self, message: &[u8], why: &str, position: &RecordPosition) -> Error {
        let format = self.dialect.identifier();
        Error::data(format!("Corrupt {format} message '{}': {why}", shown(message)))
            .with("file", &position.origin)
            .with(
                if position.row_is_exact { "row" } else { "byte" },
                if position.row_is_exact { position.row + 1 } else { position.offset },
            )
            .hint(format!("Set '{format}.ignore-parse-errors' = 'true' to skip such messages"))
    }

    /// The rows of a message whose head is known.
    fn rows(&self, change: Change, head: &Head) -> Result<Vec<Place>, String> {
        let message = self.messages;
        let place = |kind, before, row, unchanged| Place { kind, before, message, row, unchanged };
        let missing = |what: &str| format!("the {what} of '{}' is null", head.word);
        let in_images = matches!(self.dialect, ChangelogJson::Debezium | ChangelogJson::Ogg);
        if in_images {
            let replica = || {
                let hint = "the table has to log whole rows (REPLICA IDENTITY FULL, supplemental log data)";
                format!("{}; {hint}", missing("\"before\" field"))
            };
            return match change {
                Change::Insert if !head.after => Err(missing("\"after\" field")),
                Change::Insert => Ok(vec![place(RowKind::Insert, false, 0, None)]),
                Change::Update if !head.before => Err(replica()),
                Change::Update if !head.after => Err(missing("\"after\" field")),
                Change::Update => {
                    Ok(vec![place(RowKind::UpdateBefore, true, 0, None), place(RowKind::UpdateAfter, false, 0, None)])
                }
                Change::Delete if !head.before => Err(replica()),
                Change::Delete => Ok(vec![place(RowKind::Delete, true, 0, None)]),
                Change::Ddl => Ok(vec![]),
            };
        }
        if change == Change::Ddl {
            return Ok(vec![]);
        }
        if !head.after {
            return Err(missing("\"data\" field"));
        }
        let mut places = vec![];
        for row in 0..head.rows {
            match change {
                Change::Insert => places.push(place(RowKind::Insert, false, row, None)),
                Change::Delete => places.push(place(RowKind::Delete, false, row, None)),
                _ => {
                    let Some(old) = head.old_fields.get(row) else { return Err(missing("\"old\" field")) };
                    let unchanged = self.columns().map(|f| !old.contains(f.name())).collect();
                    places.push(place(RowKind::UpdateBefore, true, row, Some(unchanged)));
                    places.push(place(RowKind::UpdateAfter, false, row, None));
                }
            }
        }
        Ok(places)
    }
}

impl ChangeDecoder {
    /// A column that is NOT NULL and has no value in a row of the message that was read last.
    fn lacking(&self, rows: &[Place]) -> Option<&str> {
        let columns = self.envelope.columns();
        let images = match columns.first().map(|c| &c.values) {
            Some(Values::Struct(fields)) if self.options.schema_include => &fields[..],
            _ => columns,
        };
        self.columns().enumerate().filter(|(_, f)| !f.is_nullable()).find_map(|(c, field)| {
            let has = |p: &Place| {
                let is_before = p.before && !p.unchanged.as_ref().is_some_and(|u| u[c]);
                images.get(usize::from(!is_before)).is_some_and(|image| has_value(image, p.message, p.row, c))
            };
            (!rows.iter().all(has)).then_some(field.name().as_str())
        })
    }
}

impl ChangeDecoder {
    /// A field of the message that was read last which has to be a time and is none: told with its message, not with the batch.
    fn no_time(&self) -> Option<&'static str> {
        if self.options.ignore_parse_errors {
            return None;
        }
        let columns = self.envelope.columns();
        let inside = match columns.first().map(|c| &c.values) {
            Some(Values::Struct(fields)) if self.options.schema_include => &fields[..],
            _ => columns,
        };
        let is_wrong = |m: &Metadata| {
            let place = if self.options.schema_include && m.beside_payload { columns } else { inside };
            let Some(column) = place.iter().find(|c| c.field.name() == m.field) else { return false };
            let text = match m.read_entry() {
                Some(name) => entry_at(column, self.messages, name),
                None => text_at(column, self.messages),
            };
            text.and_then(|text| m.is_readable(text)) == Some(false)
        };
        self.metadata.iter().find(|m| is_wrong(m)).map(|m| m.field)
    }
}

/// A text of a column.
fn text_at(column: &ColumnBuilder, row: usize) -> Option<&str> {
    let Values::Bytes { offsets, data } = &column.values else { return None };
    let (start, end) = (*offsets.get(row)? as usize, *offsets.get(row + 1)? as usize);
    column.is_valid(row).then(|| std::str::from_utf8(data.get(start..end)?).ok()).flatten()
}

/// The text of an entry in a column of maps.
fn entry_at<'c>(column: &'c ColumnBuilder, row: usize, name: &str) -> Option<&'c str> {
    let Values::Map { offsets, key, value } = &column.values else { return None };
    let (start, end) = (*offsets.get(row)? as usize, *offsets.get(row + 1)? as usize);
    (start..end)
        .filter(|_| column.is_valid(row))
        .find(|i| text_at(key, *i) == Some(name))
        .and_then(|i| text_at(value, i))
}

/// Whether a column of an image is present in a row of a message.
fn has_value(image: &ColumnBuilder, message: usize, row: usize, column: usize) -> bool {
    match &image.values {
        Values::Struct(columns) => columns.get(column).is_some_and(|c| c.is_valid(message)),
        Values::List { offsets, element } => {
            offsets.get(message).is_some_and(|start| has_value(element, *start as usize + row, 0, column))
        }
        _ => false,
    }
}

impl MessageDecoder for ChangeDecoder {
    fn decode(&mut self, message: Option<&[u8]>, position: &RecordPosition) -> Result<usize> {
        // A tombstone says nothing that the deletion before it has not said.
        let Some(message) = message.filter(|m| !m.is_empty()) else { return Ok(0) };
        let wrong = |this: &ChangeDecoder, why: &str| match this.options.ignore_parse_errors {
            true => Ok(0),
            false => Err(this.corrupt(message, why, position)),
        };
        let Some(head) = envelope::head(self.dialect, self.options.schema_include, message) else {
            return wrong(self, "it is no such message");
        };
        for (pattern, name, field) in
            [(&self.options.database, &head.database, "database"), (&self.options.table, &head.table, "table")]
        {
            match (pattern, name) {
                (None, _) => {}
                (Some(pattern), Some(name)) if pattern.is_match(name) => {}
                (Some(_), Some(_)) => return Ok(0),
                (Some(_), None) => return wrong(self, &format!("it does not name its {field}")),
            }
        }
        let Some(change) = head.change else {
            return wrong(self, &format!("'{}' is no kind of change", head.word));
        };
        let rows = match self.rows(change, &head) {
            Ok(rows) => rows,
            Err(why) => return wrong(self, &why),
        };
        if rows.is_empty() {
            return Ok(0);
        }
        let format = self.dialect.identifier();
        let decoded = self
            .envelope
            .decode(Some(message), position)
            .map_err(|e| e.hint(format!("Set '{format}.ignore-parse-errors' = 'true' to read wrong fields as NULL")))?;
        if decoded != 1 {
            return wrong(self, "it is no object");
        }
        if let Some(column) = self.lacking(&rows) {
            let column = column.to_string();
            self.envelope.truncate(self.messages);
            if self.options.ignore_parse_errors {
                return Ok(0);
            }
            let why = format!("a row has no value for the column '{column}', which is NOT NULL");
            return Err(self.corrupt(message, &why, position).with("column", column).hint(format!(
                "Declare the column nullable: a deletion may hold the key alone, and a field that cannot be read is NULL; or set '{format}.ignore-parse-errors' = 'true' to skip such messages"
            )));
        }
        if let Some(field) = self.no_time() {
            self.envelope.truncate(self.messages);
            let why = format!("its field '{field}' is no time");
            return Err(self.corrupt(message, &why, position));
        }
        self.messages += 1;
        let count = rows.len();
        self.places.extend(rows);
        Ok(count)
    }

    fn flush(&mut self) -> Result<ChangeBatch> {
        let decoded = self.envelope.flush()?.rows;
        self.messages = 0;
        let places = std::mem::take(&mut self.places);
        let root = StructArray::from(decoded);
        let images = if self.options.schema_include { root.column(0).as_struct() } else { &root };
        // Rows before, rows after, and where the rows of a message begin in each.
        let (before, before_at) = image(images.column(0))?;
        let (after, after_at) = image(images.column(1))?;
        let mut columns: Vec<ArrayRef> = vec![];
        for c in 0..self.columns().count() {
            let indices: Vec<(usize, usize)> = places
                .iter()
                .map(|p| {
                    let is_before = p.before && !p.unchanged.as_ref().is_some_and(|u| u[c]);
                    let at = if is_before { &before_at } else { &after_at };
                    let start = at.as_ref().map_or(p.message, |offsets| offsets[p.message] as usize);
                    (usize::from(!is_before), start + p.row)
                })
                .collect();
            let column = interleave(&[before.column(c).as_ref(), after.column(c).as_ref()], &indices)?;
            columns.push(column);
        }
        let of_message: UInt32Array = places.iter().map(|p| p.message as u32).collect();
        for m in &self.metadata {
            let beside = self.options.schema_include && m.beside_payload;
            let Some(field) = (if beside { &root } else { images }).column_by_name(m.field) else {
                return Err(Error::internal("a field of metadata was not read"));
            };
            columns.push(take(&m.read(field, self.options.ignore_parse_errors)?, &of_message, None)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        ChangeBatch::new(rows, places.iter().map(|p| p.kind).collect())
    }
}

/// The rows of an image, and of a list where those of each message begin.
fn image(column: &ArrayRef) -> Result<(StructArray, Option<Vec<i32>>)> {
    match column.data_type() {
        DataType::Struct(_) => Ok((column.as_struct().clone(), None)),
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            Ok((list.values().as_struct().clone(), Some(list.value_offsets().to_vec())))
        }
        other => Err(Error::internal(format!("an image of rows cannot be a {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use flott_core::options::Options;
    use flott_testkit::{assert_rows, schema};

    use super::*;

    fn decode(dialect: ChangelogJson, options: &[(&str, &str)], messages: &[&str]) -> Result<ChangeBatch> {
        decode_with(dialect, options, &[], messages)
    }

    fn decode_with(
        dialect: ChangelogJson,
        options: &[(&str, &str)],
        metadata: &[&str],
        messages: &[&str],
    ) -> Result<ChangeBatch> {
        let schema = schema("id INT, v STRING, w STRING");
        let metadata: Vec<String> = metadata.iter().map(|m| m.to_string()).collect();
        let options: Options = options.iter().copied().collect();
        let context =
            FormatContext { schema: schema.clone(), declared: schema, options, local_time_zone: "UTC".to_string() };
        let mut decoder = dialect.message_decoding_with(&context, &metadata)?.create()?;
        let position = RecordPosition { origin: "t-0".into(), row: 0, offset: 0, row_is_exact: false };
        for message in messages {
            decoder.decode(Some(message.as_bytes()), &position)?;
        }
        decoder.decode(None, &position)?;
        decoder.flush()
    }

    #[test]
    fn debezium() {
        let messages = [
            r#"{"before":null,"after":{"id":1,"v":"a"},"op":"c","source":{"x":1}}"#,
            r#"{"before":{"id":1,"v":"a"},"after":{"id":1,"v":"b"},"op":"u"}"#,
            r#"{"before":{"id":1,"v":"b"},"after":null,"op":"d"}"#,
            r#"{"after":{"id":2,"v":"c","w":"x"},"op":"r"}"#,
        ];
        let rows = decode(ChangelogJson::Debezium, &[], &messages).expect("decoded");
        let expected = ["+I[1, a, null]", "-U[1, a, null]", "+U[1, b, null]", "-D[1, b, null]", "+I[2, c, x]"];
        assert_rows!(rows, expected);
        let wrapped: Vec<String> = messages.iter().map(|m| format!("{{\"schema\":{{}},\"payload\":{m}}}")).collect();
        let wrapped: Vec<&str> = wrapped.iter().map(String::as_str).collect();
        let rows = decode(ChangelogJson::Debezium, &[("schema-include", "true")], &wrapped).expect("decoded");
        assert_rows!(rows, expected);
    }

    /// Told with the message, not when the batch is made; and skipped where that is asked for.
    #[test]
    fn a_row_without_a_value_that_has_to_be_there() {
        let good = r#"{"before":null,"after":{"id":1,"v":"a"},"op":"c"}"#;
        let canal_good = r#"{"data":[{"id":1,"v":"a"}],"type":"INSERT"}"#;
        for (dialect, good, bad) in [
            (ChangelogJson::Debezium, good, r#"{"before":{"id":1},"after":null,"op":"d"}"#),
            (ChangelogJson::Debezium, good, r#"{"before":null,"after":{"id":2,"v":null},"op":"c"}"#),
            (ChangelogJson::Canal, canal_good, r#"{"data":[{"id":2,"v":"b"},{"id":3}],"type":"INSERT"}"#),
        ] {
            let schema = schema("id INT NOT NULL, v STRING NOT NULL");
            for lenient in [false, true] {
                let mut options = Options::new();
                options.set("ignore-parse-errors", lenient.to_string());
                let context = FormatContext {
                    schema: schema.clone(),
                    declared: schema.clone(),
                    options,
                    local_time_zone: "UTC".to_string(),
                };
                let mut decoder = dialect.message_decoding(&context).expect("a format").create().expect("a decoder");
                let position = RecordPosition { origin: "t-0".into(), row: 4, offset: 0, row_is_exact: true };
                decoder.decode(Some(good.as_bytes()), &position).expect("decoded");
                let decoded = decoder.decode(Some(bad.as_bytes()), &position);
                match (decoded, lenient) {
                    (Ok(0), true) => {}
                    (Err(e), false) => {
                        assert!(e.to_string().contains("the column 'v', which is NOT NULL"), "{e}");
                        assert_eq!((e.context("column"), e.context("row")), (Some("v"), Some("5")));
                    }
                    (other, _) => panic!("{bad}: {other:?}"),
                }
                decoder.decode(Some(good.as_bytes()), &position).expect("decoded");
                let rows = decoder.flush().expect("a batch");
                assert_rows!(rows, ["+I[1, a]", "+I[1, a]"]);
            }
        }
    }

    /// Told with the message, not when the batch is made.
    #[test]
    fn a_time_that_is_none() {
        let ogg = |at: &str| format!(r#"{{"op_type":"I","op_ts":"{at}","before":null,"after":{{"id":1}}}}"#);
        let debezium =
            |at: &str| format!(r#"{{"op":"c","source":{{"ts_ms":"{at}"}},"before":null,"after":{{"id":1}}}}"#);
        for (dialect, key, good, bad) in [
            (ChangelogJson::Ogg, "event-timestamp", ogg("2020-05-13 15:40:06.000000"), ogg("2020-013 15:40:06")),
            (ChangelogJson::Debezium, "source.timestamp", debezium("1589355504100"), debezium("noon")),
        ] {
            let all = [good.as_str(), bad.as_str(), good.as_str()];
            let e = decode_with(dialect, &[], &[key], &all).expect_err("no time");
            assert!(e.to_string().contains("is no time") && e.to_string().contains("message '"), "{e}");
            let rows = decode_with(dialect, &[("ignore-parse-errors", "true")], &[key], &all).expect("as NULL");
            assert_eq!(rows.num_rows(), 3);
        }
    }

    #[test]
    fn ogg() {
        let messages = [
            r#"{"op_type":"I","before":null,"after":{"id":1,"v":"a","w":"b"}}"#,
            r#"{"op_type":"U","before":{"id":1,"v":"a","w":"b"},"after":{"id":1,"v":"c","w":"b"}}"#,
            r#"{"op_type":"D","before":{"id":1,"v":"c","w":"b"},"after":null}"#,
        ];
        let rows = decode(ChangelogJson::Ogg, &[], &messages).expect("decoded");
        assert_rows!(rows, ["+I[1, a, b]", "-U[1, a, b]", "+U[1, c, b]", "-D[1, c, b]"]);
    }

    /// A field that `old` does not have is as it was; one that is null there was NULL.
    #[test]
    fn canal() {
        let messages = [
            r#"{"data":[{"id":1,"v":"a","w":"x"},{"id":2,"v":"b","w":"y"}],"old":null,"type":"INSERT","database":"d","table":"t"}"#,
            r#"{"data":[{"id":1,"v":"c","w":"x"},{"id":2,"v":"d","w":"z"}],"old":[{"v":"a"},{"v":null,"w":"y"}],"type":"UPDATE","database":"d","table":"t"}"#,
            r#"{"data":[{"id":1,"v":"c","w":"x"}],"old":null,"type":"DELETE","database":"d","table":"t"}"#,
            r#"{"data":null,"type":"CREATE","database":"d","table":"t"}"#,
            r#"{"data":[{"id":9}],"type":"INSERT","database":"d","table":"other"}"#,
        ];
        let rows = decode(ChangelogJson::Canal, &[("table.include", "t")], &messages).expect("decoded");
        assert_rows!(
            rows,
            [
                "+I[1, a, x]",
                "+I[2, b, y]",
                "-U[1, a, x]",
                "+U[1, c, x]",
                "-U[2, null, y]",
                "+U[2, d, z]",
                "-D[1, c, x]"
            ]
        );
    }

    #[test]
    fn maxwell() {
        let messages = [
            r#"{"database":"d","table":"t","type":"insert","data":{"id":1,"v":"a","w":"x"}}"#,
            r#"{"database":"d","table":"t","type":"update","data":{"id":1,"v":"b","w":"x"},"old":{"v":"a"}}"#,
            r#"{"database":"d","table":"t","type":"delete","data":{"id":1,"v":"b","w":"x"}}"#,
        ];
        let rows = decode(ChangelogJson::Maxwell, &[], &messages).expect("decoded");
        assert_rows!(rows, ["+I[1, a, x]", "-U[1, a, x]", "+U[1, b, x]", "-D[1, b, x]"]);
    }

    #[test]
    fn metadata_stands_behind_the_columns() {
        let debezium = r#"{"after":{"id":1},"op":"c","ts_ms":5000,"source":{"ts_ms":1000,"db":"d","schema":"s","table":"t","x":null}}"#;
        let keys = ["ingestion-timestamp", "source.timestamp", "source.database", "source.schema", "source.table"];
        let rows = decode_with(ChangelogJson::Debezium, &[], &keys, &[debezium, r#"{"after":{"id":2},"op":"c"}"#]);
        let expected = [
            "+I[1, null, null, 1970-01-01T00:00:05Z, 1970-01-01T00:00:01Z, d, s, t]",
            "+I[2, null, null, null, null, null, null, null]",
        ];
        assert_rows!(rows.expect("decoded"), expected);
        let wrapped = format!("{{\"schema\":{{\"a\":1}},\"payload\":{debezium}}}");
        let rows = decode_with(
            ChangelogJson::Debezium,
            &[("schema-include", "true")],
            &["source.table", "schema"],
            &[&wrapped],
        );
        assert_rows!(rows.expect("decoded"), [r#"+I[1, null, null, t, {"a":1}]"#]);
        let canal = r#"{"data":[{"id":1},{"id":2}],"type":"INSERT","database":"d","table":"t","ts":5000,"es":1000,"pkNames":["id"]}"#;
        let rows = decode_with(ChangelogJson::Canal, &[], &["table", "event-timestamp", "pk-names"], &[canal]);
        let expected =
            ["+I[1, null, null, t, 1970-01-01T00:00:01Z, [id]]", "+I[2, null, null, t, 1970-01-01T00:00:01Z, [id]]"];
        assert_rows!(rows.expect("decoded"), expected);
        let maxwell =
            r#"{"database":"d","table":"t","type":"insert","ts":5,"data":{"id":1},"primary_key_columns":null}"#;
        let keys = ["ingestion-timestamp", "primary-key-columns"];
        let rows = decode_with(ChangelogJson::Maxwell, &[], &keys, &[maxwell]);
        assert_rows!(rows.expect("decoded"), ["+I[1, null, null, 1970-01-01T00:00:05Z, null]"]);
        let ogg = r#"{"op_type":"I","op_ts":"1970-01-01 00:00:05.000001","after":{"id":1},"table":"T"}"#;
        let rows = decode_with(ChangelogJson::Ogg, &[], &["event-timestamp", "table"], &[ogg]);
        assert_rows!(rows.expect("decoded"), ["+I[1, null, null, 1970-01-01T00:00:05.000001Z, T]"]);
    }

    #[test]
    fn what_cannot_be_understood_is_told_or_skipped() {
        for (dialect, message) in [
            (ChangelogJson::Debezium, r#"{"before":null,"after":{"id":1},"op":"x"}"#),
            (ChangelogJson::Debezium, r#"{"before":null,"after":{"id":1},"op":"u"}"#),
            (ChangelogJson::Debezium, r#"{"before":{"#),
            (ChangelogJson::Debezium, "17"),
            (ChangelogJson::Debezium, r#"[null,{"id":1},"c"]"#),
            (ChangelogJson::Ogg, r#"[{"op_type":"I","after":{"id":1}}]"#),
            (ChangelogJson::Canal, r#"{"data":[{"id":1}],"type":"TRUNCATE"}"#),
            (ChangelogJson::Canal, r#"{"data":[{"id":1}],"type":"UPDATE"}"#),
            (ChangelogJson::Maxwell, r#"{"type":"insert"}"#),
            (ChangelogJson::Ogg, r#"{"op_type":"D","after":null}"#),
        ] {
            let error = decode(dialect, &[], &[message]).expect_err(message).to_string();
            assert!(error.contains("ignore-parse-errors"), "{error}");
            let rows = decode(dialect, &[("ignore-parse-errors", "true")], &[message]).expect("skipped");
            assert_eq!(rows.num_rows(), 0, "{message}");
        }
    }
}
