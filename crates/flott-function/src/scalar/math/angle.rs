//! Functions of angles to the last bit of Java's `Math`: those that Java takes from fdlibm, whatever the system's library has.
//!
//! `libm` is fdlibm for `asin`, `acos`, `atan`, `exp` and `expm1`, and near it for `log10`; the functions here are put together
//! from those as fdlibm does it (Sun Microsystems, `e_sinh.c`, `e_cosh.c`, `s_tanh.c`, `e_atan2.c`, 1993). `sin`, `cos`, `tan`,
//! `exp`, `log` and `pow` are the processor's own in Java, and the system's here.

use std::f64::consts::{FRAC_PI_2, PI};

/// Beyond it `exp(-x)` is lost beside `exp(x)`.
const NO_SMALL_PART: f64 = 22.0;
/// `ln` of the greatest double, cut to its upper half.
const EXP_MAX: f64 = 709.782_226_562_5;
/// The rest of pi behind the digits of a double.
const PI_REST: f64 = 1.224_646_799_147_353_2e-16;
/// Exponents so far apart leave nothing of the smaller one in an angle.
const FAR_APART: i64 = 60;

/// `exp(x) / 2` where `exp(x)` may be too large: 0 <= x.
fn half_exp(x: f64) -> f64 {
    if x < EXP_MAX {
        return 0.5 * libm::exp(x);
    }
    let root = libm::exp(0.5 * x);
    0.5 * root * root
}

/// The hyperbolic sine.
pub(super) fn sinh(x: f64) -> f64 {
    let (size, half) = (x.abs(), 0.5f64.copysign(x));
    if !x.is_finite() || size < 2f64.powi(-28) {
        return x;
    }
    if size < NO_SMALL_PART {
        let t = libm::expm1(size);
        let both = if size < 1.0 { 2.0 * t - t * t / (t + 1.0) } else { t + t / (t + 1.0) };
        return half * both;
    }
    half_exp(size).copysign(x)
}

/// The hyperbolic cosine.
pub(super) fn cosh(x: f64) -> f64 {
    let size = x.abs();
    if !x.is_finite() {
        return x * x;
    }
    // Half of ln(2), cut to its upper half.
    if size < 0.346_573_591_232_299_8 {
        let t = libm::expm1(size);
        let w = 1.0 + t;
        return if size < 2f64.powi(-55) { w } else { 1.0 + (t * t) / (w + w) };
    }
    if size < NO_SMALL_PART {
        let t = libm::exp(size);
        return 0.5 * t + 0.5 / t;
    }
    half_exp(size)
}

/// The hyperbolic tangent.
pub(super) fn tanh(x: f64) -> f64 {
    let size = x.abs();
    if x.is_nan() || size < 2f64.powi(-55) {
        return x;
    }
    let z = if size >= NO_SMALL_PART {
        1.0
    } else if size >= 1.0 {
        1.0 - 2.0 / (libm::expm1(2.0 * size) + 2.0)
    } else {
        let t = libm::expm1(-2.0 * size);
        -t / (t + 2.0)
    };
    z.copysign(x)
}

/// The angle of the point (x, y).
pub(super) fn atan2(y: f64, x: f64) -> f64 {
    let plain = x.is_nan() || y.is_nan() || x.is_infinite() || y.is_infinite() || x == 0.0 || y == 0.0 || x == 1.0;
    if plain {
        return libm::atan2(y, x);
    }
    let exponent = |v: f64| ((v.to_bits() >> 52) & 0x7ff) as i64;
    let apart = exponent(y) - exponent(x);
    let z = if apart > FAR_APART {
        FRAC_PI_2 + 0.5 * PI_REST
    } else if x < 0.0 && apart < -FAR_APART {
        0.0
    } else {
        libm::atan((y / x).abs())
    };
    match (x < 0.0, y < 0.0) {
        (false, false) => z,
        (false, true) => -z,
        (true, false) => PI - (z - PI_REST),
        (true, true) => (z - PI_REST) - PI,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Java 17 gives.
    #[test]
    fn as_java() {
        for (x, java) in [
            (248.32342769186045, 3.503195531434994e+107),
            (299.7879676007582, 7.856517357528329e+129),
            (660.2586985280716, 2.7904831453422436e+286),
            (-326.7025708040278, -3.837900649750583e+141),
            (-520.9323853782919, -8.65028504925269e+225),
            (-23.314526932306524, -6673296160.17543),
        ] {
            assert_eq!(sinh(x), java, "sinh({x})");
        }
        for (x, java) in [
            (248.32342769186045, 3.503195531434994e+107),
            (-5.21, 91.54975993370292),
            (299.7879676007582, 7.856517357528329e+129),
            (660.2586985280716, 2.7904831453422436e+286),
            (-326.7025708040278, 3.837900649750583e+141),
            (13.770495929623234, 477991.7486396168),
        ] {
            assert_eq!(cosh(x), java, "cosh({x})");
        }
        for (x, java) in [
            (0.19024527726403728, 0.18798282654177992),
            (0.19277055729934367, 0.1904177083483),
            (-0.1899999999999995, -0.18774620586828497),
            (-0.09859910334552557, -0.0982808212943812),
            (-0.4952712833589006, -0.45839015222728746),
            (0.1899999999999995, 0.18774620586828497),
        ] {
            assert_eq!(tanh(x), java, "tanh({x})");
        }
        for (y, x, java) in [
            (-9.564027233367012, -0.8916860397034534, -1.6637609078918523),
            (-1.2876124188040096e+209, -0.2540361023068538, -1.5707963267948968),
            (-0.9371635223468384, -0.5683203220914854, -2.1159274314866297),
            (-2.0599999999999996, 1.2819672935453865, -1.0141306904679073),
            (-2.1341452777615286, -0.10924631649657846, -1.6219414127418383),
            (299.7879676007582, -0.7386861997693082, 1.5732603506539062),
            (0.39449745853945895, 1.634458320830284, 0.2368331721090129),
            (-15.192646405907423, 1.2364992669109576, -1.4895873102762724),
            (-1.2876124188040096e+209, -0.2540361023068538, -1.5707963267948968),
            (1.845021949151605e+305, -1.8907433348561367, 1.5707963267948968),
        ] {
            assert_eq!(atan2(y, x), java, "atan2({y}, {x})");
        }
        assert_eq!(cosh(1.0), 1.543_080_634_815_244);
        for (x, s, c, t) in [
            (710.2, 1.364_303_684_552_710_7e308, 1.364_303_684_552_710_7e308, 1.0),
            (-710.2, -1.364_303_684_552_710_7e308, 1.364_303_684_552_710_7e308, -1.0),
            (711.0, f64::INFINITY, f64::INFINITY, 1.0),
            (-1e-30, -1e-30, 1.0, -1e-30),
            (f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY, -1.0),
            (22.0, 1.792_456_423_065_796e9, 1.792_456_423_065_796e9, 1.0),
        ] {
            assert_eq!((sinh(x), cosh(x), tanh(x)), (s, c, t), "{x}");
        }
        assert!(sinh(f64::NAN).is_nan() && cosh(f64::NAN).is_nan() && tanh(f64::NAN).is_nan());
        assert_eq!(1.0 / sinh(-0.0), f64::NEG_INFINITY);
    }
}
