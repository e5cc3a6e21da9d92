//! The only crate that names timely: it turns a job graph into a dataflow and drives operators, sources and sinks.
//!
//! It knows nothing of checkpoint stores, commits or recovery: it is told when an epoch ends and where splits go
//! ([`api::TaskCommand`]), and reports snapshots, committables and failures ([`api::TaskEvent`]) to whoever runs it.
//!
//! | Flink's notion | here |
//! |---|---|
//! | checkpoint barrier n | the frontier passes epoch n (`driver`) |
//! | back-pressure | sources wait while their bytes in flight exceed the window (`flow`) |
//! | watermark, idleness | controls in the stream behind their rows, merged by a valve (`valve`) |
//!
//! Read first: [`api`], [`start`].

mod alignment;
pub mod api;
mod attempt;
mod checked;
mod container;
mod dataflow;
mod driver;
mod exchange;
mod flow;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod lookup;
mod memory;
mod mesh;
pub mod metrics;
mod parked;
mod peers;
mod reading;
mod sink;
mod source;
mod valve;
mod wire;

pub use api::{AttemptOptions, Restored, TaskCommand, TaskEvent};
pub use attempt::{Attempt, BuildOperator, NewsSource, Place, start, start_among};
pub use driver::panicked;
pub use peers::{PeerNews, Taken};
