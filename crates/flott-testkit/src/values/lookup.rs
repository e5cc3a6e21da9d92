//! The lookups of `values`: the table that a data set's rows make, by the columns that are asked for.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use arrow_row::{OwnedRow, RowConverter, SortField};
use arrow_schema::{Schema, SchemaRef};
use arrow_select::take::take_record_batch;
use async_trait::async_trait;
use flott_connector::factory::TableContext;
use flott_connector::lookup::{Lookup, LookupRows, LookupSource};
use flott_connector::lookup_full::{LookupScan, ScannedRows};
use flott_connector::source::SubtaskInfo;
use flott_core::{ChangeBatch, Error, Result};

use super::store::ValuesStore;
use super::{available_columns, project};

/// Looks up in a data set.
#[derive(Clone)]
pub(super) struct ValuesLookup {
    context: Arc<TableContext>,
    store: ValuesStore,
    name: String,
    /// Places of the key in a data row.
    keys: Vec<usize>,
    key_schema: SchemaRef,
    /// The second rows take the place of the first, where there are any.
    replaces: bool,
    /// What the table is now, and by which of the store's versions.
    table: Option<(u64, Arc<Table>)>,
}

/// The rows that there are, and where those of a key lie.
struct Table {
    rows: RecordBatch,
    keys: RecordBatch,
    converter: RowConverter,
    of_key: HashMap<OwnedRow, Vec<u32>>,
}

impl ValuesLookup {
    pub(super) fn new(
        context: &TableContext,
        store: &ValuesStore,
        name: &str,
        keys: &[String],
    ) -> Result<ValuesLookup> {
        let available = available_columns(context)?;
        let keys: Vec<usize> = keys.iter().map(|k| available.index_of(k)).collect::<std::result::Result<_, _>>()?;
        let key_schema: Schema = available.project(&keys)?;
        let (store, name) = (store.clone(), name.to_string());
        Ok(ValuesLookup {
            context: Arc::new(context.clone()),
            store,
            name,
            keys,
            key_schema: Arc::new(key_schema),
            replaces: false,
            table: None,
        })
    }

    /// The table holds its second rows in the place of its first, as in Flink's runs with a restore.
    pub(super) fn replacing(self) -> ValuesLookup {
        ValuesLookup { replaces: true, ..self }
    }

    /// The table as it is now.
    fn table(&mut self) -> Result<Arc<Table>> {
        let version = self.store.version();
        if let Some((of, table)) = &self.table
            && *of == version
        {
            return Ok(Arc::clone(table));
        }
        let available = available_columns(&self.context)?;
        let loaded = self.store.load(&self.name, &available)?;
        let shown = match self.store.shows_all() {
            true if self.replaces && loaded.before < loaded.rows.num_rows() => loaded.before..loaded.rows.num_rows(),
            true => 0..loaded.rows.num_rows(),
            false => 0..loaded.before,
        };
        let shown = loaded.rows.slice(shown.start, shown.len());
        let primary_key = self.context.table.schema.primary_key.as_ref();
        let primary_key: Vec<usize> = primary_key
            .iter()
            .flat_map(|k| &k.columns)
            .map(|c| available.index_of(c))
            .collect::<std::result::Result<_, _>>()?;
        let there = there(&shown, &primary_key)?;
        let current = ChangeBatch::append(take_record_batch(&shown.rows, &UInt32Array::from(there))?);
        let (columns, converter) = self.of_key(&current.rows)?;
        let mut of_key: HashMap<OwnedRow, Vec<u32>> = HashMap::new();
        for (row, key) in (0u32..).zip(columns) {
            of_key.entry(key).or_default().push(row);
        }
        let keys = RecordBatch::try_new(self.key_schema(), current.rows.project(&self.keys)?.columns().to_vec())?;
        let rows = project(&self.context, &available, current)?.rows;
        let table = Arc::new(Table { rows, keys, converter, of_key });
        self.table = Some((version, Arc::clone(&table)));
        Ok(table)
    }

    /// The rows that there are now.
    pub(super) fn current(&mut self) -> Result<RecordBatch> {
        Ok(self.table()?.rows.clone())
    }

    fn of_key(&self, rows: &RecordBatch) -> Result<(Vec<OwnedRow>, RowConverter)> {
        let columns = rows.project(&self.keys)?;
        let fields = columns.schema().fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let keys = converter.convert_columns(columns.columns())?.iter().map(|k| k.owned()).collect();
        Ok((keys, converter))
    }
}

/// The rows of a changelog that are there at its end: by primary key, else each as often as it was added.
fn there(rows: &ChangeBatch, primary_key: &[usize]) -> Result<Vec<u32>> {
    let columns = match primary_key {
        [] => rows.rows.columns().to_vec(),
        key => rows.rows.project(key)?.columns().to_vec(),
    };
    let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    let keys = RowConverter::new(fields)?.convert_columns(&columns)?;
    let mut live: Vec<u32> = vec![];
    for (row, key) in (0u32..).zip(keys.iter()) {
        let same = live.iter().position(|other| keys.row(*other as usize) == key);
        match (rows.kind(row as usize).is_addition(), same) {
            (true, Some(at)) if !primary_key.is_empty() => live[at] = row,
            (true, _) => live.push(row),
            (false, Some(at)) => {
                live.remove(at);
            }
            (false, None) => {}
        }
    }
    Ok(live)
}

impl LookupSource for ValuesLookup {
    fn key_schema(&self) -> SchemaRef {
        Arc::clone(&self.key_schema)
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.context.schema)
    }

    fn create_lookup(&self, _subtask: SubtaskInfo) -> Result<Box<dyn Lookup>> {
        Ok(Box::new(self.clone()))
    }

    fn scans(&self) -> bool {
        true
    }

    fn create_scan(&self) -> Result<Box<dyn LookupScan>> {
        self.store.was_asked(&self.name, 0);
        Ok(Box::new(Whole(Some(self.clone()))))
    }
}

/// The whole table in one piece.
struct Whole(Option<ValuesLookup>);

#[async_trait]
impl LookupScan for Whole {
    async fn next(&mut self) -> Result<Option<ScannedRows>> {
        let Some(mut lookup) = self.0.take() else { return Ok(None) };
        let table = lookup.table()?;
        Ok(Some(ScannedRows { keys: table.keys.clone(), rows: table.rows.clone() }))
    }
}

#[async_trait]
impl Lookup for ValuesLookup {
    async fn lookup(&mut self, keys: &RecordBatch) -> Result<LookupRows> {
        self.store.was_asked(&self.name, keys.num_rows());
        let table = self.table()?;
        let encoded = table.converter.convert_columns(keys.columns())?;
        let (mut rows, mut of): (Vec<u32>, Vec<u32>) = (vec![], vec![]);
        for (i, key) in (0u32..).zip(encoded.iter()) {
            for row in table.of_key.get(&key.owned()).into_iter().flatten() {
                rows.push(*row);
                of.push(i);
            }
        }
        let rows = take_record_batch(&table.rows, &UInt32Array::from(rows))?;
        if rows.schema().fields().len() != self.context.schema.fields().len() {
            return Err(Error::internal("a lookup of other columns than were asked for"));
        }
        Ok(LookupRows { rows, keys: UInt32Array::from(of) })
    }
}
