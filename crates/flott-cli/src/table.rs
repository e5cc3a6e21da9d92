//! Results as tables, in the form of Flink's SQL client.

use std::borrow::Cow;
use std::time::Duration;

use flott_core::types::TypeKind;
use flott_core::{LogicalType, RowKind};
use unicode_width::UnicodeWidthChar;

/// How NULL is shown.
const NULL: &str = "<NULL>";

/// Columns of a terminal that a character takes: as Flink's client counts, two where it is wide or full width in East Asia
/// and one otherwise.
fn char_width(c: char) -> usize {
    if c.width() == Some(2) { 2 } else { 1 }
}

/// Of a text as it is shown.
fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(char_width).sum() }
}

/// What a terminal may take for an order, or for the end of a line, or what changes the direction of the text behind it.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A value as it may be printed: data writes no orders to the terminal and breaks no frame.
fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// As much of a text as fits into these columns.
fn cut(text: &str, columns: usize) -> &str {
    let mut passed = 0;
    let end = text.char_indices().find(|(_, c)| {
        passed += char_width(*c);
        passed > columns
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

/// A frame line over columns of these widths.
fn rule(widths: &[usize]) -> String {
    let cells: Vec<String> = widths.iter().map(|w| "-".repeat(w + 2)).collect();
    format!("+{}+\n", cells.join("+"))
}

fn line(widths: &[usize], cells: &[String]) -> String {
    let cells: Vec<String> = widths
        .iter()
        .zip(cells)
        .map(|(w, c)| {
            let c = shown(c);
            let (text, dots) = if width(&c) > *w { (cut(&c, w.saturating_sub(3)), "...") } else { (&*c, "") };
            format!(" {}{text}{dots} ", " ".repeat(w.saturating_sub(width(text) + dots.len())))
        })
        .collect();
    format!("|{}|\n", cells.join("|"))
}

fn rows_in_set(n: u64, elapsed: Option<Duration>) -> String {
    let time = time_cost(elapsed);
    match n {
        0 => format!("Empty set{time}\n"),
        1 => format!("1 row in set{time}\n"),
        n => format!("{n} rows in set{time}\n"),
    }
}

/// How long it took, where that is shown.
fn time_cost(elapsed: Option<Duration>) -> String {
    elapsed.map_or_else(String::new, |t| format!(" ({:.2} seconds)", t.as_secs_f64()))
}

fn rows_received(n: u64) -> String {
    format!("received a total of {n} row{}", if n == 1 { "" } else { "s" })
}

/// A query was stopped by its user.
pub(crate) fn terminated(rows: u64) -> String {
    format!("Query terminated, {}\n", rows_received(rows))
}

/// The rows of a SHOW or DESCRIBE, whole.
pub(crate) fn of_texts(names: &[String], rows: &[Vec<Option<String>>]) -> String {
    let mut table = Whole::new(names, usize::MAX);
    let text = |cell: &Option<String>| cell.clone().unwrap_or_else(|| NULL.to_string());
    let rows: Vec<Vec<String>> = rows.iter().map(|r| r.iter().map(text).collect()).collect();
    rows.iter().for_each(|row| table.see(row));
    if rows.is_empty() {
        return rows_in_set(0, None);
    }
    let lines: String = rows.iter().map(|row| table.row(row)).collect();
    table.head() + &lines + &table.foot() + &rows_in_set(rows.len() as u64, None)
}

/// A whole result: columns are as wide as their widest values, and at most as wide as the session says.
pub(crate) struct Whole {
    names: Vec<String>,
    widths: Vec<usize>,
    width_max: usize,
}

impl Whole {
    pub(crate) fn new(names: &[String], width_max: usize) -> Whole {
        Whole { names: names.to_vec(), widths: names.iter().map(|n| width(&shown(n))).collect(), width_max }
    }

    /// Makes room for a row. All of them have to be seen before the first line is written.
    pub(crate) fn see(&mut self, row: &[String]) {
        for (known, cell) in self.widths.iter_mut().zip(row) {
            *known = (*known).max(width(&shown(cell)).min(self.width_max));
        }
    }

    pub(crate) fn head(&self) -> String {
        rule(&self.widths) + &line(&self.widths, &self.names) + &rule(&self.widths)
    }

    pub(crate) fn row(&self, row: &[String]) -> String {
        line(&self.widths, row)
    }

    pub(crate) fn foot(&self) -> String {
        rule(&self.widths)
    }

    /// Behind the last line, or alone.
    pub(crate) fn count(rows: u64, elapsed: Option<Duration>) -> String {
        rows_in_set(rows, elapsed)
    }
}

/// An unbounded result: rows as they come, with their kinds in the column `op`.
pub(crate) struct Stream {
    names: Vec<String>,
    widths: Vec<usize>,
}

impl Stream {
    /// Widths must be known before the rows: they are those of the types, texts have `max_width`.
    pub(crate) fn new(names: &[String], types: &[LogicalType], max_width: usize) -> Stream {
        let mut all = vec!["op".to_string()];
        all.extend(names.iter().cloned());
        let mut widths = vec![2];
        widths.extend(
            names.iter().zip(types).map(|(n, t)| display_width(t, max_width).max(width(&shown(n))).max(width(NULL))),
        );
        Stream { names: all, widths }
    }

    pub(crate) fn head(&self) -> String {
        rule(&self.widths) + &line(&self.widths, &self.names) + &rule(&self.widths)
    }

    pub(crate) fn row(&self, kind: RowKind, row: &[String]) -> String {
        let mut cells = vec![kind.short_string().to_string()];
        cells.extend(row.iter().cloned());
        line(&self.widths, &cells)
    }

    pub(crate) fn tail(&self, rows: u64, elapsed: Option<Duration>) -> String {
        let received = rows_received(rows).replacen('r', "R", 1);
        format!("{}{received}{}\n", rule(&self.widths), time_cost(elapsed))
    }
}

/// How wide values of a type get.
fn display_width(t: &LogicalType, max_width: usize) -> usize {
    match &t.kind {
        TypeKind::Boolean => 7,
        TypeKind::TinyInt => 4,
        TypeKind::SmallInt => 6,
        TypeKind::Int => 11,
        TypeKind::BigInt => 20,
        TypeKind::Decimal { precision, scale } => usize::from(*precision) + if *scale > 0 { 3 } else { 2 },
        TypeKind::Date => 10,
        TypeKind::Time(p) => {
            if *p == 0 {
                8
            } else {
                9 + usize::from(*p)
            }
        }
        TypeKind::Timestamp(p, _) | TypeKind::TimestampLtz(p, _) => {
            if *p == 0 {
                19
            } else {
                20 + usize::from(*p)
            }
        }
        TypeKind::Char(n) | TypeKind::VarChar(n) => (*n as usize).min(max_width),
        _ => max_width,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_result_is_as_wide_as_its_values() {
        let rows = vec![vec![Some("1".to_string()), None], vec![Some("22".to_string()), Some("x".to_string())]];
        let text = of_texts(&["id".to_string(), "v".to_string()], &rows);
        assert_eq!(
            text,
            "+----+--------+\n| id |      v |\n+----+--------+\n|  1 | <NULL> |\n| 22 |      x |\n+----+--------+\n2 rows in set\n"
        );
    }

    #[test]
    fn results_are_cut_at_the_greatest_width_and_listings_are_not() {
        let rows = vec![vec![Some("z".repeat(12))]];
        let mut narrow = Whole::new(&["v".to_string()], 10);
        narrow.see(&["z".repeat(12)]);
        assert_eq!(narrow.row(&["z".repeat(12)]), "| zzzzzzz... |\n");
        assert!(of_texts(&["v".to_string()], &rows).contains("| zzzzzzzzzzzz |"));
    }

    #[test]
    fn data_writes_no_orders_to_the_terminal() {
        let rows = vec![vec![Some("a\u{1b}[2J\nb\tc\u{9b}\u{202e}".to_string())], vec![Some("plain \\n".to_string())]];
        let text = of_texts(&["v\r".to_string()], &rows);
        assert!(!text.contains(['\u{1b}', '\r', '\t', '\u{9b}', '\u{202e}']), "{text:?}");
        assert!(text.contains(r"| a\u{1b}[2J\nb\tc\u{9b}\u{202e} |") && text.contains(r"  plain \n |"), "{text}");
        assert_eq!(text.lines().count(), 7, "{text}");
        let widths: Vec<usize> = text.lines().take(6).map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|w| *w == widths[0]), "{text}");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let rows = vec![vec![Some("日本".to_string())], vec![Some("abc\u{301}".to_string())]];
        assert_eq!(
            of_texts(&["v".to_string()], &rows),
            "+------+\n|    v |\n+------+\n| 日本 |\n| abc\u{301} |\n+------+\n2 rows in set\n"
        );
        let narrow = Whole { names: vec!["v".to_string()], widths: vec![6], width_max: 6 };
        // Of a character that fits by half nothing is shown.
        assert_eq!(narrow.row(&["日本語日".to_string()]), "|  日... |\n");
        assert_eq!(narrow.row(&["日本語".to_string()]), "| 日本語 |\n");
    }

    #[test]
    fn the_last_line_counts_rows_and_tells_the_time() {
        let took = Some(Duration::from_millis(1_234));
        assert_eq!(Whole::count(0, took), "Empty set (1.23 seconds)\n");
        let stream = Stream::new(&["s".to_string()], &["STRING".parse().expect("a type")], 30);
        assert!(stream.tail(1, took).ends_with("+\nReceived a total of 1 row (1.23 seconds)\n"));
        assert_eq!(terminated(2), "Query terminated, received a total of 2 rows\n");
    }

    #[test]
    fn an_unbounded_result_shows_kinds_and_cuts_long_texts() {
        let stream = Stream::new(&["s".to_string()], &["STRING".parse().expect("a type")], 30);
        let row = stream.row(RowKind::UpdateAfter, &["y".repeat(40)]);
        assert_eq!(row, format!("| +U | {}... |\n", "y".repeat(27)));
    }
}
