//! FLOAT and DOUBLE as Java prints them, since version 19: the shortest digits that read back.

use std::fmt::Write;

/// `Double.toString`: `1.0`, `1.0E10`, `NaN`.
pub fn write_double(value: f64, out: &mut String) {
    write_java_float(value, &two_digits(&value), out);
}

/// `Float.toString`.
pub fn write_float(value: f32, out: &mut String) {
    write_java_float(f64::from(value), &two_digits(&value), out);
}

/// The shortest digits that read back; where one would do, the two that are nearest, as Java has at least two.
fn two_digits(value: &(impl std::fmt::LowerExp + PartialEq + std::str::FromStr)) -> String {
    let shortest = format!("{value:e}");
    if shortest.contains('.') {
        return shortest;
    }
    let two = format!("{value:.1e}");
    // A second digit that is 0 says nothing.
    if !two.contains(".0") && two.parse().is_ok_and(|read| *value == read) { two } else { shortest }
}

/// `shortest` is Rust's `1.25e-7`: the shortest digits that read back as the same number.
fn write_java_float(value: f64, shortest: &str, out: &mut String) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = match mantissa.strip_prefix('-') {
        Some(rest) => {
            out.push('-');
            rest
        }
        None => mantissa,
    };
    if value == 0.0 {
        return out.push_str("0.0");
    }
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    match exponent {
        0..=6 => {
            let whole = exponent as usize;
            out.push_str(first);
            if rest.len() > whole {
                out.push_str(&rest[..whole]);
                out.push('.');
                out.push_str(&rest[whole..]);
            } else {
                out.push_str(rest);
                out.extend(std::iter::repeat_n('0', whole - rest.len()));
                out.push_str(".0");
            }
        }
        -3..=-1 => {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
            out.push_str(first);
            out.push_str(rest);
        }
        _ => {
            let rest = if rest.is_empty() { "0" } else { rest };
            // Writing into a String cannot fail.
            let done = write!(out, "{first}.{rest}E{exponent}");
            debug_assert!(done.is_ok());
        }
    }
}
