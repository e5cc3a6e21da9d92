//! Avro's binary encoding.

use super::schema::{AvroSchema, Node};
pub(super) use crate::wrong::{Read, Wrong, below, wrong};

/// Elements of a block may be so many more than bytes are left.
const ELEMENTS_WITHOUT_BYTES_MAX: usize = 65_536;
/// Elements of arrays and maps in one record: those of a type without bytes (null) cost nothing to claim.
const ELEMENTS_MAX: usize = 16 << 20;
/// Values inside each other that are skipped: a list of a record that contains itself may be as long.
const SKIPPED_DEPTH_MAX: usize = 65_536;

/// What is left of a record.
#[derive(Debug, Clone)]
pub(super) struct Input<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    elements: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes, at: 0, elements: 0 }
    }

    /// The elements of a new record are counted anew.
    pub(super) fn next_record(&mut self) {
        self.elements = 0;
    }

    #[inline]
    pub(super) fn take(&mut self, n: usize) -> Read<&'a [u8]> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..n)) {
            Some(taken) => {
                self.at += n;
                Ok(taken)
            }
            None => wrong(format!(
                "the record ends after {} bytes, where {n} more are expected",
                self.bytes.len().saturating_sub(self.at)
            )),
        }
    }

    #[inline]
    pub(super) fn long(&mut self) -> Read<i64> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let (mut value, mut shift) = (0u64, 0u32);
        for (i, byte) in rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if i == 9 && *byte > 1 {
                    break;
                }
                self.at += i + 1;
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
            shift += 7;
        }
        wrong(if rest.len() < 10 { "the record ends inside a number" } else { "a number has more than 64 bits" })
    }

    #[inline]
    pub(super) fn int(&mut self) -> Read<i32> {
        let value = self.long()?;
        i32::try_from(value).or_else(|_| wrong(format!("{value} is no 32-bit number")))
    }

    pub(super) fn boolean(&mut self) -> Read<bool> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            other => wrong(format!("the byte {} is no boolean", other[0])),
        }
    }

    pub(super) fn float(&mut self) -> Read<f32> {
        let bytes = self.take(4)?;
        Ok(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(super) fn double(&mut self) -> Read<f64> {
        let mut eight = [0; 8];
        eight.copy_from_slice(self.take(8)?);
        Ok(f64::from_le_bytes(eight))
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => wrong(format!("{length} is no length")),
        }
    }

    /// The number of elements of the next block of an array or map; 0 at its end.
    pub(super) fn block(&mut self) -> Read<usize> {
        let mut count = self.long()?;
        if count < 0 {
            self.long()?;
            count = count.checked_neg().unwrap_or(i64::MAX);
        }
        self.elements = self.elements.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        // Elements without bytes cost nothing to claim.
        let left = self.bytes.len().saturating_sub(self.at);
        if count as usize > left.saturating_add(ELEMENTS_WITHOUT_BYTES_MAX) {
            return wrong(format!("the record claims {count} elements, and {left} bytes are left"));
        }
        if self.elements > ELEMENTS_MAX {
            return wrong(format!("the record has more than {ELEMENTS_MAX} elements of arrays and maps"));
        }
        Ok(count as usize)
    }

    pub(super) fn index(&mut self, of: usize, what: &str) -> Read<usize> {
        let index = self.long()?;
        match usize::try_from(index) {
            Ok(i) if i < of => Ok(i),
            _ => wrong(format!("{index} is no {what}: there are {of}")),
        }
    }

    /// Leaves out a value. What lies inside each other is kept in a list and not on the thread's stack.
    pub(super) fn skip(&mut self, schema: &AvroSchema, node: usize) -> Read<()> {
        let mut open: Vec<Open> = vec![];
        let mut next = Some(node);
        loop {
            if let Some(node) = next.take() {
                match schema.node(node) {
                    Node::Null => {}
                    Node::Boolean => drop(self.take(1)?),
                    Node::Int | Node::Long | Node::Enum(_) => drop(self.long()?),
                    Node::Float => drop(self.take(4)?),
                    Node::Double => drop(self.take(8)?),
                    Node::Bytes | Node::String => drop(self.bytes()?),
                    Node::Fixed(size) => drop(self.take(*size)?),
                    Node::Union(branches) => {
                        next = Some(branches[self.index(branches.len(), "branch of the union")?]);
                        continue;
                    }
                    Node::Record(_) => open.push(Open { node, at: 0 }),
                    Node::Array(_) | Node::Map(_) => {
                        let at = self.block()?;
                        if at > 0 {
                            open.push(Open { node, at });
                        }
                    }
                }
            }
            if open.len() > SKIPPED_DEPTH_MAX {
                return wrong(format!("values lie more than {SKIPPED_DEPTH_MAX} levels inside each other"));
            }
            let Some(last) = open.last_mut() else { return Ok(()) };
            match schema.node(last.node) {
                Node::Record(fields) => {
                    next = fields.get(last.at).map(|f| f.node);
                    last.at += 1;
                }
                Node::Array(inner) | Node::Map(inner) => {
                    if last.at == 0 {
                        last.at = self.block()?;
                    }
                    if last.at > 0 {
                        last.at -= 1;
                        if matches!(schema.node(last.node), Node::Map(_)) {
                            self.bytes()?;
                        }
                        next = Some(*inner);
                    }
                }
                _ => {}
            }
            if next.is_none() {
                open.pop();
            }
        }
    }
}

/// A value that is being skipped: of a record the field that comes next, else the elements left of a block.
struct Open {
    node: usize,
    at: usize,
}

/// Writes a number.
#[inline]
pub(super) fn put_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Writes bytes behind their length.
#[inline]
pub(super) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_in_the_specification() {
        for (value, bytes) in [
            (0, &[0u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut out = vec![];
            put_long(value, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(Input::new(bytes).long().expect("a number"), value);
            assert!(Input::new(&bytes[..bytes.len() - 1]).long().is_err());
        }
        assert!(Input::new(&[0xff; 10]).long().expect_err("long").reason.contains("64 bits"));
        assert!(Input::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).long().is_err());
    }

    #[test]
    fn what_is_skipped_may_lie_deep() {
        let schema = AvroSchema::parse(
            r#"{"type":"record","name":"T","fields":[{"name":"m","type":{"type":"map","values":{"type":"array","items":"int"}}},{"name":"n","type":["null","T"]},{"name":"s","type":"string"}]}"#,
        )
        .expect("a schema");
        let levels = 10_000;
        let mut bytes = vec![];
        for level in 0..levels {
            // Two blocks, one with its size, of two arrays each with one block, and none at all.
            bytes.extend([2, 2, b'k', 2, 8, 0, 1, 8, 2, b'l', 2, 8, 0, 0, u8::from(level + 1 < levels) * 2]);
        }
        (0..levels).for_each(|_| bytes.extend([2, b'x']));
        let end = bytes.len();
        bytes.push(7);
        let mut input = Input::new(&bytes);
        input.skip(&schema, schema.root).expect("skipped");
        assert_eq!(input.at, end);
    }

    #[test]
    fn what_claims_too_much_is_refused() {
        let schema = AvroSchema::parse(r#"{"type":"array","items":"null"}"#).expect("a schema");
        let mut bytes = vec![];
        put_long(1 << 40, &mut bytes);
        bytes.push(0);
        let e = Input::new(&bytes).skip(&schema, schema.root).expect_err("too many");
        assert!(e.reason.contains("elements"), "{}", e.reason);
        let deep = AvroSchema::parse(r#"{"type":"record","name":"T","fields":[{"name":"n","type":["null","T"]}]}"#);
        let deep = deep.expect("a schema");
        let e = Input::new(&vec![2; 100_000]).skip(&deep, deep.root).expect_err("too deep");
        assert!(e.reason.contains("levels"), "{}", e.reason);
        // One that contains itself without a union has no bytes and no end.
        let endless = AvroSchema::parse(r#"{"type":"record","name":"T","fields":[{"name":"n","type":"T"}]}"#);
        let endless = endless.expect("a schema");
        assert!(Input::new(&[]).skip(&endless, endless.root).is_err());
        let string = AvroSchema::parse(r#""string""#).expect("a schema");
        let mut bytes = vec![];
        put_long(i64::MAX, &mut bytes);
        assert!(Input::new(&bytes).skip(&string, string.root).is_err());
    }
}
