//! Arguments of kernels row by row: a constant is read once and never becomes a column.

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, StringArray};
use datafusion_common::ScalarValue;
use datafusion_expr::ColumnarValue;
use flott_core::{Error, Result};

use crate::scalar::MAX_TEXT_BYTES;
use crate::udf::{from_datafusion, scalar_of};

/// Numbers, dates and times.
pub(crate) enum Primitive<T: ArrowPrimitiveType> {
    /// The same for every row.
    Constant(Option<T::Native>),
    /// One for each row.
    Column(PrimitiveArray<T>),
}

impl<T: ArrowPrimitiveType> Primitive<T> {
    /// Reads an argument of this type.
    pub(crate) fn of(value: &ColumnarValue) -> Result<Primitive<T>> {
        let wrong = |a: &ArrayRef| Error::internal(format!("{} where {} is expected", a.data_type(), T::DATA_TYPE));
        match value {
            ColumnarValue::Array(a) => {
                let a = a.as_primitive_opt::<T>().ok_or_else(|| wrong(a))?;
                Ok(Primitive::Column(a.clone()))
            }
            ColumnarValue::Scalar(s) => {
                let a = s.to_array().map_err(from_datafusion)?;
                let a = a.as_primitive_opt::<T>().ok_or_else(|| wrong(&a))?;
                Ok(Primitive::Constant(a.is_valid(0).then(|| a.value(0))))
            }
        }
    }

    /// The value of a row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<T::Native> {
        match self {
            Primitive::Constant(v) => *v,
            Primitive::Column(a) => a.is_valid(row).then(|| a.value(row)),
        }
    }
}

/// Texts.
pub(crate) enum Text {
    /// The same for every row.
    Constant(Option<String>),
    /// One for each row.
    Column(StringArray),
}

impl Text {
    /// Reads a text argument.
    pub(crate) fn of(value: &ColumnarValue) -> Result<Text> {
        match value {
            ColumnarValue::Array(a) => {
                let texts = a.as_string_opt::<i32>();
                let texts =
                    texts.ok_or_else(|| Error::internal(format!("{} where a text is expected", a.data_type())))?;
                Ok(Text::Column(texts.clone()))
            }
            ColumnarValue::Scalar(ScalarValue::Utf8(text)) => Ok(Text::Constant(text.clone())),
            ColumnarValue::Scalar(s) if s.is_null() => Ok(Text::Constant(None)),
            ColumnarValue::Scalar(s) => Err(Error::internal(format!("{} where a text is expected", s.data_type()))),
        }
    }

    /// The text of a row.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        match self {
            Text::Constant(t) => t.as_deref(),
            Text::Column(a) => a.is_valid(row).then(|| a.value(row)),
        }
    }
}

/// Whether all arguments are constants, so that one row is enough. A call without arguments is none: it may be volatile.
pub(crate) fn all_constant(args: &[ColumnarValue]) -> bool {
    !args.is_empty() && args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)))
}

/// How many rows a kernel has to compute.
pub(crate) fn rows_of(args: &[ColumnarValue], rows: usize) -> usize {
    if all_constant(args) { 1 } else { rows }
}

/// A kernel's column; a constant where all arguments are.
pub(crate) fn finish(args: &[ColumnarValue], result: ArrayRef) -> Result<ColumnarValue> {
    if all_constant(args) && result.len() == 1 {
        return scalar_of(&result).map(ColumnarValue::Scalar);
    }
    Ok(ColumnarValue::Array(result))
}

/// A column of texts, row by row.
pub(crate) fn build_text(
    args: &[ColumnarValue],
    rows: usize,
    mut append: impl FnMut(usize, &mut StringBuilder) -> Result<()>,
) -> Result<ColumnarValue> {
    let rows = rows_of(args, rows);
    let mut out = StringBuilder::with_capacity(rows, rows * 16);
    for row in 0..rows {
        append(row, &mut out)?;
        has_room(out.values_slice().len())?;
    }
    finish(args, std::sync::Arc::new(out.finish()))
}

/// Refuses texts that a column has no room for: it holds two gigabytes, and a row may bring [`MAX_TEXT_BYTES`] more.
fn has_room(bytes: usize) -> Result<()> {
    const MAX_COLUMN_BYTES: usize = i32::MAX as usize - MAX_TEXT_BYTES;
    if bytes <= MAX_COLUMN_BYTES {
        return Ok(());
    }
    Err(Error::data("the texts of a batch are longer than 2 GB").hint("Bound their lengths in the query"))
}

/// A column of numbers or times, row by row.
pub(crate) fn build<T: ArrowPrimitiveType>(
    args: &[ColumnarValue],
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<T::Native>>,
) -> Result<ColumnarValue> {
    let rows = rows_of(args, rows);
    let mut out = PrimitiveArray::<T>::builder(rows);
    for row in 0..rows {
        out.append_option(value(row)?);
    }
    finish(args, std::sync::Arc::new(out.finish()))
}

/// A column of conditions, row by row.
pub(crate) fn build_boolean(
    args: &[ColumnarValue],
    rows: usize,
    mut value: impl FnMut(usize) -> Result<Option<bool>>,
) -> Result<ColumnarValue> {
    let rows = rows_of(args, rows);
    let mut out = BooleanArray::builder(rows);
    for row in 0..rows {
        out.append_option(value(row)?);
    }
    finish(args, std::sync::Arc::new(out.finish()))
}

/// Two numbers to one that never fails: loops without branches.
pub(crate) fn map2<T: ArrowPrimitiveType, R: ArrowPrimitiveType>(
    args: &[ColumnarValue],
    rows: usize,
    f: impl Fn(T::Native, T::Native) -> R::Native,
) -> Result<PrimitiveArray<R>> {
    let nothing = |n| Ok(PrimitiveArray::<R>::new_null(n));
    match (Primitive::<T>::of(&args[0])?, Primitive::<T>::of(&args[1])?) {
        (Primitive::Column(l), Primitive::Column(r)) => Ok(arrow_arith::arity::binary(&l, &r, f)?),
        (Primitive::Column(l), Primitive::Constant(Some(r))) => Ok(l.unary(|l| f(l, r))),
        (Primitive::Constant(Some(l)), Primitive::Column(r)) => Ok(r.unary(|r| f(l, r))),
        (Primitive::Constant(l), Primitive::Constant(r)) => {
            Ok(PrimitiveArray::from_iter([l.zip(r).map(|(l, r)| f(l, r))]))
        }
        _ => nothing(rows_of(args, rows)),
    }
}

/// Two numbers to one, or an error, which only rows without NULL can cause.
pub(crate) fn try_map2<T: ArrowPrimitiveType, R: ArrowPrimitiveType>(
    args: &[ColumnarValue],
    rows: usize,
    f: impl Fn(T::Native, T::Native) -> Result<Option<R::Native>>,
) -> Result<PrimitiveArray<R>> {
    let (l, r) = (Primitive::<T>::of(&args[0])?, Primitive::<T>::of(&args[1])?);
    let rows = rows_of(args, rows);
    let mut out = PrimitiveArray::<R>::builder(rows);
    for row in 0..rows {
        out.append_option(match (l.get(row), r.get(row)) {
            (Some(l), Some(r)) => f(l, r)?,
            _ => None,
        });
    }
    Ok(out.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_never_gets_more_texts_than_it_holds() {
        assert!(has_room(0).is_ok() && has_room(i32::MAX as usize - MAX_TEXT_BYTES).is_ok());
        let e = has_room(i32::MAX as usize - MAX_TEXT_BYTES + 1).expect_err("the next row may not fit");
        assert_eq!(e.kind(), flott_core::ErrorKind::Data);
    }
}
