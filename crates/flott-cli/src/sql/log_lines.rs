//! Log lines of the interactive shell, in the form of Flink's client. While somebody types they wait: a line in the middle
//! of what is edited would tear it.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// The most lines that wait; of more the first are left out.
const LINES_MAX: usize = 100;

/// What the process logs while its shell edits a line.
struct Waiting {
    typing: bool,
    lines: VecDeque<Vec<u8>>,
    left_out: u64,
}

static WAITING: Mutex<Waiting> = Mutex::new(Waiting { typing: false, lines: VecDeque::new(), left_out: 0 });

impl Waiting {
    fn take(&mut self, line: Vec<u8>, out: &mut impl Write) {
        if !self.typing {
            // Where stderr is closed there is nobody to tell.
            return drop(out.write_all(&line));
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
            self.left_out += 1;
        }
        self.lines.push_back(line);
    }

    fn typed(&mut self, out: &mut impl Write) {
        self.typing = false;
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            drop(writeln!(out, "[WARN] {left_out} lines of the log before these are left out"));
        }
        for line in self.lines.drain(..) {
            drop(out.write_all(&line));
        }
    }
}

/// Somebody types, up to the drop of this.
pub(super) struct Typing(());

impl Typing {
    pub(super) fn begin() -> Typing {
        WAITING.lock().unwrap_or_else(PoisonError::into_inner).typing = true;
        Typing(())
    }
}

impl Drop for Typing {
    fn drop(&mut self) {
        WAITING.lock().unwrap_or_else(PoisonError::into_inner).typed(&mut std::io::stderr().lock());
    }
}

/// Where the log of an interactive shell goes.
pub(crate) struct ShellLog;

/// One event of the log; it is written whole.
pub(crate) struct Line(Vec<u8>);

impl<'a> MakeWriter<'a> for ShellLog {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(vec![])
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line {
        Line(format!("[{}] ", event.level()).into_bytes())
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.take(std::mem::take(&mut self.0), &mut std::io::stderr().lock());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_while_somebody_types_and_the_last_are_kept() {
        let mut waiting = Waiting { typing: false, lines: VecDeque::new(), left_out: 0 };
        let mut out = vec![];
        waiting.take(b"at once\n".to_vec(), &mut out);
        assert_eq!(out, b"at once\n");
        waiting.typing = true;
        for i in 0..LINES_MAX + 2 {
            waiting.take(format!("line {i}\n").into_bytes(), &mut out);
        }
        assert_eq!(out, b"at once\n", "nothing while somebody types");
        waiting.typed(&mut out);
        let text = String::from_utf8(out).expect("text");
        assert!(text.starts_with("at once\n[WARN] 2 lines of the log before these are left out\nline 2\n"), "{text}");
        assert!(text.ends_with(&format!("line {}\n", LINES_MAX + 1)), "{text}");
        assert!(waiting.lines.is_empty() && waiting.left_out == 0 && !waiting.typing);
    }
}
