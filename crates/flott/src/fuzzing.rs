//! What fuzz targets reach: the frames of the control socket, and the bundle of a job.

use flott_core::Result;
use flott_graph::JobGraph;

use crate::bundle;

pub use crate::control::fuzzing::{Frame, read};

/// Compares a stored bundle with a job that has nothing.
pub fn bundle(bytes: &[u8]) -> Result<()> {
    bundle::compare(bytes, &JobGraph::new("job"), |_| true).map(drop)
}
