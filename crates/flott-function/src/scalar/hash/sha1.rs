//! SHA1: the SHA-1 digest in 40 hexadecimal digits.

use crate::example::Example;
use crate::scalar::octets::of_octets;
use crate::scalar::{Category, ScalarFunction};
use crate::text::hex;

pub(super) const SHA1: ScalarFunction = ScalarFunction {
    name: "SHA1",
    syntax: "SHA1(text or bytes)",
    description: "The SHA-1 digest in 40 hexadecimal digits.",
    documentation: "A text is taken as UTF-8. NULL gives NULL.",
    examples: &[
        Example { sql: "SHA1('abc')", result: "a9993e364706816aba3e25717850c26c9cd0d89d" },
        Example { sql: "SHA1(CAST(NULL AS STRING))", result: "<NULL>" },
    ],
    category: Category::Hash,
    arity: (1, 1),
    resolve: |a| of_octets(a, |o| Ok(hex(&sha1(o)))),
};

/// SHA-1 (FIPS 180-4): it only names things here, so no crate is needed for it.
fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&(bytes.len() as u64).wrapping_mul(8).to_be_bytes());
    for block in message.chunks_exact(64) {
        let mut w = [0u32; 80];
        for (slot, four) in w.iter_mut().zip(block.chunks_exact(4)) {
            *slot = four.iter().fold(0, |v, b| v << 8 | u32::from(*b));
        }
        for i in 16..80 {
            w[i] = (w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in w.iter().enumerate() {
            let (f, k) = match i {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (s, v) in state.iter_mut().zip([a, b, c, d, e]) {
            *s = s.wrapping_add(v);
        }
    }
    let mut out = [0; 20];
    for (four, word) in out.chunks_exact_mut(4).zip(state) {
        four.copy_from_slice(&word.to_be_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("SHA1", &[("test", "STRING")], "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"),
            ("SHA1", &[("", "STRING")], "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ]);
    }

    #[test]
    fn digests() {
        // Every length around a block: the known digest of 1000 letters a, and no panic before.
        for n in 0..=200 {
            assert_eq!(sha1(&vec![b'a'; n]).len(), 20);
        }
        assert_eq!(hex(&sha1(&[b'a'; 1_000])), "291e9a6c66994949b57ba5e650361e98fc36b1ba");
        assert_eq!(hex(&sha1(&[b'a'; 55])), "c1c8bbdc22796e28c0e15163d20899b65621d65a");
        assert_eq!(hex(&sha1(&[b'a'; 56])), "c2db330f6083854c99d4b5bfb6e8f29f201be699");
        assert_eq!(hex(&sha1(&[b'a'; 63])), "03f09f5b158a7a8cdad920bddc29b81c18a551f5");
        assert_eq!(hex(&sha1(&[b'a'; 64])), "0098ba824b5c16427bd7a1122a5a442a25ec644d");
    }
}
