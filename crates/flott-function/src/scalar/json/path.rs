//! JSON paths: the dialect of Jayway's JsonPath, which Flink uses. Steps are followed from a value; a path that can lead to
//! several places gives an array of what it finds.

use std::borrow::Cow;

use super::filter::Filter;
use super::value::Json;
use crate::text::format_double;

/// How a path treats what is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// An error.
    Strict,
    /// Nothing.
    Lax,
}

/// A path with its mode.
#[derive(Debug, Clone)]
pub(super) struct JsonPath {
    pub(super) mode: Mode,
    /// An error is one of the rows: ON ERROR decides.
    pub(super) path: Result<Path, String>,
}

impl JsonPath {
    /// Reads `[strict | lax] path`; `Err` where a part is known and not supported.
    pub(super) fn new(text: &str) -> flott_core::Result<JsonPath> {
        let trimmed = text.trim_start();
        let with_mode = |word: &str| {
            let (head, rest) = trimmed.split_at_checked(word.len())?;
            (head.eq_ignore_ascii_case(word) && rest.starts_with(char::is_whitespace)).then(|| rest.trim_start())
        };
        let (mode, rest) = match (with_mode("lax"), with_mode("strict")) {
            (Some(rest), _) => (Mode::Lax, rest),
            (_, Some(rest)) => (Mode::Strict, rest),
            _ => (Mode::Strict, text),
        };
        match Path::parse(rest) {
            Err(PathError::Unsupported(what)) => {
                Err(flott_core::Error::user(format!("not supported yet: {what} in the JSON path '{text}'"))
                    .hint("Take the array with JSON_QUERY and use the functions of arrays"))
            }
            Err(PathError::Wrong(why)) => Ok(JsonPath { mode, path: Err(why) }),
            Ok(path) => Ok(JsonPath { mode, path: Ok(path) }),
        }
    }
}

/// Why a path is none.
#[derive(Debug, Clone)]
pub(super) enum PathError {
    Wrong(String),
    Unsupported(String),
}

/// Steps from the root, or from the value that a filter looks at.
#[derive(Debug, Clone)]
pub(super) struct Path {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    /// `..`: also from everything inside.
    deep: bool,
    kind: StepKind,
}

#[derive(Debug, Clone)]
enum StepKind {
    Fields(Vec<String>),
    Elements(Vec<i64>),
    Slice(Option<i64>, Option<i64>),
    All,
    Filter(Box<Filter>),
    Function(Function),
}

#[derive(Debug, Clone, Copy)]
enum Function {
    Length,
    Keys,
    Sum,
    Min,
    Max,
    Average,
}

type Found<'a> = Vec<Cow<'a, Json>>;

impl Path {
    /// Reads a path that begins with `$` or `@`; without one it is read from the root.
    pub(super) fn parse(text: &str) -> Result<Path, PathError> {
        if text.is_empty() {
            return Err(PathError::Wrong("the path is empty".to_string()));
        }
        let whole = if text.starts_with(['$', '@']) { text.trim_end().to_string() } else { format!("$.{text}") };
        let mut parser = Parser { chars: whole.chars().collect(), at: 1 };
        let steps = parser.steps()?;
        if parser.at < parser.chars.len() {
            return Err(PathError::Wrong(format!("unexpected '{}' in '{whole}'", parser.chars[parser.at])));
        }
        Ok(Path { steps })
    }

    /// Reads a path inside a filter: how many characters belong to it.
    pub(super) fn parse_prefix(chars: &[char]) -> Result<(Path, usize), PathError> {
        let mut parser = Parser { chars: chars.to_vec(), at: 1 };
        let steps = parser.steps()?;
        Ok((Path { steps }, parser.at))
    }

    /// Whether it leads to at most one place.
    pub(super) fn is_definite(&self) -> bool {
        self.steps.iter().enumerate().all(|(i, s)| {
            !s.deep
                && match &s.kind {
                    StepKind::Fields(names) => names.len() == 1 || i + 1 == self.steps.len(),
                    StepKind::Elements(places) => places.len() == 1,
                    StepKind::Function(_) => true,
                    _ => false,
                }
        })
    }

    /// What it leads to: a value, or an array where it is not definite. `Err` where a definite path leads nowhere.
    pub(super) fn read<'a>(&self, root: &'a Json) -> Result<Cow<'a, Json>, String> {
        // A function works on all that the steps before it find.
        if let Some((Step { kind: StepKind::Function(function), .. }, before)) = self.steps.split_last() {
            let inner = Path { steps: before.to_vec() };
            let value = inner.read(root)?;
            return function.of(&value).map(Cow::Owned);
        }
        let definite = self.is_definite();
        let mut found = vec![];
        follow(&self.steps, root, root, true, &mut found)?;
        if !definite {
            return Ok(Cow::Owned(Json::Array(found.into_iter().map(Cow::into_owned).collect())));
        }
        found.into_iter().next().ok_or_else(|| "No results for path".to_string())
    }

    /// The same from a value inside a document, as filters do; nothing where it leads nowhere.
    pub(super) fn read_from<'a>(&self, root: &'a Json, from: &'a Json) -> Option<Cow<'a, Json>> {
        if let Some((Step { kind: StepKind::Function(function), .. }, before)) = self.steps.split_last() {
            let value = Path { steps: before.to_vec() }.read_from(root, from)?;
            return function.of(&value).ok().map(Cow::Owned);
        }
        let definite = self.is_definite();
        let mut found = vec![];
        follow(&self.steps, root, from, true, &mut found).ok()?;
        if definite {
            return found.into_iter().next();
        }
        Some(Cow::Owned(Json::Array(found.into_iter().map(Cow::into_owned).collect())))
    }
}

fn follow<'a>(
    steps: &[Step],
    root: &'a Json,
    value: &'a Json,
    definite: bool,
    out: &mut Found<'a>,
) -> Result<(), String> {
    let Some((step, rest)) = steps.split_first() else {
        out.push(Cow::Borrowed(value));
        return Ok(());
    };
    if step.deep {
        return descend(step, rest, root, value, out);
    }
    take(&step.kind, rest, root, value, definite, out)
}

fn descend<'a>(step: &Step, rest: &[Step], root: &'a Json, value: &'a Json, out: &mut Found<'a>) -> Result<(), String> {
    take(&step.kind, rest, root, value, false, out)?;
    match value {
        Json::Array(items) => items.iter().try_for_each(|v| descend(step, rest, root, v, out)),
        Json::Object(fields) => fields.iter().try_for_each(|(_, v)| descend(step, rest, root, v, out)),
        _ => Ok(()),
    }
}

fn take<'a>(
    kind: &StepKind,
    rest: &[Step],
    root: &'a Json,
    value: &'a Json,
    definite: bool,
    out: &mut Found<'a>,
) -> Result<(), String> {
    let nothing = |why: String| if definite { Err(why) } else { Ok(()) };
    match (kind, value) {
        (StepKind::Fields(names), Json::Object(fields)) => match names.as_slice() {
            [name] => match fields.iter().find(|(k, _)| k == name) {
                Some((_, v)) => follow(rest, root, v, definite, out),
                None => nothing(format!("No results for path: $['{name}']")),
            },
            names if rest.is_empty() => {
                // Several fields at the end make an object of them.
                let kept = fields.iter().filter(|(k, _)| names.contains(k)).cloned().collect();
                out.push(Cow::Owned(Json::Object(kept)));
                Ok(())
            }
            names => {
                let mut found = names.iter().filter_map(|n| fields.iter().find(|(k, _)| k == n));
                found.try_for_each(|(_, v)| follow(rest, root, v, false, out))
            }
        },
        (StepKind::Fields(names), _) => nothing(format!("Expected to find an object with property {names:?}")),
        (StepKind::Elements(places), Json::Array(items)) => {
            let single = places.len() == 1;
            for place in places {
                let at = if *place < 0 { *place + items.len() as i64 } else { *place };
                match usize::try_from(at).ok().and_then(|at| items.get(at)) {
                    Some(v) => follow(rest, root, v, definite && single, out)?,
                    None if single => nothing(format!("No results for path: $[{place}]"))?,
                    None => {}
                }
            }
            Ok(())
        }
        (StepKind::Slice(from, to), Json::Array(items)) => {
            let count = items.len() as i64;
            let place = |n: i64| if n < 0 { (n + count).max(0) } else { n.min(count) } as usize;
            let (from, to) = (from.map_or(0, place), to.map_or(items.len(), place));
            if from < to {
                items[from..to].iter().try_for_each(|v| follow(rest, root, v, false, out))?;
            }
            Ok(())
        }
        (StepKind::Elements(_) | StepKind::Slice(..), _) => {
            nothing("an element can only be taken from an array".to_string())
        }
        (StepKind::All, Json::Array(items)) => items.iter().try_for_each(|v| follow(rest, root, v, false, out)),
        (StepKind::All, Json::Object(fields)) => fields.iter().try_for_each(|(_, v)| follow(rest, root, v, false, out)),
        (StepKind::All, _) => Ok(()),
        (StepKind::Filter(filter), Json::Array(items)) => {
            let mut kept = items.iter().filter(|v| filter.holds(root, v));
            kept.try_for_each(|v| follow(rest, root, v, false, out))
        }
        (StepKind::Filter(filter), object @ Json::Object(_)) if filter.holds(root, object) => {
            follow(rest, root, object, false, out)
        }
        (StepKind::Filter(_), Json::Object(_)) => Ok(()),
        (StepKind::Filter(_), _) => nothing("a filter can only be applied to arrays and objects".to_string()),
        (StepKind::Function(_), _) => Err("a function must be the last step of a path".to_string()),
    }
}

impl Function {
    fn of(self, value: &Json) -> Result<Json, String> {
        let numbers = || -> Result<Vec<f64>, String> {
            let Json::Array(items) = value else {
                return Err("Aggregation function attempted to calculate value using empty array".into());
            };
            let numbers: Vec<f64> = items
                .iter()
                .filter_map(|v| match v {
                    Json::Integer(n) | Json::Decimal(n) => n.parse().ok(),
                    _ => None,
                })
                .collect();
            if numbers.is_empty() {
                Err("Aggregation function attempted to calculate value using empty array".into())
            } else {
                Ok(numbers)
            }
        };
        let double = |v: f64| Json::Decimal(format_double(v));
        Ok(match (self, value) {
            (Function::Length, Json::Array(items)) => Json::Integer(items.len().to_string()),
            (Function::Length, Json::Object(fields)) => Json::Integer(fields.len().to_string()),
            (Function::Length, _) => Json::Null,
            (Function::Keys, Json::Object(fields)) => {
                Json::Array(fields.iter().map(|(k, _)| Json::Text(k.clone())).collect())
            }
            (Function::Keys, _) => Json::Null,
            (Function::Sum, _) => double(numbers()?.into_iter().sum()),
            (Function::Min, _) => double(numbers()?.into_iter().fold(f64::INFINITY, f64::min)),
            (Function::Max, _) => double(numbers()?.into_iter().fold(f64::NEG_INFINITY, f64::max)),
            (Function::Average, _) => {
                let numbers = numbers()?;
                double(numbers.iter().sum::<f64>() / numbers.len() as f64)
            }
        })
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn wrong<T>(&self, why: &str) -> Result<T, PathError> {
        let path: String = self.chars.iter().take(200).collect();
        Err(PathError::Wrong(format!("{why} in the path '{path}'")))
    }

    fn steps(&mut self) -> Result<Vec<Step>, PathError> {
        let mut steps = vec![];
        loop {
            let deep = match self.peek() {
                Some('.') if self.chars.get(self.at + 1) == Some(&'.') => {
                    self.at += 2;
                    true
                }
                Some('.') => {
                    self.at += 1;
                    false
                }
                Some('[') => false,
                _ => return Ok(steps),
            };
            let after_dot = self.chars.get(self.at.saturating_sub(1)) == Some(&'.');
            let kind = match self.peek() {
                Some('[') => self.bracket()?,
                Some('*') => {
                    self.at += 1;
                    StepKind::All
                }
                Some(_) if after_dot => self.dotted()?,
                _ => return self.wrong("a path must not end with a '.'"),
            };
            steps.push(Step { deep, kind });
        }
    }

    /// `.name` or `.function()`
    fn dotted(&mut self) -> Result<StepKind, PathError> {
        let start = self.at;
        while let Some(c) = self.peek() {
            match c {
                '.' | '[' | '(' => break,
                // Inside a filter a name ends where an operator begins.
                ' ' | ')' | ']' | '=' | '!' | '<' | '>' | '&' | '|' | ',' => break,
                _ => self.at += 1,
            }
        }
        let name: String = self.chars[start..self.at].iter().collect();
        if name.is_empty() {
            return self.wrong("a name is missing");
        }
        if self.peek() != Some('(') {
            return Ok(StepKind::Fields(vec![name]));
        }
        if self.chars.get(self.at + 1) != Some(&')') {
            return Err(PathError::Unsupported(format!("the function {name}(..)")));
        }
        self.at += 2;
        Ok(StepKind::Function(match name.as_str() {
            "length" | "size" => Function::Length,
            "keys" => Function::Keys,
            "sum" => Function::Sum,
            "min" => Function::Min,
            "max" => Function::Max,
            "avg" => Function::Average,
            _ => return Err(PathError::Unsupported(format!("the function {name}()"))),
        }))
    }

    fn blanks(&mut self) {
        while self.peek() == Some(' ') {
            self.at += 1;
        }
    }

    fn bracket(&mut self) -> Result<StepKind, PathError> {
        self.at += 1;
        self.blanks();
        let kind = match self.peek() {
            Some('*') => {
                self.at += 1;
                StepKind::All
            }
            Some('?') => {
                self.at += 1;
                let (filter, used) = Filter::parse(&self.chars[self.at..])?;
                self.at += used;
                StepKind::Filter(Box::new(filter))
            }
            Some('\'' | '"') => {
                let mut names = vec![];
                loop {
                    self.blanks();
                    names.push(self.quoted()?);
                    self.blanks();
                    if self.peek() != Some(',') {
                        break;
                    }
                    self.at += 1;
                }
                StepKind::Fields(names)
            }
            _ => self.places()?,
        };
        self.blanks();
        if self.peek() != Some(']') {
            return self.wrong("']' is missing");
        }
        self.at += 1;
        Ok(kind)
    }

    fn quoted(&mut self) -> Result<String, PathError> {
        let Some(quote @ ('\'' | '"')) = self.peek() else { return self.wrong("a quoted name is missing") };
        self.at += 1;
        let mut name = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                c if c == quote => return Ok(name),
                '\\' => {
                    name.extend(self.peek());
                    self.at += 1;
                }
                c => name.push(c),
            }
        }
        self.wrong("a quote is not closed")
    }

    fn number(&mut self) -> Option<i64> {
        let start = self.at;
        if self.peek() == Some('-') {
            self.at += 1;
        }
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect::<String>().parse().ok()
    }

    /// `1`, `0,2`, `1:3`
    fn places(&mut self) -> Result<StepKind, PathError> {
        let first = self.number();
        self.blanks();
        if self.peek() == Some(':') {
            self.at += 1;
            self.blanks();
            return Ok(StepKind::Slice(first, self.number()));
        }
        let Some(first) = first else { return self.wrong("an index is missing") };
        let mut places = vec![first];
        while self.peek() == Some(',') {
            self.at += 1;
            self.blanks();
            match self.number() {
                Some(place) => places.push(place),
                None => return self.wrong("an index is missing"),
            }
            self.blanks();
        }
        Ok(StepKind::Elements(places))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, path: &str) -> String {
        let path = JsonPath::new(path).expect("a path");
        let value = Json::parse(json).expect("JSON");
        match path.path.and_then(|p| p.read(&value).map(Cow::into_owned)) {
            Ok(v) => v.to_string(),
            Err(_) => "ERROR".to_string(),
        }
    }

    #[test]
    fn paths_as_jayway_reads_them() {
        const LIST: &str = r#"{"a":[{"b":1,"c":"x"},{"b":2,"c":"y"},{"c":"z"}]}"#;
        const TREE: &str = r#"{"a":{"x":1,"b":{"x":2}}}"#;
        for (json, path, expected) in [
            (r#"{"a":[1,2]}"#, "$.a[1]", "2"),
            (r#"{"a":[1,2]}"#, "$.a[-1]", "2"),
            (r#"{"a":[1,2]}"#, "$.a[5]", "ERROR"),
            (r#"{"a":[1,2,3,4]}"#, "$.a[1:3]", "[2,3]"),
            (r#"{"a":[1,2,3,4]}"#, "$.a[-2:]", "[3,4]"),
            (r#"{"a":[1,2,3,4]}"#, "$.a[:2]", "[1,2]"),
            (r#"{"a":[1,2,3,4]}"#, "$.a[0,9]", "[1]"),
            (r#"{"a b":5}"#, "$.['a b']", "5"),
            (r#"{"a.b":5}"#, "$['a.b']", "5"),
            (r#"{"a":1}"#, "a", "1"),
            (r#"{"a":1}"#, "lax  $.a", "1"),
            (r#"{"a":1}"#, " $.a", "ERROR"),
            (r#"{"a":1}"#, "$a", "ERROR"),
            (r#"{"a":1}"#, "$.", "ERROR"),
            (r#"{"a":1}"#, "", "ERROR"),
            (r#"{"a b":1}"#, "$.a b", "ERROR"),
            (r#"{"a-b":1}"#, "$.a-b", "1"),
            (TREE, "$.a['x','b']", r#"{"b":{"x":2},"x":1}"#),
            (TREE, "$..x", "[1,2]"),
            (TREE, "$..*", r#"[{"b":{"x":2},"x":1},1,{"x":2},2]"#),
            (TREE, "$.a.*", r#"[1,{"x":2}]"#),
            (LIST, "$.a[?(@.b > 1)]", r#"[{"b":2,"c":"y"}]"#),
            (LIST, "$.a[?(@.b != 1)].c", r#"["y","z"]"#),
            (LIST, "$.a[?(@.c == \"y\" || @.b == 1)].b", "[1,2]"),
            (LIST, "$.a[?(@.b == 1 && @.c == 'x')].c", r#"["x"]"#),
            (LIST, "$.a[?(@.b)].c", r#"["x","y"]"#),
            (LIST, "$.a[?(!@.b)].c", r#"["z"]"#),
            (LIST, "$.a[?(@.c in ['y','z'])].c", r#"["y","z"]"#),
            (LIST, "$.a[?(@.c =~ /[xy]/)].b", "[1,2]"),
            (r#"{"a":[1,5,9]}"#, "$.a[?(@ > 4)]", "[5,9]"),
            (r#"{"a":[1,2,3]}"#, "$.a.length()", "3"),
            (r#"{"a":[1,2,3]}"#, "$.a.sum()", "6.0"),
            (r#"{"a":[]}"#, "$.a[*]", "[]"),
            (r#"{"a":[]}"#, "$.b[*]", "ERROR"),
        ] {
            assert_eq!(read(json, path), expected, "{path}");
        }
        assert!(JsonPath::new("$.a.stddev()").is_err());
    }
}
