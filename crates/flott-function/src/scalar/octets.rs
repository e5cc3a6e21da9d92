//! Texts and byte strings, as bytes.

use arrow_array::cast::AsArray;
use arrow_array::{Array, BinaryArray};
use datafusion_expr::ColumnarValue;
use flott_core::Result;
use flott_core::types::TypeKind as K;

use crate::argument::{Text, build_text};
use crate::scalar::Arguments;
use crate::scalar::shape::{fit, string_of};
use crate::udf::{Resolved, columns};

/// A text's or a byte string's bytes to a text, or an error.
pub(super) fn try_octets(a: &mut Arguments, f: fn(&[u8]) -> Result<String>) -> Result<Option<Resolved>> {
    let binary = a.values[0].data_type.kind.is_binary();
    if !binary && !fit(a, &[K::STRING])? {
        return Ok(None);
    }
    Ok(Some(Resolved::new(string_of(a), move |args, rows| {
        let octets = Octets::of(&args[0], binary)?;
        build_text(args, rows, |i, out| {
            out.append_option(octets.get(i).map(f).transpose()?);
            Ok(())
        })
    })))
}

/// The same where nothing can be wrong.
pub(super) fn of_octets(a: &mut Arguments, f: fn(&[u8]) -> Result<String>) -> Result<Option<Resolved>> {
    Ok(try_octets(a, f)?.map(Resolved::infallible))
}

/// Texts and byte strings, as bytes.
pub(super) enum Octets {
    Text(Text),
    Bytes(BinaryArray, bool),
}

impl Octets {
    pub(super) fn of(value: &ColumnarValue, binary: bool) -> Result<Octets> {
        if !binary {
            return Text::of(value).map(Octets::Text);
        }
        let constant = matches!(value, ColumnarValue::Scalar(_));
        let array = columns(std::slice::from_ref(value), 1)?.remove(0);
        Ok(Octets::Bytes(array.as_binary().clone(), constant))
    }

    pub(super) fn get(&self, row: usize) -> Option<&[u8]> {
        match self {
            Octets::Text(text) => text.get(row).map(str::as_bytes),
            Octets::Bytes(bytes, constant) => {
                let row = if *constant { 0 } else { row };
                bytes.is_valid(row).then(|| bytes.value(row))
            }
        }
    }
}
