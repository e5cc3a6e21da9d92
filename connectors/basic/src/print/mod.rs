//! `print`: writes every row to standard output or standard error, as Flink does.
//!
//! `[identifier:[subtask]> ]+I[1, a, null]`; the subtask (from 1) is shown where there is more than one.

mod options;
mod writer;

use std::io::{self, Write};
use std::sync::Arc;

use flott_connector::Versioned;
use flott_connector::factory::{ChangelogMode, ConnectorFactory, TableContext, TableSink};
use flott_connector::sink::{DeliveryGuarantee, Sink, SinkWriter, WriterContext};
use flott_core::options::ConfigOption;
use flott_core::{Error, Result};

use options::{OPTIONS, PARALLELISM, PRINT_IDENTIFIER, STANDARD_ERROR};
use writer::PrintWriter;

/// Which stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// `stdout` or `stderr`.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Out => "stdout",
            Stream::Err => "stderr",
        }
    }
}

/// Where rows are printed: the process's streams, or a test's buffer.
pub trait Output: Send + Sync {
    /// Writes whole lines, not mixed with those of another call.
    fn write(&self, stream: Stream, lines: &[u8]) -> io::Result<()>;
    /// Hands over what a buffer holds.
    fn flush(&self, stream: Stream) -> io::Result<()>;
}

/// The process's standard streams.
#[derive(Debug)]
pub struct StandardStreams;

impl Output for StandardStreams {
    fn write(&self, stream: Stream, lines: &[u8]) -> io::Result<()> {
        match stream {
            Stream::Out => io::stdout().lock().write_all(lines),
            Stream::Err => io::stderr().lock().write_all(lines),
        }
    }

    fn flush(&self, stream: Stream) -> io::Result<()> {
        match stream {
            Stream::Out => io::stdout().lock().flush(),
            Stream::Err => io::stderr().lock().flush(),
        }
    }
}

/// The connector.
pub struct Print {
    output: Arc<dyn Output>,
}

impl Print {
    /// Prints to this output.
    pub fn new(output: Arc<dyn Output>) -> Print {
        Print { output }
    }
}

impl ConnectorFactory for Print {
    fn identifier(&self) -> &'static str {
        "print"
    }

    fn description(&self) -> &'static str {
        "Writes every row to standard output or standard error."
    }

    fn options(&self) -> &'static [ConfigOption] {
        &OPTIONS
    }

    fn plugin_names(&self) -> &'static [&'static str] {
        &["streamwriter"]
    }

    fn sink(&self, context: &TableContext) -> Result<TableSink> {
        context.validate_options(&OPTIONS, &[])?;
        let options = &context.table.options;
        let parallelism = match options.int(&PARALLELISM)? {
            None => None,
            Some(n) => Some(usize::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| {
                Error::user(format!("Invalid value '{n}' for option '{}': it must be at least 1", PARALLELISM.key))
                    .with("option", PARALLELISM.key)
            })?),
        };
        let sink = PrintSink {
            output: Arc::clone(&self.output),
            stream: if options.bool(&STANDARD_ERROR)? { Stream::Err } else { Stream::Out },
            identifier: options.text(&PRINT_IDENTIFIER).unwrap_or("").to_string(),
        };
        Ok(TableSink { sink: Arc::new(sink), changelog_mode: ChangelogMode::ALL, parallelism })
    }
}

struct PrintSink {
    output: Arc<dyn Output>,
    stream: Stream,
    identifier: String,
}

impl Sink for PrintSink {
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::None
    }

    fn create_writer(&self, context: WriterContext, _restored: Vec<Versioned>) -> Result<Box<dyn SinkWriter>> {
        let prefix = prefix(&self.identifier, context.subtask.index, context.subtask.parallelism);
        Ok(Box::new(PrintWriter::new(Arc::clone(&self.output), self.stream, prefix)))
    }
}

/// What stands before every row: `identifier:2> `, `identifier> `, `2> ` or nothing.
fn prefix(identifier: &str, subtask: usize, parallelism: usize) -> String {
    let mut prefix = identifier.to_string();
    if parallelism > 1 {
        if !prefix.is_empty() {
            prefix.push(':');
        }
        prefix.push_str(&(subtask + 1).to_string());
    }
    if !prefix.is_empty() {
        prefix.push_str("> ");
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn flinks_four_prefixes() {
        assert_eq!(prefix("", 0, 1), "");
        assert_eq!(prefix("", 1, 2), "2> ");
        assert_eq!(prefix("out", 0, 1), "out> ");
        assert_eq!(prefix("out", 0, 3), "out:1> ");
    }
}
