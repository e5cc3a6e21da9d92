//! SHOW and DESCRIBE.

use flott_connector::factory::Registry;
use flott_connector::function::FunctionSignature;
use flott_connector::table::{Column, ColumnKind, ObjectIdentifier, ResolvedSchema};
use flott_core::error::{Error, Result};
use flott_core::types::{TimeAttribute, TypeKind};
use flott_function::scalar::ScalarFunction;
use flott_function::{AggregateKind, FunctionEnv, scalar};
use sqlparser::ast::{Expr, Ident};

use super::show_create::{self, backticked};
use super::{SessionState, StatementResult};
use crate::bind::{Typed, column};
use crate::catalog::{Entry, FunctionBody, missing};
use crate::parser::ast::{LikePattern, Name, ObjectKind, ShowKind, position};

/// Whether a text fits a pattern of LIKE: `%` is any text, `_` any character, `\` takes the next one as it is.
pub(super) fn fits(pattern: &LikePattern, text: &str) -> bool {
    let fold = |s: &str| if pattern.ignore_case { s.to_lowercase() } else { s.to_string() };
    let text: Vec<char> = fold(text).chars().collect();
    let mut tokens = vec![];
    let pattern_text = fold(&pattern.pattern);
    let mut chars = pattern_text.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '%' => Token::Any,
            '_' => Token::One,
            '\\' => Token::Char(chars.next().unwrap_or('\\')),
            c => Token::Char(c),
        });
    }
    like(&tokens, &text) != pattern.negated
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    Any,
    One,
    Char(char),
}

/// Goes back only to the last `%`, which is enough and keeps it from growing exponentially.
fn like(pattern: &[Token], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Token::Any) => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(Token::One) => (p, t) = (p + 1, t + 1),
            Some(Token::Char(c)) if *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match back {
                Some((after, from)) => {
                    back = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|token| *token == Token::Any)
}

/// SHOW.
pub(super) fn show(
    kind: &ShowKind,
    scope: Option<&Name>,
    like: Option<&LikePattern>,
    state: &SessionState,
    registry: &Registry,
) -> Result<StatementResult> {
    let catalog = &state.catalog;
    let database = || -> Result<(String, String)> {
        match scope {
            None => Ok((catalog.current_catalog().to_string(), catalog.current_database().to_string())),
            Some(name) => {
                let (c, d) = catalog.qualify_database(&name.texts())?;
                catalog.database(&c, &d).map_err(|e| e.at(name.position()))?;
                Ok((c, d))
            }
        }
    };
    let list = |column: &str, names: Vec<String>| {
        let fit = names.into_iter().filter(|n| like.is_none_or(|l| fits(l, n)));
        Ok(StatementResult::rows([column], fit.map(|n| [n])))
    };
    let objects = |column: &str, fits: &dyn Fn(&Entry) -> bool| {
        let (c, d) = database()?;
        list(column, catalog.object_names(&c, &d, fits).into_iter().collect())
    };
    let nothing = |column: &str| {
        database()?;
        list(column, vec![])
    };
    let result = |text: String| Ok(StatementResult::rows(["result"], [[text]]));
    match kind {
        ShowKind::Catalogs => list("catalog name", catalog.catalog_names().map(str::to_string).collect()),
        ShowKind::Databases => {
            let name = match scope.map(Name::texts).as_deref() {
                None => catalog.current_catalog(),
                Some([one]) => one,
                Some(parts) => return Err(Error::user(format!("'{}' is not the name of a catalog", parts.join(".")))),
            };
            list("database name", catalog.catalog(name)?.databases.keys().cloned().collect())
        }
        ShowKind::Tables => objects("table name", &|_| true),
        ShowKind::Views => objects("view name", &|e| matches!(e, Entry::View(_))),
        ShowKind::MaterializedTables => nothing("table name"),
        ShowKind::Procedures => nothing("procedure name"),
        ShowKind::Models => nothing("model name"),
        ShowKind::Connections => nothing("connection name"),
        ShowKind::Functions { user } => {
            database()?;
            let mut names: Vec<String> = if *user { vec![] } else { built_in().map(|f| f.name.to_string()).collect() };
            let (current, database) = (catalog.current_catalog(), catalog.current_database());
            names.extend(catalog.functions().names(current, database));
            names.extend(state.program.names().map(str::to_string));
            names.sort();
            names.dedup();
            list("function name", names)
        }
        ShowKind::Modules { full: false } => list("module name", vec!["core".into()]),
        ShowKind::Modules { full: true } => {
            Ok(StatementResult::rows(["module name", "used"], [["core".to_string(), "TRUE".to_string()]]))
        }
        ShowKind::Jars => list("jars", vec![]),
        ShowKind::Jobs => Err(Error::user("SHOW JOBS is not supported: a session knows only the jobs that it started")
            .hint("A job's progress is shown where it was started")),
        ShowKind::Partitions(name, spec) => partitions(name, spec, state),
        ShowKind::Columns(name) => {
            let (_, entry) = catalog.resolve(&name.texts(), "Table").map_err(|e| e.at(name.position()))?;
            columns(entry, like)
        }
        ShowKind::CreateTable(name) => {
            let (id, entry) = catalog.resolve(&name.texts(), "Table").map_err(|e| e.at(name.position()))?;
            match entry {
                Entry::Table(table) => result(show_create::table(&id, table, catalog.is_temporary(&id), registry)?),
                Entry::View(_) => Err(wrong_kind("TABLE", "VIEW", &id).at(name.position())),
            }
        }
        ShowKind::CreateView(name) => {
            let (id, entry) = catalog.resolve(&name.texts(), "View").map_err(|e| e.at(name.position()))?;
            match entry {
                Entry::View(view) => result(show_create::view(&id, view, catalog.is_temporary(&id))),
                Entry::Table(_) => Err(wrong_kind("VIEW", "TABLE", &id).at(name.position())),
            }
        }
        ShowKind::CreateCatalog(name) => {
            let of = catalog.catalog(&name.to_string()).map_err(|e| e.at(name.position()))?;
            result(show_create::catalog(&name.to_string(), of))
        }
        ShowKind::CurrentCatalog => {
            Ok(StatementResult::rows(["current catalog name"], [[catalog.current_catalog().to_string()]]))
        }
        ShowKind::CurrentDatabase => {
            Ok(StatementResult::rows(["current database name"], [[catalog.current_database().to_string()]]))
        }
    }
}

/// The partitions that a catalog in memory knows are those that ALTER TABLE ADD PARTITION made.
fn partitions(name: &Name, spec: &[(Ident, Expr)], state: &SessionState) -> Result<StatementResult> {
    let (id, table) = state.catalog.table(&name.texts()).map_err(|e| e.at(name.position()))?;
    let wanted = super::alter::partition_spec(spec)?;
    let unknown = spec.iter().find(|(key, _)| !table.partition_keys.contains(&key.value));
    let place = match unknown {
        Some((key, _)) if !table.partition_keys.is_empty() => position(key.span.start),
        _ => name.position(),
    };
    let names = state.catalog.partition_names(&id, table, &wanted).map_err(|e| e.at(place))?;
    Ok(StatementResult::rows(["partition name"], names.into_iter().map(|n| [n])))
}

fn wrong_kind(asked: &str, is: &str, id: &ObjectIdentifier) -> Error {
    Error::user(format!(
        "SHOW CREATE {asked} is only supported for {}s, but {id} is a {}. Please use SHOW CREATE {is} instead.",
        asked.to_lowercase(),
        is.to_lowercase()
    ))
}

/// The rows of DESCRIBE.
fn columns(entry: &Entry, like: Option<&LikePattern>) -> Result<StatementResult> {
    let empty = ResolvedSchema::default();
    let (columns, schema): (&[Column], &ResolvedSchema) = match entry {
        Entry::Table(table) => (&table.schema.columns, &table.schema),
        Entry::View(view) => (&view.columns, &empty),
    };
    let with_comments = columns.iter().any(|c| c.comment.as_ref().is_some_and(|c| !c.is_empty()));
    let mut rows = vec![];
    for column in columns.iter().filter(|c| like.is_none_or(|l| fits(l, &c.name))) {
        let key = schema.primary_key.as_ref().filter(|k| k.columns.contains(&column.name));
        let watermark = schema.watermark.as_ref().filter(|w| w.rowtime == column.name);
        let mut row = vec![
            Some(column.name.clone()),
            Some(column.data_type.summary_without_nullability()),
            Some(if column.data_type.nullable { "TRUE" } else { "FALSE" }.to_string()),
            key.map(|k| format!("PRI({})", k.columns.join(", "))),
            extras(column)?,
            watermark.map(|w| backticked(&w.expression)).transpose()?,
        ];
        if with_comments {
            row.push(column.comment.clone());
        }
        rows.push(row);
    }
    let mut names = vec!["name", "type", "null", "key", "extras", "watermark"];
    if with_comments {
        names.push("comment");
    }
    Ok(StatementResult::Rows { columns: names.into_iter().map(str::to_string).collect(), rows })
}

/// What stands behind a column's type: `AS ..`, `METADATA FROM 'key' VIRTUAL`.
pub(super) fn extras(column: &Column) -> Result<Option<String>> {
    Ok(match &column.kind {
        ColumnKind::Physical => None,
        ColumnKind::Computed { expression } => Some(format!("AS {}", backticked(expression)?)),
        ColumnKind::Metadata { key, is_virtual } => {
            let from = key.as_ref().map(|k| format!(" FROM '{}'", k.replace('\'', "''"))).unwrap_or_default();
            Some(format!("METADATA{from}{}", if *is_virtual { " VIRTUAL" } else { "" }))
        }
    })
}

/// DESCRIBE.
pub(super) fn describe(kind: ObjectKind, name: &Name, extended: bool, state: &SessionState) -> Result<StatementResult> {
    let catalog = &state.catalog;
    let info = |rows: Vec<(String, Option<String>)>| StatementResult::Rows {
        columns: vec!["info name".into(), "info value".into()],
        rows: rows.into_iter().map(|(k, v)| vec![Some(k), v]).collect(),
    };
    let options = |of: &flott_core::options::Options| {
        let mut rows: Vec<(String, Option<String>)> =
            of.iter().map(|(k, v)| (format!("option:{k}"), Some(show_create::masked(k, v, None)))).collect();
        rows.sort();
        rows
    };
    match kind {
        ObjectKind::Table | ObjectKind::View => {
            let (_, entry) = catalog.resolve(&name.texts(), "Table").map_err(|e| e.at(name.position()))?;
            columns(entry, None)
        }
        ObjectKind::Catalog => {
            let text = name.to_string();
            let of = catalog.catalog(&text).map_err(|e| e.at(name.position()))?;
            let mut rows = vec![
                ("name".into(), Some(text)),
                ("type".into(), of.options.get("type").map(str::to_string)),
                ("comment".into(), of.comment.clone()),
            ];
            if extended {
                rows.extend(options(&of.options).into_iter().filter(|r| r.0 != "option:type"));
            }
            Ok(info(rows))
        }
        ObjectKind::Database => {
            let (c, d) = catalog.qualify_database(&name.texts())?;
            let of = catalog.database(&c, &d).map_err(|e| e.at(name.position()))?;
            let mut rows = vec![
                ("catalog".into(), Some(c.clone())),
                ("name".into(), Some(d.clone())),
                ("comment".into(), of.comment.clone()),
            ];
            if extended {
                rows.extend(options(&of.options));
            }
            Ok(info(rows))
        }
        ObjectKind::Function => {
            let text = name.to_string();
            if let Some(rows) = user_function(name, extended, state)? {
                return Ok(info(rows));
            }
            let built_in = built_in().find(|f| f.name.eq_ignore_ascii_case(&text));
            if built_in.is_none() && !state.functions.iter().any(|f| f.eq_ignore_ascii_case(&text)) {
                let message = format!("Function with name '{text}' does not exist.");
                let names = state.functions.iter().map(String::as_str);
                return Err(missing(message, &text, names).at(name.position()));
            }
            let mut rows = vec![("is system function", "true".to_string()), ("is temporary", "false".to_string())];
            if extended {
                rows.extend(built_in.map_or_else(|| definition(&text.to_uppercase()), |f| f.definition(&text)));
            }
            Ok(info(rows.into_iter().map(|(k, v)| (k.to_string(), Some(v))).collect()))
        }
    }
}

/// What DESCRIBE FUNCTION says of a function of the user's own; `None` where the name is no such function.
fn user_function(name: &Name, extended: bool, state: &SessionState) -> Result<Option<Vec<(String, Option<String>)>>> {
    let (catalog, parts) = (&state.catalog, name.texts());
    let functions = catalog.functions();
    if let [one] = parts.as_slice() {
        if let Some(function) = state.program.get(one) {
            return Ok(Some(described(
                true,
                true,
                &function.signature,
                None,
                function.is_deterministic,
                name,
                extended,
            )));
        }
        if functions.system(one).is_none() && state.functions.iter().any(|f| f.eq_ignore_ascii_case(one)) {
            return Ok(None);
        }
    }
    let system = match parts.as_slice() {
        [one] => functions.system(one),
        _ => None,
    };
    let id = catalog.qualify(&parts)?;
    let Some(function) = system.or_else(|| functions.of_database(&id)) else { return Ok(None) };
    let (code, is_deterministic) = match &function.body {
        FunctionBody::Sql(text) => ((text.clone(), String::new()), true),
        FunctionBody::Artifact(a) => {
            let resource = format!("[ResourceUri{{resourceType=ARTIFACT, uri='{}'}}]", a.location);
            ((a.symbol.clone(), resource), a.is_deterministic()?)
        }
    };
    let code = (code.0, function.language(), code.1);
    let is_temporary = system.is_some() || functions.is_temporary(&id);
    let is_system = system.is_some();
    Ok(Some(described(is_system, is_temporary, &function.signature, Some(code), is_deterministic, name, extended)))
}

/// Flink's rows; `code` is what implements the function, its language and its resources.
fn described(
    is_system: bool,
    is_temporary: bool,
    signature: &FunctionSignature,
    code: Option<(String, &str, String)>,
    is_deterministic: bool,
    name: &Name,
    extended: bool,
) -> Vec<(String, Option<String>)> {
    let mut rows = vec![("is system function", is_system.to_string()), ("is temporary", is_temporary.to_string())];
    if let Some((class, language, resources)) = code {
        let resources = if resources.is_empty() { "[]".to_string() } else { resources };
        rows.extend([("class name", class), ("function language", language.to_string()), ("resource uris", resources)]);
    }
    if extended {
        rows.extend([
            ("kind", if signature.is_table { "TABLE" } else { "SCALAR" }.to_string()),
            ("requirements", "[]".to_string()),
            ("is deterministic", is_deterministic.to_string()),
            ("supports constant folding", is_deterministic.to_string()),
            ("signature", signature.text(&name.to_string())),
        ]);
    }
    rows.into_iter().map(|(k, v)| (k.to_string(), Some(v))).collect()
}

/// A function as Flink lists it: under the name of its definition, which is not always the one that SQL calls it by.
struct BuiltIn {
    name: &'static str,
    kind: &'static str,
    is_deterministic: bool,
    arguments: &'static str,
}

/// Those of Flink 2.3.
fn built_in() -> impl Iterator<Item = BuiltIn> {
    let lines = include_str!("built_in.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines.filter_map(|line| {
        let mut parts = line.splitn(4, ' ');
        let name = parts.next()?;
        let kind = match parts.next()? {
            "S" => "SCALAR",
            "A" => "AGGREGATE",
            "P" => "PROCESS_TABLE",
            _ => "OTHER",
        };
        Some(BuiltIn { name, kind, is_deterministic: parts.next()? == "yes", arguments: parts.next()? })
    })
}

impl BuiltIn {
    /// What DESCRIBE FUNCTION EXTENDED adds, by the name that is asked for.
    fn definition(&self, name: &str) -> [(&'static str, String); 5] {
        let signatures: Vec<String> = self.arguments.split(" ;; ").map(|a| format!("{name}{a}")).collect();
        [
            ("kind", self.kind.to_string()),
            ("requirements", "[]".to_string()),
            ("is deterministic", self.is_deterministic.to_string()),
            ("supports constant folding", "true".to_string()),
            ("signature", signatures.join("\n")),
        ]
    }
}

/// What DESCRIBE FUNCTION EXTENDED adds of a function that has another name in Flink's list.
fn definition(name: &str) -> [(&'static str, String); 5] {
    let aggregate = AggregateKind::from_name(name).is_some();
    let scalar = scalar::functions().find(|f| f.name == name);
    let signature = match scalar {
        Some(function) => function.syntax.to_string(),
        None => format!("{name}(..)"),
    };
    [
        ("kind", if aggregate { "AGGREGATE" } else { "SCALAR" }.to_string()),
        ("requirements", "[]".to_string()),
        ("is deterministic", scalar.is_none_or(is_deterministic).to_string()),
        ("supports constant folding", (name != "CURRENT_WATERMARK").to_string()),
        ("signature", signature),
    ]
}

/// What a function says of itself once it has arguments: the fewest that it takes, of the first type that it takes.
fn is_deterministic(function: &ScalarFunction) -> bool {
    let Ok(env) = FunctionEnv::new("UTC") else { return true };
    let rowtime = TypeKind::timestamp(3).not_null().with_time_attribute(TimeAttribute::Rowtime);
    [TypeKind::Int.not_null(), rowtime].into_iter().all(|t| {
        let arguments = vec![Typed { expr: column("argument"), data_type: t }; function.arity.0];
        !matches!(scalar::call(function.name, arguments, &env), Some(Ok(called)) if called.expr.is_volatile())
    })
}
