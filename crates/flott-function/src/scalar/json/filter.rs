//! Filters of JSON paths: `[?(@.price < 10 && @.kind == 'book')]`.

use std::borrow::Cow;
use std::cmp::Ordering;

use regex::Regex;

use super::path::{Path, PathError};
use super::value::Json;
use crate::scalar::regex::java;

/// A condition on an element.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    Or(Vec<Filter>),
    And(Vec<Filter>),
    Not(Box<Filter>),
    Exists(Operand),
    Compare(Operand, Comparison, Operand),
    In(Operand, Vec<Json>, bool),
    Matches(Operand, Regex),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone)]
pub(super) enum Operand {
    /// `@..`: from the element.
    Element(Path),
    /// `$..`: from the root.
    Root(Path),
    Literal(Json),
}

impl Operand {
    fn value<'a>(&'a self, root: &'a Json, element: &'a Json) -> Option<Cow<'a, Json>> {
        match self {
            Operand::Element(path) => path.read_from(root, element),
            Operand::Root(path) => path.read_from(root, root),
            Operand::Literal(value) => Some(Cow::Borrowed(value)),
        }
    }
}

impl Filter {
    /// Reads `( condition )`; how many characters belong to it.
    pub(super) fn parse(chars: &[char]) -> Result<(Filter, usize), PathError> {
        let mut parser = Parser { chars, at: 0, depth: 0 };
        parser.expect('(')?;
        let filter = parser.or()?;
        parser.expect(')')?;
        Ok((filter, parser.at))
    }

    /// Whether an element fits.
    pub(super) fn holds(&self, root: &Json, element: &Json) -> bool {
        match self {
            Filter::Or(parts) => parts.iter().any(|p| p.holds(root, element)),
            Filter::And(parts) => parts.iter().all(|p| p.holds(root, element)),
            Filter::Not(inner) => !inner.holds(root, element),
            Filter::Exists(operand) => operand.value(root, element).is_some(),
            Filter::Compare(left, comparison, right) => {
                let (left, right) = (left.value(root, element), right.value(root, element));
                let order = left.zip(right).and_then(|(l, r)| compare(&l, &r));
                match comparison {
                    Comparison::Equal => order == Some(Ordering::Equal),
                    Comparison::NotEqual => order != Some(Ordering::Equal),
                    Comparison::Less => order == Some(Ordering::Less),
                    Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
                    Comparison::Greater => order == Some(Ordering::Greater),
                    Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
                }
            }
            Filter::In(operand, list, negated) => operand
                .value(root, element)
                .is_some_and(|v| list.iter().any(|l| compare(&v, l) == Some(Ordering::Equal)) != *negated),
            Filter::Matches(operand, regex) => {
                operand.value(root, element).is_some_and(|v| matches!(&*v, Json::Text(t) if regex.is_match(t)))
            }
        }
    }
}

/// The order of two values of one kind; none of values that have none.
fn compare(left: &Json, right: &Json) -> Option<Ordering> {
    match (left, right) {
        (Json::Integer(l), Json::Integer(r)) => match (l.parse::<i128>(), r.parse::<i128>()) {
            (Ok(l), Ok(r)) => Some(l.cmp(&r)),
            _ => l.parse::<f64>().ok()?.partial_cmp(&r.parse::<f64>().ok()?),
        },
        (Json::Integer(l) | Json::Decimal(l), Json::Integer(r) | Json::Decimal(r)) => {
            l.parse::<f64>().ok()?.partial_cmp(&r.parse::<f64>().ok()?)
        }
        (Json::Text(l), Json::Text(r)) => Some(l.cmp(r)),
        (Json::Bool(l), Json::Bool(r)) => Some(l.cmp(r)),
        (l, r) if l == r => Some(Ordering::Equal),
        _ => None,
    }
}

/// How deep brackets and negations may nest.
const DEPTH_MAX: usize = 64;

struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn blanks(&mut self) {
        while self.chars.get(self.at) == Some(&' ') {
            self.at += 1;
        }
    }

    fn wrong<T>(&self) -> Result<T, PathError> {
        let filter: String = self.chars.iter().take(200).collect();
        Err(PathError::Wrong(format!("the filter '?{filter}' cannot be read")))
    }

    fn accept(&mut self, token: &str) -> bool {
        self.blanks();
        let found = self.chars[self.at.min(self.chars.len())..].iter().copied().take(token.len()).eq(token.chars());
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: char) -> Result<(), PathError> {
        if self.accept(token.encode_utf8(&mut [0; 4])) { Ok(()) } else { self.wrong() }
    }

    fn or(&mut self) -> Result<Filter, PathError> {
        let mut parts = vec![self.and()?];
        while self.accept("||") {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Filter::Or(parts) })
    }

    fn and(&mut self) -> Result<Filter, PathError> {
        let mut parts = vec![self.term()?];
        while self.accept("&&") {
            parts.push(self.term()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Filter::And(parts) })
    }

    fn term(&mut self) -> Result<Filter, PathError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.wrong();
        }
        let term = if self.accept("!") {
            Filter::Not(Box::new(self.term()?))
        } else if self.accept("(") {
            let inner = self.or()?;
            self.expect(')')?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(term)
    }

    fn comparison(&mut self) -> Result<Filter, PathError> {
        const OPERATORS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let left = self.operand()?;
        if self.accept("=~") {
            return self.pattern(left);
        }
        for (token, comparison) in OPERATORS {
            if self.accept(token) {
                return Ok(Filter::Compare(left, comparison, self.operand()?));
            }
        }
        for (word, negated) in [("in", false), ("IN", false), ("nin", true), ("NIN", true)] {
            if self.accept(word) {
                return match self.operand()? {
                    Operand::Literal(Json::Array(list)) => Ok(Filter::In(left, list, negated)),
                    _ => self.wrong(),
                };
            }
        }
        for word in ["subsetof", "anyof", "noneof", "contains", "size", "empty", "type", "SUBSETOF", "SIZE", "EMPTY"] {
            if self.accept(word) {
                return Err(PathError::Unsupported(format!("the operator {word}")));
            }
        }
        Ok(Filter::Exists(left))
    }

    /// `/pattern/flags`: the whole text must fit.
    fn pattern(&mut self, left: Operand) -> Result<Filter, PathError> {
        self.expect('/')?;
        let start = self.at;
        while self.chars.get(self.at).is_some_and(|c| *c != '/') {
            self.at += if self.chars[self.at] == '\\' { 2 } else { 1 };
        }
        let text: String = self.chars[start.min(self.chars.len())..self.at.min(self.chars.len())].iter().collect();
        self.expect('/')?;
        let ignore_case = self.chars.get(self.at) == Some(&'i');
        self.at += usize::from(ignore_case);
        let regex = java(&format!("{}^(?:{text})$", if ignore_case { "(?i)" } else { "" }));
        match regex {
            Ok(regex) => Ok(Filter::Matches(left, regex)),
            Err(e) => Err(PathError::Wrong(e.to_string())),
        }
    }

    fn operand(&mut self) -> Result<Operand, PathError> {
        self.blanks();
        let rest = &self.chars[self.at.min(self.chars.len())..];
        match rest.first() {
            Some(first @ ('@' | '$')) => {
                let (path, used) = Path::parse_prefix(rest)?;
                self.at += used;
                Ok(if *first == '@' { Operand::Element(path) } else { Operand::Root(path) })
            }
            Some('\'') => {
                let mut text = String::new();
                self.at += 1;
                while let Some(c) = self.chars.get(self.at) {
                    self.at += 1;
                    match c {
                        '\'' => return Ok(Operand::Literal(Json::Text(text))),
                        '\\' => {
                            text.extend(self.chars.get(self.at));
                            self.at += 1;
                        }
                        c => text.push(*c),
                    }
                }
                self.wrong()
            }
            Some('[') => {
                self.at += 1;
                let mut list = vec![];
                while !self.accept("]") {
                    match self.operand()? {
                        Operand::Literal(value) => list.push(value),
                        _ => return self.wrong(),
                    }
                    self.accept(",");
                }
                Ok(Operand::Literal(Json::Array(list)))
            }
            Some('"') => {
                let end = (1..rest.len()).find(|i| rest[*i] == '"' && rest[*i - 1] != '\\');
                let Some(end) = end else { return self.wrong() };
                self.literal(end + 1)
            }
            Some(_) => {
                let length =
                    rest.iter().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.')).count();
                self.literal(length)
            }
            None => self.wrong(),
        }
    }

    fn literal(&mut self, length: usize) -> Result<Operand, PathError> {
        let text: String = self.chars[self.at..self.at + length].iter().collect();
        match Json::parse(&text) {
            Ok(value) => {
                self.at += length;
                Ok(Operand::Literal(value))
            }
            Err(_) => self.wrong(),
        }
    }
}
