//! ELT: the text or byte string of this number, counted from 1; NULL where there is none.

use arrow_array::cast::AsArray;
use arrow_array::{Array, new_empty_array, new_null_array};
use arrow_schema::DataType;
use arrow_select::interleave::interleave;
use datafusion_common::ScalarValue;
use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use crate::argument::{Primitive, Text, build_text};
use crate::example::Example;
use crate::scalar::shape::fit;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const ELT: ScalarFunction = ScalarFunction {
    name: "ELT",
    syntax: "ELT(index, text or bytes, ..)",
    description: "The text or byte string of this number, counted from 1; NULL where there is none.",
    documentation: "All are texts, or all byte strings. A constant index below 0 is an error; NULL gives NULL.",
    examples: &[
        Example { sql: "ELT(2, 'scala', 'java', 'go')", result: "java" },
        Example { sql: "ELT(3, 'a', 'b')", result: "<NULL>" },
    ],
    category: Category::String,
    arity: (2, 255),
    resolve: elt,
};

fn elt(a: &mut Arguments) -> Result<Option<Resolved>> {
    let negative = match a.values[0].constant() {
        Some(ScalarValue::Int32(Some(i))) if *i < 0 => Some(i64::from(*i)),
        Some(ScalarValue::Int64(Some(i))) if *i < 0 => Some(*i),
        _ => None,
    };
    if let Some(i) = negative {
        return Err(Error::user(format!("Index must be an integer starting from '0', but was '{i}'."))
            .hint("The first text has the index 1"));
    }
    let is_bytes = a.values[1..].iter().any(|v| v.data_type.kind.is_binary());
    let mut kinds = vec![if is_bytes { K::BYTES } else { K::STRING }; a.values.len()];
    kinds[0] = K::BigInt;
    if !fit(a, &kinds)? {
        return Ok(None);
    }
    if is_bytes {
        return Ok(Some(chosen_bytes()));
    }
    let resolved = Resolved::new(K::STRING.nullable(), |args, rows| {
        let index = Primitive::<arrow_array::types::Int64Type>::of(&args[0])?;
        let values = args[1..].iter().map(Text::of).collect::<Result<Vec<_>>>()?;
        build_text(args, rows, |i, out| {
            let at = index.get(i).and_then(|n| usize::try_from(n.checked_sub(1)?).ok());
            out.append_option(at.and_then(|at| values.get(at)?.get(i)));
            Ok(())
        })
    });
    Ok(Some(resolved.infallible()))
}

/// ELT of byte strings.
fn chosen_bytes() -> Resolved {
    Resolved::arrays(K::BYTES.nullable(), |args, rows| {
        let index = args[0].as_primitive::<arrow_array::types::Int64Type>();
        let nothing = new_null_array(&DataType::Binary, 1);
        let values: Vec<&dyn Array> = args[1..].iter().map(|v| v.as_ref()).chain([nothing.as_ref()]).collect();
        let places: Vec<(usize, usize)> = (0..rows)
            .map(|row| {
                let at = index.is_valid(row).then(|| usize::try_from(index.value(row).checked_sub(1)?).ok()).flatten();
                at.filter(|at| *at + 1 < values.len()).map_or((values.len() - 1, 0), |at| (at, row))
            })
            .collect();
        if rows == 0 {
            return Ok(new_empty_array(&DataType::Binary));
        }
        Ok(interleave(&values, &places)?)
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn values() {
        check(&[
            ("ELT", &[("2", "INT"), ("scala", "STRING"), ("java", "STRING")], "java"),
            ("ELT", &[("0", "INT"), ("scala", "STRING")], "NULL"),
            ("ELT", &[("-1", "INT"), ("scala", "STRING")], "ERROR Index must be"),
        ]);
    }
}
