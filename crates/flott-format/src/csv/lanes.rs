//! Values of many rows at once. The words that a column's texts end or begin with are gathered row by row; what they
//! stand for is told for all of them together, in loops that the compiler vectorises.
//!
//! Only what is usual is read here: whole numbers of up to sixteen characters, timestamps of the day that the last one
//! was of. Anything else is pointed out, and read in the exact way by whoever asked.

use super::simd::{self, Loop, Vector};
use super::structure::ColumnSpans;
use crate::text::time::Day;

/// Rows that are read together.
pub(super) const ROWS: usize = 64;

const ZEROS: u64 = 0x3030_3030_3030_3030;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
/// Brings what is above nine to a high bit.
const ABOVE_NINE: u64 = 0x7676_7676_7676_7676;

/// What was found in a few rows.
pub(super) struct Lanes {
    values: [i64; ROWS],
    /// Not zero where a row has to be read in the exact way.
    odd: [u64; ROWS],
    /// So many rows were read.
    rows: usize,
    /// The odd ones of them, a bit each.
    odd_rows: u64,
}

impl Lanes {
    pub(super) fn new() -> Lanes {
        Lanes { values: [0; ROWS], odd: [0; ROWS], rows: 0, odd_rows: 0 }
    }

    /// The values; those of odd rows are anything.
    pub(super) fn values(&self) -> &[i64] {
        &self.values[..self.rows]
    }

    /// Which rows have to be read in the exact way, a bit each.
    pub(super) fn odd_rows(&self) -> u64 {
        self.odd_rows
    }

    fn all_are_odd(&self) -> bool {
        self.odd_rows.count_ones() as usize == self.rows
    }

    /// `any` is not zero where one of them may be odd.
    fn have_read(&mut self, rows: usize, any: u64) {
        self.rows = rows;
        self.odd_rows = 0;
        if any != 0 {
            for (row, odd) in self.odd[..rows].iter().enumerate() {
                self.odd_rows |= u64::from(*odd != 0) << row;
            }
        }
    }

    fn are_all_odd(&mut self, rows: usize) {
        self.odd = [1; ROWS];
        self.have_read(rows, 1);
    }
}

/// The last bytes of a text that ends at `end`, the last one in the highest byte; those before the text may be anything.
#[inline(always)]
fn last_word(window: &[u8], end: usize) -> u64 {
    match window.get(..end).and_then(|text| text.last_chunk()) {
        Some(word) => u64::from_le_bytes(*word),
        None => near_the_start(window, end),
    }
}

#[cold]
fn near_the_start(window: &[u8], end: usize) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().rev().zip(window.iter().take(end).rev()) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

/// Reads whole numbers.
pub(super) struct Integers {
    lens: [u64; ROWS],
    /// The last eight bytes of each text.
    tails: [u64; ROWS],
    /// The eight before them.
    heads: [u64; ROWS],
}

impl Integers {
    pub(super) fn new() -> Integers {
        Integers { lens: [0; ROWS], tails: [0; ROWS], heads: [0; ROWS] }
    }

    /// Reads the next rows; what `spans` gives beyond [`ROWS`] stays.
    pub(super) fn read(&mut self, window: &[u8], spans: &mut ColumnSpans<'_>, lanes: &mut Lanes) {
        let ahead = spans.clone();
        let (rows, all_are_short) = self.gather_tails(window, spans);
        let any = if all_are_short {
            simd::run(Short { lens: &self.lens, tails: &self.tails, lanes })
        } else {
            self.gather_heads(window, ahead);
            simd::run(Long { lens: &self.lens, tails: &self.tails, heads: &self.heads, lanes })
        };
        lanes.have_read(rows, any);
    }

    /// How many rows there are, and whether none has more than eight characters. A loop of its own, so that all that it
    /// needs is in registers.
    #[inline(never)]
    fn gather_tails(&mut self, window: &[u8], spans: &mut ColumnSpans<'_>) -> (usize, bool) {
        let (mut rows, mut more) = (0, 0);
        for ((len, tail), (start, end)) in self.lens.iter_mut().zip(&mut self.tails).zip(spans) {
            *len = (end - start) as u64;
            more |= len.wrapping_sub(1);
            *tail = last_word(window, end);
            rows += 1;
        }
        (rows, more <= 7)
    }

    #[inline(never)]
    fn gather_heads(&mut self, window: &[u8], spans: ColumnSpans<'_>) {
        for ((head, len), (_, end)) in self.heads.iter_mut().zip(&self.lens).zip(spans) {
            *head = if *len > 8 { last_word(window, end - 8) } else { 0 };
        }
    }
}

/// Eight characters to their number, and bits that are set where one is no digit; those that are missing in front (so
/// many bits) count as zeros.
#[inline(always)]
fn eight_digits(word: u64, missing: u64) -> (u64, u64) {
    let t = (word ^ ZEROS) >> missing << missing;
    let odd = (t.wrapping_add(ABOVE_NINE) | t) & HIGH_BITS;
    // Ten times each digit and the next one: a pair lies in every other byte.
    let t = (t << 3).wrapping_add(t << 1).wrapping_add(t >> 8);
    let pair = |at: u32| t >> at & 0xff;
    (pair(0) * 1_000_000 + pair(16) * 10_000 + pair(32) * 100 + pair(48), odd)
}

/// One if it is.
#[inline(always)]
fn is(byte: u64, wanted: u8) -> u64 {
    u64::from(byte == u64::from(wanted))
}

#[inline(always)]
fn signed(value: u64, negative: u64) -> i64 {
    (value ^ negative.wrapping_neg()).wrapping_add(negative).cast_signed()
}

/// Up to eight characters.
struct Short<'a> {
    lens: &'a [u64; ROWS],
    tails: &'a [u64; ROWS],
    lanes: &'a mut Lanes,
}

impl Loop for Short<'_> {
    /// Not zero where something is odd.
    type Output = u64;

    #[inline(always)]
    fn run<V: Vector>(self, _vector: V) -> u64 {
        let Lanes { values, odd, .. } = self.lanes;
        let mut any = 0;
        for (((len, tail), value), odd) in self.lens.iter().zip(self.tails).zip(values).zip(odd) {
            let missing = 64u64.wrapping_sub(len * 8) & 63;
            let first = tail >> missing & 0xff;
            let negative = is(first, b'-');
            let sign = negative | is(first, b'+');
            let missing = missing + sign * 8;
            let (number, not_digits) = eight_digits(*tail, missing & 63);
            // No character, too many, or a sign alone.
            *odd = not_digits | (len.wrapping_sub(1) & !7) | (missing & 64);
            any |= *odd;
            *value = signed(number, negative);
        }
        any
    }
}

/// Up to sixteen characters.
struct Long<'a> {
    lens: &'a [u64; ROWS],
    tails: &'a [u64; ROWS],
    heads: &'a [u64; ROWS],
    lanes: &'a mut Lanes,
}

impl Loop for Long<'_> {
    /// Not zero where something is odd.
    type Output = u64;

    #[inline(always)]
    fn run<V: Vector>(self, _vector: V) -> u64 {
        let Lanes { values, odd, .. } = self.lanes;
        let mut any = 0;
        let texts = self.lens.iter().zip(self.tails).zip(self.heads);
        for (((len, tail), head), (value, odd)) in texts.zip(values.iter_mut().zip(odd)) {
            let len = *len;
            // All ones where the first character is in the head.
            let is_long = (8u64.wrapping_sub(len).cast_signed() >> 63).cast_unsigned();
            let word = head & is_long | tail & !is_long;
            let first = word >> (64u64.wrapping_sub(len * 8) & 63) & 0xff;
            let negative = is(first, b'-');
            let sign = negative | is(first, b'+');
            let digits = len.wrapping_sub(sign);
            // Digits in the tail and in the head, of which there may be none.
            let in_tail = if digits < 8 { digits } else { 8 };
            let in_head = digits.wrapping_sub(in_tail);
            let (low, odd_low) = eight_digits(*tail, (64 - in_tail * 8) & 63);
            let none = u64::from(in_head == 0).wrapping_neg();
            let (high, odd_high) = eight_digits(*head | none & ZEROS, 64u64.wrapping_sub(in_head.wrapping_mul(8)) & 63);
            *odd = odd_low | odd_high & !none | (len.wrapping_sub(1) & !15) | u64::from(digits == 0);
            any |= *odd;
            *value = signed((high & !none & 0xffff_ffff) * 100_000_000 + low, negative);
        }
        any
    }
}

/// Where no row of some was of the day that is known, so many times as many are not tried.
const NOT_TRIED: usize = 15;

/// Reads timestamps with up to three digits of a second's fraction.
pub(super) struct Timestamps {
    lens: [u64; ROWS],
    /// The first bytes of each text.
    words: [[u8; 24]; ROWS],
    not_tried: usize,
}

impl Timestamps {
    pub(super) fn new() -> Timestamps {
        Timestamps { lens: [0; ROWS], words: [[0; 24]; ROWS], not_tried: 0 }
    }

    /// Reads the next rows; what `spans` gives beyond [`ROWS`] stays. Without a day all are odd.
    pub(super) fn read(&mut self, window: &[u8], spans: &mut ColumnSpans<'_>, day: Option<Day>, lanes: &mut Lanes) {
        let Some(day) = day.filter(|_| self.not_tried == 0) else {
            self.not_tried = self.not_tried.saturating_sub(1);
            return lanes.are_all_odd(spans.by_ref().take(ROWS).count());
        };
        let rows = self.gather(window, spans);
        let any = simd::run(Clock { lens: &self.lens, words: &self.words, day, lanes });
        lanes.have_read(rows, any);
        if rows == ROWS && lanes.all_are_odd() {
            self.not_tried = NOT_TRIED;
        }
    }

    /// How many rows there are.
    #[inline(never)]
    fn gather(&mut self, window: &[u8], spans: &mut ColumnSpans<'_>) -> usize {
        let mut rows = 0;
        for ((len, words), (start, end)) in self.lens.iter_mut().zip(&mut self.words).zip(spans) {
            rows += 1;
            // A text so near to the end of the window is read in the exact way.
            let Some(text) = window.get(start..).and_then(|text| text.first_chunk::<24>()) else {
                *len = 0;
                continue;
            };
            *len = (end - start) as u64;
            *words = *text;
        }
        rows
    }
}

/// The time of a day.
struct Clock<'a> {
    lens: &'a [u64; ROWS],
    words: &'a [[u8; 24]; ROWS],
    day: Day,
    lanes: &'a mut Lanes,
}

impl Loop for Clock<'_> {
    /// Not zero where something is odd.
    type Output = u64;

    #[inline(always)]
    fn run<V: Vector>(self, _vector: V) -> u64 {
        let Lanes { values, odd, .. } = self.lanes;
        let mut any = 0;
        let Day { text: [date, rest], start, per_ms } = self.day;
        for ((words, len), (value, odd)) in self.words.iter().zip(self.lens).zip(values.iter_mut().zip(odd)) {
            let words = words.as_chunks::<8>().0;
            let [a, b, c] = [0, 1, 2].map(|word: usize| u64::from_le_bytes(words[word]));
            let other_day = (a ^ date) | ((b ^ rest) & 0xff_ffff);
            // "HH:mm": what is no digit, hours and minutes that there are not. A colon becomes zero, and nothing else.
            let t = (b >> 24) ^ 0x30_303a_3030;
            let odd_minute = (t.wrapping_add(0x76_7a7f_767d) | t) & 0x80_8080_8080;
            let t = (t << 3).wrapping_add(t << 1).wrapping_add(t >> 8);
            let (hours, minutes) = (t & 0xff, t >> 24 & 0xff);
            let odd_hour = hours.wrapping_add(0x80 - 24) & 0x80;
            // ":ss", or ":ss." and one to three digits: those that are missing are zeros.
            let missing = 24u64.wrapping_sub(*len);
            let odd_len = (missing & !7) | is(missing, 0) | is(missing, 4) | is(missing, 6) | is(missing, 7);
            let beyond = (missing & 7) * 8;
            let t = (c ^ 0x0030_3030_2e30_303a) << beyond >> beyond;
            let odd_second = (t.wrapping_add(0x7f76_7676_7f76_7a7f) | t) & HIGH_BITS;
            let last = t >> 48 & 0xff;
            let t = (t << 3).wrapping_add(t << 1).wrapping_add(t >> 8);
            let (seconds, tens) = (t >> 8 & 0xff, t >> 32 & 0xff);
            let ms = hours * 3_600_000 + minutes * 60_000 + seconds * 1_000 + tens * 10 + last;
            *odd = other_day | odd_minute | odd_hour | odd_len | odd_second;
            any |= *odd;
            *value = start.wrapping_add(((ms & 0xffff_ffff) * (per_ms & 0xffff_ffff)).cast_signed());
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::TimeUnit;
    use proptest::prelude::*;

    use super::super::structure::Index;
    use super::*;
    use crate::text::number::parse_i64;
    use crate::text::time::{TimeStyle, TimestampParser};

    /// Reads the only column of records, and calls `check` with each text and its value; `None` where it is odd.
    fn each(
        texts: &[String],
        mut read: impl FnMut(&[u8], &mut ColumnSpans<'_>, &mut Lanes),
        mut check: impl FnMut(&str, Option<i64>),
    ) {
        let window: Vec<u8> = texts.iter().flat_map(|text| [text.as_bytes(), b"\n"].concat()).collect();
        let mut index = Index::default();
        let rows = index.build(&window, 0, 1, usize::MAX, true, b',', None).expect("regular records");
        assert_eq!(rows, texts.len());
        let cells = index.cells(&window, rows, 1);
        let mut spans = cells.spans(0, rows).expect("no carriage returns");
        let mut lanes = Lanes::new();
        let mut texts = texts.iter();
        while texts.len() > 0 {
            read(&window, &mut spans, &mut lanes);
            assert!(!lanes.values().is_empty());
            for (row, value) in lanes.values().iter().enumerate() {
                let is_odd = lanes.odd_rows() >> row & 1 == 1;
                check(texts.next().expect("a row"), (!is_odd).then_some(*value));
            }
        }
        read(&window, &mut spans, &mut lanes);
        assert!(lanes.values().is_empty() && lanes.odd_rows() == 0);
    }

    fn integers(texts: &[String]) {
        let mut integers = Integers::new();
        each(
            texts,
            |window, spans, lanes| integers.read(window, spans, lanes),
            |text, found| {
                let expected = parse_i64(text.as_bytes());
                assert!(found.is_none() || found == expected, "{text:?} is {expected:?}, not {found:?}");
                assert!(found.is_some() || expected.is_none() || text.len() > 16, "{text:?} is not odd");
            },
        );
    }

    #[test]
    fn nothing_behind_what_looks_like_a_sign() {
        integers(&["-".into(), String::new(), "123456789".into(), "+".into(), String::new()]);
        integers(&["1234567-".into(), String::new(), "123456789".into()]);
    }

    #[test]
    fn numbers_of_any_length_and_sign() {
        let digits = "1234567890123456789";
        for sign in ["", "-", "+", "--", "+-"] {
            for len in 0..=digits.len() {
                integers(&[format!("{sign}{}", &digits[..len])]);
                integers(&[format!("{sign}{}", &digits[..len]), "5".into(), "123456789".into(), "-1".into()]);
                integers(&[format!("{sign}{}", "9".repeat(len)), format!("{sign}{}", "0".repeat(len))]);
            }
        }
    }

    fn timestamps(texts: &[String], unit: TimeUnit) {
        let mut parser = TimestampParser::new(b' ', TimeStyle::Sql, unit);
        parser.parse(b"2024-01-05 12:00:00").expect("a timestamp");
        let day = parser.day();
        let mut timestamps = Timestamps::new();
        each(
            texts,
            |window, spans, lanes| timestamps.read(window, spans, day, lanes),
            |text, found| {
                let expected = TimestampParser::new(b' ', TimeStyle::Sql, unit).parse(text.as_bytes());
                assert!(found.is_none() || found == expected, "{text:?} is {expected:?}, not {found:?}");
            },
        );
    }

    #[test]
    fn usual_timestamps_of_the_day_are_not_odd() {
        let mut parser = TimestampParser::new(b' ', TimeStyle::Sql, TimeUnit::Millisecond);
        parser.parse(b"2024-01-05 12:00:00").expect("a timestamp");
        let texts =
            ["2024-01-05 00:00:00", "2024-01-05 23:59:59.9", "2024-01-05 01:02:03.45", "2024-01-05 19:38:47.678"];
        // Behind the last one are more bytes.
        let texts: Vec<String> = texts.iter().chain(&["x"; 24]).map(|text| (*text).to_string()).collect();
        let (mut timestamps, mut row) = (Timestamps::new(), 0);
        let read = |window: &[u8], spans: &mut ColumnSpans<'_>, lanes: &mut Lanes| {
            timestamps.read(window, spans, parser.day(), lanes);
        };
        each(&texts, read, |text, found| {
            let mut exact = TimestampParser::new(b' ', TimeStyle::Sql, TimeUnit::Millisecond);
            assert_eq!(found, exact.parse(text.as_bytes()), "{text}");
            row += 1;
        });
        assert_eq!(row, texts.len());
    }

    #[test]
    fn days_at_the_limits_of_a_unit() {
        let day = |text: &str, unit| {
            let mut parser = TimestampParser::new(b' ', TimeStyle::Sql, unit);
            let _ = parser.parse(text.as_bytes());
            parser.day()
        };
        assert!(day("2262-04-10 00:00:00", TimeUnit::Nanosecond).is_some());
        // Its evening is beyond the nanoseconds that there are.
        assert_eq!(day("2262-04-11 00:00:00", TimeUnit::Nanosecond), None);
        assert!(day("9999-12-31 00:00:00", TimeUnit::Microsecond).is_some());
        assert_eq!(day("2024-01-05 00:00:00", TimeUnit::Second), None);
        // Nothing was read yet: what the parser starts with is a day like any other.
        timestamps(&["\0\0\0\0\0\0\0\0\0\0 00:00:00".into(), "1970-01-01 00:00:01".into()], TimeUnit::Millisecond);
    }

    #[test]
    fn days_that_are_not_the_same_are_not_tried_for_ever() {
        let texts: Vec<String> =
            (0..40 * ROWS).map(|row| format!("2024-02-{:02} 00:00:00.000", row % 28 + 1)).collect();
        timestamps(&texts, TimeUnit::Millisecond);
    }

    proptest! {
        #[test]
        fn numbers_are_those_that_are_read_alone(
            texts in prop::collection::vec(
                prop_oneof![
                    4 => any::<i64>().prop_map(|v| v.to_string()),
                    4 => (-9_999_999i64..99_999_999).prop_map(|v| v.to_string()),
                    2 => "[-+]?[0-9]{0,20}",
                    1 => "[-+0-9:/. x]{0,18}",
                ],
                1..200,
            ),
        ) {
            integers(&texts);
        }

        #[test]
        fn short_numbers_are_those_that_are_read_alone(texts in prop::collection::vec("[-+]?[0-9/:]{0,7}", 1..200)) {
            integers(&texts);
        }

        #[test]
        fn timestamps_are_those_that_are_read_alone(
            texts in prop::collection::vec(
                prop_oneof![
                    8 => "2024-01-05 [0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,9})?",
                    1 => "2024-01-0[4-6] [0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{3}",
                    1 => "2024-01-05.[0-2][0-9].[0-5][0-9].[0-5][0-9].[0-9]{0,3}",
                    1 => "2024-01-05 [0-9:./]{0,14}",
                ],
                1..150,
            ),
            unit in prop_oneof![Just(TimeUnit::Millisecond), Just(TimeUnit::Microsecond), Just(TimeUnit::Nanosecond), Just(TimeUnit::Second)],
            (row, at, byte) in (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..128),
        ) {
            let mut texts: Vec<String> = texts.into_iter().map(|text| text.replace([',', '\n', '\r'], ";")).collect();
            timestamps(&texts, unit);
            // One byte is anything.
            let row = row.index(texts.len());
            let text = &mut texts[row];
            if !matches!(byte, b',' | b'\n' | b'\r') && text.is_ascii() && !text.is_empty() {
                let mut bytes = text.clone().into_bytes();
                let at = at.index(bytes.len());
                bytes[at] = byte;
                *text = String::from_utf8(bytes).expect("ASCII");
            }
            timestamps(&texts, unit);
        }
    }
}
