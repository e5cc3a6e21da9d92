//! What planners ask of window aggregates.

use flott_core::Result;
use flott_graph::WindowAggregateSpec;

use super::layout::Layout;

/// Fails where an aggregate cannot take rows away again (MIN and MAX): for planners, whose input may be a changelog.
/// A running aggregation fails the same way at the first `-U` or `-D`.
pub fn check_retraction(spec: &WindowAggregateSpec) -> Result<()> {
    Layout::new(spec)?.check_retraction()
}
