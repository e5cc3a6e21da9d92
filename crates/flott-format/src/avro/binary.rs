//! Avro's binary encoding.

use super::schema::{AvroSchema, DEPTH_MAX, Node};

/// Elements of a block may be so many more than bytes are left.
const ELEMENTS_WITHOUT_BYTES_MAX: usize = 65_536;
/// Elements of arrays and maps in one record: those of a type without bytes (null) cost nothing to claim.
const ELEMENTS_MAX: usize = 16 << 20;

/// Why a record cannot be read, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The column and what lies below it.
    pub(super) path: String,
    pub(super) reason: String,
}

pub(super) type Read<T> = Result<T, Box<Wrong>>;

pub(super) fn wrong<T>(reason: impl Into<String>) -> Read<T> {
    Err(Box::new(Wrong { path: String::new(), reason: reason.into() }))
}

/// Puts the name of a column or field before the path.
#[cold]
pub(super) fn below(mut e: Box<Wrong>, name: &str) -> Box<Wrong> {
    e.path = match e.path.as_str() {
        "" => name.to_string(),
        path if path.starts_with('[') => format!("{name}{path}"),
        path => format!("{name}.{path}"),
    };
    e
}

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

    /// Leaves out a value.
    pub(super) fn skip(&mut self, schema: &AvroSchema, node: usize, depth: usize) -> Read<()> {
        if depth > DEPTH_MAX {
            return wrong(format!("values lie more than {DEPTH_MAX} levels inside each other"));
        }
        match schema.node(node) {
            Node::Null => {}
            Node::Boolean => drop(self.take(1)?),
            Node::Int | Node::Long | Node::Enum(_) => drop(self.long()?),
            Node::Float => drop(self.take(4)?),
            Node::Double => drop(self.take(8)?),
            Node::Bytes | Node::String => drop(self.bytes()?),
            Node::Fixed(size) => drop(self.take(*size)?),
            Node::Union(branches) => {
                let branch = self.index(branches.len(), "branch of the union")?;
                self.skip(schema, branches[branch], depth + 1)?;
            }
            Node::Record(fields) => {
                for field in fields {
                    self.skip(schema, field.node, depth + 1)?;
                }
            }
            Node::Array(inner) | Node::Map(inner) => {
                let is_map = matches!(schema.node(node), Node::Map(_));
                loop {
                    let count = self.block()?;
                    if count == 0 {
                        break;
                    }
                    for _ in 0..count {
                        if is_map {
                            self.bytes()?;
                        }
                        self.skip(schema, *inner, depth + 1)?;
                    }
                }
            }
        }
        Ok(())
    }
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
    fn what_claims_too_much_is_refused() {
        let schema = AvroSchema::parse(r#"{"type":"array","items":"null"}"#).expect("a schema");
        let mut bytes = vec![];
        put_long(1 << 40, &mut bytes);
        bytes.push(0);
        let e = Input::new(&bytes).skip(&schema, schema.root, 0).expect_err("too many");
        assert!(e.reason.contains("elements"), "{}", e.reason);
        let deep = AvroSchema::parse(r#"{"type":"record","name":"T","fields":[{"name":"n","type":["null","T"]}]}"#);
        let deep = deep.expect("a schema");
        let e = Input::new(&[2; 1000]).skip(&deep, deep.root, 0).expect_err("too deep");
        assert!(e.reason.contains("levels"), "{}", e.reason);
        let string = AvroSchema::parse(r#""string""#).expect("a schema");
        let mut bytes = vec![];
        put_long(i64::MAX, &mut bytes);
        assert!(Input::new(&bytes).skip(&string, string.root, 0).is_err());
    }
}
