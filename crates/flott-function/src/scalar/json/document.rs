//! Documents and paths of calls, row by row: what JSON_EXISTS, JSON_VALUE and JSON_QUERY share.

use std::borrow::Cow;

use datafusion_expr::ColumnarValue;
use flott_core::types::TypeKind as K;
use flott_core::{Error, LogicalType, Result};

use super::path::{JsonPath, Mode};
use super::value::Json;
use super::word;
use crate::argument::Text;
use crate::scalar::Arguments;
use crate::scalar::shape::fit;

/// What JSON_VALUE and JSON_QUERY take for a text besides: numbers with a point and VARIANT, as they are written in JSON.
pub(super) fn as_text(a: &mut Arguments) -> Result<()> {
    match a.values[0].data_type.kind {
        K::Decimal { .. } => a.coerce(0, &K::STRING.nullable()),
        K::Variant => {
            if let Some(text) = crate::scalar::call("JSON_STRING", vec![a.values[0].clone()], a.env) {
                a.values[0] = text?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The path argument: read once where it is constant.
pub(super) enum PathArgument {
    Constant(Option<JsonPath>),
    Column,
}

/// A path for each row.
pub(super) enum PathRows<'a> {
    Constant(Option<&'a JsonPath>),
    Column(Text, Option<(String, JsonPath)>),
}

impl PathArgument {
    /// Checks the first two arguments; `None` where they are no texts.
    pub(super) fn of(a: &mut Arguments) -> Result<Option<PathArgument>> {
        if !fit(a, &[K::STRING, K::STRING])? {
            return Ok(None);
        }
        Ok(Some(match (a.values[1].text(), a.values[1].constant()) {
            (Some(text), _) => PathArgument::Constant(Some(JsonPath::new(text)?)),
            (None, Some(_)) => PathArgument::Constant(None),
            _ => PathArgument::Column,
        }))
    }

    pub(super) fn rows(&self, value: &ColumnarValue) -> Result<PathRows<'_>> {
        Ok(match self {
            PathArgument::Constant(path) => PathRows::Constant(path.as_ref()),
            PathArgument::Column => PathRows::Column(Text::of(value)?, None),
        })
    }
}

impl PathRows<'_> {
    pub(super) fn get(&mut self, row: usize) -> Result<Option<&JsonPath>> {
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

pub(super) type Looked<'a> = std::result::Result<Option<Cow<'a, Json>>, String>;

pub(super) fn failed(why: &str) -> Error {
    Error::data(why).hint("NULL ON ERROR gives NULL instead")
}

/// Calls with what the path finds in each row, or `None` where the text or the path is NULL.
pub(super) fn each(
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

pub(super) fn returning(a: &Arguments, index: usize) -> Result<LogicalType> {
    let text = word(a, index, "STRING")?;
    let t: LogicalType = text.parse()?;
    Ok(t.with_nullable(true))
}

impl PathArgument {
    /// Whether a value that is no scalar is an error; a column of paths is taken as strict.
    pub(super) fn is_strict(&self) -> bool {
        match self {
            PathArgument::Constant(Some(path)) => path.mode == Mode::Strict,
            _ => true,
        }
    }
}
