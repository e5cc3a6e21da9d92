//! What a sink table demands of its rows: NOT NULL columns and declared lengths (Flink's `ConstraintEnforcer`), also
//! inside rows and collections.
//!
//! Whether a batch breaks anything is asked of whole arrays. Only where it may, rows are looked at one by one, in Flink's
//! order: NOT NULL, lengths of texts, lengths of bytes, rows, arrays, maps. That decides which of two violations is
//! reported, and whether a row is dropped before its length is an error.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, ListArray, MapArray, StringArray, StructArray, cast::AsArray,
};
use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use flott_core::types::{LogicalType, MAX_LENGTH, TypeKind, map_array, map_key_field, map_keys};
use flott_core::{ChangeBatch, Error, Result};
use flott_graph::SinkSpec;
use flott_graph::spec::{NestedEnforcer, NotNullEnforcer, SinkConstraints, TypeLengthEnforcer};

use crate::operator::{Operator, OperatorContext, Progress};

const NOT_NULL_OPTION: &str = "table.exec.sink.not-null-enforcer";
const TYPE_LENGTH_OPTION: &str = "table.exec.sink.type-length-enforcer";

/// Checks, drops, trims or pads rows before they reach a sink.
pub struct SinkConstraint {
    table: String,
    checks: Checks,
    not_null: NotNullEnforcer,
    lengths: TypeLengthEnforcer,
    /// What the sink takes: NOT NULL inside of its columns where that is enforced.
    schema: SchemaRef,
    dropped: u64,
}

/// What is asked of the fields of a row, of the one element of an array, or of the key and the value of a map.
#[derive(Default)]
struct Checks {
    not_null: Vec<Place>,
    texts: Vec<Length>,
    bytes: Vec<Length>,
    rows: Vec<Inner>,
    arrays: Vec<Inner>,
    maps: Vec<Inner>,
}

/// A field.
struct Place {
    index: usize,
    name: String,
}

/// A declared length.
struct Length {
    place: Place,
    length: usize,
    /// CHAR and BINARY have exactly this length.
    exact: bool,
    /// `CHAR(3)`, for messages.
    type_name: String,
}

impl Length {
    fn violates(&self, length: usize) -> bool {
        length > self.length || (self.exact && length < self.length)
    }

    /// Bytes bound characters from above, so the common case counts no character.
    fn text_violates(&self, s: &str) -> bool {
        if s.len() <= self.length && !self.exact { false } else { self.violates(s.chars().count()) }
    }
}

/// What is asked below a field.
struct Inner {
    place: Place,
    checks: Checks,
}

/// What is wrong with a row.
enum Violation {
    Null { path: String },
    Length { path: String, type_name: String, found: usize },
}

impl Violation {
    fn map_path(self, f: impl FnOnce(String) -> String) -> Violation {
        match self {
            Violation::Null { path } => Violation::Null { path: f(path) },
            Violation::Length { path, type_name, found } => Violation::Length { path: f(path), type_name, found },
        }
    }
}

impl Checks {
    fn new<'a>(fields: impl IntoIterator<Item = (&'a str, &'a LogicalType)>, demands: &SinkConstraints) -> Checks {
        let mut checks = Checks::default();
        for (index, (name, t)) in fields.into_iter().enumerate() {
            let place = || Place { index, name: name.to_string() };
            if !t.nullable {
                checks.not_null.push(place());
            }
            if demands.type_length != TypeLengthEnforcer::Ignore {
                let length = |length: u32, exact| Length {
                    place: place(),
                    length: length as usize,
                    exact,
                    type_name: t.summary_without_nullability(),
                };
                match t.kind {
                    TypeKind::Char(n) => checks.texts.push(length(n, true)),
                    TypeKind::VarChar(n) if n < MAX_LENGTH => checks.texts.push(length(n, false)),
                    TypeKind::Binary(n) => checks.bytes.push(length(n, true)),
                    TypeKind::VarBinary(n) if n < MAX_LENGTH => checks.bytes.push(length(n, false)),
                    _ => {}
                }
            }
            if demands.nested == NestedEnforcer::Ignore {
                continue;
            }
            let inner = |fields: Vec<(&str, &LogicalType)>| {
                let checks = Checks::new(fields, demands);
                (!checks.is_empty()).then(|| Inner { place: place(), checks })
            };
            let collections = demands.nested == NestedEnforcer::RowsAndCollections;
            match &t.kind {
                TypeKind::Row(fields) => {
                    checks.rows.extend(inner(fields.iter().map(|f| (f.name.as_str(), &f.data_type)).collect()));
                }
                TypeKind::Array(element) if collections => checks.arrays.extend(inner(vec![("element", element)])),
                TypeKind::Map(key, value) if collections => {
                    checks.maps.extend(inner(vec![("key", key), ("value", value)]));
                }
                _ => {}
            }
        }
        checks
    }

    fn is_empty(&self) -> bool {
        self.not_null.is_empty()
            && self.texts.is_empty()
            && self.bytes.is_empty()
            && self.rows.is_empty()
            && self.arrays.is_empty()
            && self.maps.is_empty()
    }

    /// Whether a row may be wrong. Values that no row holds (below a NULL, between the offsets of a list) count too.
    fn may_fail(&self, columns: &[ArrayRef], lengths: bool) -> bool {
        let texts =
            |l: &Length| strings(columns, &l.place).is_some_and(|a| a.iter().flatten().any(|s| l.text_violates(s)));
        let bytes =
            |l: &Length| binaries(columns, &l.place).is_some_and(|a| a.iter().flatten().any(|s| l.violates(s.len())));
        self.not_null.iter().any(|p| columns.get(p.index).is_some_and(|c| c.null_count() > 0))
            || (lengths && (self.texts.iter().any(texts) || self.bytes.iter().any(bytes)))
            || self.rows.iter().any(|r| row(columns, &r.place).is_some_and(|s| r.checks.may_fail(s.columns(), lengths)))
            || self
                .arrays
                .iter()
                .any(|a| list(columns, &a.place).is_some_and(|l| a.checks.may_fail(&[Arc::clone(l.values())], lengths)))
            || self.maps.iter().any(|m| {
                map(columns, &m.place)
                    .is_some_and(|l| m.checks.may_fail(&[Arc::clone(map_keys(l)), Arc::clone(l.values())], lengths))
            })
    }

    /// The first thing that is wrong with a row.
    fn first(&self, columns: &[ArrayRef], at: usize, lengths: bool) -> Option<Violation> {
        for place in &self.not_null {
            if columns.get(place.index).is_some_and(|c| c.is_null(at)) {
                return Some(Violation::Null { path: place.name.clone() });
            }
        }
        if lengths {
            let wrong = |l: &Length, found: usize| {
                let (path, type_name) = (l.place.name.clone(), l.type_name.clone());
                l.violates(found).then_some(Violation::Length { path, type_name, found })
            };
            let text = |l: &Length| {
                let texts = strings(columns, &l.place).filter(|a| a.is_valid(at))?;
                wrong(l, texts.value(at).chars().count())
            };
            let bytes = |l: &Length| {
                let bytes = binaries(columns, &l.place).filter(|a| a.is_valid(at))?;
                wrong(l, bytes.value(at).len())
            };
            let found = self.texts.iter().find_map(text).or_else(|| self.bytes.iter().find_map(bytes));
            if found.is_some() {
                return found;
            }
        }
        for inner in &self.rows {
            let Some(rows) = row(columns, &inner.place).filter(|r| r.is_valid(at)) else { continue };
            if let Some(found) = inner.checks.first(rows.columns(), at, lengths) {
                return Some(found.map_path(|path| format!("{}.{path}", inner.place.name)));
            }
        }
        for inner in &self.arrays {
            let Some(lists) = list(columns, &inner.place).filter(|l| l.is_valid(at)) else { continue };
            let (elements, offsets) = ([Arc::clone(lists.values())], lists.value_offsets());
            let (from, to) = (offsets[at] as usize, offsets[at + 1] as usize);
            for element in from..to {
                if let Some(found) = inner.checks.first(&elements, element, lengths) {
                    // `element` is the field that stands for the element: what follows it stays.
                    let number = element - from;
                    return Some(found.map_path(|path| {
                        format!("{}[{number}]{}", inner.place.name, path.strip_prefix("element").unwrap_or(&path))
                    }));
                }
            }
        }
        for inner in &self.maps {
            let Some(maps) = map(columns, &inner.place).filter(|m| m.is_valid(at)) else { continue };
            let offsets = maps.value_offsets();
            let entries = [Arc::clone(map_keys(maps)), Arc::clone(maps.values())];
            for entry in offsets[at] as usize..offsets[at + 1] as usize {
                if let Some(found) = inner.checks.first(&entries, entry, lengths) {
                    return Some(found.map_path(|path| {
                        let end = path.find(['.', '[']).unwrap_or(path.len());
                        format!("{}[{}]{}", inner.place.name, &path[..end], &path[end..])
                    }));
                }
            }
        }
        None
    }

    /// The columns with texts and bytes of their declared lengths, those in rows too; `None` where all are.
    fn trim_and_pad(&self, columns: &[ArrayRef]) -> Result<Option<Vec<ArrayRef>>> {
        let mut changed: Option<Vec<ArrayRef>> = None;
        let mut set = |index: usize, array: ArrayRef| changed.get_or_insert_with(|| columns.to_vec())[index] = array;
        for rule in &self.texts {
            if let Some(fixed) = strings(columns, &rule.place).and_then(|a| fixed_texts(rule, a)) {
                set(rule.place.index, fixed);
            }
        }
        for rule in &self.bytes {
            if let Some(fixed) = binaries(columns, &rule.place).and_then(|a| fixed_bytes(rule, a)) {
                set(rule.place.index, fixed);
            }
        }
        for inner in &self.rows {
            let Some(rows) = row(columns, &inner.place) else { continue };
            if let Some(fields) = inner.checks.trim_and_pad(rows.columns())? {
                let rows = StructArray::try_new(rows.fields().clone(), fields, rows.nulls().cloned())?;
                set(inner.place.index, Arc::new(rows));
            }
        }
        Ok(changed)
    }
}

/// The values under a type that differs only in NOT NULLs; themselves where they break them.
fn with_type(array: &ArrayRef, wanted: &DataType) -> ArrayRef {
    fn typed(array: &ArrayRef, wanted: &DataType) -> Option<ArrayRef> {
        if array.data_type() == wanted {
            return Some(Arc::clone(array));
        }
        Some(match wanted {
            DataType::Struct(fields) => {
                let rows = array.as_struct_opt()?;
                let columns = rows.columns().iter().zip(fields).map(|(c, f)| typed(c, f.data_type()));
                let columns = columns.collect::<Option<Vec<_>>>()?;
                Arc::new(StructArray::try_new(fields.clone(), columns, rows.nulls().cloned()).ok()?)
            }
            DataType::List(element) => {
                let list = array.as_list_opt::<i32>()?;
                let values = typed(list.values(), element.data_type())?;
                let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
                Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, nulls).ok()?)
            }
            DataType::Map(entries, _) => {
                let map = array.as_map_opt()?;
                let DataType::Struct(kv) = entries.data_type() else { return None };
                let keys = typed(map_keys(map), map_key_field(kv).data_type())?;
                let values = typed(map.values(), kv.get(1)?.data_type())?;
                Arc::new(map_array(wanted, map.offsets().clone(), keys, values, map.nulls().cloned()).ok()?)
            }
            _ => return None,
        })
    }
    typed(array, wanted).unwrap_or_else(|| Arc::clone(array))
}

fn strings<'a>(columns: &'a [ArrayRef], place: &Place) -> Option<&'a StringArray> {
    columns.get(place.index)?.as_string_opt()
}

fn binaries<'a>(columns: &'a [ArrayRef], place: &Place) -> Option<&'a BinaryArray> {
    columns.get(place.index)?.as_binary_opt()
}

fn row<'a>(columns: &'a [ArrayRef], place: &Place) -> Option<&'a StructArray> {
    columns.get(place.index)?.as_struct_opt()
}

fn list<'a>(columns: &'a [ArrayRef], place: &Place) -> Option<&'a ListArray> {
    columns.get(place.index)?.as_list_opt()
}

fn map<'a>(columns: &'a [ArrayRef], place: &Place) -> Option<&'a MapArray> {
    columns.get(place.index)?.as_map_opt()
}

fn fixed_texts(rule: &Length, array: &StringArray) -> Option<ArrayRef> {
    array.iter().flatten().find(|s| rule.text_violates(s))?;
    let fixed = |s| {
        if !rule.text_violates(s) {
            return Cow::Borrowed(s);
        }
        match s.char_indices().nth(rule.length) {
            Some((end, _)) => Cow::Borrowed(&s[..end]),
            None => Cow::Owned(format!("{s}{}", " ".repeat(rule.length - s.chars().count()))),
        }
    };
    Some(Arc::new(array.iter().map(|s| s.map(fixed)).collect::<StringArray>()))
}

fn fixed_bytes(rule: &Length, array: &BinaryArray) -> Option<ArrayRef> {
    array.iter().flatten().find(|s| rule.violates(s.len()))?;
    let fixed = |s: &[u8]| {
        let mut fixed = s[..s.len().min(rule.length)].to_vec();
        if rule.exact {
            fixed.resize(rule.length, 0);
        }
        fixed
    };
    Some(Arc::new(array.iter().map(|s| s.map(fixed)).collect::<BinaryArray>()))
}

impl SinkConstraint {
    /// `None` where the sink demands nothing.
    pub fn new(spec: &SinkSpec, schema: SchemaRef) -> Result<Option<SinkConstraint>> {
        let demands = &spec.constraints;
        if demands.columns.is_empty() {
            return Ok(None);
        }
        if demands.columns.len() != schema.fields().len() {
            let (have, wanted) = (schema.fields().len(), demands.columns.len());
            return Err(
                Error::internal(format!("{have} columns arrive at a sink of {wanted}")).with("table", &spec.table)
            );
        }
        let names = schema.fields().iter().map(|f| f.name().as_str());
        let checks = Checks::new(names.zip(&demands.columns), demands);
        if checks.is_empty() {
            return Ok(None);
        }
        Ok(Some(SinkConstraint {
            table: spec.table.to_string(),
            checks,
            not_null: demands.not_null,
            lengths: demands.type_length,
            schema,
            dropped: 0,
        }))
    }

    fn enforce(&mut self, batch: ChangeBatch) -> Result<ChangeBatch> {
        let lengths = self.lengths == TypeLengthEnforcer::Error;
        let batch = if self.checks.may_fail(batch.rows.columns(), lengths) { self.checked(batch)? } else { batch };
        if self.lengths != TypeLengthEnforcer::TrimPad {
            return self.typed(batch);
        }
        let Some(columns) = self.checks.trim_and_pad(batch.rows.columns())? else { return self.typed(batch) };
        let rows = crate::calc::assemble(&batch.rows.schema(), columns, batch.num_rows())?;
        self.typed(batch.with_rows(rows))
    }

    /// The batch with the sink's types, from which it may differ in NOT NULLs inside of them.
    fn typed(&self, batch: ChangeBatch) -> Result<ChangeBatch> {
        let schema = batch.rows.schema();
        let same = |(have, wanted): (&FieldRef, &FieldRef)| have.data_type() == wanted.data_type();
        if schema.fields().iter().zip(self.schema.fields()).all(same) {
            return Ok(batch);
        }
        let (mut fields, mut columns) = (vec![], vec![]);
        for ((have, wanted), column) in schema.fields().iter().zip(self.schema.fields()).zip(batch.rows.columns()) {
            // What a source broke where nothing is enforced stays as it came.
            let typed = with_type(column, wanted.data_type());
            fields.push(have.as_ref().clone().with_data_type(typed.data_type().clone()));
            columns.push(typed);
        }
        let rows = crate::calc::assemble(&Arc::new(Schema::new(fields)), columns, batch.num_rows())?;
        Ok(batch.with_rows(rows))
    }

    /// The rows that break nothing.
    fn checked(&mut self, batch: ChangeBatch) -> Result<ChangeBatch> {
        let lengths = self.lengths == TypeLengthEnforcer::Error;
        let mut keep = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            match self.checks.first(batch.rows.columns(), row, lengths) {
                None => keep.push(true),
                Some(Violation::Null { .. }) if self.not_null == NotNullEnforcer::Drop => keep.push(false),
                Some(violation) => return Err(self.error(violation)),
            }
        }
        let dropped = keep.iter().filter(|k| !**k).count();
        if dropped == 0 {
            return Ok(batch);
        }
        self.dropped += dropped as u64;
        batch.filter(&BooleanArray::from(keep))
    }

    fn error(&self, violation: Violation) -> Error {
        let (error, path) = match violation {
            Violation::Null { path } => {
                let error =
                    Error::data(format!("Column '{path}' is NOT NULL, however, a null value is being written into it"));
                let way_out = "to suppress this exception and drop such records silently";
                (error.hint(format!("You can set job configuration '{NOT_NULL_OPTION}'='DROP' {way_out}.")), path)
            }
            Violation::Length { path, type_name, found } => {
                let error = Error::data(format!(
                    "Column '{path}' is {type_name}, however, a string of length {found} is being written into it"
                ));
                let way_out = "to control this behaviour: TRIM_PAD trims and pads, IGNORE writes it as it is";
                (error.hint(format!("You can set job configuration '{TYPE_LENGTH_OPTION}' {way_out}")), path)
            }
        };
        error.with("table", &self.table).with("column", path)
    }
}

impl Operator for SinkConstraint {
    fn process_batch(&mut self, _input: usize, batch: ChangeBatch, context: &mut OperatorContext) -> Result<Progress> {
        let batch = self.enforce(batch)?;
        context.metrics.records_dropped = self.dropped;
        context.emit(batch);
        Ok(Progress::Done)
    }
}
