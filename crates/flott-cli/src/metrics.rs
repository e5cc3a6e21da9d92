//! `flott metrics`

use clap::{Args, ValueEnum};
use flott::Error;
use flott::control::RunningJob;
use flott::metrics::{self, Metric, MetricsReport};

use crate::exit::Failure;
use crate::output;
use crate::remote::{self, JobArg};

/// The least width of a value.
const MIN_WIDTH: usize = 8;

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
        Format::Table => listing(&report, output::columns()),
    };
    Ok(output::out(&text)?)
}

/// A block for the job and for each operator, with a line for each metric and a column for each subtask. `columns` is the
/// width of the terminal: names are wrapped and subtasks go on below where they do not fit.
fn listing(report: &MetricsReport, columns: Option<usize>) -> String {
    let mut text = String::new();
    let mut rest = report.metrics.as_slice();
    while let Some(first) = rest.first() {
        let id = |m: &Metric| m.operator.as_ref().map(|o| o.operator_id.clone());
        let of_first = id(first);
        let (block, others) = rest.split_at(rest.iter().take_while(|m| id(m) == of_first).count());
        rest = others;
        let title = match &first.operator {
            Some(operator) => operator.operator_name.as_str(),
            None => report.job_name.as_str(),
        };
        text.push_str(&wrapped(title, columns));
        text.push_str(&block_of(block, columns));
        text.push('\n');
    }
    text
}

/// The metrics of one operator, or of the job.
fn block_of(metrics: &[Metric], columns: Option<usize>) -> String {
    let mut names: Vec<&str> = vec![];
    let mut subtasks: Vec<Option<usize>> = vec![];
    for metric in metrics {
        let subtask = metric.operator.as_ref().map(|o| o.subtask_index);
        if !names.contains(&metric.name.as_str()) {
            names.push(&metric.name);
        }
        if !subtasks.contains(&subtask) {
            subtasks.push(subtask);
        }
    }
    let value = |name: &str, subtask: Option<usize>| {
        let of = |m: &&Metric| m.name == name && m.operator.as_ref().map(|o| o.subtask_index) == subtask;
        metrics.iter().find(of).map_or(String::new(), |m| number(m.value))
    };
    let name_width = names.iter().map(|n| n.len()).max().unwrap_or(0);
    let cells: Vec<Vec<String>> =
        names.iter().map(|name| subtasks.iter().map(|subtask| value(name, *subtask)).collect()).collect();
    let width = cells.iter().flatten().map(String::len).max().unwrap_or(0).max(MIN_WIDTH);
    let fitting = columns.map_or(usize::MAX, |c| c.saturating_sub(name_width + 2) / (width + 2)).max(1);
    let mut text = String::new();
    for (i, part) in subtasks.chunks(fitting).enumerate() {
        if part.iter().any(Option::is_some) {
            let heads = part.iter().map(|s| format!("  {:>width$}", s.map_or(String::new(), |s| s.to_string())));
            text.push_str(&format!("  {:name_width$}{}\n", "subtask", heads.collect::<String>()));
        }
        for (name, values) in names.iter().zip(&cells) {
            let values = values.iter().skip(i * fitting).take(part.len()).map(|v| format!("  {v:>width$}"));
            text.push_str(&format!("  {name:name_width$}{}\n", values.collect::<String>()));
        }
    }
    text
}

/// Lines that fit, broken between words where there are some.
fn wrapped(text: &str, columns: Option<usize>) -> String {
    let columns = columns.unwrap_or(usize::MAX).max(20);
    let (mut lines, mut line, mut width) = (String::new(), String::new(), 0);
    for word in text.split_inclusive(' ') {
        let chars = word.chars().count();
        if width > 0 && width + chars > columns {
            lines.push_str(std::mem::take(&mut line).trim_end());
            lines.push('\n');
            width = 0;
        }
        for c in word.chars() {
            if width == columns {
                lines.push_str(&std::mem::take(&mut line));
                lines.push('\n');
                width = 0;
            }
            line.push(c);
            width += 1;
        }
    }
    lines + line.trim_end() + "\n"
}

/// Rates have two digits, everything else is whole.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use flott::metrics::OperatorScope;

    use super::*;

    fn report() -> MetricsReport {
        let metric = |name: &str, of: Option<(&str, usize)>, value| Metric {
            name: name.to_string(),
            operator: of.map(|(name, subtask)| OperatorScope {
                operator_id: format!("id of {name}"),
                operator_name: name.to_string(),
                subtask_index: subtask,
                tm_id: "ab-0".to_string(),
            }),
            is_counter: true,
            value,
        };
        let long = "Calc(select=[a, b, UPPER(c) AS d], where=[a > 5 AND b IS NOT NULL])";
        let mut metrics = vec![metric("uptime", None, 12.0)];
        for subtask in 0..6 {
            metrics.push(metric("numRecordsIn", Some((long, subtask)), 1e6 + subtask as f64));
            metrics.push(metric("rate", Some((long, subtask)), 0.5));
        }
        MetricsReport { job_id: "ab".to_string(), job_name: "job".to_string(), host: "machine".to_string(), metrics }
    }

    #[test]
    fn metrics_fit_the_terminal() {
        let text = listing(&report(), Some(60));
        assert!(text.lines().all(|l| l.chars().count() <= 60), "{text}");
        for subtask in 0..6 {
            assert!(text.contains(&format!("100000{subtask}")), "{text}");
        }
        assert!(text.starts_with("job\n  uptime  "), "{text}");
    }

    #[test]
    fn without_a_terminal_a_metric_is_a_line() {
        let text = listing(&report(), None);
        assert_eq!(text.lines().filter(|l| l.contains("numRecordsIn")).count(), 1, "{text}");
        assert!(text.contains("1000000") && text.contains("1000005") && text.contains("0.50"), "{text}");
    }
}
