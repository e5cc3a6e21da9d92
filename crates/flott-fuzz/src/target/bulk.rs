//! Files with an inner structure: parquet, orc, avro. Read as a whole, in two parts, and from a row in the middle.

use std::sync::Arc;

use arrow_array::RecordBatch;
use flott_connector::format::{BulkReaderFactory, Decoding, FormatContext, FormatFactory};
use flott_core::{ChangeBatch, Result};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::rows;
use crate::target::block_on;

/// How to read files of a table.
pub(crate) struct Bulk {
    pub(crate) context: FormatContext,
    factory: Arc<dyn BulkReaderFactory>,
}

impl Bulk {
    pub(crate) fn of(format: &dyn FormatFactory, row: &str, options: &[(&str, &str)]) -> Bulk {
        let context = rows::context(row, row, options);
        let factory = match format.decoding(&context) {
            Ok(Decoding::Bulk(factory)) => factory,
            Ok(Decoding::Stream(_)) => panic!("a format of records"),
            Err(e) => panic!("no decoder: {e}"),
        };
        Bulk { context, factory }
    }

    async fn read(
        &self,
        store: &Arc<InMemory>,
        size: u64,
        range: Option<(u64, u64)>,
        skip: u64,
    ) -> Result<RecordBatch> {
        let store: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(store);
        let mut reader = self.factory.open(store, &Path::from("f"), size, range, skip).await?;
        let mut batches = vec![];
        while let Some(batch) = reader.next().await? {
            batches.push(ChangeBatch::append(batch.rows));
        }
        Ok(ChangeBatch::concat(&self.context.schema, &batches)?.rows)
    }
}

/// Which table, and the file.
pub(crate) fn run(tables: &[Bulk], data: &[u8]) {
    let Some((first, file)) = data.split_first() else { return };
    let table = &tables[usize::from(*first) % tables.len()];
    block_on(async {
        let store = Arc::new(InMemory::new());
        store.put(&Path::from("f"), file.to_vec().into()).await.unwrap_or_else(|e| panic!("{e}"));
        let size = file.len() as u64;
        let Some(whole) = rows::given(table.read(&store, size, None, 0).await) else { return };
        let middle = size / 2;
        let parts = [(0, middle), (middle, size)];
        let mut halves = vec![];
        for range in parts {
            let half = table.read(&store, size, Some(range), 0).await;
            halves.extend(rows::given(half).map(ChangeBatch::append));
        }
        let whole = ChangeBatch::append(whole);
        if halves.len() == 2 {
            let both = ChangeBatch::concat(&table.context.schema, &halves).unwrap_or_else(|e| panic!("{e}"));
            rows::same(&whole, &both, "a file in two parts");
        }
        let skip = whole.num_rows() / 2;
        if let Some(rest) = rows::given(table.read(&store, size, None, skip as u64).await) {
            let rest = ChangeBatch::append(rest);
            rows::same(&whole.slice(skip, whole.num_rows() - skip), &rest, "a file from a row on");
        }
    });
}

/// Row types of files.
pub(crate) const ROWS: [&str; 4] = [
    "ROW<a INT, b STRING, c DOUBLE>",
    "ROW<a BIGINT, b BOOLEAN, c FLOAT, d BYTES, e DECIMAL(20, 5), f SMALLINT>",
    "ROW<a DATE, c TIMESTAMP(3), d TIMESTAMP(6), e TIMESTAMP_LTZ(3)>",
    "ROW<a ARRAY<ROW<x INT, y STRING>>, b MAP<STRING, INT>, c ROW<x ROW<y ARRAY<INT>>>>",
];
