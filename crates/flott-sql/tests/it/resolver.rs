//! Tables and views made by the session's own statements, then planned.

use std::sync::Arc;

use flott_core::FailPoints;
use flott_sql::parser::ast::Statement;
use flott_sql::parser::parse_script;
use flott_sql::plan::{Planner, TypeResolver};
use flott_sql::statement::{ExpressionResolver, SessionState, execute};

use crate::common::Session;

#[test]
fn a_session_declares_and_plans() {
    let registry = Session::new().registry;
    let resolver = TypeResolver::new(Arc::clone(&registry));
    let mut state = SessionState::default();
    let script = "CREATE TABLE bid (auction BIGINT, ms BIGINT, ts AS TO_TIMESTAMP_LTZ(ms, 3), \
          WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH ('connector' = 'fake');
        CREATE VIEW v AS SELECT auction AS a, ts FROM bid WHERE auction > 1;
        CREATE TABLE s (a BIGINT, n BIGINT) WITH ('connector' = 'fake');
        INSERT INTO s SELECT a, COUNT(*) FROM TABLE(TUMBLE(TABLE v, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) \
          GROUP BY a, window_start, window_end";
    let mut graph = None;
    for s in parse_script(script).unwrap() {
        match &s.statement {
            Statement::Insert(i) => {
                let planner = Planner::new(&state.catalog, registry.clone(), &state.config, ".", FailPoints::default());
                graph = Some(planner.plan_statement_set(std::slice::from_ref(i), None).unwrap());
            }
            other => {
                execute(other, &mut state, &registry, &resolver).unwrap();
            }
        }
    }
    assert_eq!(graph.expect("a graph").sinks().count(), 1);
    let columns = resolver.query_schema(&state, "SELECT * FROM v").unwrap();
    assert_eq!(columns[1].1.to_string(), "TIMESTAMP_LTZ(3) *ROWTIME*");
}
