//! CONVERT_TZ: a local time of one zone as that of another.

use flott_core::types::TypeKind as K;
use flott_core::{Error, Result, SessionZone};

use super::append;
use super::date_pattern::DEFAULT_PATTERN;
use super::simple_date_format::SimpleDateFormat;
use crate::argument::{Text, build_text};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const CONVERT_TZ: ScalarFunction = ScalarFunction {
    name: "CONVERT_TZ",
    syntax: "CONVERT_TZ(text, from, to)",
    description: "A local time of one zone as that of another.",
    documentation: "The text is written yyyy-MM-dd HH:mm:ss, and so is the result. Zones are names such as \
         `America/Los_Angeles`, offsets such as `GMT-03:00` or Java's short names; others are an error. A text \
         that does not fit gives NULL, and so does NULL.",
    examples: &[
        Example {
            sql: "CONVERT_TZ('1970-01-01 00:00:00', 'UTC', 'America/Los_Angeles')",
            result: "1969-12-31 16:00:00",
        },
        Example { sql: "CONVERT_TZ('not a time', 'UTC', 'UTC')", result: "<NULL>" },
    ],
    category: Category::Temporal,
    arity: (3, 3),
    resolve: convert_tz,
};

fn convert_tz(a: &mut Arguments) -> Result<Option<Resolved>> {
    if !fit(a, &[K::STRING, K::STRING, K::STRING])? {
        return Ok(None);
    }
    // Wrong zones are told while planning.
    for zone in &a.values[1..] {
        zone.text().map(java_zone).transpose()?;
    }
    let pattern = SimpleDateFormat::new(DEFAULT_PATTERN)?;
    Ok(Some(Resolved::new(K::STRING.nullable(), move |args, rows| {
        let (texts, from, to) = (Text::of(&args[0])?, Text::of(&args[1])?, Text::of(&args[2])?);
        build_text(args, rows, |i, out| {
            let (Some(t), Some(from), Some(to)) = (texts.get(i), from.get(i), to.get(i)) else {
                out.append_null();
                return Ok(());
            };
            let (from, to) = (java_zone(from)?, java_zone(to)?);
            match pattern.parse(t, from) {
                Some(ms) => append(out, |out| pattern.format(ms, to, out))?,
                None => out.append_null(),
            }
            Ok(())
        })
    })))
}

/// Short names that Java's `TimeZone` knows beside those of the time zone database.
const SHORT_ZONES: [(&str, &str); 25] = [
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

/// A zone that a call names.
fn java_zone(name: &str) -> Result<SessionZone> {
    let full = SHORT_ZONES.iter().find(|(short, _)| *short == name).map_or(name, |(_, full)| full);
    SessionZone::parse(full).map_err(|_| {
        Error::user(format!("'{name}' is not a time zone"))
            .hint("Use a name such as 'America/Los_Angeles', a fixed offset such as 'GMT-03:00', or 'UTC'")
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            (
                "CONVERT_TZ",
                &[("1970-01-01 00:00:00", "STRING"), ("UTC", "STRING"), ("America/Los_Angeles", "STRING")],
                "1969-12-31 16:00:00",
            ),
            ("CONVERT_TZ", &[("x", "STRING"), ("UTC", "STRING"), ("UTC", "STRING")], "NULL"),
            (
                "CONVERT_TZ",
                &[("2024-03-05 06:07:08", "STRING"), ("PST", "STRING"), ("EST", "STRING")],
                "2024-03-05 09:07:08",
            ),
        ]);
    }
}
