//! Types of expressions and queries, for statements that are not jobs (computed columns, watermarks, views).

use std::sync::Arc;

use flott_connector::factory::Registry;
use flott_connector::function::FunctionSignature;
use flott_core::options::Options;
use flott_core::{LogicalType, Result};

use crate::bind::{Binder, columns_of};
use crate::catalog::CatalogManager;
use crate::parser;
use crate::parser::script::on_large_stack;
use crate::statement::{ExpressionResolver, SessionState};

/// Binds without planning.
#[derive(Debug, Clone)]
pub struct TypeResolver {
    registry: Arc<Registry>,
}

impl TypeResolver {
    /// With these connectors (whose metadata columns queries may read).
    pub fn new(registry: Arc<Registry>) -> TypeResolver {
        TypeResolver { registry }
    }
}

impl ExpressionResolver for TypeResolver {
    fn resolve(&self, text: &str, columns: &[(String, LogicalType)]) -> Result<LogicalType> {
        on_large_stack(|| {
            let (nothing, config) = (CatalogManager::new(), Options::new());
            let binder = Binder::new(&nothing, &self.registry, &config)?;
            Ok(binder.expression_text(text, columns)?.data_type)
        })
    }

    /// With time attributes, which a view passes on.
    fn query_schema(&self, state: &SessionState, text: &str) -> Result<Vec<(String, LogicalType)>> {
        let query = parser::parse_query(text)?;
        on_large_stack(|| {
            let binder = Binder::new(&state.catalog, &self.registry, &state.config)?;
            columns_of(binder.query(&query)?.schema())
        })
    }

    fn check_table_function(&self, state: &SessionState, function: &FunctionSignature, body: &str) -> Result<()> {
        on_large_stack(|| {
            let binder = Binder::new(&state.catalog, &self.registry, &state.config)?;
            binder.check_table_function(function, body)
        })
    }
}
