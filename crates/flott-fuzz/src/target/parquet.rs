//! Parquet files.

use std::sync::OnceLock;

use flott_format::parquet::ParquetFormat;

use super::bulk::{self, Bulk, ROWS};

fn tables() -> &'static [Bulk] {
    static TABLES: OnceLock<Vec<Bulk>> = OnceLock::new();
    TABLES.get_or_init(|| ROWS.iter().map(|row| Bulk::of(&ParquetFormat, row, &[])).collect())
}

pub(crate) fn run(data: &[u8]) {
    bulk::run(tables(), data);
}
