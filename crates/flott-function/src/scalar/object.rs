//! Structured types: OBJECT_OF makes a value of one, OBJECT_UPDATE changes fields of it.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::DataType;
use flott_core::types::{RowField, TypeKind as K, arrow_type, is_class_name};
use flott_core::{Error, Result};

use super::shape::entry;
use super::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] = &[
    entry(
        Category::Collection,
        "OBJECT_OF",
        "OBJECT_OF(class, name, value, ..)",
        "A value of the structured type of this class, with these fields.",
        (1, 65_535),
        object_of,
    ),
    entry(
        Category::Collection,
        "OBJECT_UPDATE",
        "OBJECT_UPDATE(object, name, value, ..)",
        "The object with other values of these fields.",
        (3, 65_535),
        object_update,
    ),
];

/// The names at every second place from `first` on, each once; `None` where one is no text in quotes.
fn names(a: &Arguments, first: usize) -> Result<Option<Vec<String>>> {
    let mut names: Vec<String> = vec![];
    for (i, value) in a.values.iter().enumerate().skip(first).step_by(2) {
        let Some(name) = value.text() else { return Ok(None) };
        if names.iter().any(|n| n == name) {
            return Err(Error::user(format!("The field name '{name}' at position {} is repeated.", i + 1))
                .hint("Name each field once"));
        }
        names.push(name.to_string());
    }
    Ok(Some(names))
}

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

fn object_update(a: &mut Arguments) -> Result<Option<Resolved>> {
    let K::Structured(class, mut fields) = a.values[0].data_type.kind.clone() else { return Ok(None) };
    if a.values.len().is_multiple_of(2) {
        return Ok(None);
    }
    let Some(names) = names(a, 1)? else { return Ok(None) };
    let mut places = vec![];
    for (i, name) in names.iter().enumerate() {
        let Some(place) = fields.iter().position(|f| f.name == *name) else {
            let known: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
            return Err(Error::user(format!(
                "The field name '{name}' at position {} is not part of the structured type attributes. Available attributes: [{}].",
                2 * i + 2,
                known.join(", ")
            ))
            .hint("Name a field that the object has"));
        };
        fields[place].data_type = a.values[2 * i + 2].data_type.clone();
        places.push(place);
    }
    let t = K::Structured(class, fields).nullable();
    let arrow = arrow_type(&t);
    let resolved = Resolved::arrays(t, move |args, rows| {
        let DataType::Struct(fields) = &arrow else { return Err(Error::internal("an object that is no struct")) };
        let object = args[0].as_any().downcast_ref::<StructArray>();
        let object = object.ok_or_else(|| Error::internal("an object that is no struct"))?;
        let mut columns = object.columns().to_vec();
        for (i, place) in places.iter().enumerate() {
            columns[*place] = Arc::clone(&args[2 * i + 2]);
        }
        let nulls = object.nulls().cloned();
        Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, rows)?) as ArrayRef)
    });
    Ok(Some(resolved.infallible()))
}
