//! `datagen`: makes random rows and sequences, as Flink's connector of that name.
//!
//! Rows have numbers from 0. A sequence's value is its start plus the row's number, a random value a function of a seed
//! and the row's number: a row that is read again after a failure is the same row (timestamps, which follow the clock,
//! excepted). Readers share the rows by stride.

mod enumerator;
mod generate;
mod options;
mod plan;
pub use plan::ROW_BYTES_MAX;
mod random;
mod rate;
mod reader;
mod split;

use std::sync::Arc;

use flott_connector::factory::{ChangelogMode, ConnectorFactory, TableContext, TableSource};
use flott_connector::source::{Source, SourceReader, SplitEnumerator, SubtaskInfo};
use flott_connector::{Boundedness, Versioned};
use flott_core::clock::Clock;
use flott_core::options::ConfigOption;
use flott_core::{Error, Result};

use enumerator::DatagenEnumerator;
use options::{FieldOptions, NUMBER_OF_ROWS, OPTIONS, PARALLELISM, ROWS_PER_SECOND};
use reader::{DatagenPlan, DatagenReader};

/// The connector.
#[derive(Debug)]
pub struct Datagen {
    clock: Arc<dyn Clock>,
}

impl Datagen {
    /// With the clock that timestamps and the rate follow.
    pub fn new(clock: Arc<dyn Clock>) -> Datagen {
        Datagen { clock }
    }
}

impl ConnectorFactory for Datagen {
    fn identifier(&self) -> &'static str {
        "datagen"
    }

    fn description(&self) -> &'static str {
        "Makes rows of random values and sequences, at a rate."
    }

    fn options(&self) -> &'static [ConfigOption] {
        &OPTIONS
    }

    fn plugin_names(&self) -> &'static [&'static str] {
        &["streamreader"]
    }

    fn source(&self, context: &TableContext) -> Result<TableSource> {
        let options = &context.table.options;
        let mut field_options = FieldOptions::new(options);
        let mut columns = vec![];
        let mut rows: Option<u64> = None;
        for column in context.table.schema.physical() {
            let (plan, length) = plan::column(&column.name, &column.data_type, &mut field_options)?;
            rows = rows.into_iter().chain(length).min();
            columns.push(plan);
        }
        field_options.finish(&context.describe())?;
        context.validate_watermark_options()?;
        let rows_per_second = options.long(&ROWS_PER_SECOND)?.unwrap_or(1);
        let rows_per_second = u64::try_from(rows_per_second).ok().filter(|n| *n > 0);
        let rows_per_second =
            rows_per_second.ok_or_else(|| at_least(&ROWS_PER_SECOND, 1, options.get(ROWS_PER_SECOND.key)))?;
        if let Some(number) = options.long(&NUMBER_OF_ROWS)? {
            let number =
                u64::try_from(number).map_err(|_| at_least(&NUMBER_OF_ROWS, 0, options.get(NUMBER_OF_ROWS.key)))?;
            rows = rows.into_iter().chain([number]).min();
        }
        let parallelism = match options.int(&PARALLELISM)? {
            None => None,
            Some(n) => {
                let n = usize::try_from(n).ok().filter(|n| *n > 0);
                Some(n.ok_or_else(|| at_least(&PARALLELISM, 1, options.get(PARALLELISM.key)))?)
            }
        };
        // Columns that the planner pruned are not generated, but their sequences still bound the source.
        let produced = context.schema.fields().iter().map(|f| {
            let plan = columns.iter().find(|c| c.field.name() == f.name());
            plan.cloned().ok_or_else(|| Error::internal(format!("datagen has no column '{}'", f.name())))
        });
        let columns = produced.collect::<Result<Vec<_>>>()?;
        let plan = DatagenPlan {
            schema: Arc::clone(&context.schema),
            columns,
            rows,
            rows_per_second,
            clock: Arc::clone(&self.clock),
        };
        Ok(TableSource {
            source: Arc::new(DatagenSource { plan: Arc::new(plan) }),
            changelog_mode: ChangelogMode::INSERT_ONLY,
            parallelism,
        })
    }
}

fn at_least(option: &ConfigOption, least: u64, value: Option<&str>) -> Error {
    let value = value.unwrap_or_default();
    Error::user(format!("Invalid value '{value}' for option '{}': it must be at least {least}", option.key))
        .with("option", option.key)
}

struct DatagenSource {
    plan: Arc<DatagenPlan>,
}

impl Source for DatagenSource {
    fn boundedness(&self) -> Boundedness {
        match self.plan.rows {
            Some(_) => Boundedness::Bounded,
            None => Boundedness::ContinuousUnbounded,
        }
    }

    fn create_enumerator(&self, restored: Option<Versioned>) -> Result<Box<dyn SplitEnumerator>> {
        Ok(Box::new(DatagenEnumerator::new(restored)?))
    }

    fn create_reader(&self, _subtask: SubtaskInfo) -> Result<Box<dyn SourceReader>> {
        Ok(Box::new(DatagenReader::new(Arc::clone(&self.plan))))
    }
}
