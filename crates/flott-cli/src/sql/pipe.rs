//! Statements of a pipe: each runs when its semicolon has come.

use std::io::{BufRead, Read};

use flott::split::{Piece, split};
use flott::{Error, Result};
use tokio::sync::mpsc;

use super::shell::{Next, Shell};
use crate::exit::Failure;
use crate::script;

/// Lines that are read ahead.
const LINES_AHEAD: usize = 64;
/// What may come without a semicolon; a statement that long is refused in any case.
const PENDING_BYTES_MAX: usize = 10 << 20;

/// Runs the statements of standard input. An error ends a statement and not the pipe.
pub(super) async fn run(shell: &mut Shell) -> Result<Next, Failure> {
    let mut lines = lines();
    let mut pending = Pending::default();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = shell.interrupts.next() => return Ok(Next::Terminated),
        };
        let ended = line.is_none();
        if let Some(line) = line {
            let line = line.map_err(Failure::of_arguments)?;
            if pending.text.len() + line.len() > PENDING_BYTES_MAX {
                let error = Error::user(format!("no semicolon within {} MiB", PENDING_BYTES_MAX >> 20));
                return Err(Failure::of_arguments(error.hint("Statements end with ;")));
            }
            pending.text.push_str(&line);
            if !line.contains(';') {
                continue;
            }
        }
        let (text, pieces) = pending.take(ended);
        for piece in pieces {
            let next = shell.run_piece(&text, &piece).await;
            if matches!(next, Next::Quit | Next::Terminated) {
                return Ok(next);
            }
        }
        if ended {
            return Ok(Next::Statement);
        }
    }
}

/// Lines with their ends, read by a thread of their own: a read that waits for ever must hold neither jobs nor signals.
fn lines() -> mpsc::Receiver<Result<String>> {
    let (sender, lines) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        for number in 1.. {
            let line = match read_line(&mut input) {
                Ok(line) if line.is_empty() => return,
                Ok(line) => String::from_utf8(line).map_err(|e| script::not_utf8("the input", &e, number)),
                Err(e) => Err(Error::from(e)),
            };
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    lines
}

/// A line with its end; empty at the end of the input. Of a line that is too long, just as much as shows that it is:
/// an endless one must not fill the memory.
fn read_line(input: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut line = vec![];
    input.take(PENDING_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)?;
    if line.len() > PENDING_BYTES_MAX {
        // The cut may be inside a character; the length is what is wrong with it.
        line.fill(b' ');
    }
    Ok(line)
}

/// What has come and was not run.
#[derive(Debug, Default)]
struct Pending {
    text: String,
    /// Lines before it.
    lines: usize,
}

impl Pending {
    /// The text, and the statements of it that have ended; at the end of the input also what is left. Their places are
    /// those of the input.
    fn take(&mut self, ended: bool) -> (String, Vec<Piece>) {
        let split = split(&self.text);
        let lines = self.lines as u64;
        let placed = |mut piece: Piece| {
            piece.position.line += lines;
            piece
        };
        let mut pieces: Vec<Piece> = split.ended.into_iter().map(placed).collect();
        if split.rest.is_none() && !split.open {
            // Blanks and comments.
            self.lines += self.text.matches('\n').count();
            return (std::mem::take(&mut self.text), pieces);
        }
        if ended {
            pieces.extend(split.rest.map(placed));
        }
        let (byte, line, column) = split.tail;
        let rest = " ".repeat(column - 1) + &self.text[byte..];
        self.lines += line - 1;
        (std::mem::replace(&mut self.text, rest), pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts and places of what comes line by line.
    fn taken(lines: &[&str]) -> Vec<(String, usize, usize)> {
        let mut pending = Pending::default();
        let mut pieces = vec![];
        for line in lines {
            pending.text.push_str(line);
            pieces.push(pending.take(false));
        }
        pieces.push(pending.take(true));
        let all = pieces.into_iter().flat_map(|(text, pieces)| pieces.into_iter().map(move |p| (text.clone(), p)));
        let at = |p: &Piece| (p.position.line as usize, p.position.column as usize);
        all.map(|(text, p)| (text[p.range.clone()].to_string(), at(&p).0, at(&p).1)).collect()
    }

    #[test]
    fn an_endless_line_is_read_up_to_the_limit() {
        let mut endless = std::io::BufReader::new(std::io::repeat(b'x').take(3 * PENDING_BYTES_MAX as u64));
        assert_eq!(read_line(&mut endless).expect("read").len(), PENDING_BYTES_MAX + 1);
        let mut lines = b"a;\nb".as_slice();
        let read: Vec<Vec<u8>> = (0..3).map(|_| read_line(&mut lines).expect("read")).collect();
        assert_eq!(read, [b"a;\n".to_vec(), b"b".to_vec(), vec![]]);
    }

    #[test]
    fn statements_run_as_they_end_and_keep_their_places() {
        let pieces = taken(&["SELECT 1; SELECT\n", "  2 ;\n", "-- a comment; it is\n", "\n", " SELECT 3"]);
        let expected = [("SELECT 1", 1, 1), ("SELECT\n  2", 1, 11), ("SELECT 3", 5, 2)];
        assert_eq!(pieces, expected.map(|(text, line, column)| (text.to_string(), line, column)));
        assert_eq!(taken(&["SELECT 1; /* open;\n", "; */\n"]), [("SELECT 1".to_string(), 1, 1)]);
        assert_eq!(taken(&["/* open;\n", "; */ SELECT ';\n", "';\n"]), [("SELECT ';\n'".to_string(), 2, 6)]);
        assert_eq!(taken(&["BEGIN STATEMENT SET;\n", "INSERT INTO a SELECT 1;\n", "END;\n"]).len(), 1);
    }
}
