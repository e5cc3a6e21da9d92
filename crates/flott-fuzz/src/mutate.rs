//! Inputs made of others, by a seed: what a test has instead of a fuzzer.

use flott_core::rng::Rng;

/// What formats and parsers look for.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b",",
    b":",
    b";",
    b"\n",
    b"\r\n",
    b"\\",
    b"null",
    b"true",
    b"-",
    b"0",
    b"1e999",
    b"9223372036854775808",
    b"NaN",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\xc3",
    b"\xf0\x9f\x98\x80",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x7f",
    b"\x80",
    b"%",
    b"_",
    b"/*",
    b"--",
    b"SELECT ",
    b" FROM ",
    b" AS ",
    b"CAST(",
];

/// Bytes, fewer than this, that a number in the middle of a file may have.
const NUMBER_BYTES_MAX: u64 = 9;

/// Makes inputs, always the same ones.
#[derive(Debug)]
pub struct Mutator {
    rng: Rng,
    seeds: Vec<Vec<u8>>,
    length_max: usize,
}

impl Mutator {
    /// From these inputs, none longer than `length_max`.
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>, length_max: usize) -> Mutator {
        Mutator { rng: Rng::seeded(seed), seeds, length_max }
    }

    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.rng.below(bound as u64) as usize }
    }

    fn random_bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most);
        (0..length).map(|_| self.rng.next_u64() as u8).collect()
    }

    fn seed(&mut self) -> Vec<u8> {
        let at = self.below(self.seeds.len());
        self.seeds.get(at).cloned().unwrap_or_default()
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut data = if self.below(20) == 0 { self.random_bytes(64) } else { self.seed() };
        for _ in 0..=self.below(5) {
            self.change(&mut data);
        }
        data.truncate(self.length_max);
        data
    }

    fn change(&mut self, data: &mut Vec<u8>) {
        let at = self.below(data.len() + 1);
        match self.below(10) {
            0 => data.truncate(at),
            1 => {
                let piece = self.below(PIECES.len());
                data.splice(at..at, PIECES[piece].iter().copied());
            }
            2 => {
                let bytes = self.random_bytes(8);
                data.splice(at..at, bytes);
            }
            3 => {
                let end = (at + self.below(16)).min(data.len());
                data.drain(at..end);
            }
            4 => {
                let end = (at + self.below(64)).min(data.len());
                let again = data[at..end].to_vec();
                let times = 1 + self.below(4);
                data.splice(at..at, again.repeat(times));
            }
            5 => {
                let other = self.seed();
                let from = self.below(other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            6 => {
                let piece = PIECES[self.below(PIECES.len())];
                let end = (at + piece.len()).min(data.len());
                data.splice(at..end, piece.iter().copied());
            }
            7 => {
                let width = 1 + self.rng.below(NUMBER_BYTES_MAX) as usize;
                let byte = [0, 1, 0x7f, 0x80, 0xff][self.below(5)];
                let end = (at + width).min(data.len());
                data[at..end].fill(byte);
            }
            _ => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << self.rng.below(8);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_inputs_again_and_none_is_too_long() {
        let make = || {
            let mut mutator = Mutator::new(7, vec![b"{\"a\":1}".to_vec(), b"abc".to_vec()], 100);
            (0..500).map(|_| mutator.next_input()).collect::<Vec<_>>()
        };
        let inputs = make();
        assert_eq!(inputs, make());
        assert!(inputs.iter().all(|i| i.len() <= 100) && inputs.iter().any(|i| i.len() > 40));
        assert_eq!(
            Mutator::new(1, vec![], 10).next_input().len().min(10),
            Mutator::new(1, vec![], 10).next_input().len()
        );
    }
}
