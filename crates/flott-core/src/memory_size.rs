//! Sizes of memory as Flink writes them: `64 mb`, `1g`, `512`.

/// Bytes of a text such as `64 mb`; a bare number is bytes (Flink's `MemorySize.parse`).
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| format!("'{text}' is not a memory size: write a number and a unit, as in '64 mb'"))?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kib" | "kibibytes" => 10,
        "m" | "mb" | "mib" | "mebibytes" => 20,
        "g" | "gb" | "gib" | "gibibytes" => 30,
        "t" | "tb" | "tib" | "tebibytes" => 40,
        other => return Err(format!("'{other}' is not a unit of memory: use b, kb, mb, gb or tb (multiples of 1024)")),
    };
    number.checked_mul(1 << shift).ok_or_else(|| format!("'{text}' is more than 2^64 bytes"))
}

/// Whole multiples with the largest fitting unit, as Flink prints a `MemorySize`.
pub fn format_bytes(bytes: u64) -> String {
    for (shift, unit) in [(40, "tb"), (30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{} {unit}", bytes >> shift);
        }
    }
    format!("{bytes} bytes")
}

/// About so much, for people: `1.5 gb`.
pub fn about(bytes: u64) -> String {
    let unit = [(40, "tb"), (30, "gb"), (20, "mb"), (10, "kb")].into_iter().find(|(shift, _)| bytes >> shift > 0);
    match unit {
        Some((shift, unit)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            let (whole, tenth) = (tenths / 10, tenths % 10);
            if tenth == 0 { format!("{whole} {unit}") } else { format!("{whole}.{tenth} {unit}") }
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flinks_spellings() {
        assert_eq!(parse_bytes("64 mb"), Ok(64 << 20));
        assert_eq!(parse_bytes("1g"), Ok(1 << 30));
        assert_eq!(parse_bytes(" 12 "), Ok(12));
        assert!(parse_bytes("12 parsec").is_err());
        assert!(parse_bytes("mb").is_err());
        assert!(parse_bytes("99999999999 tb").is_err());
        assert_eq!(format_bytes(64 << 20), "64 mb");
        assert_eq!(format_bytes(1000), "1000 bytes");
        assert_eq!([about(1000), about(64 << 20), about(1_600_000_000)], ["1000 bytes", "64 mb", "1.4 gb"]);
    }
}
