//! Values of any type: the ends of its range and what lies beyond, odd texts, NULL.

use flott_core::LogicalType;
use flott_core::bitmap::{self, RoaringBitmap};
use flott_core::types::TypeKind as K;
use flott_function::variant::parse_json;
use flott_testkit::Value;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A value of a type; NULL now and then where the type has it.
pub(crate) fn value(t: &LogicalType) -> BoxedStrategy<Value> {
    let there = of_kind(&t.kind);
    match t.nullable {
        true => prop_oneof![1 => Just(Value::Null), 5 => there].boxed(),
        false => there,
    }
}

fn of_kind(kind: &K) -> BoxedStrategy<Value> {
    match kind {
        K::Null => Just(Value::Null).boxed(),
        K::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        K::TinyInt => integer(i8::MIN.into(), i8::MAX.into(), &[]),
        K::SmallInt => integer(i16::MIN.into(), i16::MAX.into(), &[]),
        K::Int => integer(i32::MIN.into(), i32::MAX.into(), &[1_000_000, 67_108_864]),
        K::BigInt => integer(i64::MIN, i64::MAX, &[i64::from(i32::MAX) + 1, 253_402_300_800, 1_709_164_800_000]),
        K::Float => float(&[f64::from(f32::MAX), f64::from(f32::MIN_POSITIVE), 1e-45, 16_777_217.0]),
        K::Double => float(&[f64::MAX, f64::MIN_POSITIVE, 5e-324, 9_223_372_036_854_775_807.0, 1e300]),
        K::Char(length) => {
            let length = *length as usize;
            text()
                .prop_map(move |t| Value::Text(t.chars().chain([' '].into_iter().cycle()).take(length).collect()))
                .boxed()
        }
        K::VarChar(length) => {
            let length = *length as usize;
            text().prop_map(move |t| Value::Text(t.chars().take(length).collect())).boxed()
        }
        K::Binary(length) => vec(any::<u8>(), *length as usize).prop_map(Value::Bytes).boxed(),
        K::VarBinary(length) => {
            let length = *length as usize;
            let texts = text().prop_map(String::into_bytes);
            let bytes = prop_oneof![vec(any::<u8>(), 0..9), texts, numbers().prop_map(|n| bitmap::write(&n))];
            bytes.prop_map(move |b| Value::Bytes(b.into_iter().take(length).collect())).boxed()
        }
        K::Decimal { precision, scale } => decimal(*precision, *scale),
        // The years 0, 1, 9999 and 10000, and a day that not every year has.
        K::Date => integer(i32::MIN.into(), i32::MAX.into(), &[-719_528, -719_162, 2_932_896, 2_932_897, 19_782]),
        K::Time(p) => integer(0, 86_400 * per_second(*p) - 1, &[43_200 * per_second(*p)]),
        K::Timestamp(p, _) | K::TimestampLtz(p, _) => timestamp(per_second(*p)),
        K::IntervalYearMonth(..) => integer(i32::MIN.into(), i32::MAX.into(), &[12, 1_199]),
        K::IntervalDayTime(..) => integer(i64::MIN, i64::MAX, &[86_400_000, 3_600_000, 8_639_999_999_999]),
        K::Array(element) => vec(value(element), 0..4).prop_map(Value::List).boxed(),
        K::Map(key, of_key) => vec((value(key), value(of_key)), 0..4).prop_map(map).boxed(),
        K::Multiset(element) => {
            vec((of_kind(&element.kind), (1i64..4).prop_map(Value::Integer)), 0..4).prop_map(map).boxed()
        }
        K::Row(fields) | K::Structured(_, fields) => {
            let fields: Vec<_> = fields.iter().map(|f| value(&f.data_type)).collect();
            fields.prop_map(Value::Row).boxed()
        }
        K::Variant => {
            let variant = |json: &str| Value::Bytes(parse_json(json, true).expect("JSON"));
            select(&VARIANTS[..]).prop_map(variant).boxed()
        }
        K::Bitmap => numbers().prop_map(|numbers| Value::Bytes(bitmap::write(&numbers))).boxed(),
    }
}

/// Whole numbers: the ends, those around zero, any.
fn integer(least: i64, most: i64, special: &[i64]) -> BoxedStrategy<Value> {
    let ends = [0, 1, -1, 2, 3, 10, 100, least, most, least.saturating_add(1), most.saturating_sub(1)];
    let special: Vec<i64> = ends.iter().chain(special).copied().filter(|n| (least..=most).contains(n)).collect();
    prop_oneof![3 => select(special), 3 => least.max(-40)..=most.min(40), 1 => least..=most]
        .prop_map(Value::Integer)
        .boxed()
}

fn float(special: &[f64]) -> BoxedStrategy<Value> {
    let usual = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, 1e7, 1e-7, 2_147_483_648.5, f64::NAN, f64::INFINITY];
    let all: Vec<f64> = usual.iter().chain(special).flat_map(|f| [*f, -*f]).collect();
    prop_oneof![3 => select(all), 1 => proptest::num::f64::ANY].prop_map(Value::Float).boxed()
}

fn decimal(precision: u8, scale: u8) -> BoxedStrategy<Value> {
    let most = 10i128.pow(u32::from(precision)) - 1;
    let one = 10i128.pow(u32::from(scale)).min(most);
    let special = vec![0, 1, -1, one, -one, one / 2, -one / 2, one - 1, most, -most, most - 1];
    prop_oneof![3 => select(special), 1 => -most..=most].prop_map(Value::Decimal).boxed()
}

fn per_second(precision: u8) -> i64 {
    match precision {
        0..=3 => 1_000,
        4..=6 => 1_000_000,
        _ => 1_000_000_000,
    }
}

fn timestamp(per_second: i64) -> BoxedStrategy<Value> {
    // The years 0, 1, 9999 and 10000, leap days, hours that a zone skips and has twice, what nanoseconds can hold.
    const SECONDS: [i64; 11] = [
        -62_167_219_200,
        -62_135_596_800,
        253_402_300_799,
        253_402_300_800,
        0,
        951_782_400,
        1_709_164_800,
        1_711_850_400,
        1_729_990_800,
        9_223_372_036,
        -9_223_372_036,
    ];
    let moments = SECONDS.iter().flat_map(|s| [0, 1, -1].map(|n| s.saturating_mul(per_second).saturating_add(n)));
    let special: Vec<i64> = moments.chain([i64::MIN, i64::MIN + 1, i64::MAX]).collect();
    let first = SECONDS[1].saturating_mul(per_second);
    let last = SECONDS[2].saturating_mul(per_second);
    prop_oneof![3 => select(special), 3 => first..=last, 1 => any::<i64>()].prop_map(Value::Integer).boxed()
}

/// Equal keys come once.
fn map(pairs: Vec<(Value, Value)>) -> Value {
    let mut unique: Vec<(Value, Value)> = vec![];
    for pair in pairs {
        if unique.iter().all(|known| known.0 != pair.0) {
            unique.push(pair);
        }
    }
    Value::Map(unique)
}

fn numbers() -> impl Strategy<Value = RoaringBitmap> {
    let number =
        prop_oneof![select(vec![0, 1, 2, 65_535, 65_536, 2_147_483_647, 2_147_483_648, u32::MAX]), any::<u32>()];
    let few = vec(number, 0..5).prop_map(|n| n.into_iter().collect::<RoaringBitmap>());
    prop_oneof![4 => few, 1 => Just((60_000..70_000).collect::<RoaringBitmap>())]
}

/// Texts: those that mean something to some function, parts of them in other orders, any, and long ones.
pub(crate) fn text() -> BoxedStrategy<String> {
    let known = || select(&TEXTS[..]).prop_map(str::to_string);
    prop_oneof![
        8 => known(),
        2 => (known(), known()).prop_map(|(a, b)| a + &b),
        2 => vec(select(&CHARACTERS[..]), 0..12).prop_map(|c| c.into_iter().collect::<String>()),
        1 => vec(any::<char>(), 0..12).prop_map(|c| c.into_iter().collect::<String>()),
        1 => select(&LONG[..]).prop_map(|(part, times)| part.repeat(times)),
    ]
    .boxed()
}

const CHARACTERS: [char; 40] = [
    'a', 'b', 'Z', '0', '1', '9', ' ', '\t', '\n', '\0', ',', '.', ';', ':', '/', '\\', '\'', '"', '%', '_', '-', '+',
    '*', '?', '(', ')', '[', ']', '{', '}', '$', '@', '=', '&', 'ä', 'ß', '中', '😀', '\u{301}', '\u{feff}',
];

/// Parts, and how often they come one behind another.
const LONG: [(&str, usize); 12] = [
    ("ab,", 200),
    ("😀", 100),
    ("9", 400),
    ("[", 3_000),
    ("{\"a\":", 3_000),
    ("(", 1_000),
    ("a*", 300),
    ("%", 300),
    ("[", 40),
    ("yyyy-", 50),
    ("%s", 40),
    ("$.a", 300),
];

const VARIANTS: [&str; 18] = [
    "null",
    "true",
    "0",
    "-128",
    "2147483648",
    "-9223372036854775808",
    "12345678901234567890",
    "-1.50",
    "1e300",
    "\"\"",
    "\"text\"",
    "\"ä😀\\u0000\"",
    "[]",
    "{}",
    "[1, [2, {\"a\": null}], \"x\"]",
    "{\"a\": 1, \"b\": {\"c\": [1.5, true]}}",
    "{\"\": {}, \"ä\": [[]]}",
    "[[[[[[[[1]]]]]]]]",
];

pub(crate) const TEXTS: [&str; 131] = [
    "",
    " ",
    "a",
    "abc",
    "ABC abc",
    "  padded ",
    "ä",
    "ǅ ß ŉ İ ı",
    "中文",
    "😀",
    "e\u{301}",
    "👩\u{200d}👩\u{200d}👧",
    "\u{10ffff}\u{feff}\0",
    "a\nb\r\nc",
    "%",
    "_",
    "a%b_c",
    "\\",
    "\\%",
    "!",
    "'",
    "\"",
    "(",
    "[a-",
    "(a+)+$",
    "^(\\w*)(\\d{1,3})?$",
    "\\p{L}+",
    "(?i)x|y",
    "a{1000}{1000}",
    "$1-$2",
    "$0",
    "\\1",
    "$.a",
    "$",
    "lax $.a[*].b",
    "strict $..a",
    "$.a[0]",
    "$['a']['b']",
    "$[?(@.a > 1)]",
    "$.a[-1:]",
    "$[",
    "{\"a\": [1, null, {\"b\": \"x\"}], \"c\": {\"d\": 1.5e3}}",
    "[1, 2, 3]",
    "[]",
    "{}",
    "{\"a\":1,\"a\":2}",
    "[1,",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "null",
    "NULL",
    "true",
    "FALSE",
    "t",
    "yes",
    "0",
    "-0",
    "1",
    "12",
    "+7",
    "-12.5",
    "1.",
    ".5",
    "1e10",
    "1e400",
    "1E-400",
    "NaN",
    "Infinity",
    "-Infinity",
    "0x1F",
    "1_000",
    "٣",
    "127",
    "-129",
    "2147483648",
    "-9223372036854775809",
    "99999999999999999999999999999999999999999",
    "0.00000000000000000000000000000000000000001",
    "2024-02-29",
    "2023-02-29",
    "2024-2-9",
    "0000-00-00",
    "0001-01-01",
    "-0001-12-31",
    "+10000-01-01",
    "9999-12-31 23:59:59.999999999",
    "2024-03-31 02:30:00",
    "2024-01-01T00:00:00Z",
    "1970-01-01 00:00:00.1234567890123",
    "12:34",
    "23:59:60",
    "24:00:00",
    "yyyy-MM-dd HH:mm:ss.SSS",
    "uuuu-MM-dd'T'HH:mm:ss.SSSSSSSSSXXX",
    "EEEE, d MMMM y G",
    "YYYY-'W'ww-e",
    "HH:mm a z",
    "[yyyy][MM]",
    "'open",
    "UTC",
    "Europe/Berlin",
    "GMT+05:30",
    "+25:00",
    "Mars/Phobos",
    "DAY",
    "MONTH",
    "YEAR",
    "QUARTER",
    "MILLENNIUM",
    "EPOCH",
    "MICROSECOND",
    "http://user:pw@example.com:8080/p/a?q=1&r=%20#f",
    "HOST",
    "QUERY",
    "q",
    "k=v,a=b,=,x",
    ",",
    "=",
    "%s %d %n %5.2f %x %-10S|%08d",
    "%1$s %2$tY %,d %e %b %c",
    "%999999999d",
    "%Z",
    "UTF-8",
    "UTF-16LE",
    "US-ASCII",
    "aGVsbG8=",
    "%41%zz+",
    "192.168.0.256",
    "name",
    "age",
    "SHA-256",
];
