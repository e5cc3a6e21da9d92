//! ORC files.

use std::sync::OnceLock;

use flott_format::orc::OrcFormat;

use super::bulk::{self, Bulk, ROWS};

fn tables() -> &'static [Bulk] {
    static TABLES: OnceLock<Vec<Bulk>> = OnceLock::new();
    TABLES.get_or_init(|| ROWS.iter().map(|row| Bulk::of(&OrcFormat, row, &[])).collect())
}

pub(crate) fn run(data: &[u8]) {
    bulk::run(tables(), data);
}
