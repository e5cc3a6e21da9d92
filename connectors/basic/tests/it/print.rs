//! `print`.

use std::io;
use std::sync::{Arc, Mutex};

use flott_connector::factory::{ChangelogMode, ConnectorFactory};
use flott_connector_basic::print::{Output, Print, Stream};
use flott_core::{ErrorKind, Result};
use flott_testkit::{TableBuilder, batch, writer_context};

#[derive(Default)]
struct Buffer {
    out: Mutex<Vec<(Stream, String)>>,
    closed: bool,
}

impl Output for Buffer {
    fn write(&self, stream: Stream, lines: &[u8]) -> io::Result<()> {
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let text = String::from_utf8(lines.to_vec()).expect("text");
        self.out.lock().expect("a lock").push((stream, text));
        Ok(())
    }

    fn flush(&self, _stream: Stream) -> io::Result<()> {
        Ok(())
    }
}

async fn print(output: &Arc<Buffer>, options: &[(&str, &str)], subtask: (usize, usize), rows: &[&str]) -> Result<u64> {
    let table = options.iter().fold(TableBuilder::new("t", "a INT, b STRING"), |t, (k, v)| t.option(k, v));
    let sink = Print::new(Arc::clone(output) as Arc<dyn Output>).sink(&table.sink())?;
    assert_eq!(sink.changelog_mode, ChangelogMode::ALL);
    let mut writer = sink.sink.create_writer(writer_context(subtask.0, subtask.1), vec![])?;
    writer.write(batch("a INT, b STRING", rows)).await?;
    writer.flush(true).await?;
    Ok(writer.bytes_written())
}

async fn printed(options: &[(&str, &str)], subtask: (usize, usize), rows: &[&str]) -> (Stream, String) {
    let output = Arc::new(Buffer::default());
    let bytes = print(&output, options, subtask, rows).await.expect("printed");
    let lines = output.out.lock().expect("a lock").clone();
    assert_eq!(lines.len(), 1, "a small batch is one write");
    assert_eq!(lines[0].1.len() as u64, bytes);
    lines[0].clone()
}

#[tokio::test]
async fn rows_are_lines_with_flinks_prefixes() {
    let rows = ["+I[1, a]", "-U[1, a]", "+U[1, null]", "-D[1, null]"];
    let (stream, text) = printed(&[("connector", "print")], (0, 1), &rows).await;
    assert_eq!((stream, text.as_str()), (Stream::Out, "+I[1, a]\n-U[1, a]\n+U[1, null]\n-D[1, null]\n"));
    let (_, text) = printed(&[("print-identifier", "x")], (0, 1), &rows[..1]).await;
    assert_eq!(text, "x> +I[1, a]\n");
    let (_, text) = printed(&[("print-identifier", "x")], (1, 2), &rows[..1]).await;
    assert_eq!(text, "x:2> +I[1, a]\n");
    let (stream, text) = printed(&[("standard-error", "true")], (1, 2), &rows[..1]).await;
    assert_eq!((stream, text.as_str()), (Stream::Err, "2> +I[1, a]\n"));
}

#[tokio::test]
async fn a_large_batch_is_written_in_pieces_of_whole_lines() {
    let output = Arc::new(Buffer::default());
    let rows: Vec<String> = (0..100_000).map(|i| format!("+I[{i}, some text]")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    print(&output, &[], (0, 1), &rows).await.expect("printed");
    let pieces = output.out.lock().expect("a lock").clone();
    assert!(pieces.len() > 1);
    assert!(pieces.iter().all(|p| p.1.ends_with('\n')));
    let all: String = pieces.into_iter().map(|p| p.1).collect();
    assert!(all.lines().eq(rows));
}

/// Takes nothing until somebody else has had a turn on the runtime's only thread.
struct SlowReader(Mutex<std::sync::mpsc::Receiver<()>>);

impl Output for SlowReader {
    fn write(&self, _stream: Stream, _lines: &[u8]) -> io::Result<()> {
        let waited = self.0.lock().expect("a lock").recv_timeout(std::time::Duration::from_secs(20));
        waited.map_err(|_| io::Error::other("nobody else could run"))
    }

    fn flush(&self, _stream: Stream) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_slow_reader_of_the_stream_holds_nobody_else() {
    let (go, wait) = std::sync::mpsc::sync_channel(1);
    let table = TableBuilder::new("t", "a INT, b STRING");
    let sink = Print::new(Arc::new(SlowReader(Mutex::new(wait)))).sink(&table.sink()).expect("a sink");
    let mut writer = sink.sink.create_writer(writer_context(0, 1), vec![]).expect("a writer");
    let others = async { go.send(()) };
    let (written, sent) = tokio::join!(writer.write(batch("a INT, b STRING", &["+I[1, a]"])), others);
    sent.expect("somebody waits");
    written.expect("written");
}

#[tokio::test]
async fn a_closed_pipe_is_a_users_error() {
    let output = Arc::new(Buffer { closed: true, ..Buffer::default() });
    let e = print(&output, &[], (0, 1), &["+I[1, a]"]).await.expect_err("refused");
    assert_eq!(e.kind(), ErrorKind::User);
    assert!(e.to_string().contains("the pipe is closed"), "{e}");
}

#[test]
fn options_are_checked() {
    let sink = |key: &str, value: &str| {
        let table = TableBuilder::new("t", "a INT").option("connector", "print").option(key, value);
        Print::new(Arc::new(Buffer::default())).sink(&table.sink())
    };
    assert_eq!(sink("sink.parallelism", "3").expect("a sink").parallelism, Some(3));
    let message = |key: &str, value: &str| sink(key, value).err().expect("refused").to_string();
    assert!(message("sink.parallelism", "0").contains("at least 1"));
    assert!(message("standard-error", "maybe").contains("expected 'true' or 'false'"));
    assert!(message("print-identifer", "x").contains("Did you mean 'print-identifier'?"));
}
