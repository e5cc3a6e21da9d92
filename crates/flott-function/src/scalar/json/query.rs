//! IS JSON, JSON_EXISTS, JSON_VALUE, JSON_QUERY: what a path finds in a text, and what is given where it finds nothing.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, ListBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{Array, ArrayRef};
use arrow_select::interleave::interleave;
use datafusion_expr::ColumnarValue;
use flott_core::types::{TypeKind as K, arrow_field};
use flott_core::{Error, LogicalType, Result};

use super::super::Arguments;
use super::super::shape::fit;
use super::path::{JsonPath, Mode};
use super::value::Json;
use super::word;
use crate::argument::{Text, build_boolean, build_text, finish, rows_of};
use crate::udf::{Resolved, columns};

/// The path argument: read once where it is constant.
enum PathArgument {
    Constant(Option<JsonPath>),
    Column,
}

/// A path for each row.
enum PathRows<'a> {
    Constant(Option<&'a JsonPath>),
    Column(Text, Option<(String, JsonPath)>),
}

impl PathArgument {
    /// Checks the first two arguments; `None` where they are no texts.
    fn of(a: &mut Arguments) -> Result<Option<PathArgument>> {
        if !fit(a, &[K::STRING, K::STRING])? {
            return Ok(None);
        }
        Ok(Some(match (a.values[1].text(), a.values[1].constant()) {
            (Some(text), _) => PathArgument::Constant(Some(JsonPath::new(text)?)),
            (None, Some(_)) => PathArgument::Constant(None),
            _ => PathArgument::Column,
        }))
    }

    fn rows(&self, value: &ColumnarValue) -> Result<PathRows<'_>> {
        Ok(match self {
            PathArgument::Constant(path) => PathRows::Constant(path.as_ref()),
            PathArgument::Column => PathRows::Column(Text::of(value)?, None),
        })
    }
}

impl PathRows<'_> {
    fn get(&mut self, row: usize) -> Result<Option<&JsonPath>> {
        match self {
            PathRows::Constant(path) => Ok(*path),
            PathRows::Column(texts, last) => {
                let Some(text) = texts.get(row) else { return Ok(None) };
                if last.as_ref().is_none_or(|(t, _)| t != text) {
                    *last = Some((text.to_string(), JsonPath::new(text)?));
                }
                Ok(last.as_ref().map(|(_, p)| p))
            }
        }
    }
}

/// What a path finds: a value, nothing, or an error that ON ERROR handles.
fn read<'a>(document: &'a std::result::Result<Json, String>, path: &JsonPath) -> Looked<'a> {
    let document = match (document, path.mode) {
        (Ok(Json::Null), _) => return Err("json object can not be null".to_string()),
        (Ok(document), _) => document,
        (Err(why), Mode::Strict) => return Err(why.clone()),
        (Err(_), Mode::Lax) => return Ok(None),
    };
    let steps = path.path.as_ref().map_err(Clone::clone)?;
    match (steps.read(document), path.mode) {
        (Ok(found), _) if *found != Json::Null => Ok(Some(found)),
        // A strict path has to find something: null is an error like a field that is not there.
        (Ok(_), Mode::Strict) => {
            Err("Strict jsonpath mode requires a non empty returned value, but is null".to_string())
        }
        (Ok(_), Mode::Lax) => Ok(None),
        (Err(why), Mode::Strict) => Err(why),
        (Err(_), Mode::Lax) if steps.is_definite() => Ok(None),
        (Err(_), Mode::Lax) => Ok(Some(Cow::Owned(Json::Array(vec![])))),
    }
}

type Looked<'a> = std::result::Result<Option<Cow<'a, Json>>, String>;

fn failed(why: &str) -> Error {
    Error::data(why).hint("NULL ON ERROR gives NULL instead")
}

/// Calls with what the path finds in each row, or `None` where the text or the path is NULL.
fn each(
    args: &[ColumnarValue],
    path: &PathArgument,
    rows: usize,
    mut f: impl FnMut(Option<Looked>) -> Result<()>,
) -> Result<()> {
    let (texts, mut paths) = (Text::of(&args[0])?, path.rows(&args[1])?);
    // A constant text is read once.
    let constant = match &texts {
        Text::Constant(Some(t)) => Some(Json::parse(t)),
        _ => None,
    };
    for row in 0..rows {
        match (texts.get(row), paths.get(row)?) {
            (Some(text), Some(path)) => match &constant {
                Some(document) => f(Some(read(document, path)))?,
                None => f(Some(read(&Json::parse(text), path)))?,
            },
            _ => f(None)?,
        }
    }
    Ok(())
}

pub(super) fn is_json(a: &mut Arguments) -> Result<Option<Resolved>> {
    let kind = word(a, 1, "VALUE")?;
    a.values.truncate(1);
    if !fit(a, &[K::STRING])? {
        return Ok(None);
    }
    let resolved = Resolved::new(K::Boolean.not_null(), move |args, rows| {
        let texts = Text::of(&args[0])?;
        build_boolean(args, rows, |i| {
            let value = texts.get(i).map(Json::parse);
            Ok(Some(match value {
                Some(Ok(value)) => match kind.as_str() {
                    "ARRAY" => matches!(value, Json::Array(_)),
                    "OBJECT" => matches!(value, Json::Object(_)),
                    "SCALAR" => value.is_scalar(),
                    _ => true,
                },
                _ => false,
            }))
        })
    });
    Ok(Some(resolved.infallible()))
}

pub(super) fn exists(a: &mut Arguments) -> Result<Option<Resolved>> {
    let on_error = word(a, 2, "FALSE")?;
    a.values.truncate(2);
    let Some(path) = PathArgument::of(a)? else { return Ok(None) };
    Ok(Some(Resolved::new(K::Boolean.nullable(), move |args, rows| {
        let rows = rows_of(args, rows);
        let mut out = BooleanBuilder::with_capacity(rows);
        each(args, &path, rows, |found| {
            match found {
                None => out.append_null(),
                Some(Ok(value)) => out.append_value(value.is_some()),
                Some(Err(why)) => match on_error.as_str() {
                    "TRUE" => out.append_value(true),
                    "UNKNOWN" => out.append_null(),
                    "ERROR" => return Err(failed(&why)),
                    _ => out.append_value(false),
                },
            }
            Ok(())
        })?;
        finish(args, Arc::new(out.finish()))
    })))
}

fn returning(a: &Arguments, index: usize) -> Result<LogicalType> {
    let text = word(a, index, "STRING")?;
    let t: LogicalType = text.parse()?;
    Ok(t.with_nullable(true))
}

/// Where a row of JSON_VALUE comes from.
const VALUE: usize = 0;
const DEFAULT_ON_EMPTY: usize = 1;
const DEFAULT_ON_ERROR: usize = 2;

/// The arguments after the path: type, what is given ON EMPTY and its default, what is given ON ERROR and its default.
pub(super) fn value(a: &mut Arguments) -> Result<Option<Resolved>> {
    let t = returning(a, 2)?;
    if !(t.kind.is_character() || matches!(t.kind, K::Boolean | K::Int | K::Double)) {
        return Err(Error::user(format!("Unsupported type '{t}' for RETURNING in JSON_VALUE()."))
            .hint("It may be STRING, BOOLEAN, INT or DOUBLE: CAST(JSON_VALUE(..) AS type) gives any other"));
    }
    let on_empty = word(a, 3, "NULL")?;
    // Without a clause a value of another type is an error, as in Flink; with one the clause decides.
    let written = a.values.get(5).is_some_and(|v| v.text() != Some(""));
    let on_error = word(a, 5, "NULL")?;
    let default_of = |a: &Arguments, i: usize| {
        let null = || crate::udf::TypedExpr::literal(datafusion_common::ScalarValue::Null, K::Null.nullable());
        crate::cast::cast_if_needed(a.values.get(i).cloned().unwrap_or_else(null), &t, a.env)
    };
    let defaults = [default_of(a, 4)?, default_of(a, 6)?];
    a.values.truncate(2);
    a.values.extend(defaults);
    let Some(path) = PathArgument::of(a)? else { return Ok(None) };
    let kind = t.kind.clone();
    Ok(Some(Resolved::new(t, move |args, rows| {
        let rows = rows_of(args, rows);
        let mut out = Column::new(&kind, rows);
        let mut from = Vec::with_capacity(rows);
        each(args, &path, rows, |found| {
            let error = match found {
                None => {
                    out.append(None);
                    from.push(VALUE);
                    return Ok(());
                }
                Some(Ok(Some(value))) if value.is_scalar() => {
                    if out.append(Some(&value)) {
                        from.push(VALUE);
                        return Ok(());
                    }
                    let why = format!("the JSON value {value} cannot be given as {kind:?}");
                    if !written {
                        return Err(Error::data(why).hint("NULL ON ERROR gives NULL instead"));
                    }
                    why
                }
                Some(Ok(Some(value))) if path.is_strict() => {
                    out.append(None);
                    format!("Strict jsonpath mode requires scalar value, and the actual value is: '{value}'")
                }
                Some(Ok(_)) => {
                    out.append(None);
                    from.push(if on_empty == "DEFAULT" { DEFAULT_ON_EMPTY } else { VALUE });
                    if on_empty == "ERROR" {
                        return Err(Error::data("Empty result of JSON_VALUE function is not allowed")
                            .hint("NULL ON EMPTY gives NULL instead"));
                    }
                    return Ok(());
                }
                Some(Err(why)) => {
                    out.append(None);
                    why
                }
            };
            from.push(if on_error == "DEFAULT" { DEFAULT_ON_ERROR } else { VALUE });
            if on_error == "ERROR" { Err(failed(&error)) } else { Ok(()) }
        })?;
        let values = out.finish();
        if from.iter().all(|f| *f == VALUE) {
            return finish(args, values);
        }
        let defaults = columns(&args[2..], rows)?;
        let at: Vec<(usize, usize)> = from.into_iter().enumerate().map(|(row, from)| (from, row)).collect();
        let parts: [&dyn Array; 3] = [values.as_ref(), defaults[0].as_ref(), defaults[1].as_ref()];
        finish(args, interleave(&parts, &at)?)
    })))
}

impl PathArgument {
    /// Whether a value that is no scalar is an error; a column of paths is taken as strict.
    fn is_strict(&self) -> bool {
        match self {
            PathArgument::Constant(Some(path)) => path.mode == Mode::Strict,
            _ => true,
        }
    }
}

/// The values that JSON_VALUE returns.
enum Column {
    Text(StringBuilder),
    Boolean(BooleanBuilder),
    Int(PrimitiveBuilder<Int32Type>),
    Double(PrimitiveBuilder<Float64Type>),
}

impl Column {
    fn new(kind: &K, rows: usize) -> Column {
        match kind {
            K::Boolean => Column::Boolean(BooleanBuilder::with_capacity(rows)),
            K::Int => Column::Int(PrimitiveBuilder::with_capacity(rows)),
            K::Double => Column::Double(PrimitiveBuilder::with_capacity(rows)),
            _ => Column::Text(StringBuilder::with_capacity(rows, rows * 16)),
        }
    }

    /// Adds a scalar or NULL; `false` where it has another type, and NULL was added.
    fn append(&mut self, value: Option<&Json>) -> bool {
        match self {
            Column::Text(out) => {
                out.append_option(value.map(Json::to_text));
                true
            }
            Column::Boolean(out) => {
                let found = match value {
                    Some(Json::Bool(b)) => Some(*b),
                    _ => None,
                };
                out.append_option(found);
                found.is_some() == value.is_some()
            }
            Column::Int(out) => {
                let found = match value {
                    Some(Json::Integer(n)) => n.parse().ok(),
                    _ => None,
                };
                out.append_option(found);
                found.is_some() == value.is_some()
            }
            Column::Double(out) => {
                let found = match value {
                    Some(Json::Integer(n) | Json::Decimal(n)) => n.parse().ok(),
                    _ => None,
                };
                out.append_option(found);
                found.is_some() == value.is_some()
            }
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Column::Text(mut out) => Arc::new(out.finish()),
            Column::Boolean(mut out) => Arc::new(out.finish()),
            Column::Int(mut out) => Arc::new(out.finish()),
            Column::Double(mut out) => Arc::new(out.finish()),
        }
    }
}

/// What a row of JSON_QUERY is.
enum Answer {
    Null,
    Value(Json),
}

/// How JSON_QUERY treats what it finds.
struct QueryRule {
    wrapper: String,
    on_empty: String,
    on_error: String,
}

impl QueryRule {
    fn answer(&self, found: Looked, mode: Mode, as_array: bool) -> Result<Answer> {
        let why = match found {
            Err(why) => why,
            Ok(found) => {
                let value = found.map(Cow::into_owned).map(|v| match (self.wrapper.as_str(), &v) {
                    ("UNCONDITIONAL", _) => Json::Array(vec![v]),
                    ("CONDITIONAL", Json::Array(_)) => v,
                    ("CONDITIONAL", _) => Json::Array(vec![v]),
                    _ => v,
                });
                match value {
                    None => return self.empty(),
                    Some(value) if value.is_scalar() && mode == Mode::Lax => return self.empty(),
                    Some(value) if value.is_scalar() => {
                        format!(
                            "Strict jsonpath mode requires array or object value, and the actual value is: '{value}'"
                        )
                    }
                    Some(value @ Json::Object(_)) if as_array => format!("an array is expected, not {value}"),
                    Some(value) => return Ok(Answer::Value(value)),
                }
            }
        };
        match self.on_error.as_str() {
            "ERROR" => Err(failed(&why)),
            other => Ok(instead(other)),
        }
    }

    fn empty(&self) -> Result<Answer> {
        match self.on_empty.as_str() {
            "ERROR" => Err(Error::data("Empty result of JSON_QUERY function is not allowed")
                .hint("NULL ON EMPTY gives NULL instead")),
            other => Ok(instead(other)),
        }
    }
}

fn instead(behaviour: &str) -> Answer {
    match behaviour {
        "EMPTY ARRAY" => Answer::Value(Json::Array(vec![])),
        "EMPTY OBJECT" => Answer::Value(Json::Object(vec![])),
        _ => Answer::Null,
    }
}

/// The arguments after the path: type, wrapper, what is given ON EMPTY, what is given ON ERROR.
pub(super) fn query(a: &mut Arguments) -> Result<Option<Resolved>> {
    let t = returning(a, 2)?;
    let as_array = match &t.kind {
        k if k.is_character() => false,
        K::Array(element) if element.kind.is_character() => true,
        K::Array(element) => {
            let element = element.summary_without_nullability();
            return Err(Error::user(format!(
                "Unsupported array element type '{element}' for RETURNING ARRAY in JSON_QUERY()."
            ))
            .hint("Write RETURNING ARRAY<STRING>, and CAST that"));
        }
        _ => {
            return Err(Error::user(format!("Unsupported type '{t}' for RETURNING in JSON_QUERY()."))
                .hint("It may be STRING or ARRAY<STRING>"));
        }
    };
    let rule =
        QueryRule { wrapper: word(a, 3, "WITHOUT")?, on_empty: word(a, 4, "NULL")?, on_error: word(a, 5, "NULL")? };
    if as_array && [&rule.on_empty, &rule.on_error].iter().any(|b| *b == "EMPTY OBJECT") {
        return Err(Error::user("EMPTY OBJECT does not go with RETURNING ARRAY in JSON_QUERY")
            .hint("Write EMPTY ARRAY or NULL"));
    }
    a.values.truncate(2);
    let Some(path) = PathArgument::of(a)? else { return Ok(None) };
    let element = match &t.kind {
        K::Array(element) => (**element).clone(),
        _ => K::STRING.nullable(),
    };
    Ok(Some(Resolved::new(t, move |args, rows| {
        let rows = rows_of(args, rows);
        let mode = if path.is_strict() { Mode::Strict } else { Mode::Lax };
        let mut answers = Vec::with_capacity(rows);
        each(args, &path, rows, |found| {
            answers.push(match found {
                None => Answer::Null,
                Some(found) => rule.answer(found, mode, as_array)?,
            });
            Ok(())
        })?;
        if !as_array {
            return build_text(args, rows, |i, out| {
                match &answers[i] {
                    Answer::Null => out.append_null(),
                    Answer::Value(value) => out.append_value(value.to_string()),
                }
                Ok(())
            });
        }
        let mut out = ListBuilder::new(StringBuilder::new()).with_field(arrow_field("item", &element));
        for answer in answers {
            match answer {
                Answer::Value(Json::Array(items)) => {
                    for item in items {
                        out.values().append_option((item != Json::Null).then(|| item.to_text()));
                    }
                    out.append(true);
                }
                _ => out.append(false),
            }
        }
        finish(args, Arc::new(out.finish()))
    })))
}
