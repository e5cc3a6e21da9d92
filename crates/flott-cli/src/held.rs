//! The rows of a bounded result until its end, when it is known how wide its columns are: some in memory, more in a file.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use flott::{Error, Result};

/// What is held in memory before a file is made.
const MEMORY_BYTES_MAX: usize = 8 << 20;

/// Rows of texts. The file has no name, so that nothing stays of it, whatever ends the process.
pub(crate) struct HeldRows {
    columns: usize,
    memory_bytes_max: usize,
    /// Rows that are not in the file: each cell as its length and its text.
    buffer: Vec<u8>,
    file: Option<BufWriter<File>>,
    count: u64,
}

impl HeldRows {
    pub(crate) fn new(columns: usize) -> HeldRows {
        HeldRows { columns, memory_bytes_max: MEMORY_BYTES_MAX, buffer: vec![], file: None, count: 0 }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn push(&mut self, row: &[String]) -> Result<()> {
        for cell in row {
            let length = u32::try_from(cell.len()).map_err(|_| Error::user("a value has more than 4 GiB"))?;
            self.buffer.extend_from_slice(&length.to_le_bytes());
            self.buffer.extend_from_slice(cell.as_bytes());
        }
        self.count += 1;
        if self.buffer.len() > self.memory_bytes_max { self.spill().map_err(failed) } else { Ok(()) }
    }

    fn spill(&mut self) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(BufWriter::new(tempfile::tempfile()?)),
        };
        file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Gives the rows, in the order in which they came.
    pub(crate) fn each(mut self, mut show: impl FnMut(&[String]) -> Result<()>) -> Result<()> {
        if self.file.is_some() {
            self.spill().map_err(failed)?;
        }
        let mut input: Box<dyn Read> = match self.file.take() {
            Some(file) => {
                let mut file = file.into_inner().map_err(|e| failed(e.into_error()))?;
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                Box::new(BufReader::new(file))
            }
            None => Box::new(std::io::Cursor::new(self.buffer)),
        };
        let mut row = vec![String::new(); self.columns];
        for _ in 0..self.count {
            for cell in &mut row {
                *cell = read_cell(&mut input).map_err(failed)?;
            }
            show(&row)?;
        }
        Ok(())
    }
}

fn read_cell(input: &mut impl Read) -> std::io::Result<String> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let mut cell = vec![0; u32::from_le_bytes(length) as usize];
    input.read_exact(&mut cell)?;
    String::from_utf8(cell).map_err(std::io::Error::other)
}

fn failed(e: std::io::Error) -> Error {
    Error::unavailable("the query's result cannot be held until its end")
        .caused_by(e)
        .with("folder", std::env::temp_dir().display())
        .hint("Let TMPDIR name a folder with more room, add a LIMIT, or write the result to a table with INSERT INTO")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_from_memory_and_from_a_file() {
        for memory_bytes_max in [0, 100, usize::MAX] {
            let mut held = HeldRows { memory_bytes_max, ..HeldRows::new(2) };
            let rows: Vec<[String; 2]> = (0..50).map(|i| [i.to_string(), "é\n".repeat(i % 4)]).collect();
            rows.iter().for_each(|row| held.push(row).expect("held"));
            assert!(held.buffer.len() <= memory_bytes_max && held.count() == 50);
            assert_eq!(held.file.is_some(), memory_bytes_max < usize::MAX);
            let mut back = vec![];
            held.each(|row| {
                back.push([row[0].clone(), row[1].clone()]);
                Ok(())
            })
            .expect("read");
            assert_eq!(back, rows);
        }
    }
}
