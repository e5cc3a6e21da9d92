//! Where the special bytes of a text are: 64 bytes to four words of bits, and from bits to places.
//!
//! The one module of this crate with `unsafe`. A loop over a text or a column is written once, as a [`Loop`], and compiled
//! for the processors that differ: AVX-512 (with what packs bytes), AVX2, and any. Which one it is, is asked at run time. A
//! test compares them on random bytes.
#![allow(unsafe_code, reason = "vector instructions of the processor; every call checks that they exist")]

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 64;

/// For one block: bit i of word w says that byte i is needle w.
pub(super) type BlockMasks = [u64; 4];

/// What a processor has to offer.
pub(super) trait Vector: Copy {
    /// Looks for four needles.
    fn masks(self, block: &[u8; BLOCK_BYTES], needles: [u8; 4]) -> BlockMasks;

    /// Where the bits are, from `base` on. What is in `out` behind them may be anything afterwards.
    fn places(self, bits: u64, base: u32, out: &mut [u32; BLOCK_BYTES]);
}

/// Work that is compiled for each kind of processor. `run` has to be inlined, and what it calls.
pub(super) trait Loop {
    type Output;
    fn run<V: Vector>(self, vector: V) -> Self::Output;
}

/// Runs a loop with the best that this processor has.
pub(super) fn run<L: Loop>(work: L) -> L::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = x86::Avx2::find() {
        if let Some(avx512) = x86::Avx512::find() {
            // SAFETY: the processor has what the function needs.
            return unsafe { x86::run_avx512(work, avx512) };
        }
        // SAFETY: the processor has what the function needs.
        return unsafe { x86::run_avx2(work, avx2) };
    }
    work.run(Portable)
}

/// Plain code, which the compiler vectorises with what all processors have.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Vector for Portable {
    #[inline(always)]
    fn masks(self, block: &[u8; BLOCK_BYTES], needles: [u8; 4]) -> BlockMasks {
        needles.map(|needle| {
            let mut mask = 0;
            for (i, byte) in block.iter().enumerate() {
                mask |= u64::from(*byte == needle) << i;
            }
            mask
        })
    }

    #[inline(always)]
    fn places(self, bits: u64, base: u32, out: &mut [u32; BLOCK_BYTES]) {
        places_one_by_one(bits, base, out);
    }
}

#[inline(always)]
fn places_one_by_one(mut bits: u64, base: u32, out: &mut [u32; BLOCK_BYTES]) {
    // Eight in a row without a question: how many there are is hard to foresee.
    for eight in out.as_chunks_mut::<8>().0 {
        for place in eight {
            *place = base.wrapping_add(bits.trailing_zeros());
            bits &= bits.wrapping_sub(1);
        }
        if bits == 0 {
            return;
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use std::arch::x86_64::*;

    use super::{BLOCK_BYTES, BlockMasks, Loop, Vector, places_one_by_one};

    /// Exists only where the processor has AVX2 and the bit instructions of its time.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(());

    /// Exists only where the processor has AVX-512 with VBMI2, and what [`Avx2`] stands for.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(());

    impl Avx2 {
        pub(in super::super) fn find() -> Option<Avx2> {
            let all = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt");
            all.then_some(Avx2(()))
        }
    }

    impl Avx512 {
        pub(in super::super) fn find() -> Option<Avx512> {
            let all = Avx2::find().is_some()
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vbmi2");
            all.then_some(Avx512(()))
        }
    }

    /// # Safety
    /// The processor must have what [`Avx2`] stands for.
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) unsafe fn run_avx2<L: Loop>(work: L, avx2: Avx2) -> L::Output {
        work.run(avx2)
    }

    /// # Safety
    /// The processor must have what [`Avx512`] stands for.
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2")]
    pub(super) unsafe fn run_avx512<L: Loop>(work: L, avx512: Avx512) -> L::Output {
        work.run(avx512)
    }

    impl Vector for Avx2 {
        #[inline(always)]
        fn masks(self, block: &[u8; BLOCK_BYTES], needles: [u8; 4]) -> BlockMasks {
            let start = block.as_ptr();
            // SAFETY: the type says that the processor has AVX2. Both loads read 32 of the block's 64 bytes, and need no
            // alignment.
            unsafe {
                let (low, high) = (_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(32).cast()));
                needles.map(|needle| {
                    let wide = _mm256_set1_epi8(needle.cast_signed());
                    let l = _mm256_movemask_epi8(_mm256_cmpeq_epi8(low, wide)).cast_unsigned();
                    let h = _mm256_movemask_epi8(_mm256_cmpeq_epi8(high, wide)).cast_unsigned();
                    u64::from(l) | u64::from(h) << 32
                })
            }
        }

        #[inline(always)]
        fn places(self, bits: u64, base: u32, out: &mut [u32; BLOCK_BYTES]) {
            places_one_by_one(bits, base, out);
        }
    }

    /// The number of each byte of a block.
    static NUMBERS: [u8; BLOCK_BYTES] = {
        let mut numbers = [0; BLOCK_BYTES];
        let mut i = 0;
        while i < BLOCK_BYTES {
            numbers[i] = i as u8;
            i += 1;
        }
        numbers
    };

    impl Vector for Avx512 {
        #[inline(always)]
        fn masks(self, block: &[u8; BLOCK_BYTES], needles: [u8; 4]) -> BlockMasks {
            // SAFETY: the type says that the processor has AVX-512. The load reads the block's 64 bytes, and needs no
            // alignment.
            unsafe {
                let bytes = _mm512_loadu_si512(block.as_ptr().cast());
                needles.map(|needle| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(needle.cast_signed())))
            }
        }

        #[inline(always)]
        fn places(self, bits: u64, base: u32, out: &mut [u32; BLOCK_BYTES]) {
            let (quarters, _) = out.as_chunks_mut::<16>();
            // SAFETY: the type says that the processor has AVX-512. The load reads 64 numbers; each store writes the 16
            // words of a quarter.
            unsafe {
                let numbers = _mm512_loadu_si512(NUMBERS.as_ptr().cast());
                let packed = _mm512_maskz_compress_epi8(bits, numbers);
                let base = _mm512_set1_epi32(base.cast_signed());
                let put = |bytes: __m128i, quarter: &mut [u32; 16]| {
                    let places = _mm512_add_epi32(_mm512_cvtepu8_epi32(bytes), base);
                    _mm512_storeu_si512(quarter.as_mut_ptr().cast(), places);
                };
                put(_mm512_castsi512_si128(packed), &mut quarters[0]);
                if bits.count_ones() > 16 {
                    put(_mm512_extracti32x4_epi32::<1>(packed), &mut quarters[1]);
                    put(_mm512_extracti32x4_epi32::<2>(packed), &mut quarters[2]);
                    put(_mm512_extracti32x4_epi32::<3>(packed), &mut quarters[3]);
                }
            }
        }
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

    /// Masks of all blocks, and the places of the first needle.
    struct Look<'a>(&'a [u8], [u8; 4]);

    impl Loop for Look<'_> {
        type Output = (Vec<BlockMasks>, Vec<u32>);

        #[inline(always)]
        fn run<V: Vector>(self, vector: V) -> Self::Output {
            let (mut all, mut places) = (vec![], vec![]);
            for (b, block) in self.0.as_chunks::<BLOCK_BYTES>().0.iter().enumerate() {
                let masks = vector.masks(block, self.1);
                let mut room = [0; BLOCK_BYTES];
                vector.places(masks[0], (b * BLOCK_BYTES) as u32, &mut room);
                places.extend_from_slice(&room[..masks[0].count_ones() as usize]);
                all.push(masks);
            }
            (all, places)
        }
    }

    proptest! {
        #[test]
        fn vector_and_plain_code_agree(
            text in prop::collection::vec(prop_oneof![any::<u8>(), Just(b','), Just(b'"'), Just(b'\n')], 0..400),
            needles in any::<[u8; 4]>(),
        ) {
            for needles in [needles, [b',', b'\n', b'\r', b'"']] {
                let look = || Look(&text, needles);
                let (found, places) = run(look());
                prop_assert_eq!(&(found.clone(), places.clone()), &look().run(Portable));
                #[cfg(target_arch = "x86_64")]
                if let Some(avx2) = x86::Avx2::find() {
                    // SAFETY: it has been found.
                    prop_assert_eq!(&(found.clone(), places.clone()), &unsafe { x86::run_avx2(look(), avx2) });
                }
                prop_assert_eq!(found.len(), text.len() / BLOCK_BYTES);
                for (b, masks) in found.iter().enumerate() {
                    for (w, needle) in needles.iter().enumerate() {
                        for i in 0..BLOCK_BYTES {
                            prop_assert_eq!(masks[w] >> i & 1 == 1, text[b * BLOCK_BYTES + i] == *needle);
                        }
                    }
                }
                let whole = text.len() / BLOCK_BYTES * BLOCK_BYTES;
                let first = (0..whole).filter(|i| text[*i] == needles[0]).map(|i| i as u32);
                prop_assert_eq!(places, first.collect::<Vec<_>>());
            }
        }

        #[test]
        fn bits_of_any_number_have_their_places(bits in any::<u64>(), fewer in any::<u64>(), base in any::<u32>()) {
            for bits in [bits, bits & fewer, bits | fewer, 0, u64::MAX] {
                let expected: Vec<u32> =
                    (0..64).filter(|i| bits >> i & 1 == 1).map(|i| base.wrapping_add(i)).collect();
                struct Places(u64, u32);
                impl Loop for Places {
                    type Output = Vec<u32>;
                    #[inline(always)]
                    fn run<V: Vector>(self, vector: V) -> Vec<u32> {
                        let mut out = [0; BLOCK_BYTES];
                        vector.places(self.0, self.1, &mut out);
                        out[..self.0.count_ones() as usize].to_vec()
                    }
                }
                prop_assert_eq!(&run(Places(bits, base)), &expected);
                prop_assert_eq!(&Places(bits, base).run(Portable), &expected);
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
