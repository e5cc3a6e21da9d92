//! Reads a type as Flink writes it, both the summary and the serialisable form.

use std::str::FromStr;

use super::*;
use crate::{Error, Result};

/// Types nest at most this deep.
pub const TYPE_DEPTH_MAX: usize = 128;

impl FromStr for LogicalType {
    type Err = Error;

    fn from_str(text: &str) -> Result<LogicalType> {
        parse(text, 1)
    }
}

/// A type that was printed: texts and bytes can be of no length, as those of the literal '' are, which nobody may declare.
pub(super) fn printed(text: &str) -> Result<LogicalType> {
    parse(text, 0)
}

fn parse(text: &str, least_length: u32) -> Result<LogicalType> {
    let mut parser = TypeParser { text, tokens: tokenize(text)?, at: 0, depth: 0, least_length };
    let parsed = parser.parse()?;
    match parser.peek() {
        None => Ok(parsed),
        Some(t) => Err(parser.error(&format!("unexpected '{}' after the type", t.text()))),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Text(String),
    Number(u32),
    Sign(char),
}

impl Token {
    fn text(&self) -> String {
        match self {
            Token::Word(w) => w.clone(),
            Token::Quoted(w) => format!("`{w}`"),
            Token::Text(t) => format!("'{t}'"),
            Token::Number(n) => n.to_string(),
            Token::Sign(c) => c.to_string(),
        }
    }
}

fn tokenize(text: &str) -> Result<Vec<Token>> {
    let mut tokens = vec![];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '`' | '\'' => {
                let mut word = String::new();
                loop {
                    match chars.next() {
                        Some(q) if q == c && chars.peek() == Some(&c) => {
                            chars.next();
                            word.push(c);
                        }
                        Some(q) if q == c => break,
                        Some(other) => word.push(other),
                        None => return Err(Error::user(format!("unterminated {c} in type '{text}'"))),
                    }
                }
                tokens.push(if c == '`' { Token::Quoted(word) } else { Token::Text(word) });
            }
            c if c.is_ascii_digit() => {
                let mut n = String::from(c);
                while let Some(d) = chars.next_if(char::is_ascii_digit) {
                    n.push(d);
                }
                let n = n.parse().map_err(|_| Error::user(format!("{n} is too large in type '{text}'")))?;
                tokens.push(Token::Number(n));
            }
            c if c.is_alphabetic() || c == '_' || c == '$' => {
                let mut w = String::from(c);
                while let Some(d) = chars.next_if(|d| d.is_alphanumeric() || *d == '_' || *d == '$') {
                    w.push(d);
                }
                tokens.push(Token::Word(w));
            }
            '<' | '>' | '(' | ')' | ',' | '*' | '[' | ']' => tokens.push(Token::Sign(c)),
            other => return Err(Error::user(format!("unexpected '{other}' in type '{text}'"))),
        }
    }
    Ok(tokens)
}

struct TypeParser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    least_length: u32,
}

impl TypeParser<'_> {
    fn error(&self, what: &str) -> Error {
        Error::user(format!("{what}, in type '{}'", self.text))
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let t = self.tokens.get(self.at).cloned();
        self.at += 1;
        t
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: char) -> Result<()> {
        if self.sign(sign) {
            return Ok(());
        }
        let found = self.peek().map_or("the end".to_string(), |t| format!("'{}'", t.text()));
        Err(self.error(&format!("expected '{sign}' but found {found}")))
    }

    fn number(&mut self) -> Result<u32> {
        match self.next() {
            Some(Token::Number(n)) => Ok(n),
            _ => Err(self.error("expected a number")),
        }
    }

    fn length(&mut self, default: u32) -> Result<u32> {
        if !self.sign('(') {
            return Ok(default);
        }
        let n = self.number()?;
        self.expect(')')?;
        let least = self.least_length;
        if n < least || n > MAX_LENGTH {
            return Err(self.error(&format!("a length must be between {least} and {MAX_LENGTH}")));
        }
        Ok(n)
    }

    fn precision(&mut self, default: u8, most: u8) -> Result<u8> {
        if !self.sign('(') {
            return Ok(default);
        }
        let n = self.number()?;
        self.expect(')')?;
        u8::try_from(n)
            .ok()
            .filter(|n| *n <= most)
            .ok_or_else(|| self.error(&format!("a precision must be between 0 and {most}")))
    }

    fn parse(&mut self) -> Result<LogicalType> {
        self.depth += 1;
        if self.depth > TYPE_DEPTH_MAX {
            return Err(Error::user(format!("a type nests deeper than {TYPE_DEPTH_MAX}")).hint(
                "Declare what lies deeper as STRING, and read it where it is needed with JSON_VALUE or JSON_QUERY, or \
                 flatten the rows before they come here",
            ));
        }
        let kind = self.parse_kind()?;
        let mut parsed = LogicalType::from(kind);
        if self.word("NOT") {
            if !self.word("NULL") {
                return Err(self.error("expected NULL after NOT"));
            }
            parsed.nullable = false;
        } else {
            self.word("NULL");
        }
        while self.word("ARRAY") || self.word("MULTISET") {
            let multiset = matches!(&self.tokens[self.at - 1], Token::Word(w) if w.eq_ignore_ascii_case("MULTISET"));
            let element = Box::new(parsed);
            parsed = LogicalType::from(if multiset { TypeKind::Multiset(element) } else { TypeKind::Array(element) });
            if self.word("NOT") {
                self.word("NULL");
                parsed.nullable = false;
            }
        }
        self.depth -= 1;
        Ok(parsed)
    }

    fn attribute(&mut self) -> Result<TimeAttribute> {
        if !self.sign('*') {
            return Ok(TimeAttribute::None);
        }
        let attribute = if self.word("ROWTIME") {
            TimeAttribute::Rowtime
        } else if self.word("PROCTIME") {
            TimeAttribute::Proctime
        } else {
            return Err(self.error("expected ROWTIME or PROCTIME"));
        };
        self.expect('*')?;
        Ok(attribute)
    }

    fn parse_kind(&mut self) -> Result<TypeKind> {
        let word = match self.next() {
            Some(Token::Word(w)) => w,
            Some(t) => return Err(self.error(&format!("expected a type but found '{}'", t.text()))),
            None => return Err(self.error("expected a type but found the end")),
        };
        Ok(match word.to_ascii_uppercase().as_str() {
            "NULL" => TypeKind::Null,
            "BOOLEAN" => TypeKind::Boolean,
            "TINYINT" => TypeKind::TinyInt,
            "SMALLINT" => TypeKind::SmallInt,
            "INT" | "INTEGER" => TypeKind::Int,
            "BIGINT" => TypeKind::BigInt,
            "FLOAT" => TypeKind::Float,
            "DOUBLE" => {
                self.word("PRECISION");
                TypeKind::Double
            }
            // Without a length: those of Flink's SQL, where VARCHAR is STRING (in its Java strings it is VARCHAR(1)).
            "CHAR" | "CHARACTER" => {
                if self.word("VARYING") {
                    TypeKind::VarChar(self.length(MAX_LENGTH)?)
                } else {
                    TypeKind::Char(self.length(1)?)
                }
            }
            "VARCHAR" => TypeKind::VarChar(self.length(MAX_LENGTH)?),
            "STRING" => TypeKind::STRING,
            "BINARY" => {
                if self.word("VARYING") {
                    TypeKind::VarBinary(self.length(MAX_LENGTH)?)
                } else {
                    TypeKind::Binary(self.length(1)?)
                }
            }
            "VARBINARY" => TypeKind::VarBinary(self.length(MAX_LENGTH)?),
            "BYTES" => TypeKind::BYTES,
            "DECIMAL" | "DEC" | "NUMERIC" => self.decimal()?,
            "DATE" => TypeKind::Date,
            "TIME" => {
                let p = self.precision(0, 9)?;
                if self.word("WITHOUT") {
                    self.zone_words()?;
                }
                TypeKind::Time(p)
            }
            "TIMESTAMP" => self.timestamp()?,
            "TIMESTAMP_LTZ" => {
                let p = self.precision(6, 9)?;
                TypeKind::TimestampLtz(p, self.attribute()?)
            }
            "INTERVAL" => self.interval()?,
            "ARRAY" => TypeKind::Array(Box::new(self.element().map_err(|e| written(e, "ARRAY<INT>"))?)),
            "MULTISET" => TypeKind::Multiset(Box::new(self.element().map_err(|e| written(e, "MULTISET<INT>"))?)),
            "MAP" => {
                self.expect('<').map_err(|e| written(e, "MAP<STRING, INT>"))?;
                let key = self.parse()?;
                self.expect(',').map_err(|e| written(e, "MAP<STRING, INT>"))?;
                let value = self.parse()?;
                self.expect('>')?;
                TypeKind::Map(Box::new(key), Box::new(value))
            }
            "ROW" => TypeKind::Row(self.fields()?),
            "VARIANT" => TypeKind::Variant,
            "BITMAP" => TypeKind::Bitmap,
            "STRUCTURED" => self.structured()?,
            "RAW" | "DESCRIPTOR" => {
                return Err(self.error(&format!("the type {word} is not supported yet")));
            }
            _ => {
                const NAMES: [&str; 27] = [
                    "VARIANT",
                    "BITMAP",
                    "BOOLEAN",
                    "TINYINT",
                    "SMALLINT",
                    "INT",
                    "INTEGER",
                    "BIGINT",
                    "FLOAT",
                    "DOUBLE",
                    "CHAR",
                    "VARCHAR",
                    "STRING",
                    "BINARY",
                    "VARBINARY",
                    "BYTES",
                    "DECIMAL",
                    "NUMERIC",
                    "DATE",
                    "TIME",
                    "TIMESTAMP",
                    "TIMESTAMP_LTZ",
                    "INTERVAL",
                    "ARRAY",
                    "MAP",
                    "MULTISET",
                    "ROW",
                ];
                let error = self.error(&format!("unknown type '{word}'"));
                return Err(match (elsewhere(&word), crate::suggest::nearest(&word, NAMES)) {
                    (Some(here), _) => error.hint(format!("In Flink SQL it is {here}")),
                    (None, Some(near)) => error.hint(format!("Did you mean {near}?")),
                    (None, None) => error.hint(format!("Types are {}", NAMES.join(", "))),
                });
            }
        })
    }

    fn element(&mut self) -> Result<LogicalType> {
        self.expect('<')?;
        let element = self.parse()?;
        self.expect('>')?;
        Ok(element)
    }

    fn decimal(&mut self) -> Result<TypeKind> {
        let (mut precision, mut scale) = (10, 0);
        if self.sign('(') {
            precision = self.number()?;
            if self.sign(',') {
                scale = self.number()?;
            }
            self.expect(')')?;
        }
        if precision == 0 || precision > u32::from(MAX_DECIMAL_PRECISION) {
            return Err(self.error(&format!("a decimal's precision must be between 1 and {MAX_DECIMAL_PRECISION}")));
        }
        if scale > precision {
            return Err(self.error("a decimal's scale must not be larger than its precision"));
        }
        Ok(TypeKind::Decimal { precision: precision as u8, scale: scale as u8 })
    }

    fn zone_words(&mut self) -> Result<()> {
        if self.word("TIME") && self.word("ZONE") {
            return Ok(());
        }
        Err(self.error("expected TIME ZONE"))
    }

    fn timestamp(&mut self) -> Result<TypeKind> {
        let p = self.precision(6, 9)?;
        if self.word("WITHOUT") {
            self.zone_words()?;
        } else if self.word("WITH") {
            if !self.word("LOCAL") {
                return Err(self
                    .error("TIMESTAMP WITH TIME ZONE is not supported")
                    .hint("Use TIMESTAMP_LTZ, an instant shown in the session's time zone"));
            }
            self.zone_words()?;
            return Ok(TypeKind::TimestampLtz(p, self.attribute()?));
        }
        Ok(TypeKind::Timestamp(p, self.attribute()?))
    }

    fn interval(&mut self) -> Result<TypeKind> {
        use DayTimeResolution as D;
        let unit = match self.next() {
            Some(Token::Word(w)) => w.to_ascii_uppercase(),
            _ => return Err(self.error("expected a unit after INTERVAL")),
        };
        Ok(match unit.as_str() {
            "YEAR" => {
                let p = self.precision(2, 4)?;
                let to_month = self.word("TO") && self.word("MONTH");
                let r = if to_month { YearMonthResolution::YearToMonth } else { YearMonthResolution::Year };
                TypeKind::IntervalYearMonth(r, p)
            }
            "MONTH" => TypeKind::IntervalYearMonth(YearMonthResolution::Month, 2),
            "DAY" => {
                let p = self.precision(2, 6)?;
                let (r, s) = if self.word("TO") {
                    match self.next() {
                        Some(Token::Word(w)) if w.eq_ignore_ascii_case("HOUR") => (D::DayToHour, 6),
                        Some(Token::Word(w)) if w.eq_ignore_ascii_case("MINUTE") => (D::DayToMinute, 6),
                        Some(Token::Word(w)) if w.eq_ignore_ascii_case("SECOND") => {
                            (D::DayToSecond, self.precision(6, 9)?)
                        }
                        _ => return Err(self.error("expected HOUR, MINUTE or SECOND")),
                    }
                } else {
                    (D::Day, 6)
                };
                TypeKind::IntervalDayTime(r, p, s)
            }
            "HOUR" => {
                let (r, s) = if self.word("TO") {
                    if self.word("MINUTE") {
                        (D::HourToMinute, 6)
                    } else if self.word("SECOND") {
                        (D::HourToSecond, self.precision(6, 9)?)
                    } else {
                        return Err(self.error("expected MINUTE or SECOND"));
                    }
                } else {
                    (D::Hour, 6)
                };
                TypeKind::IntervalDayTime(r, 2, s)
            }
            "MINUTE" => {
                if self.word("TO") {
                    if !self.word("SECOND") {
                        return Err(self.error("expected SECOND"));
                    }
                    TypeKind::IntervalDayTime(D::MinuteToSecond, 2, self.precision(6, 9)?)
                } else {
                    TypeKind::IntervalDayTime(D::Minute, 2, 6)
                }
            }
            "SECOND" => TypeKind::IntervalDayTime(D::Second, 2, self.precision(6, 9)?),
            other => return Err(self.error(&format!("'{other}' is not a unit of an interval type"))),
        })
    }

    /// `<'class', a INT, b STRING>`
    fn structured(&mut self) -> Result<TypeKind> {
        self.expect('<')?;
        let class = match self.next() {
            Some(Token::Text(class)) if is_class_name(&class) => class,
            Some(Token::Text(class)) => {
                return Err(self.error(&format!(
                    "Invalid class name '{class}'. The class name must comply with JVM identifier rules."
                )));
            }
            _ => return Err(self.error("expected the name of a class in quotes")),
        };
        let fields = if self.sign(',') {
            self.fields_until('>')?
        } else {
            self.expect('>')?;
            vec![]
        };
        Ok(TypeKind::Structured(class, fields))
    }

    fn fields(&mut self) -> Result<Vec<RowField>> {
        let close = if self.sign('<') {
            '>'
        } else {
            self.expect('(')?;
            ')'
        };
        if self.sign(close) {
            return Ok(vec![]);
        }
        self.fields_until(close)
    }

    fn fields_until(&mut self, close: char) -> Result<Vec<RowField>> {
        let mut fields = vec![];
        loop {
            let name = match self.next() {
                Some(Token::Word(w) | Token::Quoted(w)) => w,
                _ => return Err(self.error("expected the name of a field")),
            };
            let data_type = self.parse()?;
            let comment = match self.peek() {
                Some(Token::Text(t)) => Some(t.clone()),
                _ => None,
            };
            self.at += usize::from(comment.is_some());
            if fields.iter().any(|f: &RowField| f.name == name) {
                return Err(self.error(&format!("field '{name}' stands twice in a ROW")));
            }
            fields.push(RowField { name, data_type, comment });
            if !self.sign(',') {
                self.expect(close)?;
                return Ok(fields);
            }
        }
    }
}

/// Whether a text is a class name of Java: identifiers with points between them, none of which is a keyword.
pub fn is_class_name(text: &str) -> bool {
    const KEYWORDS: &str = " _ abstract assert boolean break byte case catch char class const continue default do double else \
        enum extends false final finally float for goto if implements import instanceof int interface long native new null \
        package private protected public return short static strictfp super switch synchronized this throw throws transient \
        true try void volatile while ";
    text.split('.').all(|part| {
        let is_start = |c: char| c.is_alphabetic() || c == '_' || c == '$';
        part.chars().enumerate().all(|(i, c)| is_start(c) || (i > 0 && c.is_numeric()))
            && !part.is_empty()
            && !KEYWORDS.contains(&format!(" {part} "))
    })
}

/// The error of a type that lacks its parts, with an example.
fn written(error: Error, example: &str) -> Error {
    if error.hint_text().is_some() { error } else { error.hint(format!("It is written {example}")) }
}

/// What a type of another system is called here.
fn elsewhere(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_uppercase().as_str() {
        "DATETIME" | "DATETIME2" | "SMALLDATETIME" => "TIMESTAMP(3)",
        "TIMESTAMPTZ" | "DATETIMEOFFSET" | "TIMESTAMP_TZ" => "TIMESTAMP_LTZ(3)",
        "TEXT" | "NVARCHAR" | "NCHAR" | "VARCHAR2" | "CLOB" | "LONGTEXT" | "MEDIUMTEXT" | "JSON" | "JSONB" | "UUID" => {
            "STRING"
        }
        "BOOL" | "BIT" => "BOOLEAN",
        "LONG" | "INT8" | "INT64" | "BIGSERIAL" => "BIGINT",
        "INT4" | "INT32" | "SERIAL" | "MEDIUMINT" => "INT",
        "INT2" | "INT16" | "SHORT" => "SMALLINT",
        "FLOAT8" | "FLOAT64" => "DOUBLE",
        "FLOAT4" | "FLOAT32" | "REAL" => "FLOAT",
        "NUMBER" | "MONEY" | "BIGNUMERIC" => "DECIMAL(38, 18), with the precision and scale that you need",
        "BLOB" | "BYTEA" | "IMAGE" => "BYTES",
        "STRUCT" | "RECORD" => "ROW<name TYPE, ..>",
        "LIST" => "ARRAY<TYPE>",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_and_its_summary() {
        for (text, summary) in [
            ("INT", "INT"),
            ("INTEGER NOT NULL", "INT NOT NULL"),
            ("CHAR", "CHAR(1)"),
            ("VARCHAR(2147483647)", "STRING"),
            ("VARCHAR", "STRING"),
            ("CHAR VARYING", "STRING"),
            ("VARBINARY", "BYTES"),
            ("CHARACTER VARYING (7)", "VARCHAR(7)"),
            ("BYTES", "BYTES"),
            ("NUMERIC(5,2)", "DECIMAL(5, 2)"),
            ("DECIMAL", "DECIMAL(10, 0)"),
            ("DOUBLE PRECISION", "DOUBLE"),
            ("TIME", "TIME(0)"),
            ("TIMESTAMP", "TIMESTAMP(6)"),
            ("TIMESTAMP(3) *ROWTIME*", "TIMESTAMP(3) *ROWTIME*"),
            ("TIMESTAMP(3) WITH LOCAL TIME ZONE NOT NULL", "TIMESTAMP_LTZ(3) NOT NULL"),
            ("TIMESTAMP_LTZ(3) *PROCTIME* NOT NULL", "TIMESTAMP_LTZ(3) *PROCTIME* NOT NULL"),
            ("INTERVAL DAY TO SECOND(3)", "INTERVAL DAY(2) TO SECOND(3)"),
            ("INTERVAL YEAR TO MONTH", "INTERVAL YEAR(2) TO MONTH"),
            ("MAP<STRING, ARRAY<INT NOT NULL>>", "MAP<STRING, ARRAY<INT NOT NULL>>"),
            ("INT ARRAY", "ARRAY<INT>"),
            ("MULTISET<STRING>", "MULTISET<STRING>"),
            ("ROW<a INT, `b c` ROW<x STRING 'why'>>", "ROW<`a` INT, `b c` ROW<`x` STRING 'why'>>"),
            ("ROW(a INT)", "ROW<`a` INT>"),
        ] {
            let t: LogicalType = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(t.to_string(), summary);
            assert_eq!(summary.parse::<LogicalType>().expect("its own summary"), t);
        }
    }

    #[test]
    fn wrong_types_are_refused_with_a_reason() {
        for (text, part) in [
            ("DECIMAL(39, 0)", "between 1 and 38"),
            ("DECIMAL(3, 4)", "scale"),
            ("TIMESTAMP(10)", "between 0 and 9"),
            ("VARCHAR(0)", "length"),
            ("STRIN", "Did you mean STRING?"),
            ("DATETIME", "TIMESTAMP(3)"),
            ("ARRAY<TEXT>", "STRING"),
            ("WHATEVER", "Types are VARIANT"),
            ("ARRAY", "ARRAY<INT>"),
            ("MAP<STRING>", "MAP<STRING, INT>"),
            ("ARRAY<INT", "expected '>'"),
            ("INT INT", "unexpected"),
            ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP_LTZ"),
            ("ROW<a INT, a INT>", "twice"),
        ] {
            let e = text.parse::<LogicalType>().expect_err(text).to_string();
            assert!(e.contains(part), "{text}: {e}");
        }
        let deep = format!("{}INT{}", "ARRAY<".repeat(10_000), ">".repeat(10_000));
        let error = deep.parse::<LogicalType>().expect_err("too deep");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("STRING")), "{error}");
    }
}
