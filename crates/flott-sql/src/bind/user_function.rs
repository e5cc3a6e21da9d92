//! Calls of functions of the user's own. Of one that is written in SQL the body stands in the place of the call, with the
//! arguments in the places of the parameters: a job carries nothing of the function itself. One that is code is called with
//! whole columns ([`flott_function::user`]).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_expr::Expr;
use flott_connector::function::{FunctionArtifact, FunctionDefinition, FunctionSignature};
use flott_core::types::TimeAttribute;
use flott_core::{Error, Result};
use flott_function::user::{self, Code};
use sqlparser::ast::{Expr as Ast, Spanned, visit_expressions};
use sqlparser::tokenizer::Span;

use super::expression::ExpressionBinder;
use super::functions::Functions;
use super::refuse::{At, from_datafusion, name_parts};
use super::scope::{Scope, ScopeColumn, Typed};
use crate::catalog::{CatalogFunction, FunctionBody, place_in};
use crate::parser::script::{on_large_stack, parse_expression, parse_query};
use crate::statement::SessionState;

/// Stands before the number of a parameter in a body.
const PARAMETER: &str = "$parameter.";
/// How many operators a call may have once all bodies stand where they are called: one that reads its argument twice
/// doubles what it is called with.
pub const CALL_OPERATORS_MAX: usize = 10_000;
/// How deep functions may call each other.
pub const CALL_DEPTH_MAX: usize = 32;

/// A function of the user's own.
#[derive(Debug, Clone)]
pub(crate) enum UserDefined {
    /// CREATE FUNCTION has made it.
    Catalog(CatalogFunction),
    /// The program that Flott is a part of offers it.
    Program(FunctionDefinition),
}

impl UserDefined {
    /// What it takes and gives.
    pub(crate) fn signature(&self) -> &FunctionSignature {
        match self {
            UserDefined::Catalog(function) => &function.signature,
            UserDefined::Program(function) => &function.signature,
        }
    }

    /// Its text, where it is written in SQL.
    pub(crate) fn sql(&self) -> Option<&str> {
        match self {
            UserDefined::Catalog(CatalogFunction { body: FunctionBody::Sql(text), .. }) => Some(text),
            _ => None,
        }
    }
}

/// The functions that a session's statements can call.
fn functions_of(state: &SessionState) -> Result<Functions> {
    Ok(Functions::new(&state.config)?.of_program(&state.program).of_catalog(Some(&state.catalog)))
}

/// Checks the body of a function of one value that is about to be made.
pub(crate) fn check_function(state: &SessionState, signature: &FunctionSignature, body: &str) -> Result<()> {
    on_large_stack(|| functions_of(state)?.body(signature, body).map(|_| ()))
}

/// The text of a query or an expression in which functions of databases have their full names, so that it means the same
/// from every current database.
pub(crate) fn with_full_names(state: &SessionState, text: &str, is_query: bool) -> Result<String> {
    let functions = functions_of(state)?;
    let mut edits: BTreeMap<(usize, usize), String> = BTreeMap::new();
    let mut visit = |e: &Ast| {
        if let Ast::Function(f) = e
            && let Ok(parts) = name_parts(&f.name)
            && let Some(id) = functions.full_name(&parts.iter().map(|i| i.value.as_str()).collect::<Vec<_>>())
            && let Some(place) = place_in(text, f.name.span())
        {
            edits.insert(place, id.to_string());
        }
        ControlFlow::<()>::Continue(())
    };
    let walked = on_large_stack(|| {
        Ok(match is_query {
            true => visit_expressions(&parse_query(text)?, &mut visit),
            false => visit_expressions(&parse_expression(text)?, &mut visit),
        })
    })?;
    debug_assert!(walked.is_continue());
    let mut out = text.to_string();
    for ((from, to), name) in edits.into_iter().rev() {
        out.replace_range(from..to, &name);
    }
    Ok(out)
}

impl Functions {
    /// A call of a function of the user's own.
    pub(crate) fn call_user(&self, function: &UserDefined, name: &str, args: Vec<Typed>, span: Span) -> Result<Typed> {
        if function.signature().is_table {
            return Err(Error::user(format!("{name} is a table function, which gives rows and no value"))
                .hint(format!("Write it in FROM: .., LATERAL TABLE({name}(..))")))
            .at_span(span);
        }
        let Some(body) = function.sql() else {
            let arguments = self.arguments(function.signature(), name, args).at_span(span)?;
            return self.call_code(function, name, arguments).at_span(span);
        };
        if self.calls.load(Ordering::Relaxed) >= CALL_DEPTH_MAX {
            return Err(Error::user(format!("functions call each other more than {CALL_DEPTH_MAX} deep: {name}"))
                .hint("A function must not call itself, not through others either"))
            .at_span(span);
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        let called = self.inline(function.signature(), body, name, args);
        self.calls.fetch_sub(1, Ordering::Relaxed);
        called.at_span(span)
    }

    /// A call of code, with arguments that are cast already. That of a table function gives an ARRAY of its rows.
    pub(crate) fn call_code(&self, function: &UserDefined, name: &str, arguments: Vec<Typed>) -> Result<Typed> {
        let code = match function {
            UserDefined::Program(FunctionDefinition { signature, function, is_deterministic }) => Code {
                signature: signature.clone(),
                function: Arc::clone(function),
                is_deterministic: *is_deterministic,
                identity: format!("program {}", name.to_lowercase()),
            },
            UserDefined::Catalog(CatalogFunction { signature, body: FunctionBody::Artifact(artifact) }) => {
                self.loaded(artifact, signature).map_err(|e| e.with("function", name))?
            }
            UserDefined::Catalog(_) => return Err(Error::internal("a function in SQL was called as code")),
        };
        Ok(user::call(name, code, arguments))
    }

    /// The code of an artifact, ready to be called.
    fn loaded(&self, artifact: &FunctionArtifact, signature: &FunctionSignature) -> Result<Code> {
        let FunctionArtifact { language, symbol, options, .. } = artifact;
        let language = self.program.language(language).ok_or_else(|| {
            Error::user(format!("functions of LANGUAGE {language} are not built into this program"))
                .hint("Build it with the cargo feature of that language, or add the language to its registry")
        })?;
        Ok(Code {
            signature: signature.clone(),
            function: language.load(artifact, signature)?,
            is_deterministic: artifact.is_deterministic()?,
            // What its results depend on: a state that was written with another one is not restored.
            identity: format!("{} {} {symbol} {options:?} {}", language.name(), artifact.digest(), signature.text("")),
        })
    }

    fn inline(&self, function: &FunctionSignature, body: &str, name: &str, args: Vec<Typed>) -> Result<Typed> {
        let arguments = self.arguments(function, name, args)?;
        let body = self.body(function, body).map_err(|e| e.with("function", name))?;
        let mut uses = vec![0usize; arguments.len()];
        let mut operators = 0usize;
        let counted = body.expr.apply(|e| {
            operators += 1;
            if let Some(uses) = parameter(e).and_then(|n| uses.get_mut(n)) {
                *uses += 1;
            }
            Ok(TreeNodeRecursion::Continue)
        });
        counted.map_err(from_datafusion)?;
        for (argument, uses) in arguments.iter().zip(&uses).filter(|(_, uses)| **uses > 0) {
            operators = operators.saturating_add(operators_of(&argument.expr)?.saturating_mul(*uses));
        }
        if operators > CALL_OPERATORS_MAX {
            return Err(Error::user(format!(
                "a call of {name} has more than {CALL_OPERATORS_MAX} operators once the functions' bodies stand in it"
            ))
            .hint("Compute its arguments in a sub-query, or in functions that read them once"));
        }
        let bound = body.expr.transform_up(|e| {
            Ok(match parameter(&e).and_then(|n| arguments.get(n)) {
                Some(argument) => Transformed::yes(argument.expr.clone()),
                None => Transformed::no(e),
            })
        });
        let expr = bound.map_err(from_datafusion)?.data;
        for ((argument, uses), (parameter, _)) in arguments.iter().zip(uses).zip(&function.parameters) {
            if uses > 1 && argument.expr.is_volatile() {
                return Err(Error::user(format!(
                    "the argument for '{parameter}' of {name} changes from call to call, and the function reads it {uses} times"
                ))
                .hint("Compute it in a sub-query first"));
            }
        }
        let nullable =
            function.returns.nullable && (body.data_type.nullable || arguments.iter().any(|a| a.data_type.nullable));
        Ok(Typed { expr, data_type: function.returns.with_nullable(nullable || function.returns.nullable) })
    }

    pub(crate) fn arguments(&self, function: &FunctionSignature, name: &str, args: Vec<Typed>) -> Result<Vec<Typed>> {
        let types: Vec<String> = args.iter().map(|a| a.data_type.summary_without_nullability()).collect();
        let wrong = || {
            Error::user(format!("No match found for function signature {name}({})", types.join(", ")))
                .hint(format!("It is {}", function.text(name)))
        };
        if args.len() != function.parameters.len() {
            return Err(wrong());
        }
        let arguments = args.into_iter().zip(&function.parameters).map(|(argument, (parameter, t))| {
            let argument = Typed { data_type: argument.data_type.with_time_attribute(TimeAttribute::None), ..argument };
            if !self.implicit_cast(&argument.data_type, t) && argument.data_type.kind != t.kind {
                return Err(wrong());
            }
            if argument.data_type.nullable && !t.nullable {
                return Err(Error::user(format!(
                    "the argument for '{parameter}' of {name} may be NULL, which {t} is not"
                ))
                .hint("Write COALESCE(.., value) around it"));
            }
            self.cast_if_needed(argument, t)
        });
        arguments.collect()
    }

    /// The body over parameters, as what the function returns.
    pub(crate) fn body(&self, function: &FunctionSignature, text: &str) -> Result<Typed> {
        let columns = function.parameters.iter().enumerate().map(|(i, (name, t))| ScopeColumn {
            qualifier: vec![],
            name: name.clone(),
            field: format!("{PARAMETER}{i}"),
            data_type: t.clone(),
        });
        let scope = Scope::of(columns.collect());
        let body = ExpressionBinder::new(self, &scope, "a function").bind(&parse_expression(text)?)?;
        let body = Typed { data_type: body.data_type.with_time_attribute(TimeAttribute::None), ..body };
        if body.data_type.nullable && !function.returns.nullable {
            return Err(Error::user(format!("the body may be NULL, and the function returns {}", function.returns))
                .hint("Write COALESCE(.., value) around it, or declare parameters NOT NULL"));
        }
        if body.data_type.kind != function.returns.kind && !self.implicit_cast(&body.data_type, &function.returns) {
            return Err(Error::user(format!(
                "the body gives {}, and the function returns {}",
                body.data_type, function.returns
            ))
            .hint("CAST the result in the body"));
        }
        self.cast_if_needed(body, &function.returns)
    }
}

/// The number of the parameter that an expression of a body is.
fn parameter(e: &Expr) -> Option<usize> {
    match e {
        Expr::Column(c) => c.name.strip_prefix(PARAMETER)?.parse().ok(),
        _ => None,
    }
}

fn operators_of(e: &Expr) -> Result<usize> {
    let mut operators = 0;
    let counted = e.apply(|_| {
        operators += 1;
        Ok(TreeNodeRecursion::Continue)
    });
    counted.map_err(from_datafusion)?;
    Ok(operators)
}
