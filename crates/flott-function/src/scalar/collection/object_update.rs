//! OBJECT_UPDATE: the object with other values of these fields.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::DataType;
use flott_core::types::{TypeKind as K, arrow_type};
use flott_core::{Error, Result};

use super::names;
use crate::example::Example;
use crate::scalar::{Arguments, Category, ScalarFunction};
use crate::udf::Resolved;

pub(super) const OBJECT_UPDATE: ScalarFunction = ScalarFunction {
    name: "OBJECT_UPDATE",
    syntax: "OBJECT_UPDATE(object, name, value, ..)",
    description: "The object with other values of these fields.",
    documentation: "A name that the object has not is an error; a field takes the type of its new value. NULL gives \
         NULL.",
    examples: &[Example {
        sql: "OBJECT_UPDATE(OBJECT_OF('com.example.User', 'name', 'Bob', 'age', 42), 'age', 16).age",
        result: "16",
    }],
    category: Category::Collection,
    arity: (3, 65_535),
    resolve: object_update,
};

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
