//! Columns of lines with delimiters.

use async_trait::async_trait;
use flott_connector::infer::{Infer, Inferred, Sample, SampleKind};
use flott_core::options::Options;
use flott_core::types::{RowField, TypeKind};
use flott_core::{Error, Result};

use super::text::TextKind;
use super::{COLUMNS_MAX, Kind, Shape, check_sample};
use crate::csv::options::{CsvOptions, EMPTY_STRING_AS_NULL, IGNORE_FIRST_LINE};

/// Looks at lines.
pub(crate) struct CsvInference;

#[async_trait]
impl Infer for CsvInference {
    fn wants(&self) -> SampleKind {
        SampleKind::Records
    }

    async fn infer(&self, sample: &Sample, options: &Options) -> Result<Inferred> {
        let Sample::Records(lines) = sample else {
            return Err(Error::internal("csv takes records"));
        };
        let options = CsvOptions::parse(options)?;
        let text = lines.join(&b'\n');
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&text);
        let mut records = records(text, &options);
        if options.allow_comments {
            records.retain(|r| !r.first().is_some_and(|cell| !cell.quoted && cell.text.starts_with('#')));
        }
        records.retain(|r| !(r.len() == 1 && r[0].text.is_empty()));
        check_sample(records.len())?;
        let width = records.iter().map(Vec::len).max().unwrap_or(0);
        if width > COLUMNS_MAX {
            return Err(Error::user(format!("A line of the sample has {width} fields, more than {COLUMNS_MAX}"))
                .hint("Say how fields are delimited: --option csv.field-delimiter=';'"));
        }
        let mut inferred = Inferred::default();
        let short = records.iter().filter(|r| r.len() < width).count();
        if short > 0 {
            inferred.notes.push(format!("{short} of {} lines have less than {width} fields", records.len()));
        }
        let first = records.first().map(|r| r.iter().map(|c| c.text.trim()).collect());
        let header = if options.ignore_first_line { first } else { header(&records, &options) };
        let of_header = header.is_some().then(|| records[0].clone());
        let header = header.map(|names| names.into_iter().map(str::to_string).collect::<Vec<_>>());
        records.retain(|r| Some(r) != of_header.as_ref());
        let mut shapes = vec![Shape::default(); width];
        for record in &records {
            for (shape, cell) in shapes.iter_mut().zip(record) {
                shape.merge(of(cell, &options));
            }
        }
        if header.is_some() && !options.ignore_first_line {
            inferred.options.push((IGNORE_FIRST_LINE.key.to_string(), "true".to_string()));
        }
        let has_empty = |column: usize| records.iter().any(|r| r.get(column).is_some_and(|c| c.text.is_empty()));
        let mut reads_empty = false;
        for (column, (name, shape)) in names(header.as_deref(), width).into_iter().zip(&shapes).enumerate() {
            let data_type = shape.data_type(&name, &mut inferred.notes);
            reads_empty |= data_type.kind != TypeKind::STRING && has_empty(column);
            inferred.columns.push(RowField::new(name, data_type));
        }
        // An empty field is a text, and neither a number nor a time.
        if reads_empty && !options.empty_string_as_null && options.null_literal.as_deref() != Some(b"") {
            inferred.options.push((EMPTY_STRING_AS_NULL.key.to_string(), "true".to_string()));
        }
        if width == 1 && records.iter().any(|r| r[0].text.contains([';', '\t', '|'])) {
            inferred.notes.push(
                "there is one column only: say how fields are delimited with --option csv.field-delimiter=';'"
                    .to_string(),
            );
        }
        Ok(inferred)
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Cell {
    text: String,
    quoted: bool,
}

/// The fields of all records; one that has not ended with the sample is left out where there are others.
fn records(text: &[u8], options: &CsvOptions) -> Vec<Vec<Cell>> {
    let (mut records, mut record, mut cell, mut bytes) = (vec![], vec![], Cell::default(), vec![]);
    let (mut at, mut inside) = (0, false);
    let end_cell = |cell: &mut Cell, bytes: &mut Vec<u8>, record: &mut Vec<Cell>| {
        let text = String::from_utf8_lossy(bytes);
        let text = if options.trim_spaces && !cell.quoted { text.trim() } else { text.as_ref() };
        record.push(Cell { text: text.to_string(), quoted: cell.quoted });
        *cell = Cell::default();
        bytes.clear();
    };
    while let Some(byte) = text.get(at) {
        at += 1;
        match *byte {
            b if options.escape == Some(b) && at < text.len() => {
                bytes.push(text[at]);
                at += 1;
            }
            b if inside && options.quote == Some(b) => {
                if text.get(at) == Some(&b) {
                    bytes.push(b);
                    at += 1;
                } else {
                    inside = false;
                }
            }
            b if inside => bytes.push(b),
            b if options.quote == Some(b) && bytes.iter().all(u8::is_ascii_whitespace) => {
                bytes.clear();
                (inside, cell.quoted) = (true, true);
            }
            b'\n' => {
                if bytes.last() == Some(&b'\r') {
                    bytes.pop();
                }
                end_cell(&mut cell, &mut bytes, &mut record);
                records.push(std::mem::take(&mut record));
            }
            _ if text[at - 1..].starts_with(&options.delimiter) => {
                at += options.delimiter.len() - 1;
                end_cell(&mut cell, &mut bytes, &mut record);
            }
            b => bytes.push(b),
        }
    }
    if !inside || records.is_empty() {
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        end_cell(&mut cell, &mut bytes, &mut record);
        records.push(record);
    }
    records
}

fn is_null(cell: &Cell, options: &CsvOptions) -> bool {
    cell.text.is_empty() || options.null_literal.as_deref() == Some(cell.text.as_bytes())
}

fn of(cell: &Cell, options: &CsvOptions) -> Shape {
    let text = cell.text.as_str();
    if is_null(cell, options) {
        return Shape::default();
    }
    if cell.quoted {
        return Shape::of(Kind::Text(TextKind::of(text)));
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let is_digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    // Numbers of articles and telephones are none: zeros before them would be lost.
    let has_zeros = |t: &str| t.len() > 1 && t.starts_with('0');
    let digits = |t: &str| u32::try_from(t.len()).unwrap_or(u32::MAX);
    Shape::of(match unsigned.split_once('.') {
        _ if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") => Kind::Boolean,
        None if is_digits(unsigned) && !has_zeros(unsigned) && digits(unsigned) <= 38 => {
            Kind::Integer { fits: text.parse::<i64>().is_ok(), digits: digits(unsigned) }
        }
        Some((whole, fraction))
            if is_digits(whole) && is_digits(fraction) && !has_zeros(whole) && whole.len() + fraction.len() <= 38 =>
        {
            Kind::Decimal { whole: digits(whole), scale: digits(fraction) }
        }
        _ if unsigned.contains(['e', 'E'])
            && unsigned.starts_with(|c: char| c.is_ascii_digit())
            && text.parse::<f64>().is_ok() =>
        {
            Kind::Double
        }
        _ => Kind::Text(TextKind::of(text)),
    })
}

/// The first line where it holds names: texts that differ, above values of which some are no texts.
fn header<'a>(records: &'a [Vec<Cell>], options: &CsvOptions) -> Option<Vec<&'a str>> {
    let (first, rest) = records.split_first()?;
    // Each file of a folder has one.
    let rest: Vec<&Vec<Cell>> = rest.iter().filter(|r| *r != first).collect();
    if rest.is_empty() {
        return None;
    }
    let is_text = |cell: &Cell| {
        matches!(of(&Cell { quoted: false, ..cell.clone() }, options).kind, Some(Kind::Text(TextKind::Other)))
    };
    let names: Vec<&str> = first.iter().map(|c| c.text.trim()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let below_is_typed = (0..first.len()).any(|column| {
        let mut values = rest.iter().filter_map(|r| r.get(column)).filter(|c| !is_null(c, options)).peekable();
        values.peek().is_some() && values.all(|c| !is_text(c))
    });
    (first.iter().all(is_text) && sorted.len() == names.len() && below_is_typed).then_some(names)
}

fn names(header: Option<&[String]>, width: usize) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    for column in 0..width {
        let given = header.and_then(|h| h.get(column)).cloned().filter(|n| !n.is_empty());
        let name = given.unwrap_or_else(|| format!("f{column}"));
        let taken = names.contains(&name);
        names.push(if taken { format!("{name}_{column}") } else { name });
    }
    names
}
