//! What `flott infer` proposes for lines of CSV and JSON.

use std::sync::OnceLock;

use flott_connector::format::FormatFactory;
use flott_connector::infer::Sample;
use flott_core::options::Options;
use flott_core::types::arrow_schema;
use flott_format::csv::CsvFormat;
use flott_format::json::JsonFormat;

use crate::rows;
use crate::target::block_on;

pub(crate) fn run(data: &[u8]) {
    static FORMATS: OnceLock<[Box<dyn FormatFactory>; 2]> = OnceLock::new();
    let formats = FORMATS.get_or_init(|| [Box::new(CsvFormat), Box::new(JsonFormat)]);
    let Some((first, rest)) = data.split_first() else { return };
    let format = &formats[usize::from(*first % 2)];
    let Some(inference) = format.inference() else { return };
    let records = rows::lines(rest).into_iter().map(|line| line.to_vec().into()).collect();
    let Some(found) = rows::given(block_on(inference.infer(&Sample::Records(records), &Options::new()))) else {
        return;
    };
    if found.columns.is_empty() {
        return;
    }
    // What is proposed is a table, which reads something or says why it does not.
    let schema = arrow_schema(found.columns.iter().map(|c| (c.name.as_str(), &c.data_type)));
    let mut context = rows::context("ROW<a INT>", "ROW<a INT>", &[]);
    (context.schema, context.declared) = (schema.clone(), schema);
    context.options = found.options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let table = rows::Table::new(format.as_ref(), context);
    assert!(table.stream.is_some(), "the proposal is no table: {found:?}");
    rows::check_pieces(&table, rest);
}
