//! From the bytes of a message to columns.
//!
//! Fields come in any order, the last one of a name counts, and messages that come several times are merged. So a message
//! is read in two steps: values that may come again are noted in slots, elements of arrays go to their columns at once; at
//! its end the slots go to the columns. What is noted lies in lists that are kept from row to row.

use std::collections::HashMap;

use super::plan::{Default, FieldPlan, How, MessagePlan, Scalar, ScalarKind};
use super::wire::{DEPTH_MAX, Input, Span, WireType, too_deep};
use crate::builder::{ColumnBuilder, Values};
use crate::wrong::{Read, below, wrong};

/// Keys of a map that are compared each with each; of more they are put into a table.
const FEW_KEYS: usize = 16;
const NONE: u32 = u32::MAX;
const LONG: &str = "the values of a batch are longer than 2 GiB";

/// What has been seen of a field.
#[derive(Debug, Clone, Copy)]
struct Slot {
    set: bool,
    /// The value, or where it lies.
    bits: u64,
    /// Where messages lie: the first and the last link of a chain.
    first: u32,
    last: u32,
}

const EMPTY: Slot = Slot { set: false, bits: 0, first: NONE, last: NONE };

/// A message that lies somewhere, and the next one of the same field.
#[derive(Debug, Clone, Copy)]
struct Link {
    span: Span,
    next: u32,
}

/// What is known of the messages that are being read, those inside others behind them.
#[derive(Debug, std::default::Default)]
pub(super) struct Reader {
    slots: Vec<Slot>,
    links: Vec<Link>,
}

/// The columns of a message's fields.
enum Columns<'a> {
    Of(&'a mut [ColumnBuilder]),
    /// Of a map's entry.
    Pair(&'a mut ColumnBuilder, &'a mut ColumnBuilder),
}

impl Columns<'_> {
    #[inline]
    fn at(&mut self, i: usize) -> &mut ColumnBuilder {
        match self {
            Columns::Of(columns) => &mut columns[i],
            Columns::Pair(first, _) if i == 0 => first,
            Columns::Pair(_, second) => second,
        }
    }
}

/// The places of a message: none, one, or a chain.
#[derive(Clone, Copy)]
enum Places {
    None,
    One(Span),
    Chain(u32),
}

impl Reader {
    /// Reads a whole message as a row. On an error columns may have more values than before.
    pub(super) fn row(&mut self, plan: &MessagePlan, bytes: &[u8], columns: &mut [ColumnBuilder]) -> Read<()> {
        self.slots.clear();
        self.links.clear();
        let all = Span { start: 0, end: u32::try_from(bytes.len()).or_else(|_| wrong(LONG))? };
        self.message(plan, bytes, Places::One(all), Columns::Of(columns), 1)
    }

    fn message(
        &mut self,
        plan: &MessagePlan,
        bytes: &[u8],
        places: Places,
        mut columns: Columns<'_>,
        depth: usize,
    ) -> Read<()> {
        if depth > DEPTH_MAX {
            return too_deep();
        }
        let (base, links) = (self.slots.len(), self.links.len());
        self.slots.resize(base + plan.fields.len(), EMPTY);
        match places {
            Places::None => {}
            Places::One(span) => self.scan(plan, bytes, span, base, &mut columns, depth)?,
            Places::Chain(first) => {
                let mut at = first;
                while at != NONE {
                    let link = self.links[at as usize];
                    self.scan(plan, bytes, link.span, base, &mut columns, depth)?;
                    at = link.next;
                }
            }
        }
        // A default has no required fields: it is no message that was sent.
        if !matches!(places, Places::None)
            && let Some(i) = plan.fields.iter().enumerate().position(|(i, f)| f.required && !self.slots[base + i].set)
        {
            return wrong(format!("the message lacks the required field '{}'", plan.fields[i].name));
        }
        for (i, at) in plan.of_columns.iter().enumerate() {
            let field = &plan.fields[*at];
            let slot = self.slots[base + at];
            self.finish(field, slot, bytes, columns.at(i), depth).map_err(|e| below(e, &field.name))?;
        }
        self.slots.truncate(base);
        self.links.truncate(links);
        Ok(())
    }

    /// Notes the fields that stand in a part of the bytes.
    fn scan(
        &mut self,
        plan: &MessagePlan,
        bytes: &[u8],
        span: Span,
        base: usize,
        columns: &mut Columns<'_>,
        depth: usize,
    ) -> Read<()> {
        let mut input = Input::new(bytes, span);
        let mut next = 0;
        while !input.is_at_end() {
            let (number, wire) = input.tag()?;
            let Some(at) = plan.find(number, next) else {
                input.skip(number, wire)?;
                continue;
            };
            next = at + 1;
            let field = &plan.fields[at];
            self.field(field, number, wire, &mut input, bytes, base + at, base, columns, depth)
                .map_err(|e| below(e, &field.name))?;
        }
        Ok(())
    }

    #[inline]
    fn field(
        &mut self,
        field: &FieldPlan,
        number: u32,
        wire: WireType,
        input: &mut Input<'_>,
        bytes: &[u8],
        slot: usize,
        base: usize,
        columns: &mut Columns<'_>,
        depth: usize,
    ) -> Read<()> {
        match &field.how {
            How::One(scalar) if wire == scalar.kind.wire() => {
                let bits = bits(&scalar.kind, input)?;
                if scalar.kind.knows(bits) {
                    self.set(field, slot, base).bits = bits;
                }
            }
            How::Message { wire: expected, .. } if wire == *expected => {
                let span = message_span(number, wire, input)?;
                self.chain(field, slot, base, span);
            }
            How::Map(_) if wire == WireType::Length => {
                let span = input.length_delimited()?;
                self.chain(field, slot, base, span);
            }
            How::Seen { wire: expected, of } if wire == *expected => match of {
                Some(kind) => {
                    let bits = bits(kind, input)?;
                    if kind.knows(bits) {
                        self.set(field, slot, base);
                    }
                }
                None => {
                    input.skip(number, wire)?;
                    self.set(field, slot, base);
                }
            },
            How::Scalars(scalar) if wire == scalar.kind.wire() => {
                let bits = bits(&scalar.kind, input)?;
                if let (Some(i), true) = (field.column, scalar.kind.knows(bits))
                    && let Values::List { element, .. } = &mut columns.at(i).values
                {
                    push(&scalar.kind, bits, bytes, element)?;
                }
            }
            // Packed.
            How::Scalars(scalar) if wire == WireType::Length => {
                let mut packed = Input::new(bytes, input.length_delimited()?);
                if let Some(i) = field.column
                    && let Values::List { element, .. } = &mut columns.at(i).values
                {
                    while !packed.is_at_end() {
                        let bits = bits(&scalar.kind, &mut packed)?;
                        if scalar.kind.knows(bits) {
                            push(&scalar.kind, bits, bytes, element)?;
                        }
                    }
                }
            }
            How::Messages { plan, wire: expected } if wire == *expected => {
                let span = message_span(number, wire, input)?;
                if let Some(i) = field.column
                    && let Values::List { element, .. } = &mut columns.at(i).values
                {
                    self.row_of(plan, bytes, Places::One(span), element, depth).map_err(|e| below(e, "[]"))?;
                }
            }
            // A field that stands otherwise than it is defined is an unknown one, as in Java.
            _ => input.skip(number, wire)?,
        }
        Ok(())
    }

    /// The slot of a field that is set now; the others of its oneof are not any more.
    #[inline]
    fn set(&mut self, field: &FieldPlan, slot: usize, base: usize) -> &mut Slot {
        for other in &field.others_of_oneof {
            self.slots[base + other] = EMPTY;
        }
        self.slots[slot].set = true;
        &mut self.slots[slot]
    }

    fn chain(&mut self, field: &FieldPlan, slot: usize, base: usize, span: Span) {
        // A message has no more fields than bytes, which are counted with 32 bits.
        let link = self.links.len() as u32;
        self.links.push(Link { span, next: NONE });
        let slot = self.set(field, slot, base);
        let last = std::mem::replace(&mut slot.last, link);
        if last == NONE {
            slot.first = link;
        } else {
            self.links[last as usize].next = link;
        }
    }

    /// Appends a message to a column of rows.
    fn row_of(
        &mut self,
        plan: &MessagePlan,
        bytes: &[u8],
        places: Places,
        column: &mut ColumnBuilder,
        depth: usize,
    ) -> Read<()> {
        if let Values::Struct(children) = &mut column.values {
            self.message(plan, bytes, places, Columns::Of(children), depth + 1)?;
        }
        column.done(true);
        Ok(())
    }

    /// Appends what has been seen of a field to its column.
    fn finish(
        &mut self,
        field: &FieldPlan,
        slot: Slot,
        bytes: &[u8],
        column: &mut ColumnBuilder,
        depth: usize,
    ) -> Read<()> {
        match &field.how {
            How::One(scalar) if slot.set => return push(&scalar.kind, slot.bits, bytes, column),
            How::Message { plan, .. } if slot.set => {
                return self.row_of(plan, bytes, Places::Chain(slot.first), column, depth);
            }
            How::Scalars(_) | How::Messages { .. } => {
                if let Values::List { offsets, element } = &mut column.values {
                    let end = i32::try_from(element.len()).or_else(|_| wrong(LONG))?;
                    if offsets.last() != Some(&end) || !field.absent_is_null {
                        offsets.push(end);
                        column.done(true);
                        return Ok(());
                    }
                }
            }
            How::Map(plan) if slot.set || !field.absent_is_null => {
                if let Values::Map { offsets, key, value } = &mut column.values {
                    self.map(plan, slot.first, bytes, key, value, depth)?;
                    offsets.push(i32::try_from(key.len()).or_else(|_| wrong(LONG))?);
                }
                column.done(true);
                return Ok(());
            }
            How::One(scalar) if !field.absent_is_null => return push_default(scalar, column),
            How::Message { plan, .. } if !field.absent_is_null => {
                return self.row_of(plan, bytes, Places::None, column, depth);
            }
            _ => {}
        }
        if !column.nullable() {
            return wrong(format!(
                "the message has no such field, but the column is declared {} NOT NULL",
                column.kind.clone().nullable()
            ));
        }
        column.push_null();
        Ok(())
    }

    /// Appends the entries of a map. Of several with one key the last counts.
    fn map(
        &mut self,
        plan: &MessagePlan,
        first: u32,
        bytes: &[u8],
        key: &mut ColumnBuilder,
        value: &mut ColumnBuilder,
        depth: usize,
    ) -> Read<()> {
        let before = key.len();
        self.entries(plan, first, bytes, key, value, depth, None)?;
        let Some(wanted) = last_of_each(key, before) else { return Ok(()) };
        key.truncate(before);
        value.truncate(before);
        self.entries(plan, first, bytes, key, value, depth, Some(&wanted))
    }

    fn entries(
        &mut self,
        plan: &MessagePlan,
        first: u32,
        bytes: &[u8],
        key: &mut ColumnBuilder,
        value: &mut ColumnBuilder,
        depth: usize,
        wanted: Option<&[usize]>,
    ) -> Read<()> {
        let (mut at, mut entry) = (first, 0);
        while at != NONE {
            let link = self.links[at as usize];
            if has_known_value(plan, bytes, link.span)? {
                if wanted.is_none_or(|w| w.binary_search(&entry).is_ok()) {
                    self.message(plan, bytes, Places::One(link.span), Columns::Pair(key, value), depth + 1)?;
                }
                entry += 1;
            }
            at = link.next;
        }
        Ok(())
    }
}

/// False where an entry's value is a number that its closed enum does not have: the entry counts as unknown.
fn has_known_value(plan: &MessagePlan, bytes: &[u8], span: Span) -> Read<bool> {
    let How::One(Scalar { kind: kind @ ScalarKind::Enum(_), .. }) = &plan.fields[1].how else { return Ok(true) };
    let (mut input, mut known) = (Input::new(bytes, span), true);
    while !input.is_at_end() {
        match input.tag()? {
            (2, WireType::Varint) => known = kind.knows(input.varint()?),
            (number, wire) => input.skip(number, wire)?,
        }
    }
    Ok(known)
}

#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Number(i64),
    Text(&'a [u8]),
}

fn key_at(keys: &ColumnBuilder, i: usize) -> Key<'_> {
    match &keys.values {
        Values::I32(v) => Key::Number(i64::from(v[i])),
        Values::I64(v) => Key::Number(v[i]),
        Values::Bool(v) => Key::Number(i64::from(v.get_bit(i))),
        Values::Bytes { offsets, data } => Key::Text(&data[offsets[i] as usize..offsets[i + 1] as usize]),
        // A plan has no other keys.
        _ => Key::Number(i as i64),
    }
}

/// Which entries count, from `from` on; `None` where all do.
fn last_of_each(keys: &ColumnBuilder, from: usize) -> Option<Vec<usize>> {
    let count = keys.len() - from;
    if count <= FEW_KEYS && !(from..keys.len()).any(|i| (from..i).any(|j| key_at(keys, i) == key_at(keys, j))) {
        return None;
    }
    // It grows with the keys that there are: entries without bytes may all have one.
    let mut last: HashMap<Key<'_>, usize> = HashMap::new();
    for i in 0..count {
        last.insert(key_at(keys, from + i), i);
    }
    if last.len() == count {
        return None;
    }
    let mut wanted: Vec<usize> = last.into_values().collect();
    wanted.sort_unstable();
    Some(wanted)
}

fn message_span(number: u32, wire: WireType, input: &mut Input<'_>) -> Read<Span> {
    if wire == WireType::StartGroup { input.group(number) } else { input.length_delimited() }
}

/// A value as it stands, or where it lies.
#[inline]
fn bits(kind: &ScalarKind, input: &mut Input<'_>) -> Read<u64> {
    match kind.wire() {
        WireType::Varint => input.varint(),
        WireType::Fixed32 => input.fixed32().map(u64::from),
        WireType::Fixed64 => input.fixed64(),
        _ => input.length_delimited().map(Span::bits),
    }
}

#[inline]
fn push(kind: &ScalarKind, bits: u64, bytes: &[u8], column: &mut ColumnBuilder) -> Read<()> {
    match kind {
        ScalarKind::String | ScalarKind::Bytes => text(column, Span::of_bits(bits).of(bytes)),
        _ => number(kind, bits, column),
    }
}

fn push_default(scalar: &Scalar, column: &mut ColumnBuilder) -> Read<()> {
    match &scalar.default {
        Default::Bytes(bytes) => text(column, bytes),
        // A default is no zigzag.
        Default::Bits(bits) => match scalar.kind {
            ScalarKind::Sint32 => number(&ScalarKind::Int32, *bits, column),
            ScalarKind::Sint64 => number(&ScalarKind::Int64, *bits, column),
            _ => number(&scalar.kind, *bits, column),
        },
    }
}

#[inline]
fn text(column: &mut ColumnBuilder, bytes: &[u8]) -> Read<()> {
    if column.kind.is_character() && simdutf8::basic::from_utf8(bytes).is_err() {
        return wrong(format!("'{}' is not valid UTF-8", crate::text::shown(bytes)));
    }
    column.push_bytes(bytes).or_else(|_| wrong(LONG))
}

#[inline]
fn number(kind: &ScalarKind, bits: u64, column: &mut ColumnBuilder) -> Read<()> {
    if let (ScalarKind::Enum(names), Values::Bytes { .. }) = (kind, &column.values) {
        return column.push_bytes(names.name(bits as i32).as_bytes()).or_else(|_| wrong(LONG));
    }
    let int = match kind {
        ScalarKind::Sint32 => i64::from((bits as u32 >> 1) as i32 ^ -((bits & 1) as i32)),
        ScalarKind::Sint64 => (bits >> 1) as i64 ^ -((bits & 1) as i64),
        // Java has no unsigned numbers: what does not fit is negative.
        ScalarKind::Int32 | ScalarKind::Fixed32 | ScalarKind::Enum(_) => i64::from(bits as i32),
        _ => bits as i64,
    };
    match &mut column.values {
        Values::Bool(v) => v.append(bits != 0),
        Values::I8(v) => v.push(i8::try_from(int).or_else(|_| narrow(int, "TINYINT"))?),
        Values::I16(v) => v.push(i16::try_from(int).or_else(|_| narrow(int, "SMALLINT"))?),
        Values::I32(v) => v.push(int as i32),
        Values::I64(v) => v.push(int),
        Values::F32(v) => v.push(f32::from_bits(bits as u32)),
        Values::F64(v) => v.push(f64::from_bits(bits)),
        _ => return wrong("a number in a column of another type"),
    }
    column.done(true);
    Ok(())
}

#[cold]
fn narrow<T>(n: i64, column: &str) -> Read<T> {
    wrong(format!("{n} does not fit in {column}"))
}
