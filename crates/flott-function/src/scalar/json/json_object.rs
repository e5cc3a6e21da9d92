//! JSON_OBJECT: a JSON object; NULL is written as null.

use flott_core::types::TypeKind as K;
use flott_core::{Error, Result};

use super::value::compare_keys;
use super::write::{check, element, is_null, is_raw, key, takes_null};
use crate::argument::{Text, build_text, rows_of};
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::{Resolved, columns};

pub(super) const JSON_OBJECT: ScalarFunction = ScalarFunction {
    name: "JSON_OBJECT",
    syntax: "JSON_OBJECT([KEY] key VALUE value, .. [NULL | ABSENT ON NULL])",
    description: "A JSON object; NULL is written as null.",
    documentation: "Keys are texts and not NULL; of equal ones the last counts, and they are written in their order. \
         Values are of any type but DATE, TIME and INTERVAL; texts become JSON strings, but for those of JSON, \
         JSON_OBJECT and JSON_ARRAY. ABSENT ON NULL leaves keys out whose value is NULL.",
    examples: &[
        Example { sql: "JSON_OBJECT('a' VALUE 1, 'b' VALUE CAST(NULL AS INT))", result: "{\"a\":1,\"b\":null}" },
        Example { sql: "JSON_OBJECT('a' VALUE 1, 'b' VALUE CAST(NULL AS INT) ABSENT ON NULL)", result: "{\"a\":1}" },
        Example { sql: "JSON_OBJECT('a' VALUE 1, 'b' VALUE NULL ABSENT ON NULL)", result: "{\"a\":1}" },
        Example { sql: "JSON_OBJECT('a' VALUE JSON_ARRAY(1, 2))", result: "{\"a\":[1,2]}" },
    ],
    category: Category::Json,
    arity: (0, 65_535),
    resolve: object,
};

pub(super) fn object(a: &mut Arguments) -> Result<Option<Resolved>> {
    let with_null = takes_null(a, "NULL")?;
    let count = a.values.len();
    if !count.is_multiple_of(2) {
        return Ok(None);
    }
    for i in (0..count).step_by(2) {
        if !a.values[i].data_type.kind.is_character() {
            return Ok(None);
        }
        check(&a.values[i + 1].data_type)?;
    }
    let types = a.types();
    let raw: Vec<bool> = a.values.iter().map(is_raw).collect();
    Ok(Some(Resolved::new(K::STRING.not_null(), move |args, rows| {
        let keys = args.iter().step_by(2).map(Text::of).collect::<Result<Vec<_>>>()?;
        let values: Vec<_> = args.iter().skip(1).step_by(2).cloned().collect();
        let values = columns(&values, rows_of(args, rows))?;
        let mut json = String::new();
        let mut entries: Vec<(&str, usize)> = Vec::with_capacity(keys.len());
        build_text(args, rows, |row, out| {
            entries.clear();
            for (i, key) in keys.iter().enumerate() {
                let key = key.get(row).ok_or_else(|| {
                    Error::data("a key of JSON_OBJECT must not be NULL").hint("Use COALESCE(key, ..)")
                })?;
                if with_null || !is_null(&values[i], row) {
                    entries.push((key, i));
                }
            }
            // In order; of equal keys the last one.
            entries.sort_by(|a, b| compare_keys(a.0, b.0).then(b.1.cmp(&a.1)));
            entries.dedup_by(|next, kept| next.0 == kept.0);
            json.clear();
            json.push('{');
            for (n, (name, i)) in entries.iter().enumerate() {
                key(name, n, &mut json);
                element(&values[*i], &types[2 * i + 1], raw[2 * i + 1], row, &mut json)?;
            }
            json.push('}');
            out.append_value(&json);
            Ok(())
        })
    })))
}
