//! From rows to messages: the payload through its format, subject and headers as the table says.

use std::str::FromStr;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use async_nats::{HeaderMap, HeaderName, HeaderValue};
use flott_connector::format::{Encoder, EncoderFactory, Messages};
use flott_core::{ChangeBatch, Error, Result};

use crate::subject;

/// What names of JetStream's own headers begin with: they tell the stream what to do with a message.
const RESERVED: &str = "nats-";

/// How rows become messages, shared by all writers.
pub(crate) struct RecordPlan {
    /// Where all of them go.
    pub(crate) subject: Option<String>,
    /// The payload's format and columns.
    pub(crate) value: (Arc<dyn EncoderFactory>, Vec<usize>),
    /// Columns with metadata.
    pub(crate) subject_column: Option<usize>,
    /// A map or a list.
    pub(crate) headers_column: Option<usize>,
    /// The format writes changes as they are.
    pub(crate) changes: bool,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Outgoing<'a> {
    pub(crate) subject: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) headers: Vec<(&'a str, &'a str)>,
}

impl Outgoing<'_> {
    /// Of subject, payload and headers.
    pub(crate) fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        self.subject.len() + self.payload.len() + headers
    }

    /// Its headers as they are sent. They were checked before.
    pub(crate) fn header_map(&self) -> Result<HeaderMap> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            map.append(header_name(name)?, header_value(value)?);
        }
        Ok(map)
    }

    /// What a server would not take, or would take for an order.
    fn check(&self) -> Result<()> {
        if !subject::is_subject(self.subject) {
            return Err(Error::data(format!("'{}' is no subject that a message can be sent to", self.subject))
                .hint("A subject has parts with dots between them, without spaces, '*' and '>'"));
        }
        for (name, value) in &self.headers {
            header_name(name)?;
            header_value(value)?;
            if name.get(..RESERVED.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(RESERVED)) {
                return Err(Error::data(format!("The header '{name}' is JetStream's own"))
                    .hint("Headers whose names begin with 'Nats-' tell the stream what to do, and are not written"));
            }
        }
        Ok(())
    }
}

pub(crate) fn header_name(name: &str) -> Result<HeaderName> {
    HeaderName::from_str(name).map_err(|e| Error::data(format!("'{name}' is no name of a header")).caused_by(e))
}

pub(crate) fn header_value(value: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(value)
        .map_err(|e| Error::data("A header's value has a line break, which none can have").caused_by(e))
}

/// Encodes the rows of one writer.
pub(crate) struct RecordEncoder {
    plan: Arc<RecordPlan>,
    value: Box<dyn Encoder>,
}

/// The messages of a batch.
pub(crate) struct Records {
    plan: Arc<RecordPlan>,
    values: Messages,
    rows: RecordBatch,
}

impl RecordEncoder {
    pub(crate) fn new(plan: Arc<RecordPlan>) -> Result<RecordEncoder> {
        Ok(RecordEncoder { value: plan.value.0.create()?, plan })
    }

    pub(crate) fn encode(&mut self, batch: &ChangeBatch) -> Result<Records> {
        let plan = Arc::clone(&self.plan);
        if batch.kinds.is_some() && !plan.changes {
            return Err(Error::internal("the nats sink takes only inserts"));
        }
        let part = ChangeBatch { rows: batch.rows.project(&plan.value.1)?, kinds: batch.kinds.clone() };
        let mut values = Messages::default();
        self.value.encode_messages(&part, &mut values)?;
        Ok(Records { plan, values, rows: batch.rows.clone() })
    }
}

impl Records {
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// The message of a row, checked.
    pub(crate) fn get(&self, row: usize) -> Result<Outgoing<'_>> {
        // As with a Kafka table of one topic: where the table names a subject the column says nothing.
        let subject = match (&self.plan.subject, self.plan.subject_column) {
            (Some(subject), _) => subject.as_str(),
            (None, Some(column)) => {
                let subjects = self.rows.column(column).as_string::<i32>();
                if subjects.is_null(row) {
                    return Err(Error::data("A row does not say to which subject it goes")
                        .with("column", self.rows.schema_ref().field(column).name())
                        .hint("The column must not be NULL"));
                }
                subjects.value(row)
            }
            (None, None) => return Err(Error::internal("a message without a subject")),
        };
        let record = Outgoing {
            subject,
            // JetStream knows no NULL: a tombstone is a message without content.
            payload: self.values.get(row).unwrap_or_default(),
            headers: match self.plan.headers_column {
                Some(c) => headers(self.rows.column(c), row)?,
                None => vec![],
            },
        };
        record.check()?;
        Ok(record)
    }
}

/// The headers of a row, from a map or a list of rows. A value that is NULL is none.
fn headers(column: &ArrayRef, row: usize) -> Result<Vec<(&str, &str)>> {
    let (names, values, entries) = flott_connector::headers::of_row(column, row)?;
    let (names, values) = (names.as_string::<i32>(), values.as_string::<i32>());
    Ok(entries
        .filter(|i| names.is_valid(*i) && values.is_valid(*i))
        .map(|i| (names.value(i), values.value(i)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_would_take_for_an_order_is_refused() {
        let of = |subject, headers| Outgoing { subject, payload: b"x", headers };
        of("a.b", vec![("Trace", "1"), ("Trace", "2")]).check().expect("fits");
        for (record, part) in [
            (of("a.*", vec![]), "no subject"),
            (of("a b", vec![]), "no subject"),
            (of("a", vec![("Nats-Rollup", "all")]), "JetStream's own"),
            (of("a", vec![("nats-msg-id", "x")]), "JetStream's own"),
            (of("a", vec![("a\r\nb", "x")]), "no name of a header"),
            (of("a", vec![("a", "x\r\nNats-Rollup: all")]), "line break"),
        ] {
            let error = record.check().expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        }
        let map = of("a", vec![("t", "1"), ("t", "2")]).header_map().expect("headers");
        assert_eq!(map.get_all("t").count(), 2);
    }
}
