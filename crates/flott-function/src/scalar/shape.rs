//! The common shapes of functions: so many texts to a text, a number or a condition. NULL in, NULL out.

use std::borrow::Cow;

use arrow_array::types::*;
use datafusion_expr::ColumnarValue;
use flott_core::types::TypeKind as K;
use flott_core::{Error, LogicalType, Result};

use super::Arguments;
use crate::argument::{Primitive, Text, build, build_boolean, build_text};
use crate::udf::Resolved;

/// A result longer than this is refused.
pub const MAX_TEXT_BYTES: usize = 64 << 20;

/// Refuses a result that no memory should hold.
pub(super) fn limit(bytes: usize) -> Result<()> {
    if bytes <= MAX_TEXT_BYTES {
        return Ok(());
    }
    Err(Error::data(format!("a text of {bytes} bytes is longer than {MAX_TEXT_BYTES}"))
        .hint("Bound the length in the query"))
}

/// Brings arguments to kinds: a text may be any text, a whole number any whole number; an untyped NULL is anything.
/// `false` where one does not fit.
pub(super) fn fit(a: &mut Arguments, wanted: &[K]) -> Result<bool> {
    for (i, want) in wanted.iter().enumerate() {
        let Some(value) = a.values.get(i) else { continue };
        let have = &value.data_type.kind;
        let fits = *have == K::Null
            || have == want
            || (want.is_character() && have.is_character())
            || (want.is_binary() && have.is_binary())
            || (want.is_integer() && have.is_integer())
            || (*want == K::Double && have.is_numeric());
        if !fits {
            return Ok(false);
        }
        a.coerce(i, &want.clone().nullable())?;
    }
    Ok(true)
}

/// STRING, nullable as the arguments are.
pub(super) fn string_of(a: &Arguments) -> LogicalType {
    K::STRING.nullable().with_nullable(a.nullable())
}

pub(super) fn all_texts<const N: usize>(args: &[ColumnarValue]) -> Result<[Text; N]> {
    let texts = args.iter().map(Text::of).collect::<Result<Vec<_>>>()?;
    <[Text; N]>::try_from(texts).map_err(|_| Error::internal("another number of arguments"))
}

fn row<const N: usize>(texts: &[Text; N], row: usize) -> Option<[&str; N]> {
    let mut out = [""; N];
    for (slot, text) in out.iter_mut().zip(texts) {
        *slot = text.get(row)?;
    }
    Some(out)
}

/// Texts to a text that is never NULL.
pub(super) fn texts<const N: usize>(
    a: &mut Arguments,
    f: for<'a> fn([&'a str; N]) -> Cow<'a, str>,
) -> Result<Option<Resolved>> {
    if a.values.len() != N || !fit(a, &[const { K::STRING }; N])? {
        return Ok(None);
    }
    let resolved = Resolved::new(string_of(a), move |args, rows| {
        let texts = all_texts::<N>(args)?;
        build_text(args, rows, |i, out| {
            out.append_option(row(&texts, i).map(f));
            Ok(())
        })
    });
    Ok(Some(resolved.infallible()))
}

/// Texts to a text, NULL, or an error.
pub(super) fn try_texts<const N: usize>(
    a: &mut Arguments,
    f: for<'a> fn([&'a str; N]) -> Result<Option<Cow<'a, str>>>,
) -> Result<Option<Resolved>> {
    if a.values.len() != N || !fit(a, &[const { K::STRING }; N])? {
        return Ok(None);
    }
    Ok(Some(Resolved::new(K::STRING.nullable(), move |args, rows| {
        let texts = all_texts::<N>(args)?;
        build_text(args, rows, |i, out| {
            match row(&texts, i) {
                Some(row) => out.append_option(f(row)?),
                None => out.append_null(),
            }
            Ok(())
        })
    })))
}

/// Texts to an INT.
pub(super) fn texts_to_int<const N: usize>(a: &mut Arguments, f: fn([&str; N]) -> i32) -> Result<Option<Resolved>> {
    if a.values.len() != N || !fit(a, &[const { K::STRING }; N])? {
        return Ok(None);
    }
    let t = K::Int.nullable().with_nullable(a.nullable());
    let resolved = Resolved::new(t, move |args, rows| {
        let texts = all_texts::<N>(args)?;
        build::<Int32Type>(args, rows, |i| Ok(row(&texts, i).map(f)))
    });
    Ok(Some(resolved.infallible()))
}

/// Texts to a condition.
pub(super) fn texts_to_boolean<const N: usize>(
    a: &mut Arguments,
    f: fn([&str; N]) -> bool,
) -> Result<Option<Resolved>> {
    if a.values.len() != N || !fit(a, &[const { K::STRING }; N])? {
        return Ok(None);
    }
    let t = K::Boolean.nullable().with_nullable(a.nullable());
    let resolved = Resolved::new(t, move |args, rows| {
        let texts = all_texts::<N>(args)?;
        build_boolean(args, rows, |i| Ok(row(&texts, i).map(f)))
    });
    Ok(Some(resolved.infallible()))
}

/// Texts and whole numbers behind them to a text, NULL, or an error. Numbers that are not written are `None`.
pub(super) fn texts_and_numbers<const N: usize, const M: usize>(
    a: &mut Arguments,
    f: for<'a> fn([&'a str; N], [Option<i64>; M]) -> Result<Option<Cow<'a, str>>>,
) -> Result<Option<Resolved>> {
    let kinds: Vec<K> = std::iter::repeat_n(K::STRING, N).chain(std::iter::repeat_n(K::BigInt, M)).collect();
    if a.values.len() < N || a.values.len() > N + M || !fit(a, &kinds)? {
        return Ok(None);
    }
    Ok(Some(Resolved::new(K::STRING.nullable(), move |args, rows| {
        let texts = all_texts::<N>(&args[..N])?;
        let numbers = args[N..].iter().map(Primitive::<Int64Type>::of).collect::<Result<Vec<_>>>()?;
        build_text(args, rows, |i, out| {
            let mut values = [None; M];
            for (slot, number) in values.iter_mut().zip(&numbers) {
                *slot = number.get(i);
                if slot.is_none() {
                    out.append_null();
                    return Ok(());
                }
            }
            match row(&texts, i) {
                Some(row) => out.append_option(f(row, values)?),
                None => out.append_null(),
            }
            Ok(())
        })
    })))
}

/// A function that is another expression: the arguments are replaced by that one.
pub(super) fn rewritten(a: &mut Arguments, value: crate::udf::TypedExpr) -> Result<Option<Resolved>> {
    let t = value.data_type.clone();
    a.values = vec![value];
    Ok(Some(Resolved::new(t, |args, _| Ok(args[0].clone())).infallible()))
}
