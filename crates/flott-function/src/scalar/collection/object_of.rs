//! OBJECT_OF: a value of the structured type of this class, with these fields.

use std::sync::Arc;

use arrow_array::{ArrayRef, StructArray};
use arrow_schema::DataType;
use flott_core::types::{RowField, TypeKind as K, arrow_type, is_class_name};
use flott_core::{Error, Result};

use super::names;
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const OBJECT_OF: ScalarFunction = ScalarFunction {
    name: "OBJECT_OF",
    syntax: "OBJECT_OF(class, name, value, ..)",
    description: "A value of the structured type of this class, with these fields.",
    documentation: "The class is a name in Java's form and need not exist; it and the names of fields are texts in \
         quotes, each name once. `object.name` is a field. It is never NULL.",
    examples: &[
        Example { sql: "OBJECT_OF('com.example.User', 'name', 'Bob', 'age', 42).name", result: "Bob" },
        Example {
            sql: "CAST(OBJECT_OF('com.example.User', 'name', 'Bob', 'age', 42) AS STRING)",
            result: "(name=Bob, age=42)",
        },
    ],
    category: Category::Collection,
    arity: (1, 65_535),
    resolve: object_of,
};

fn object_of(a: &mut Arguments) -> Result<Option<Resolved>> {
    if a.values.len().is_multiple_of(2) {
        return Ok(None);
    }
    let Some(class) = a.values[0].text().map(str::to_string) else {
        return Err(Error::user(
            "The first argument must be a non-nullable character string literal representing the class name.",
        )
        .hint("Write it in quotes: OBJECT_OF('com.example.User', 'name', 'Bob')"));
    };
    if !is_class_name(&class) {
        return Err(Error::user(format!(
            "Invalid class name '{class}'. The class name must comply with JVM identifier rules."
        ))
        .hint("Name it as a class of Java: com.example.User"));
    }
    let Some(names) = names(a, 1)? else { return Ok(None) };
    let values = a.values.iter().skip(2).step_by(2);
    let fields = names.iter().zip(values).map(|(name, v)| RowField::new(name, v.data_type.clone())).collect();
    // Never NULL, but Flink's type does not say so.
    let t = K::Structured(class, fields).nullable();
    let arrow = arrow_type(&t);
    let resolved = Resolved::arrays(t, move |args, rows| {
        let DataType::Struct(fields) = &arrow else { return Err(Error::internal("an object that is no struct")) };
        let values = args.iter().skip(2).step_by(2).cloned().collect();
        Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), values, None, rows)?) as ArrayRef)
    });
    Ok(Some(resolved.infallible()))
}
