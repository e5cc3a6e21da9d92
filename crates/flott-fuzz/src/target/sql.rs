//! Statements: parsed, bound, planned; nothing runs.

use std::sync::{Arc, OnceLock};

use flott_connector::Registry;
use flott_core::{ErrorKind, FailPoints};
use flott_sql::parser::ast::Statement;
use flott_sql::parser::script::on_large_stack;
use flott_sql::parser::split::split;
use flott_sql::parser::{mask_secrets, statements};
use flott_sql::plan::{Planner, TypeResolver};
use flott_sql::statement::{SessionState, execute};

use crate::rows;

/// Statements of one input that are looked at.
const STATEMENTS_MAX: usize = 20;

/// Tables with what makes plans differ: event time, a key, nested types, a sink.
const TABLES: &str = "
CREATE TABLE orders (id BIGINT, customer STRING, price DECIMAL(10, 2), ts TIMESTAMP(3), tags ARRAY<STRING>,
  attributes MAP<STRING, INT>, address ROW<city STRING, zip INT>, proc AS PROCTIME(), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
  WITH ('connector' = 'datagen', 'rows-per-second' = '1');
CREATE TABLE customers (id STRING, name STRING, since DATE, score DOUBLE, PRIMARY KEY (id) NOT ENFORCED)
  WITH ('connector' = 'datagen', 'number-of-rows' = '10');
CREATE TABLE sink (id BIGINT, name STRING, total DECIMAL(20, 2)) WITH ('connector' = 'blackhole');
CREATE VIEW big AS SELECT id, customer, price, ts FROM orders WHERE price > 10;
CREATE FUNCTION twice (x INT) RETURNS INT LANGUAGE SQL AS 'x * 2';
";

struct Planning {
    registry: Arc<Registry>,
    state: SessionState,
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    flott_connector_basic::connectors().into_iter().for_each(|c| registry.add_connector(c));
    flott_format::formats().into_iter().for_each(|f| registry.add_format(f));
    registry
}

impl Planning {
    fn new() -> Planning {
        let registry = Arc::new(registry());
        let mut state = SessionState { functions: flott::function_names(), ..SessionState::default() };
        let resolver = TypeResolver::new(Arc::clone(&registry));
        for statement in statements(TABLES).unwrap_or_else(|e| panic!("{e}")) {
            let statement = statement.unwrap_or_else(|e| panic!("{e}")).statement;
            // A dialect without functions in SQL still has the tables.
            if let Err(e) = execute(&statement, &mut state, &registry, &resolver) {
                assert!(matches!(statement, Statement::CreateFunction(_)), "{e}");
            }
        }
        Planning { registry, state }
    }

    fn plan(&self, statement: &Statement, state: &mut SessionState) {
        let explain = |state: &SessionState, statement: &Statement, details: &[_]| {
            let planner = Planner::new(
                &state.catalog,
                Arc::clone(&self.registry),
                &state.config,
                "/nowhere",
                FailPoints::default(),
            );
            rows::given(planner.explain(statement, details));
        };
        match statement {
            Statement::Query(_) | Statement::Insert(_) | Statement::StatementSet(_) => explain(state, statement, &[]),
            Statement::CreateTable(create) if create.query.is_some() => explain(state, statement, &[]),
            Statement::Explain { details, inner } => explain(state, inner, details),
            Statement::StopJob { .. } | Statement::ExplainJob { .. } => {}
            plain => {
                let resolver = TypeResolver::new(Arc::clone(&self.registry));
                if let Err(e) = execute(plain, state, &self.registry, &resolver) {
                    // What only a session can do is said to be one's mistake who asks here.
                    let is_sessions =
                        e.kind() == ErrorKind::Internal && e.message().contains("was given to the statements");
                    assert!(is_sessions || rows::refusal(&e).0 != ErrorKind::Internal);
                }
            }
        }
    }
}

pub(crate) fn run(data: &[u8]) {
    static PLANNING: OnceLock<Planning> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(data) else { return };
    let planning = PLANNING.get_or_init(Planning::new);
    // Each place that needs a large stack would make one of its own.
    let done = on_large_stack(|| {
        let masked = mask_secrets(text);
        assert_eq!(mask_secrets(&masked), masked, "a masked text is masked once more");
        drop(split(text));
        let Some(all) = rows::given(statements(text)) else { return Ok(()) };
        let mut state = planning.state.clone();
        for statement in all.take(STATEMENTS_MAX) {
            if let Some(statement) = rows::given(statement) {
                planning.plan(&statement.statement, &mut state);
            }
        }
        Ok(())
    });
    done.unwrap_or_else(|e| panic!("{e}"));
}
