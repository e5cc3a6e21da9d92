//! Protobuf's wire format.
//!
//! Source: "Encoding" in the documentation of Protocol Buffers; what is an error and what is skipped is as in Java's parser.

use crate::wrong::{Read, wrong};

/// Messages and groups inside each other, as in Java's parser.
pub const DEPTH_MAX: usize = 100;

/// How a field stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
    StartGroup = 3,
    EndGroup = 4,
    Fixed32 = 5,
}

/// A part of a message's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// As the bits of a value.
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.start) << 32 | u64::from(self.end)
    }

    pub(crate) fn of_bits(bits: u64) -> Span {
        Span { start: (bits >> 32) as u32, end: bits as u32 }
    }

    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }
}

/// What is left of a part of a message. Positions are those of the whole message, whose length fits in 32 bits.
#[derive(Debug, Clone)]
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8], span: Span) -> Input<'a> {
        Input { bytes, at: span.start as usize, end: span.end as usize }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.end
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Read<u64> {
        if let Some(byte) = self.bytes[..self.end].get(self.at)
            && byte & 0x80 == 0
        {
            self.at += 1;
            return Ok(u64::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Read<u64> {
        let rest = &self.bytes[self.at..self.end];
        let mut value = 0u64;
        for (i, byte) in rest.iter().enumerate().take(10) {
            // Of the tenth byte one bit counts, as in Java.
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        match rest.len() {
            0..10 => wrong(format!("the message ends inside the number at byte {}", self.at)),
            _ => wrong(format!("the number at byte {} has more than 10 bytes", self.at)),
        }
    }

    /// The number of the next field and how it stands there.
    #[inline]
    pub(crate) fn tag(&mut self) -> Read<(u32, WireType)> {
        let start = self.at;
        let tag = self.varint()?;
        let number = match u32::try_from(tag) {
            Ok(tag) if tag >> 3 > 0 => tag >> 3,
            _ => return wrong(format!("there is no field at byte {start}: {tag} is no tag")),
        };
        let wire = match tag & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Length,
            3 => WireType::StartGroup,
            4 => WireType::EndGroup,
            5 => WireType::Fixed32,
            other => return wrong(format!("the field {number} at byte {start} has the unknown wire type {other}")),
        };
        Ok((number, wire))
    }

    #[inline]
    fn take(&mut self, length: usize) -> Read<Span> {
        let left = self.end - self.at;
        if length > left {
            return wrong(format!(
                "the message ends early: at byte {} {length} bytes are expected, and {left} are left",
                self.at
            ));
        }
        let span = Span { start: self.at as u32, end: (self.at + length) as u32 };
        self.at += length;
        Ok(span)
    }

    #[inline]
    pub(crate) fn fixed32(&mut self) -> Read<u32> {
        let mut four = [0; 4];
        four.copy_from_slice(self.take(4)?.of(self.bytes));
        Ok(u32::from_le_bytes(four))
    }

    #[inline]
    pub(crate) fn fixed64(&mut self) -> Read<u64> {
        let mut eight = [0; 8];
        eight.copy_from_slice(self.take(8)?.of(self.bytes));
        Ok(u64::from_le_bytes(eight))
    }

    /// A string, bytes, a message or packed values.
    #[inline]
    pub(crate) fn length_delimited(&mut self) -> Read<Span> {
        let start = self.at;
        let length = self.varint()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => wrong(format!("{length} at byte {start} is no length")),
        }
    }

    /// What lies in the group that has just begun. What is inside each other is kept in a list and not on the thread's stack.
    pub(crate) fn group(&mut self, number: u32) -> Read<Span> {
        let start = self.at;
        let mut open = vec![number];
        while let Some(innermost) = open.last().copied() {
            let before = self.at;
            if self.is_at_end() {
                return wrong(format!("the message ends inside the group {innermost}"));
            }
            match self.tag()? {
                (number, WireType::EndGroup) if number == innermost => {
                    open.pop();
                    if open.is_empty() {
                        return Ok(Span { start: start as u32, end: before as u32 });
                    }
                }
                (number, WireType::EndGroup) => {
                    return wrong(format!("the group {innermost} ends as group {number} at byte {before}"));
                }
                (number, WireType::StartGroup) if open.len() < DEPTH_MAX => open.push(number),
                (_, WireType::StartGroup) => return too_deep(),
                (number, wire) => self.skip(number, wire)?,
            }
        }
        wrong("a group without an end")
    }

    /// Leaves out a field whose tag has been read.
    pub(crate) fn skip(&mut self, number: u32, wire: WireType) -> Read<()> {
        match wire {
            WireType::Varint => drop(self.varint()?),
            WireType::Fixed64 => drop(self.take(8)?),
            WireType::Length => drop(self.length_delimited()?),
            WireType::Fixed32 => drop(self.take(4)?),
            WireType::StartGroup => drop(self.group(number)?),
            WireType::EndGroup => {
                return wrong(format!("the group {number} ends before byte {}, where none has begun", self.at));
            }
        }
        Ok(())
    }
}

#[cold]
pub(crate) fn too_deep<T>() -> Read<T> {
    wrong(format!("messages lie more than {DEPTH_MAX} levels inside each other (DEPTH_MAX)"))
}

/// Writes a number.
#[inline]
pub(crate) fn put_varint(value: u64, out: &mut Vec<u8>) {
    let mut rest = value;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Writes the number of a field and how it stands there.
#[inline]
pub(crate) fn put_tag(number: u32, wire: WireType, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | wire as u64, out);
}

/// Puts the length of what stands from `start` on before it.
pub(crate) fn put_length_before(start: usize, out: &mut Vec<u8>) {
    let length = out.len() - start;
    put_varint(length as u64, out);
    let prefix = out.len() - start - length;
    out[start..].rotate_right(prefix);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &[u8]) -> Input<'_> {
        Input::new(bytes, Span { start: 0, end: bytes.len() as u32 })
    }

    #[test]
    fn numbers_of_any_length() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), 1 << 62, u64::MAX] {
            let mut out = vec![];
            put_varint(value, &mut out);
            assert_eq!(input(&out).varint().expect("a number"), value);
            let e = input(&out[..out.len() - 1]).varint().expect_err("cut");
            assert!(e.reason.contains("ends inside the number at byte 0"), "{}", e.reason);
        }
        // Longer than needed, and of the last byte only one bit.
        assert_eq!(input(&[0x81, 0x80, 0]).varint().expect("a number"), 1);
        assert_eq!(
            input(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).varint().expect("a number"),
            u64::MAX
        );
        assert!(input(&[0x80; 11]).varint().expect_err("long").reason.contains("more than 10 bytes"));
    }

    #[test]
    fn lengths_stand_before_what_they_count() {
        for length in [0usize, 1, 127, 128, 20_000] {
            let mut out = vec![7];
            out.extend((0..length).map(|i| i as u8));
            put_length_before(1, &mut out);
            let mut read = input(&out);
            assert_eq!(read.varint().expect("the first"), 7);
            let span = read.length_delimited().expect("the rest");
            assert!(read.is_at_end() && span.of(&out).iter().enumerate().all(|(i, b)| *b == i as u8));
        }
    }

    #[test]
    fn groups_are_found_whole() {
        // Group 1 with group 2 inside, which holds a number; then a number.
        let bytes = [0x0b, 0x13, 0x08, 0x05, 0x14, 0x0c, 0x08, 0x07];
        let mut read = input(&bytes);
        assert_eq!(read.tag().expect("a tag"), (1, WireType::StartGroup));
        assert_eq!(read.group(1).expect("a group"), Span { start: 1, end: 5 });
        assert_eq!((read.tag().expect("a tag"), read.varint().expect("a number")), ((1, WireType::Varint), 7));
        for (bytes, part) in [
            (&[0x0b, 0x08, 0x05][..], "ends inside the group 1"),
            (&[0x0b, 0x14], "the group 1 ends as group 2 at byte 1"),
            (&[0x0b; 200], "more than 100 levels"),
            (&[0x0c], "where none has begun"),
            (&[0x00], "0 is no tag"),
            (&[0x0e], "the unknown wire type 6"),
            (&[0x0d, 1], "at byte 1 4 bytes are expected, and 1 are left"),
            (&[0x0a, 5, 1], "at byte 2 5 bytes are expected"),
            (&[0xff, 0xff, 0xff, 0xff, 0x7f], "is no tag"),
        ] {
            let mut read = input(bytes);
            let e = read.tag().and_then(|(number, wire)| read.skip(number, wire)).expect_err(part);
            assert!(e.reason.contains(part), "{}", e.reason);
        }
    }
}
