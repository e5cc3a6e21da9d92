//! What texts are: times have a spelling that formats read.

use flott_core::types::TypeKind;

/// What all texts of a place are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    Date,
    /// Fractional digits.
    Time(u8),
    /// Fractional digits, `T` between date and time, `Z` behind.
    Timestamp {
        precision: u8,
        iso: bool,
        zoned: bool,
    },
    Other,
}

impl TextKind {
    pub(super) fn of(text: &str) -> TextKind {
        let bytes = text.as_bytes();
        if is_date(bytes) {
            return TextKind::Date;
        }
        if let Some(precision) = time(bytes) {
            return TextKind::Time(precision);
        }
        let Some((date, rest)) = bytes.split_at_checked(10) else { return TextKind::Other };
        let Some((between @ (b' ' | b'T'), rest)) = rest.split_first() else { return TextKind::Other };
        let (rest, zoned) = match rest.strip_suffix(b"Z") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        match (is_date(date), time(rest)) {
            (true, Some(precision)) => TextKind::Timestamp { precision, iso: *between == b'T', zoned },
            _ => TextKind::Other,
        }
    }

    pub(super) fn merge(self, other: TextKind) -> TextKind {
        match (self, other) {
            (TextKind::Date, TextKind::Date) => TextKind::Date,
            (TextKind::Time(a), TextKind::Time(b)) => TextKind::Time(a.max(b)),
            (
                TextKind::Timestamp { precision: a, iso, zoned },
                TextKind::Timestamp { precision: b, iso: other_iso, zoned: other_zoned },
            ) if iso == other_iso && zoned == other_zoned => TextKind::Timestamp { precision: a.max(b), iso, zoned },
            _ => TextKind::Other,
        }
    }

    pub(super) fn data_type(self) -> TypeKind {
        // A sample without fractions does not say that there are none.
        let at_least_ms = |precision: u8| if precision <= 3 { 3 } else { 9.min(precision.next_multiple_of(3)) };
        match self {
            TextKind::Date => TypeKind::Date,
            TextKind::Time(precision) => TypeKind::Time(precision),
            TextKind::Timestamp { precision, zoned: true, .. } => TypeKind::timestamp_ltz(at_least_ms(precision)),
            TextKind::Timestamp { precision, .. } => TypeKind::timestamp(at_least_ms(precision)),
            TextKind::Other => TypeKind::STRING,
        }
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |n, d| Some(n.checked_mul(10)? + u32::from(d.is_ascii_digit().then(|| d - b'0')?)))
}

/// `yyyy-MM-dd` of a day that there is.
fn is_date(text: &[u8]) -> bool {
    let [y @ .., b'-', m1, m2, b'-', d1, d2] = text else { return false };
    let (Some(year), Some(month), Some(day)) = (number(y), number(&[*m1, *m2]), number(&[*d1, *d2])) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 31,
    };
    y.len() == 4 && (1..=12).contains(&month) && (1..=days).contains(&day)
}

/// Fractional digits of `HH:mm:ss[.fraction]`.
fn time(text: &[u8]) -> Option<u8> {
    let (clock, fraction) = match text.iter().position(|b| *b == b'.') {
        Some(dot) => (&text[..dot], Some(&text[dot + 1..])),
        None => (text, None),
    };
    let [h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
    let in_time = number(&[*h1, *h2])? < 24 && number(&[*m1, *m2])? < 60 && number(&[*s1, *s2])? < 60;
    match fraction {
        None => in_time.then_some(0),
        Some(digits) if (1..=9).contains(&digits.len()) && number(digits).is_some() && in_time => {
            u8::try_from(digits.len()).ok()
        }
        Some(_) => None,
    }
}
