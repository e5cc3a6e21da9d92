//! ORC's run-length encodings: of bits, of bytes, and both versions of those of integers.
//!
//! Source: "Run Length Encoding" in the ORC specification, version 1.

use super::stream::Stream;
use crate::protobuf::wire::put_varint;
use crate::wrong::{Read, wrong};

/// Values of the longest run of integers.
const RUN_MAX: usize = 512;
/// Equal values that make a short run.
const SHORT_RUN_MIN: usize = 3;
const SHORT_RUN_MAX: usize = 10;
const BYTE_RUN_MIN: usize = 3;
const BYTE_RUN_MAX: usize = 130;
const LITERALS_MAX: usize = 128;

/// Bytes, of which equal ones behind each other are counted.
#[derive(Debug)]
pub(super) struct Bytes {
    stream: Stream,
    /// Values left of the run, and the value; `None`: they stand one by one.
    left: usize,
    repeated: Option<u8>,
}

impl Bytes {
    pub(super) fn new(stream: Stream) -> Bytes {
        Bytes { stream, left: 0, repeated: None }
    }

    pub(super) fn next(&mut self) -> Read<u8> {
        if self.left == 0 {
            let control = self.stream.byte()?;
            if control < 128 {
                self.left = usize::from(control) + BYTE_RUN_MIN;
                self.repeated = Some(self.stream.byte()?);
            } else {
                self.left = 256 - usize::from(control);
                self.repeated = None;
            }
        }
        self.left -= 1;
        match self.repeated {
            Some(value) => Ok(value),
            None => self.stream.byte(),
        }
    }
}

/// Bits, the highest of a byte first.
#[derive(Debug)]
pub(super) struct Bits {
    bytes: Bytes,
    current: u8,
    left: u8,
}

impl Bits {
    pub(super) fn new(stream: Stream) -> Bits {
        Bits { bytes: Bytes::new(stream), current: 0, left: 0 }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Read<bool> {
        if self.left == 0 {
            self.current = self.bytes.next()?;
            self.left = 8;
        }
        self.left -= 1;
        Ok(self.current >> self.left & 1 == 1)
    }
}

/// Integers.
#[derive(Debug)]
pub(super) struct Ints {
    stream: Stream,
    signed: bool,
    version2: bool,
    run: Vec<i64>,
    at: usize,
}

impl Ints {
    pub(super) fn new(stream: Stream, signed: bool, version2: bool) -> Ints {
        Ints { stream, signed, version2, run: Vec::with_capacity(RUN_MAX), at: 0 }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Read<i64> {
        if self.at == self.run.len() {
            self.run.clear();
            self.at = 0;
            if self.version2 { self.read_version2()? } else { self.read_version1()? }
        }
        let value = self.run[self.at];
        self.at += 1;
        Ok(value)
    }

    fn number(&mut self) -> Read<i64> {
        let value = self.stream.varint()?;
        Ok(if self.signed { unzigzag(value) } else { value as i64 })
    }

    fn read_version1(&mut self) -> Read<()> {
        let control = self.stream.byte()?;
        if control < 128 {
            let delta = i64::from(self.stream.byte()? as i8);
            let mut value = self.number()?;
            for _ in 0..usize::from(control) + 3 {
                self.run.push(value);
                value = value.wrapping_add(delta);
            }
        } else {
            for _ in 0..256 - usize::from(control) {
                let value = self.number()?;
                self.run.push(value);
            }
        }
        Ok(())
    }

    fn read_version2(&mut self) -> Read<()> {
        let first = self.stream.byte()?;
        match first >> 6 {
            0 => {
                let width = usize::from(first >> 3 & 7) + 1;
                let count = usize::from(first & 7) + SHORT_RUN_MIN;
                let mut value = 0u64;
                for _ in 0..width {
                    value = value << 8 | u64::from(self.stream.byte()?);
                }
                let value = if self.signed { unzigzag(value) } else { value as i64 };
                self.run.extend(std::iter::repeat_n(value, count));
            }
            1 => {
                let width = width_of(first >> 1 & 31);
                let count = self.count(first)?;
                let signed = self.signed;
                let mut packed = Packed::new(width);
                for _ in 0..count {
                    let value = packed.next(&mut self.stream)?;
                    self.run.push(if signed { unzigzag(value) } else { value as i64 });
                }
            }
            2 => self.patched(first)?,
            _ => {
                // A width of 0 is one difference for all.
                let code = first >> 1 & 31;
                let width = if code == 0 { 0 } else { width_of(code) };
                let count = self.count(first)?;
                let base = self.number()?;
                let delta = unzigzag(self.stream.varint()?);
                self.run.push(base);
                let mut value = base;
                let mut packed = Packed::new(width);
                for i in 1..count {
                    value = match width {
                        _ if i == 1 => value.wrapping_add(delta),
                        0 => value.wrapping_add(delta),
                        _ => {
                            let step = packed.next(&mut self.stream)? as i64;
                            if delta < 0 { value.wrapping_sub(step) } else { value.wrapping_add(step) }
                        }
                    };
                    self.run.push(value);
                }
            }
        }
        Ok(())
    }

    /// The length of a run, in 9 bits.
    fn count(&mut self, first: u8) -> Read<usize> {
        Ok((usize::from(first & 1) << 8 | usize::from(self.stream.byte()?)) + 1)
    }

    /// Values above a base, of which a few have more bits than the others.
    fn patched(&mut self, first: u8) -> Read<()> {
        let width = width_of(first >> 1 & 31);
        let count = self.count(first)?;
        let (third, fourth) = (self.stream.byte()?, self.stream.byte()?);
        let base_bytes = u32::from(third >> 5) + 1;
        let patch_width = width_of(third & 31);
        let gap_width = u32::from(fourth >> 5) + 1;
        let patches = fourth & 31;
        let mut base = 0u64;
        for _ in 0..base_bytes {
            base = base << 8 | u64::from(self.stream.byte()?);
        }
        // The highest bit is the sign.
        let sign = 1u64 << (base_bytes * 8 - 1);
        let base = if base & sign != 0 { ((base & !sign) as i64).wrapping_neg() } else { base as i64 };
        let mut packed = Packed::new(width);
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(packed.next(&mut self.stream)?);
        }
        if gap_width + patch_width > 64 {
            return wrong("a run of integers has patches of more than 64 bits");
        }
        let mut packed = Packed::new(width_up(gap_width + patch_width));
        let mut at = 0usize;
        for _ in 0..patches {
            let entry = packed.next(&mut self.stream)?;
            at += (entry >> patch_width) as usize;
            let patch = entry & mask(patch_width);
            match values.get_mut(at) {
                Some(value) if width < 64 => *value |= patch << width,
                // A gap that is too long for its bits is written as a patch of nothing.
                None if patch == 0 => {}
                _ => return wrong("a run of integers has a patch behind its end"),
            }
        }
        self.run.extend(values.into_iter().map(|v| base.wrapping_add(v as i64)));
        Ok(())
    }
}

fn mask(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The width of a code of 5 bits.
fn width_of(code: u8) -> u32 {
    match code {
        0..=23 => u32::from(code) + 1,
        24 => 26,
        25 => 28,
        26 => 30,
        27 => 32,
        28 => 40,
        29 => 48,
        30 => 56,
        _ => 64,
    }
}

/// The next width that has a code.
fn width_up(width: u32) -> u32 {
    width_of(code_of(width))
}

fn code_of(width: u32) -> u8 {
    match width {
        0 | 1 => 0,
        2..=24 => width as u8 - 1,
        25..=26 => 24,
        27..=28 => 25,
        29..=30 => 26,
        31..=32 => 27,
        33..=40 => 28,
        41..=48 => 29,
        49..=56 => 30,
        _ => 31,
    }
}

/// Values of so many bits each, the highest bit first.
struct Packed {
    width: u32,
    bits: u8,
    left: u32,
}

impl Packed {
    fn new(width: u32) -> Packed {
        Packed { width, bits: 0, left: 0 }
    }

    fn next(&mut self, stream: &mut Stream) -> Read<u64> {
        let (mut value, mut need) = (0u64, self.width);
        while need > 0 {
            if self.left == 0 {
                self.bits = stream.byte()?;
                self.left = 8;
            }
            let take = need.min(self.left);
            let part = u64::from(self.bits) >> (self.left - take) & mask(take);
            value = if take == 64 { part } else { value << take | part };
            self.left -= take;
            need -= take;
        }
        Ok(value)
    }
}

fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let (mut bits, mut used) = (0u8, 0u32);
    for value in values {
        let mut need = width;
        while need > 0 {
            let take = need.min(8 - used);
            let part = value >> (need - take) & mask(take);
            bits |= (part as u8) << (8 - used - take);
            used += take;
            need -= take;
            if used == 8 {
                out.push(bits);
                (bits, used) = (0, 0);
            }
        }
    }
    if used > 0 {
        out.push(bits);
    }
}

/// Writes integers in version 2: equal ones as short runs or with a difference of 0, others packed or, where they grow
/// or shrink by the same, with that difference.
pub(super) fn put_ints(values: &[i64], signed: bool, out: &mut Vec<u8>) {
    let as_bits = |v: i64| if signed { zigzag(v) } else { v as u64 };
    let mut at = 0;
    while at < values.len() {
        let run = steady(&values[at..]);
        if run >= SHORT_RUN_MIN {
            put_run(&values[at..at + run], signed, out);
            at += run;
            continue;
        }
        // As they are, up to where a run begins that is worth its head.
        let mut end = at + 1;
        while end < values.len() && end - at < RUN_MAX && steady(&values[end..]) < SHORT_RUN_MAX {
            end += 1;
        }
        let piece = &values[at..end];
        let widest = piece.iter().map(|v| 64 - as_bits(*v).leading_zeros()).max().unwrap_or(1);
        let code = code_of(widest);
        let count = piece.len() - 1;
        out.push(0b0100_0000 | code << 1 | (count >> 8) as u8);
        out.push(count as u8);
        pack(piece.iter().map(|v| as_bits(*v)), width_of(code), out);
        at = end;
    }
}

/// How many of the first values have the same difference.
fn steady(values: &[i64]) -> usize {
    let [first, second, ..] = values else { return values.len() };
    let Some(delta) = second.checked_sub(*first) else { return 1 };
    let same = values.windows(2).take(RUN_MAX - 1).take_while(|w| w[1].checked_sub(w[0]) == Some(delta)).count();
    same + 1
}

fn put_run(run: &[i64], signed: bool, out: &mut Vec<u8>) {
    let as_bits = |v: i64| if signed { zigzag(v) } else { v as u64 };
    let delta = run[1] - run[0];
    if delta == 0 && run.len() <= SHORT_RUN_MAX {
        let value = as_bits(run[0]);
        let width = (64 - value.leading_zeros()).div_ceil(8).max(1);
        out.push((width as u8 - 1) << 3 | (run.len() - SHORT_RUN_MIN) as u8);
        out.extend_from_slice(&value.to_be_bytes()[8 - width as usize..]);
        return;
    }
    let count = run.len() - 1;
    out.push(0b1100_0000 | (count >> 8) as u8);
    out.push(count as u8);
    put_varint(as_bits(run[0]), out);
    put_varint(zigzag(delta), out);
}

/// Writes bytes.
pub(super) fn put_bytes(values: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < values.len() {
        let run = values[at..].iter().take(BYTE_RUN_MAX).take_while(|v| **v == values[at]).count();
        if run >= BYTE_RUN_MIN {
            out.push((run - BYTE_RUN_MIN) as u8);
            out.push(values[at]);
            at += run;
            continue;
        }
        let start = at;
        while at < values.len() && at - start < LITERALS_MAX && !values[at..].iter().take(3).eq([&values[at]; 3]) {
            at += 1;
        }
        out.push((256 - (at - start)) as u8);
        out.extend_from_slice(&values[start..at]);
    }
}

/// Writes bits.
pub(super) fn put_bits(values: impl Iterator<Item = bool>, out: &mut Vec<u8>) {
    let mut bytes = vec![];
    pack(values.map(u64::from), 1, &mut bytes);
    put_bytes(&bytes, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(bytes: &[u8]) -> Stream {
        Stream::plain(bytes.to_vec().into())
    }

    fn ints(bytes: &[u8], signed: bool, version2: bool, count: usize) -> Vec<i64> {
        let mut ints = Ints::new(stream(bytes), signed, version2);
        (0..count).map(|_| ints.next().expect("a value")).collect()
    }

    /// The examples of the specification.
    #[test]
    fn the_specification() {
        assert_eq!(ints(&[0x61, 0x00, 0x07], false, false, 100), [7; 100]);
        assert_eq!(ints(&[0x61, 0xff, 0x64], false, false, 100), (1..=100).rev().collect::<Vec<_>>());
        assert_eq!(ints(&[0xfb, 0x02, 0x03, 0x04, 0x07, 0x0b], false, false, 5), [2, 3, 4, 7, 11]);
        assert_eq!(ints(&[0x0a, 0x27, 0x10], false, true, 5), [10_000; 5]);
        let direct = [0x5e, 0x03, 0x5c, 0xa1, 0xab, 0x1e, 0xde, 0xad, 0xbe, 0xef];
        assert_eq!(ints(&direct, false, true, 4), [23_713, 43_806, 57_005, 48_879]);
        let patched = [
            0x8e, 0x13, 0x2b, 0x21, 0x07, 0xd0, 0x1e, 0x00, 0x14, 0x70, 0x28, 0x32, 0x3c, 0x46, 0x50, 0x5a, 0x64, 0x6e,
            0x78, 0x82, 0x8c, 0x96, 0xa0, 0xaa, 0xb4, 0xbe, 0xfc, 0xe8,
        ];
        assert_eq!(
            ints(&patched, false, true, 20),
            [
                2030, 2000, 2020, 1_000_000, 2040, 2050, 2060, 2070, 2080, 2090, 2100, 2110, 2120, 2130, 2140, 2150,
                2160, 2170, 2180, 2190
            ]
        );
        let delta = [0xc6, 0x09, 0x02, 0x02, 0x22, 0x42, 0x42, 0x46];
        assert_eq!(ints(&delta, false, true, 10), [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        let mut bytes = Bytes::new(stream(&[0x61, 0x00, 0xfe, 0x44, 0x45]));
        let read: Vec<u8> = (0..102).map(|_| bytes.next().expect("a byte")).collect();
        assert_eq!(read, [vec![0; 100], vec![0x44, 0x45]].concat());
    }

    proptest! {
        #[test]
        fn integers_come_back(parts in prop::collection::vec(
            prop_oneof![
                (any::<i64>(), -3i64..3, 1usize..700).prop_map(|(v, d, n)| (0..n as i64).map(|i| v.wrapping_add(i.wrapping_mul(d))).collect::<Vec<_>>()),
                prop::collection::vec(any::<i64>(), 0..20),
                prop::collection::vec(-5i64..5, 0..600),
            ], 0..5), signed in any::<bool>())
        {
            let values: Vec<i64> = parts.concat().into_iter().map(|v| if signed { v } else { v & i64::MAX }).collect();
            let mut out = vec![];
            put_ints(&values, signed, &mut out);
            prop_assert_eq!(ints(&out, signed, true, values.len()), values);
        }

        #[test]
        fn bytes_and_bits_come_back(parts in prop::collection::vec((any::<u8>(), 1usize..200), 0..10), noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let values: Vec<u8> = parts.iter().flat_map(|(v, n)| vec![*v; *n]).chain(noise).collect();
            let mut out = vec![];
            put_bytes(&values, &mut out);
            let mut bytes = Bytes::new(stream(&out));
            let read: Vec<u8> = (0..values.len()).map(|_| bytes.next().unwrap()).collect();
            prop_assert_eq!(read, values.clone());
            let mut out = vec![];
            put_bits(values.iter().map(|v| v & 1 == 1), &mut out);
            let mut bits = Bits::new(stream(&out));
            prop_assert!(values.iter().all(|v| bits.next().unwrap() == (v & 1 == 1)));
        }

        /// Whatever stands there, it is read or refused.
        #[test]
        fn damage_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), signed in any::<bool>(), version2 in any::<bool>()) {
            let mut ints = Ints::new(stream(&bytes), signed, version2);
            if let Some(e) = (0..5_000).find_map(|_| ints.next().err()) {
                prop_assert!(!e.reason.is_empty());
            }
        }
    }
}
