//! What a message says about itself, read without its values: the kind of change, and which rows and fields are there.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::ChangelogJson;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Insert,
    Update,
    Delete,
    /// A change of the table itself, which is no row.
    Ddl,
}

/// The head of a message.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) change: Option<Change>,
    /// As it stands there, for messages.
    pub(super) word: String,
    pub(super) before: bool,
    pub(super) after: bool,
    pub(super) database: Option<String>,
    pub(super) table: Option<String>,
    /// Canal and Maxwell: the fields of each old row; the others are as in the new one.
    pub(super) old_fields: Vec<BTreeSet<String>>,
    /// Canal: how many rows.
    pub(super) rows: usize,
}

#[derive(Deserialize)]
struct BeforeAfter<'a> {
    #[serde(default)]
    before: Option<Image>,
    #[serde(default)]
    after: Option<Image>,
    #[serde(borrow, alias = "op_type")]
    op: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct WithSchema<'a> {
    #[serde(borrow)]
    payload: Option<BeforeAfter<'a>>,
}

/// A row: an object, whatever is in it. Anything else would be read as a row of NULLs.
struct Image;

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Image, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Image;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Image, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Image)
            }
        }
        from.deserialize_map(Object)
    }
}

/// The names of an object's fields.
#[derive(Deserialize)]
#[serde(transparent)]
struct Fields(std::collections::BTreeMap<String, IgnoredAny>);

#[derive(Deserialize)]
struct CanalMessage<'a> {
    #[serde(default)]
    data: Option<Vec<Image>>,
    #[serde(default)]
    old: Option<Vec<Option<Fields>>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    database: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    table: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct MaxwellMessage<'a> {
    #[serde(default)]
    data: Option<Image>,
    #[serde(default)]
    old: Option<Fields>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

/// Reads the head; `None` where it is no such message.
pub(super) fn head(dialect: ChangelogJson, schema_include: bool, message: &[u8]) -> Option<Head> {
    // An array would also be taken for an object's values.
    if message.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return None;
    }
    let names = |fields: Fields| fields.0.into_keys().collect::<BTreeSet<String>>();
    Some(match dialect {
        ChangelogJson::Debezium | ChangelogJson::Ogg => {
            let inner = if schema_include {
                serde_json::from_slice::<WithSchema<'_>>(message).ok()?.payload?
            } else {
                serde_json::from_slice::<BeforeAfter<'_>>(message).ok()?
            };
            let word = inner.op.unwrap_or_default().into_owned();
            let change = match (dialect, word.as_str()) {
                (ChangelogJson::Debezium, "c" | "r") | (ChangelogJson::Ogg, "I") => Some(Change::Insert),
                (ChangelogJson::Debezium, "u") | (ChangelogJson::Ogg, "U") => Some(Change::Update),
                (ChangelogJson::Debezium, "d") | (ChangelogJson::Ogg, "D") => Some(Change::Delete),
                _ => None,
            };
            Head { change, word, before: inner.before.is_some(), after: inner.after.is_some(), ..Head::default() }
        }
        ChangelogJson::Canal => {
            let inner = serde_json::from_slice::<CanalMessage<'_>>(message).ok()?;
            let word = inner.kind.unwrap_or_default().into_owned();
            let change = match word.as_str() {
                "INSERT" => Some(Change::Insert),
                "UPDATE" => Some(Change::Update),
                "DELETE" => Some(Change::Delete),
                "CREATE" => Some(Change::Ddl),
                _ => None,
            };
            let old = inner.old.unwrap_or_default();
            Head {
                change,
                word,
                before: !old.is_empty(),
                after: inner.data.is_some(),
                database: inner.database.map(Cow::into_owned),
                table: inner.table.map(Cow::into_owned),
                old_fields: old.into_iter().map(|f| f.map(names).unwrap_or_default()).collect(),
                rows: inner.data.map_or(0, |d| d.len()),
            }
        }
        ChangelogJson::Maxwell => {
            let inner = serde_json::from_slice::<MaxwellMessage<'_>>(message).ok()?;
            let word = inner.kind.unwrap_or_default().into_owned();
            let change = match word.as_str() {
                "insert" => Some(Change::Insert),
                "update" => Some(Change::Update),
                "delete" => Some(Change::Delete),
                _ => None,
            };
            let after = inner.data.is_some();
            let before = inner.old.is_some();
            Head {
                change,
                word,
                before,
                after,
                old_fields: inner.old.map(names).into_iter().collect(),
                rows: 1,
                ..Head::default()
            }
        }
    })
}
