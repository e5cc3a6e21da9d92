//! SHOW CREATE: objects as the DDL that makes them, secrets masked.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::ControlFlow;

use flott_connector::factory::Registry;
use flott_connector::table::{CatalogTable, Column, ColumnKind, ObjectIdentifier};
use flott_core::error::Result;
use flott_core::options::{OptionType, Options};
use flott_core::{LogicalType, Secret, secret};
use sqlparser::ast::{
    DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, Query, Visit, VisitMut, Visitor, VisitorMut,
};

use super::show::extras;
use crate::catalog::{Catalog, CatalogView, offset};
use crate::parser::dialect::IS_JSON_CALL;
use crate::parser::parse_expression;

/// An identifier in backticks.
pub(super) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn quote_all<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|n| quote(n)).collect::<Vec<_>>().join(", ")
}

fn comment(text: &str) -> String {
    format!("COMMENT '{}'", text.replace('\'', "''"))
}

/// An expression as Flink writes it: columns in backticks, functions in capitals, one blank between words. Where the
/// parser's tree cannot be written so that it reads the same again, the text stays, with its columns in backticks.
pub(super) fn backticked(text: &str) -> Result<String> {
    let tree = parse_expression(text)?;
    if let Some(canonical) = canonical(&tree)
        && parse_expression(&canonical).ok().and_then(|again| self::canonical(&again)).as_deref() == Some(&canonical)
    {
        return Ok(canonical);
    }
    columns_in_backticks(text)
}

/// The expression's tree as text; `None` where it has calls that only the parser writes.
fn canonical(tree: &Expr) -> Option<String> {
    struct Canonical;
    impl VisitorMut for Canonical {
        type Break = ();

        fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }

        fn post_visit_expr(&mut self, e: &mut Expr) -> ControlFlow<()> {
            let in_backticks = |i: &mut Ident| i.quote_style = Some('`');
            match e {
                Expr::Identifier(name) => in_backticks(name),
                Expr::CompoundIdentifier(path) => path.iter_mut().for_each(in_backticks),
                Expr::Function(f) => {
                    let name = f.name.to_string();
                    if name.starts_with('$') || name == IS_JSON_CALL {
                        return ControlFlow::Break(());
                    }
                    unquote_unit(f);
                    for part in &mut f.name.0 {
                        if let ObjectNamePart::Identifier(i) = part
                            && i.quote_style.is_none()
                        {
                            i.value = i.value.to_uppercase();
                        }
                    }
                }
                Expr::Interval(interval) => {
                    for field in [&mut interval.leading_field, &mut interval.last_field] {
                        *field = field.take().map(singular);
                    }
                }
                Expr::Cast { data_type, .. } => {
                    let DataType::Custom(_, arguments) = data_type else { return ControlFlow::Break(()) };
                    let [text] = arguments.as_slice() else { return ControlFlow::Break(()) };
                    let Ok(t) = text.parse::<LogicalType>() else { return ControlFlow::Break(()) };
                    *data_type = DataType::Custom(ObjectName::from(vec![Ident::new(t.to_string())]), vec![]);
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut tree = tree.clone();
    match VisitMut::visit(&mut tree, &mut Canonical) {
        ControlFlow::Continue(()) => Some(tree.to_string()),
        ControlFlow::Break(()) => None,
    }
}

/// The unit of TIMESTAMPADD and TIMESTAMPDIFF is a word and no column.
fn unquote_unit(f: &mut Function) {
    let name = f.name.to_string();
    if !["TIMESTAMPADD", "TIMESTAMPDIFF"].iter().any(|n| name.eq_ignore_ascii_case(n)) {
        return;
    }
    if let FunctionArguments::List(list) = &mut f.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(unit)))) = list.args.first_mut()
    {
        *unit = Ident::new(unit.value.to_uppercase());
    }
}

/// `SECONDS` is `SECOND`.
fn singular(field: DateTimeField) -> DateTimeField {
    match field {
        DateTimeField::Years => DateTimeField::Year,
        DateTimeField::Months => DateTimeField::Month,
        DateTimeField::Days => DateTimeField::Day,
        DateTimeField::Hours => DateTimeField::Hour,
        DateTimeField::Minutes => DateTimeField::Minute,
        DateTimeField::Seconds => DateTimeField::Second,
        other => other,
    }
}

fn columns_in_backticks(text: &str) -> Result<String> {
    struct Columns(BTreeSet<((u64, u64), String)>);
    impl Columns {
        fn add(&mut self, ident: &Ident) {
            if ident.quote_style.is_none() && ident.span.start.line > 0 {
                self.0.insert(((ident.span.start.line, ident.span.start.column), ident.value.clone()));
            }
        }
    }
    impl Visitor for Columns {
        type Break = Infallible;
        fn pre_visit_expr(&mut self, e: &Expr) -> ControlFlow<Infallible> {
            match e {
                Expr::Identifier(name) => self.add(name),
                Expr::CompoundIdentifier(path) => path.iter().for_each(|p| self.add(p)),
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut columns = Columns(BTreeSet::new());
    let ControlFlow::Continue(()) = parse_expression(text)?.visit(&mut columns);
    let mut out = text.to_string();
    for (start, name) in columns.0.into_iter().rev() {
        // A word that the parser made from something else does not stand there.
        if let Some(from) = offset(text, start).filter(|from| text[*from..].starts_with(&name)) {
            out.replace_range(from..from + name.len(), &quote(&name));
        }
    }
    Ok(out)
}

/// An option's value, or a mask where it is a secret by its key or by the word of connector or format; a URL without its
/// password.
pub(super) fn masked(key: &str, value: &str, secrets: Option<&dyn Fn(&str) -> bool>) -> String {
    if Secret::is_sensitive_key(key) || secrets.is_some_and(|s| s(key)) {
        secret::MASK.to_string()
    } else {
        secret::mask_urls(value).into_owned()
    }
}

fn with(options: &Options, secrets: Option<&dyn Fn(&str) -> bool>) -> String {
    if options.is_empty() {
        return String::new();
    }
    let escape = |s: &str| s.replace('\'', "''");
    let mut pairs: Vec<(&str, &str)> = options.iter().collect();
    pairs.sort_unstable();
    let lines: Vec<String> =
        pairs.iter().map(|(k, v)| format!("  '{}' = '{}'", escape(k), escape(&masked(k, v, secrets)))).collect();
    format!("WITH (\n{}\n)\n", lines.join(",\n"))
}

fn column(column: &Column) -> Result<String> {
    let mut words = vec![quote(&column.name)];
    if !matches!(column.kind, ColumnKind::Computed { .. }) {
        words.push(column.data_type.serializable_string());
    }
    words.extend(extras(column)?);
    words.extend(column.comment.as_ref().filter(|c| !c.is_empty()).map(|c| comment(c)));
    Ok(format!("  {}", words.join(" ")))
}

fn head(kind: &str, temporary: bool, id: &ObjectIdentifier) -> String {
    format!("CREATE {}{kind} {id} (\n", if temporary { "TEMPORARY " } else { "" })
}

pub(super) fn table(
    id: &ObjectIdentifier,
    table: &CatalogTable,
    temporary: bool,
    registry: &Registry,
) -> Result<String> {
    let mut lines = table.schema.columns.iter().map(column).collect::<Result<Vec<_>>>()?;
    if let Some(w) = &table.schema.watermark {
        lines.push(format!("  WATERMARK FOR {} AS {}", quote(&w.rowtime), backticked(&w.expression)?));
    }
    if let Some(key) = &table.schema.primary_key {
        lines.push(format!("  CONSTRAINT {} PRIMARY KEY ({}) NOT ENFORCED", quote(&key.name), quote_all(&key.columns)));
    }
    let mut out = head("TABLE", temporary, id) + &lines.join(",\n") + "\n)\n";
    if let Some(text) = table.comment.as_ref().filter(|c| !c.is_empty()) {
        out += &(comment(text) + "\n");
    }
    if let Some(distribution) = &table.distribution {
        out += &format!("DISTRIBUTED {distribution}\n");
    }
    if !table.partition_keys.is_empty() {
        out += &format!("PARTITIONED BY ({})\n", quote_all(&table.partition_keys));
    }
    let connector = table.options.get("connector").and_then(|name| registry.connector(name).ok());
    let secret = |key: &str| {
        let options = connector.iter().flat_map(|c| c.options());
        options.into_iter().any(|o| o.matches(key) && matches!(o.value, OptionType::Secret))
            || secret_of_format(&table.options, registry, key)
    };
    Ok(out + &with(&table.options, Some(&secret)))
}

/// True for an option of one of the table's formats that holds a secret.
fn secret_of_format(options: &Options, registry: &Registry, key: &str) -> bool {
    [("format", ""), ("format", "value."), ("value.format", "value."), ("key.format", "key.")].iter().any(
        |(of, prefix)| {
            let Some(name) = options.get(of) else { return false };
            let own = key.strip_prefix(prefix).and_then(|k| k.strip_prefix(name)).and_then(|k| k.strip_prefix('.'));
            let (Some(own), Ok(format)) = (own, registry.format(name)) else { return false };
            format.options().iter().any(|o| o.matches(own) && matches!(o.value, OptionType::Secret))
        },
    )
}

pub(super) fn view(id: &ObjectIdentifier, view: &CatalogView, temporary: bool) -> String {
    let column = |c: &Column| {
        let comment = c.comment.as_ref().filter(|c| !c.is_empty()).map(|c| format!(" {}", comment(c)));
        format!("  {}{}", quote(&c.name), comment.unwrap_or_default())
    };
    let columns: Vec<String> = view.columns.iter().map(column).collect();
    let mut out = head("VIEW", temporary, id) + &columns.join(",\n") + "\n)\n";
    if let Some(text) = view.comment.as_ref().filter(|c| !c.is_empty()) {
        out += &(comment(text) + "\n");
    }
    out + &format!("AS {}\n", view.expanded)
}

pub(super) fn catalog(name: &str, catalog: &Catalog) -> String {
    let mut out = format!("CREATE CATALOG {}\n", quote(name));
    if let Some(text) = catalog.comment.as_ref().filter(|c| !c.is_empty()) {
        out += &(comment(text) + "\n");
    }
    out + &with(&catalog.options, None)
}
