//! The functions of `flott-function` as the binder calls them: for one session, by name, with places for errors.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use flott_connector::function::ProgramFunctions;
use flott_connector::table::ObjectIdentifier;
use flott_core::options::Options;
use flott_core::types::{TimeAttribute, TypeKind, from_arrow_field};
use flott_core::{Error, LogicalType, Result, suggest};
use flott_function::{AggregateKind, FunctionEnv, cast, operator, scalar};
use sqlparser::tokenizer::Span;

use super::access;
use super::other_systems;
use super::refuse::{At, at};
use super::scope::Typed;
use super::user_function::UserDefined;
use crate::catalog::CatalogManager;

/// How EXPLAIN shows a function that SQL writes otherwise than as a call.
pub enum Shown {
    /// `(a + b)`
    Operator(&'static str),
    /// `CAST(a AS t)`
    Cast(&'static str, String),
    /// `a.field`
    Field(String),
}

/// The functions, for one configuration.
pub struct Functions {
    env: FunctionEnv,
    /// What CURRENT_DATABASE() is; NULL where there is no catalog.
    current_database: Option<String>,
    /// `execution.runtime-mode` is `batch`.
    pub(super) is_batch: bool,
    /// The functions of the program around, and the languages of code.
    pub(super) program: Arc<ProgramFunctions>,
    /// The catalogs, for functions of the user's own.
    catalog: Option<CatalogManager>,
    /// How many of those call each other at the moment.
    pub(super) calls: AtomicUsize,
}

impl Functions {
    pub(crate) fn new(config: &Options) -> Result<Functions> {
        let is_batch = super::is_batch(config);
        let start_ms = config.get(super::QUERY_START).and_then(|ms| ms.parse().ok());
        let env = FunctionEnv {
            query_start_ms: start_ms.filter(|_| is_batch),
            legacy_cast: super::is_legacy_cast(config),
            ..FunctionEnv::new(&super::local_time_zone(config))?
        };
        let (program, calls) = (Arc::default(), AtomicUsize::new(0));
        Ok(Functions { env, current_database: None, is_batch, program, catalog: None, calls })
    }

    /// The same with what the program around offers.
    pub(crate) fn of_program(self, program: &Arc<ProgramFunctions>) -> Functions {
        Functions { program: Arc::clone(program), ..self }
    }

    /// The same with what a session's catalogs know.
    pub(crate) fn of_catalog(self, catalog: Option<&CatalogManager>) -> Functions {
        let current_database = catalog.map(CatalogManager::current_database).filter(|d| !d.is_empty());
        let user = catalog.filter(|c| c.functions().iter().next().is_some()).cloned();
        Functions { current_database: current_database.map(str::to_string), catalog: user, ..self }
    }

    /// The function of a full or short name in the catalogs.
    fn in_catalog(&self, parts: &[&str]) -> Option<UserDefined> {
        let catalog = self.catalog.as_ref()?;
        catalog.functions().of_database(&catalog.qualify(parts).ok()?).cloned().map(UserDefined::Catalog)
    }

    /// The temporary system function of this name: one of the program, or of the session.
    fn system(&self, name: &str) -> Option<UserDefined> {
        if let Some(function) = self.program.get(name) {
            return Some(UserDefined::Program(function.clone()));
        }
        self.catalog.as_ref()?.functions().system(name).cloned().map(UserDefined::Catalog)
    }

    /// The function of the user's own that a call of this name means.
    pub(crate) fn of_user(&self, parts: &[&str]) -> Option<UserDefined> {
        if let [name] = parts {
            if let Some(function) = self.system(name) {
                return Some(function);
            }
            if is_built_in(name) {
                return None;
            }
        }
        self.in_catalog(parts)
    }

    /// The full name of the function of a database that a call of this name means.
    pub(super) fn full_name(&self, parts: &[&str]) -> Option<ObjectIdentifier> {
        let catalog = self.catalog.as_ref()?;
        if let [name] = parts
            && (self.is_overridden(name) || is_built_in(name) || AggregateKind::from_name(name).is_some())
        {
            return None;
        }
        let id = catalog.qualify(parts).ok()?;
        catalog.functions().of_database(&id).is_some().then_some(id)
    }

    /// A function by a name with its database.
    pub(crate) fn call_qualified(&self, parts: &[&str], args: Vec<Typed>, span: Span) -> Option<Result<Typed>> {
        let function = self.in_catalog(parts)?;
        Some(self.call_user(&function, &parts.join("."), args, span))
    }

    /// Whether a function of the user's own comes before what is built in.
    pub(crate) fn is_overridden(&self, name: &str) -> bool {
        self.program.get(name).is_some() || self.catalog.as_ref().is_some_and(|c| c.functions().system(name).is_some())
    }

    pub(crate) fn shown(f: &datafusion_expr::expr::ScalarFunction) -> Option<Shown> {
        const OPERATORS: [&str; 14] = [
            "+",
            "-",
            "*",
            "/",
            "%",
            "=",
            "<>",
            "<",
            "<=",
            ">",
            ">=",
            "||",
            "IS DISTINCT FROM",
            "IS NOT DISTINCT FROM",
        ];
        let name = f.func.name();
        if let Some(op) = OPERATORS.iter().find(|o| **o == name) {
            return Some(Shown::Operator(op));
        }
        if matches!(name.to_ascii_uppercase().as_str(), "CAST" | "TRY_CAST") && !f.args.is_empty() {
            let nothing = datafusion_expr::ReturnFieldArgs { arg_fields: &[], scalar_arguments: &[] };
            let field = f.func.return_field_from_args(nothing).ok()?;
            let t = from_arrow_field(&field)?.with_nullable(true).to_string();
            return Some(Shown::Cast(if name.eq_ignore_ascii_case("CAST") { "CAST" } else { "TRY_CAST" }, t));
        }
        access::field_name(name).map(|n| Shown::Field(n.to_string()))
    }

    pub(crate) fn literal(&self, value: ScalarValue, t: &LogicalType) -> Result<Typed> {
        Ok(Typed::literal(value, t.clone()))
    }

    pub(crate) fn cast(&self, value: Typed, to: &LogicalType, try_cast: bool) -> Result<Typed> {
        cast::cast(value, to, try_cast, &self.env)
    }

    pub(crate) fn cast_if_needed(&self, value: Typed, to: &LogicalType) -> Result<Typed> {
        cast::cast_if_needed(value, to, &self.env)
    }

    /// `(end - start)` as an interval of months or of milliseconds.
    pub(crate) fn interval_between(&self, end: Typed, start: Typed, months: bool) -> Result<Typed> {
        scalar::interval_between(end, start, months, &self.env)
    }

    pub(crate) fn binary(&self, op: Operator, l: Typed, r: Typed) -> Result<Typed> {
        if op == Operator::Eq
            && let (Some(left), Some(right)) = (access::row_values(&l), access::row_values(&r))
            && left.len() == right.len()
            && !left.is_empty()
        {
            return self.rows(left, right);
        }
        operator::binary(op, l, r, &self.env)
    }

    /// `=` of rows as they are written is one of their values, in three-valued logic: `(a, b) = (1, 2)` is
    /// `a = 1 AND b = 2`. `<>` and rows of other origin are compared as a whole, where NULL equals NULL: so does Flink.
    fn rows(&self, left: Vec<Typed>, right: Vec<Typed>) -> Result<Typed> {
        let each = left.into_iter().zip(right).map(|(l, r)| self.binary(Operator::Eq, l, r));
        let mut each = each.collect::<Result<Vec<_>>>()?;
        // In pairs: a row of thousands of values is no chain that deep.
        while each.len() > 1 {
            let mut next = Vec::with_capacity(each.len().div_ceil(2));
            let mut values = each.into_iter();
            while let Some(left) = values.next() {
                next.push(match values.next() {
                    Some(right) => self.binary(Operator::And, left, right)?,
                    None => left,
                });
            }
            each = next;
        }
        each.pop().ok_or_else(|| Error::internal("a row without values"))
    }

    pub(crate) fn not(&self, value: Typed) -> Typed {
        operator::not(value)
    }

    pub(crate) fn negate(&self, v: Typed) -> Result<Typed> {
        operator::negate(v, &self.env)
    }

    /// The type of a column of several branches. Values of several time attributes are none any more.
    pub(crate) fn least_common_type(&self, types: &[LogicalType]) -> Option<LogicalType> {
        flott_function::least_common_type(types)
    }

    pub(crate) fn comparable_type(&self, types: &[LogicalType]) -> Option<LogicalType> {
        operator::comparable_type(types).map(|t| t.with_time_attribute(TimeAttribute::None))
    }

    pub(crate) fn implicit_cast(&self, from: &LogicalType, to: &LogicalType) -> bool {
        flott_function::implicit_cast(from, to)
    }

    /// CASE: its result is never a time attribute.
    pub(crate) fn case(&self, branches: Vec<(Typed, Typed)>, last: Typed) -> Result<Typed> {
        let case = operator::case(branches, last, &self.env)?;
        Ok(Typed { data_type: case.data_type.with_time_attribute(TimeAttribute::None), expr: case.expr })
    }

    pub(crate) fn callable_without_parentheses(&self, name: &str) -> bool {
        scalar::callable_without_parentheses(name)
    }

    /// A function that must exist.
    pub(crate) fn call(&self, name: &str, args: Vec<Typed>) -> Result<Typed> {
        self.call_at(name, args, Span::empty())
    }

    /// A function by name, in any case.
    pub(crate) fn call_at(&self, name: &str, args: Vec<Typed>, span: Span) -> Result<Typed> {
        if name.eq_ignore_ascii_case("ROW") {
            if args.is_empty() {
                return Err(Error::user("ROW() has no fields").hint("Write at least one value")).at_span(span);
            }
            return access::row(args).at_span(span);
        }
        if name.eq_ignore_ascii_case("CURRENT_DATABASE") && args.is_empty() {
            let t = TypeKind::STRING.nullable().with_nullable(self.current_database.is_none());
            return self.literal(ScalarValue::Utf8(self.current_database.clone()), &t);
        }
        if let Some(function) = self.system(name) {
            return self.call_user(&function, name, args, span);
        }
        if !scalar::exists(name)
            && let Some(function) = self.in_catalog(&[name])
        {
            return self.call_user(&function, name, args, span);
        }
        match scalar::call(name, args, &self.env) {
            Some(called) => called.at_span(span),
            None => Err(no_function(name, span)),
        }
    }

    /// The error for a function that there is not, before anything is said of its arguments.
    pub(crate) fn unknown(&self, name: &str, span: Span) -> Option<Error> {
        let known = scalar::exists(name)
            || name.starts_with('$')
            || ["ROW", "CURRENT_DATABASE"].iter().any(|n| name.eq_ignore_ascii_case(n))
            || self.system(name).is_some()
            || self.in_catalog(&[name]).is_some();
        (!known).then(|| no_function(name, span))
    }

    /// A field of a ROW that has it.
    pub(crate) fn field(&self, value: Typed, field: &str) -> Result<Typed> {
        access::field(value, field)
    }

    /// `array[i]`, `map[key]`
    pub(crate) fn element(&self, value: Typed, index: Typed) -> Result<Typed> {
        access::element(self, value, index)
    }

    pub(crate) fn variant_item(&self, value: Typed, index: Typed) -> Result<Typed> {
        scalar::variant_item(value, index, &self.env)
    }
}

fn no_function(name: &str, span: Span) -> Error {
    let shown = name.trim_start_matches('$').to_uppercase();
    if let Some(hint) = other_systems::instead_of(&shown) {
        return at(Error::user(format!("Function '{shown}' not found")).hint(hint), span);
    }
    let names = scalar::functions().map(|f| f.name).chain(AggregateKind::ALL.map(AggregateKind::name));
    let error = Error::user(format!("Function '{shown}' not found, or not supported yet"));
    at(
        match suggest::nearest_strictly(&shown, names.filter(|n| !n.starts_with('$'))) {
            Some(near) => error.hint(format!("Did you mean '{near}'?")),
            None => error.hint("SHOW FUNCTIONS lists them; flott docs functions shows each with an example"),
        },
        span,
    )
}

/// Whether a name is one of a function that is always there.
fn is_built_in(name: &str) -> bool {
    let upper = name.to_uppercase();
    let of_rows = super::window::FUNCTIONS.into_iter().chain(super::changelog_function::FUNCTIONS);
    scalar::exists(name) || of_rows.chain([super::join::VECTOR_SEARCH]).any(|f| f == upper)
}
