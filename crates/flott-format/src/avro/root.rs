//! Whole records: the schema's root is a record, or a union of NULL and a record as Flink writes it to files.

use std::sync::Arc;

use flott_core::{Error, Result};

use super::binary::{Input, Read, Wrong};
use super::plan::{self, Reader, RecordPlan, Source};
use super::schema::{AvroSchema, Node};
use crate::builder::Rows;
pub(super) use crate::wrong::error;

/// A schema of data with how its records are read into a table's columns.
#[derive(Debug)]
pub(crate) struct Resolved {
    schema: Arc<AvroSchema>,
    root: Root,
}

#[derive(Debug)]
enum Root {
    Record(RecordPlan),
    /// `None` is NULL.
    Union(Vec<Option<Read<RecordPlan>>>),
}

impl Resolved {
    /// How records of `schema` become rows of `columns`. `reader` is the table's own schema, for its defaults.
    pub(crate) fn new(schema: Arc<AvroSchema>, rows: &Rows, reader: &AvroSchema) -> Result<Resolved> {
        let of_reader = Some(Reader { schema: reader, node: reader.root });
        let source = Source::new(&schema);
        let of_node = |node: usize| plan::of_record(&source, node, &rows.columns, of_reader);
        let root = match schema.node(schema.root) {
            Node::Union(branches) => {
                let plans: Vec<_> = branches
                    .iter()
                    .map(|b| if matches!(schema.node(*b), Node::Null) { None } else { Some(of_node(*b)) })
                    .collect();
                if let (Some(Some(Err(e))), false) =
                    (plans.iter().find(|p| matches!(p, Some(Err(_)))), plans.iter().any(|p| matches!(p, Some(Ok(_)))))
                {
                    return Err(incompatible(e.clone()));
                }
                Root::Union(plans)
            }
            _ => Root::Record(of_node(schema.root).map_err(incompatible)?),
        };
        source.check().map_err(incompatible)?;
        Ok(Resolved { schema, root })
    }

    pub(crate) fn schema(&self) -> &AvroSchema {
        &self.schema
    }

    /// Reads one record; false where it is NULL. On an error nothing of it stays.
    pub(super) fn read(&self, input: &mut Input<'_>, rows: &mut Rows) -> Result<bool> {
        input.next_record();
        let before = rows.rows;
        let read = match &self.root {
            Root::Record(plan) => plan::record(plan, &self.schema, input, &mut rows.columns).map(|()| true),
            Root::Union(plans) => input.index(plans.len(), "branch of the union").and_then(|b| match &plans[b] {
                None => Ok(false),
                Some(Ok(plan)) => plan::record(plan, &self.schema, input, &mut rows.columns).map(|()| true),
                Some(Err(e)) => Err(e.clone()),
            }),
        };
        match read {
            Ok(there) => {
                rows.rows += usize::from(there);
                Ok(there)
            }
            Err(e) => {
                rows.columns.iter_mut().for_each(|c| c.truncate(before));
                Err(error(e))
            }
        }
    }

    /// Reads one record that stands alone.
    pub(crate) fn read_one(&self, bytes: &[u8], rows: &mut Rows) -> Result<bool> {
        self.read(&mut Input::new(bytes), rows)
    }

    /// Reads one record that stands alone, in Avro's JSON.
    pub(crate) fn read_json(&self, text: &[u8], scratch: &mut Vec<u8>, rows: &mut Rows) -> Result<bool> {
        let json = super::json::parse(text)?;
        scratch.clear();
        super::json::to_binary(&json, &self.schema, self.schema.root, true, 0, scratch).map_err(error)?;
        self.read_one(scratch, rows)
    }
}

#[cold]
fn incompatible(e: Box<Wrong>) -> Error {
    error(e).hint("Compare the schema of the data with the table's columns: names and types have to fit, and a column that the data lacks has to allow NULL")
}
