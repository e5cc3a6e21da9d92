//! `flott metrics`

use clap::{Args, ValueEnum};
use flott::Error;
use flott::control::RunningJob;
use flott::metrics::{self, Metric};

use crate::exit::Failure;
use crate::remote::{self, JobArg};
use crate::{output, table};

#[derive(Args)]
pub(crate) struct MetricsArgs {
    #[command(flatten)]
    job: JobArg,
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One object
    Json,
    /// As Prometheus reads them
    Prometheus,
}

/// Prints what a running job measures, under Flink's names.
pub(crate) fn metrics(args: &MetricsArgs) -> Result<(), Failure> {
    let report = remote::with_job(&args.job, async |job: RunningJob| job.metrics().await)?;
    let text = match args.format {
        Format::Prometheus => metrics::prometheus(&[report]),
        Format::Json => {
            let json = serde_json::to_string_pretty(&report);
            json.map_err(|e| Error::internal("no JSON").caused_by(e))? + "\n"
        }
        Format::Table => {
            let names = ["operator", "subtask", "metric", "value"].map(str::to_string);
            let rows: Vec<Vec<Option<String>>> = report.metrics.iter().map(row).collect();
            table::of_texts(&names, &rows)
        }
    };
    Ok(output::out(&text)?)
}

fn row(metric: &Metric) -> Vec<Option<String>> {
    let (operator, subtask) = match &metric.operator {
        Some(scope) => (scope.operator_name.clone(), scope.subtask_index.to_string()),
        None => ("(job)".to_string(), String::new()),
    };
    let value = metric.value;
    // Rates have two digits, everything else is whole.
    let value = if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    vec![Some(operator), Some(subtask), Some(metric.name.clone()), Some(value)]
}
