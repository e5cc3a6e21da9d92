//! Where the special bytes of a text are: 64 bytes to four words of bits.
//!
//! The one module of this crate with `unsafe`: AVX2 where the processor has it (asked at run time), else plain code that
//! the compiler vectorises. A test compares the two on random bytes.
#![allow(unsafe_code, reason = "vector instructions of the processor; every call checks that they exist")]

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 64;

/// For one block: bit i of word w says that byte i is needle w.
pub(super) type BlockMasks = [u64; 4];

/// Appends the masks of each whole block of `text` for four needles.
pub(super) fn block_masks(text: &[u8], needles: [u8; 4], out: &mut Vec<BlockMasks>) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        unsafe { block_masks_avx2(text, needles, out) };
        return;
    }
    block_masks_portable(text, needles, out);
}

fn block_masks_portable(text: &[u8], needles: [u8; 4], out: &mut Vec<BlockMasks>) {
    for block in text.as_chunks::<BLOCK_BYTES>().0 {
        out.push(needles.map(|needle| {
            let mut mask = 0;
            for (i, byte) in block.iter().enumerate() {
                mask |= u64::from(*byte == needle) << i;
            }
            mask
        }));
    }
}

/// # Safety
/// The processor must have AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn block_masks_avx2(text: &[u8], needles: [u8; 4], out: &mut Vec<BlockMasks>) {
    use std::arch::x86_64::{_mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8};
    let wide = needles.map(|n| _mm256_set1_epi8(n.cast_signed()));
    let blocks = text.as_chunks::<BLOCK_BYTES>().0;
    out.reserve(blocks.len());
    for block in blocks {
        let start = block.as_ptr();
        // SAFETY: both loads read 32 of the block's 64 bytes, and need no alignment.
        let (low, high) = unsafe { (_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(32).cast())) };
        out.push(wide.map(|needle| {
            let l = _mm256_movemask_epi8(_mm256_cmpeq_epi8(low, needle)).cast_unsigned();
            let h = _mm256_movemask_epi8(_mm256_cmpeq_epi8(high, needle)).cast_unsigned();
            u64::from(l) | u64::from(h) << 32
        }));
    }
}

/// The exclusive-or of all bits up to each bit: from quotes to the text between them.
#[inline(always)]
pub(super) fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn vector_and_plain_code_agree(
            text in prop::collection::vec(prop_oneof![any::<u8>(), Just(b','), Just(b'"'), Just(b'\n')], 0..400),
            needles in any::<[u8; 4]>(),
        ) {
            for needles in [needles, [b',', b'\n', b'\r', b'"']] {
                let (mut found, mut plain) = (vec![], vec![]);
                block_masks(&text, needles, &mut found);
                block_masks_portable(&text, needles, &mut plain);
                prop_assert_eq!(&found, &plain);
                prop_assert_eq!(found.len(), text.len() / BLOCK_BYTES);
                for (b, masks) in found.iter().enumerate() {
                    for (w, needle) in needles.iter().enumerate() {
                        for i in 0..BLOCK_BYTES {
                            prop_assert_eq!(masks[w] >> i & 1 == 1, text[b * BLOCK_BYTES + i] == *needle);
                        }
                    }
                }
            }
        }

        #[test]
        fn prefix_xor_is_a_running_parity(bits in any::<u64>()) {
            let mut inside = false;
            for i in 0..64 {
                inside ^= bits >> i & 1 == 1;
                prop_assert_eq!(prefix_xor(bits) >> i & 1 == 1, inside);
            }
        }
    }
}
