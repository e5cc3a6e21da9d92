//! Random numbers as a function of a key and a row's number, so that a row read again is the same row.

/// Step between the states of neighbouring rows (2^64 divided by the golden ratio).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The `n`-th number of the stream `key` (SplitMix64, which can be entered at any place).
#[inline]
pub(super) fn at(key: u64, n: u64) -> u64 {
    let mut z = key.wrapping_add(n.wrapping_mul(STEP));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number for a column's path (FNV-1a): a column keeps its values when others are added or pruned.
pub(super) fn salt(path: &str) -> u64 {
    path.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Uniform in `min ..= max` from 64 random bits.
#[inline]
pub(super) fn between(bits: u64, min: i64, max: i64) -> i64 {
    let span = max.wrapping_sub(min) as u64;
    match span.checked_add(1) {
        Some(span) => min.wrapping_add(((u128::from(bits) * u128::from(span)) >> 64) as i64),
        None => bits as i64,
    }
}

/// Uniform in `[0, 1)` from 64 random bits.
#[inline]
pub(super) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Uniform in `min ..= max` from 128 random bits.
pub(super) fn between_wide(high: u64, low: u64, min: i128, max: i128) -> i128 {
    let bits = (u128::from(high) << 64) | u128::from(low);
    // The remainder's bias is below 2^-63 for spans below 2^64 and not visible in wider ones' leading digits.
    match (max.wrapping_sub(min) as u128).checked_add(1) {
        Some(span) => min.wrapping_add((bits % span) as i128),
        None => bits as i128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_between_their_bounds_and_reach_them() {
        for (min, max) in [(0, 0), (-3, 3), (i64::MIN, i64::MAX), (i64::MAX - 1, i64::MAX)] {
            assert_eq!(between(0, min, max), if max == i64::MAX && min == i64::MIN { 0 } else { min });
            if !(min == i64::MIN && max == i64::MAX) {
                assert_eq!(between(u64::MAX, min, max), max);
            }
            for n in 0..1_000 {
                assert!((min..=max).contains(&between(at(1, n), min, max)));
            }
        }
        assert!(unit(u64::MAX) < 1.0);
        for n in 0..1_000 {
            assert!((-5..=7).contains(&between_wide(at(1, n), at(2, n), -5, 7)));
        }
    }

    #[test]
    fn bits_are_even() {
        for bit in 0..64 {
            let ones = (0..10_000).filter(|n| at(42, *n) >> bit & 1 == 1).count();
            assert!((4_700..5_300).contains(&ones), "bit {bit}: {ones} of 10000");
        }
    }
}
