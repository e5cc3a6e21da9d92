//! The rows between a local and a global window aggregate.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use flott_core::Result;
use flott_graph::WindowAggregateSpec;

use super::layout::Layout;

/// The schema of partial rows: the group keys (so `0..group_keys.len()` is what to exchange by), the end of the slice,
/// the start where windows are attached with one, and the accumulators' states.
///
/// For an aggregation that cannot be built this is the empty schema; [`build`](crate::build::build) says why.
pub fn partial_schema(spec: &WindowAggregateSpec) -> SchemaRef {
    match Layout::new(spec) {
        Ok(layout) => layout.partial,
        Err(_) => Arc::new(Schema::empty()),
    }
}

/// Fails where an aggregate cannot take rows away again (MIN and MAX): for planners, whose input may be a changelog.
/// A running aggregation fails the same way at the first `-U` or `-D`.
pub fn check_retraction(spec: &WindowAggregateSpec) -> Result<()> {
    Layout::new(spec)?.check_retraction()
}
