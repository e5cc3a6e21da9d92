//! From changes to messages: an update is a deletion and an insert, as in Flink.

use std::sync::Arc;

use flott_connector::format::{Encoder, EncoderFactory, FormatContext, FormatFactory, Messages};
use flott_core::{ChangeBatch, Result};

use super::ChangelogJson;
use super::options::ChangeOptions;
use crate::json::JsonFormat;

pub(super) struct ChangeEncoding {
    dialect: ChangelogJson,
    json: Arc<dyn EncoderFactory>,
    /// Also the image that is not there is left out.
    without_nulls: bool,
}

impl ChangeEncoding {
    pub(super) fn new(
        dialect: ChangelogJson,
        context: &FormatContext,
        options: &ChangeOptions,
    ) -> Result<ChangeEncoding> {
        let of_json = FormatContext { options: options.json.clone(), ..context.clone() };
        Ok(ChangeEncoding { dialect, json: JsonFormat.encoding(&of_json)?, without_nulls: options.without_nulls })
    }
}

impl EncoderFactory for ChangeEncoding {
    fn create(&self) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(ChangeEncoder {
            dialect: self.dialect,
            json: self.json.create()?,
            without_nulls: self.without_nulls,
            rows: Messages::default(),
        }))
    }

    fn file_extension(&self) -> &str {
        "json"
    }
}

struct ChangeEncoder {
    dialect: ChangelogJson,
    json: Box<dyn Encoder>,
    without_nulls: bool,
    rows: Messages,
}

impl ChangeEncoder {
    /// What stands before and behind a row.
    fn around(&self, is_addition: bool) -> (&'static str, &'static str) {
        match (self.dialect, is_addition, self.without_nulls) {
            (ChangelogJson::Debezium, true, false) => ("{\"before\":null,\"after\":", ",\"op\":\"c\"}"),
            (ChangelogJson::Debezium, true, true) => ("{\"after\":", ",\"op\":\"c\"}"),
            (ChangelogJson::Debezium, false, false) => ("{\"before\":", ",\"after\":null,\"op\":\"d\"}"),
            (ChangelogJson::Debezium, false, true) => ("{\"before\":", ",\"op\":\"d\"}"),
            (ChangelogJson::Ogg, true, false) => ("{\"before\":null,\"after\":", ",\"op_type\":\"I\"}"),
            (ChangelogJson::Ogg, true, true) => ("{\"after\":", ",\"op_type\":\"I\"}"),
            (ChangelogJson::Ogg, false, false) => ("{\"before\":", ",\"after\":null,\"op_type\":\"D\"}"),
            (ChangelogJson::Ogg, false, true) => ("{\"before\":", ",\"op_type\":\"D\"}"),
            (ChangelogJson::Canal, true, _) => ("{\"data\":[", "],\"type\":\"INSERT\"}"),
            (ChangelogJson::Canal, false, _) => ("{\"data\":[", "],\"type\":\"DELETE\"}"),
            (ChangelogJson::Maxwell, true, _) => ("{\"data\":", ",\"type\":\"insert\"}"),
            (ChangelogJson::Maxwell, false, _) => ("{\"data\":", ",\"type\":\"delete\"}"),
        }
    }

    fn each(&mut self, batch: &ChangeBatch, out: &mut Vec<u8>, mut end: impl FnMut(&mut Vec<u8>)) -> Result<()> {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        self.json.encode_messages(&ChangeBatch::append(batch.rows.clone()), &mut rows)?;
        for row in 0..rows.len() {
            let (before, behind) = self.around(batch.kind(row).is_addition());
            out.extend_from_slice(before.as_bytes());
            out.extend_from_slice(rows.get(row).unwrap_or(b"null"));
            out.extend_from_slice(behind.as_bytes());
            end(out);
        }
        self.rows = rows;
        Ok(())
    }
}

impl Encoder for ChangeEncoder {
    fn encode(&mut self, rows: &ChangeBatch, out: &mut Vec<u8>) -> Result<()> {
        self.each(rows, out, |out| out.push(b'\n'))
    }

    fn encode_messages(&mut self, rows: &ChangeBatch, out: &mut Messages) -> Result<()> {
        let Messages { bytes, ends } = out;
        self.each(rows, bytes, |bytes| ends.push((bytes.len(), true)))
    }
}

#[cfg(test)]
mod tests {
    use flott_core::options::Options;
    use flott_testkit::{batch, schema};

    use super::*;

    #[test]
    fn updates_are_written_as_deletion_and_insert() {
        for (dialect, insert, delete) in [
            (
                ChangelogJson::Debezium,
                r#"{"before":null,"after":{"i":1},"op":"c"}"#,
                r#"{"before":{"i":1},"after":null,"op":"d"}"#,
            ),
            (
                ChangelogJson::Ogg,
                r#"{"before":null,"after":{"i":1},"op_type":"I"}"#,
                r#"{"before":{"i":1},"after":null,"op_type":"D"}"#,
            ),
            (ChangelogJson::Canal, r#"{"data":[{"i":1}],"type":"INSERT"}"#, r#"{"data":[{"i":1}],"type":"DELETE"}"#),
            (ChangelogJson::Maxwell, r#"{"data":{"i":1},"type":"insert"}"#, r#"{"data":{"i":1},"type":"delete"}"#),
        ] {
            let schema = schema("i INT");
            let context = FormatContext {
                schema: schema.clone(),
                declared: schema,
                options: Options::new(),
                local_time_zone: "UTC".to_string(),
            };
            let mut encoder = dialect.encoding(&context).expect("a format").create().expect("an encoder");
            let mut out = Messages::default();
            let rows = batch("i INT", &["+I[1]", "-U[1]", "+U[1]", "-D[1]"]);
            encoder.encode_messages(&rows, &mut out).expect("encoded");
            let texts: Vec<_> =
                (0..4).map(|i| String::from_utf8_lossy(out.get(i).expect("there")).into_owned()).collect();
            assert_eq!(texts, [insert, delete, insert, delete]);
        }
    }
}
