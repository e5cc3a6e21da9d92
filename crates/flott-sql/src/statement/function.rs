//! CREATE FUNCTION and DROP FUNCTION.

use flott_core::error::{Error, Result};

use super::place::moved;
use super::{ExpressionResolver, SessionState};
use crate::bind::{check_function, with_full_names};
use crate::catalog::{CatalogFunction, FunctionPlace};
use crate::parser::ast::{CreateFunction, Name};

/// Where a function of this name belongs.
fn place(name: &Name, temporary: bool, system: bool, state: &SessionState) -> Result<FunctionPlace> {
    let parts = name.texts();
    match (system, parts.as_slice()) {
        (true, [one]) => Ok(FunctionPlace::System(one.to_string())),
        (true, _) => Err(Error::user(format!("'{name}' is not the name of a system function"))
            .hint("A system function belongs to no database: write its name alone")),
        (false, _) => {
            let id = state.catalog.qualify(&parts)?;
            state.catalog.database(&id.catalog, &id.database)?;
            Ok(if temporary { FunctionPlace::Temporary(id) } else { FunctionPlace::Permanent(id) })
        }
    }
}

/// How a function of another language comes here.
fn other_language(create: &CreateFunction) -> Error {
    let error = Error::user(format!("functions of LANGUAGE {} are not supported", create.language));
    error.hint(match create.language.as_str() {
        "JAVA" | "SCALA" => {
            "There is no Java virtual machine here. Write the function in SQL: CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE \
             SQL AS 'a + 1'; or build it into a program that uses Flott as a library"
        }
        "PYTHON" => {
            "Write the function in SQL: CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE SQL AS 'a + 1'; or run the Python part \
             before or behind this job"
        }
        _ => "LANGUAGE SQL is supported: CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE SQL AS 'a + 1'",
    })
}

pub(super) fn create(
    create: &CreateFunction,
    state: &mut SessionState,
    resolver: &dyn ExpressionResolver,
) -> Result<()> {
    let at = |e: Error| if e.position().is_none() { e.at(create.name.position()) } else { e };
    if create.language != "SQL" {
        return Err(at(other_language(create)));
    }
    let Some((parameters, returns)) = create.signature.clone() else {
        return Err(at(Error::user(format!("the function {} has no parameters and no result", create.name))
            .hint("Write CREATE FUNCTION f(a INT, b STRING) RETURNS BIGINT LANGUAGE SQL AS 'an expression'")));
    };
    for (i, (name, _)) in parameters.iter().enumerate() {
        if parameters[..i].iter().any(|(n, _)| n == name) {
            return Err(at(Error::user(format!("there are two parameters of the name '{name}'"))));
        }
    }
    if !create.resources.is_empty() || !create.options.is_empty() {
        return Err(at(Error::user("a function of LANGUAGE SQL has neither USING nor WITH")
            .hint("All that it is stands in AS 'an expression'")));
    }
    let is_table = create.is_table;
    let mut function = CatalogFunction { parameters, returns, body: create.class.clone(), is_table };
    // A mistake is told here, and not where the function is used first.
    let checked = match function.columns() {
        Some(columns) => {
            for (i, c) in columns.iter().enumerate() {
                if columns[..i].iter().any(|other| other.name == c.name) {
                    return Err(at(Error::user(format!("there are two columns of the name '{}'", c.name))));
                }
            }
            resolver.check_table_function(state, &function)
        }
        None => check_function(&state.catalog, &state.config, &function),
    };
    checked.map_err(|e| moved(e, create.body_position))?;
    // It means the same from every current database.
    function.body = with_full_names(&state.catalog, &state.config, &function.body, is_table)?;
    if is_table {
        function.body = state.catalog.expand(&function.body).map_err(|e| moved(e, create.body_position))?;
    }
    let place = place(&create.name, create.temporary, create.system, state).map_err(at)?;
    state.catalog.functions_mut().create(&place, function, create.if_not_exists).map_err(at)?;
    Ok(())
}

pub(super) fn drop(name: &Name, temporary: bool, if_exists: bool, state: &mut SessionState) -> Result<()> {
    let parts = name.texts();
    // TEMPORARY SYSTEM and TEMPORARY are told apart by which there is.
    let system = temporary && matches!(parts.as_slice(), [one] if state.catalog.functions().system(one).is_some());
    let place = place(name, temporary, system, state)?;
    state.catalog.functions_mut().drop(&place, if_exists)
}
