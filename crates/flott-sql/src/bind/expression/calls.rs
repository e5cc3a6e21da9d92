//! Calls: of functions, aggregates and functions over windows, GROUPING and its like.

use datafusion_expr::Operator;
use flott_core::{Error, Result};
use flott_function::AggregateKind;
use sqlparser::ast::{
    self, DuplicateTreatment, Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    NullTreatment, Spanned,
};

use super::ExpressionBinder;
use crate::bind::refuse::{At, at, name_parts, name_text, not_found, refuse_if, unsupported, unsupported_with};
use crate::bind::scope::Typed;
use crate::bind::{group_window, other_systems, over};
use crate::parser::dialect::{BETWEEN_SYMMETRIC_CALL, MAP_CALL, MILLIS_BETWEEN_CALL, MONTHS_BETWEEN_CALL};
use crate::parser::json::JSON_CALL_PREFIX;

impl ExpressionBinder<'_> {
    pub(super) fn function(&mut self, f: &ast::Function) -> Result<Typed> {
        if f.uses_odbc_syntax {
            return self.jdbc_function(f);
        }
        let json_fits = std::mem::take(&mut self.json_fits);
        let ast::Function { name, uses_odbc_syntax: _, parameters, args, filter, null_treatment, over, within_group } =
            f;
        let span = name.span();
        let text = name_text(name);
        // Before what such calls may hold: clauses of their own (`GROUP_CONCAT(a SEPARATOR ',')`), units as names.
        if name.0.len() == 1
            && other_systems::instead_of(&text).is_some()
            && let Some(unknown) = self.functions.unknown(&text, span)
        {
            return Err(unknown);
        }
        refuse_if(!matches!(parameters, FunctionArguments::None), "function parameters", span)?;
        refuse_if(!within_group.is_empty(), "WITHIN GROUP", span)?;
        let [function] = name_parts(name)?[..] else {
            let parts: Vec<&str> = name_parts(name)?.iter().map(|p| p.value.as_str()).collect();
            let mut values = vec![];
            if let FunctionArguments::List(list) = args {
                for argument in &list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) = argument {
                        values.push(self.bind(e)?);
                    }
                }
            }
            return match self.functions.call_qualified(&parts, values, span) {
                Some(called) => called,
                None => Err(not_found(format!("Function '{text}' not found"), &text, [], "Functions", span)),
            };
        };
        let upper = match function.value.strip_prefix(JSON_CALL_PREFIX) {
            Some(json) => json.to_string(),
            None => function.value.to_uppercase(),
        };
        let mut nulls = *null_treatment;
        let (arguments, distinct) = match args {
            FunctionArguments::None => (vec![], false),
            FunctionArguments::Subquery(_) => return Err(unsupported("a sub-query as an argument", span)),
            FunctionArguments::List(ast::FunctionArgumentList { duplicate_treatment, args, clauses }) => {
                match (upper.as_str(), clauses.as_slice()) {
                    (_, []) => {}
                    ("ARRAY_AGG", [FunctionArgumentClause::IgnoreOrRespectNulls(treatment)]) => {
                        nulls = Some(*treatment)
                    }
                    _ => return Err(unsupported(format!("clauses inside {upper}(..)"), span)),
                }
                (args.iter().collect(), matches!(duplicate_treatment, Some(DuplicateTreatment::Distinct)))
            }
        };
        if nulls.is_some() && (upper != "ARRAY_AGG" || over.is_some()) {
            return Err(over::null_treatment(&text, over.is_some(), span));
        }
        if let Some(window) = over {
            if filter.is_some() {
                return Err(over::no_aggregate(span));
            }
            return self.over_call(&upper, &arguments, distinct, window, span);
        }
        let overridden = self.functions.is_overridden(&upper);
        if let Some(kind) = AggregateKind::from_name(&upper).filter(|k| !overridden && !k.name().starts_with('$')) {
            let kind = match nulls {
                Some(NullTreatment::IgnoreNulls) => AggregateKind::ArrayAggIgnoreNulls,
                _ => kind,
            };
            return self.aggregate(kind, &arguments, distinct, filter.as_deref(), span);
        }
        refuse_if(distinct, &format!("{upper}(DISTINCT ..)"), span)?;
        if filter.is_some() {
            return Err(unsupported(format!("FILTER after {upper}"), span));
        }
        if matches!(upper.as_str(), "GROUPING" | "GROUPING_ID" | "GROUP_ID") {
            return self.grouping(&upper, &arguments, span);
        }
        if let Some(value) = group_window::auxiliary(self, &upper, &arguments, span)? {
            return Ok(value);
        }
        if over::is_over_only(&upper) {
            let hint = format!("Write {upper}(..) OVER (PARTITION BY .. ORDER BY ..)");
            return Err(at(Error::user("OVER clause is necessary for window functions").hint(hint), span));
        }
        if let Some(hint) = elsewhere(&upper) {
            return Err(unsupported_with(format!("the function {upper}"), span, hint));
        }
        if upper == "JSON" && !json_fits {
            return Err(at(
                Error::user(
                    "The JSON() function is currently only supported inside JSON_ARRAY() or as the VALUE param of \
                     JSON_OBJECT()",
                )
                .hint("Write for instance JSON_OBJECT('a' VALUE JSON('{\"key\": \"value\"}'))"),
                span,
            ));
        }
        if function.value == BETWEEN_SYMMETRIC_CALL {
            return self.between_symmetric(&arguments).at_span(span);
        }
        let months = function.value == MONTHS_BETWEEN_CALL;
        if (months || function.value == MILLIS_BETWEEN_CALL)
            && let [
                FunctionArg::Unnamed(FunctionArgExpr::Expr(end)),
                FunctionArg::Unnamed(FunctionArgExpr::Expr(start)),
            ] = arguments.as_slice()
        {
            let (end, start) = (self.bind(end)?, self.bind(start)?);
            return self.functions.interval_between(end, start, months).at_span(span);
        }
        if let Some(unknown) = self.functions.unknown(&function.value, span).filter(|_| function.value == text) {
            return Err(unknown);
        }
        let mut values = vec![];
        for (i, argument) in arguments.into_iter().enumerate() {
            values.push(match argument {
                // The unit is a word of the grammar and no column, as in EXTRACT.
                FunctionArg::Unnamed(FunctionArgExpr::Expr(Ast::Identifier(unit)))
                    if i == 0
                        && unit.quote_style.is_none()
                        && matches!(upper.as_str(), "TIMESTAMPADD" | "TIMESTAMPDIFF") =>
                {
                    let unit = unit.value.to_uppercase();
                    self.text(unit.strip_prefix("SQL_TSI_").unwrap_or(&unit))
                }
                FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => {
                    // Behind the words of the clauses, keys and values take turns.
                    let fits = match upper.as_str() {
                        "JSON_OBJECT" => i % 2 == 0,
                        other => other == "JSON_ARRAY",
                    };
                    self.json_fits = fits && is_call(e);
                    self.bind(e)?
                }
                FunctionArg::Unnamed(_) => return Err(unsupported(format!("* as an argument of {upper}"), span)),
                FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                    return Err(unsupported(format!("named arguments of {upper}"), span));
                }
            });
        }
        let name = match function.value.as_str() {
            MAP_CALL => "MAP",
            other => other.strip_prefix(JSON_CALL_PREFIX).unwrap_or(other),
        };
        self.functions.call_at(name, values, span)
    }

    /// `x BETWEEN SYMMETRIC a AND b`, whichever bound is the lower.
    fn between_symmetric(&mut self, arguments: &[&FunctionArg]) -> Result<Typed> {
        let mut bound = vec![];
        for argument in arguments {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) = argument {
                bound.push(self.bind(e)?);
            }
        }
        let [value, one, other] = bound.as_slice() else { return Err(Error::internal("BETWEEN has two bounds")) };
        let between = |low: &Typed, high: &Typed| {
            let above = self.functions.binary(Operator::GtEq, value.clone(), low.clone())?;
            let below = self.functions.binary(Operator::LtEq, value.clone(), high.clone())?;
            self.functions.binary(Operator::And, above, below)
        };
        self.functions.binary(Operator::Or, between(one, other)?, between(other, one)?)
    }

    fn aggregate(
        &mut self,
        kind: AggregateKind,
        arguments: &[&FunctionArg],
        distinct: bool,
        filter: Option<&Ast>,
        span: sqlparser::tokenizer::Span,
    ) -> Result<Typed> {
        if self.aggregates.is_none() {
            return Err(at(
                Error::user(format!("Aggregate expressions are not allowed in {}: {kind}", self.clause)).hint(
                    match self.clause {
                        "an aggregate" => "Compute the inner one in a sub-query, and aggregate that",
                        _ => "Conditions on aggregates stand in HAVING",
                    },
                ),
                span,
            ));
        }
        let mut plain = ExpressionBinder::new(self.functions, self.scope, "an aggregate");
        plain.depth = self.depth;
        let mut bound = vec![];
        for argument in arguments {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard)
                    if kind == AggregateKind::Count && !distinct && arguments.len() == 1 => {}
                FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => bound.push(plain.bind(e)?),
                _ => return Err(unsupported(format!("this argument of {kind}"), span)),
            }
        }
        plain.clause = "FILTER (WHERE ..)";
        let filter = filter.map(|f| plain.condition(f)).transpose()?;
        let counts_rows =
            kind == AggregateKind::Count && matches!(arguments, [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
        let (least, most) = kind.arity();
        if !(least..=most).contains(&bound.len()) && !counts_rows {
            return Err(at(
                Error::user(format!("Invalid number of arguments to function '{kind}'"))
                    .hint(format!("It is written {}", kind.documentation().syntax)),
                span,
            ));
        }
        let functions = self.functions;
        functions.aggregate_arguments(kind, &mut bound).at_span(span)?;
        match &mut self.aggregates {
            Some(aggregates) => {
                let mut add = |kind, arguments| aggregates.add(functions, kind, arguments, distinct, filter.clone());
                functions.aggregate(kind, bound, &mut add).at_span(span)
            }
            None => Err(Error::internal("an aggregate outside of an aggregation")),
        }
    }

    fn grouping(&mut self, name: &str, arguments: &[&FunctionArg], span: sqlparser::tokenizer::Span) -> Result<Typed> {
        let Some(aggregates) = &mut self.aggregates else {
            return Err(at(
                Error::user(format!("{name} is only allowed together with GROUP BY")).hint("Group by its argument"),
                span,
            ));
        };
        if name == "GROUP_ID" && arguments.is_empty() {
            return aggregates.group_id(self.functions);
        }
        let mut keys = vec![];
        for argument in arguments {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) = argument else {
                return Err(unsupported(format!("this argument of {name}"), span));
            };
            let bound = ExpressionBinder::new(self.functions, self.scope, "GROUPING").bind(e)?;
            keys.push(aggregates.key_index(&bound.expr).ok_or_else(|| {
                at(Error::user(format!("Argument '{e}' of {name} is not being grouped")).hint("Group by it"), span)
            })?);
        }
        if keys.is_empty() {
            return Err(at(Error::user(format!("{name} needs an argument")).hint("Name a column of GROUP BY"), span));
        }
        let functions = self.functions;
        aggregates.grouping_id(functions, &keys).at_span(span)
    }
}

/// Functions that exist, but not as a plain call.
fn elsewhere(name: &str) -> Option<&'static str> {
    Some(match name {
        "CUMULATE" => {
            "Use a window table function: FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' MINUTE)) GROUP BY window_start, window_end"
        }
        "SOURCE_WATERMARK" => "It may only stand as WATERMARK FOR ts AS SOURCE_WATERMARK()",
        "DESCRIPTOR" => "It may only stand as an argument of a window table function",
        _ => return None,
    })
}

fn is_call(e: &Ast) -> bool {
    matches!(e, Ast::Function(_))
}
