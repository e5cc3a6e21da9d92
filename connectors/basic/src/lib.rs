//! The connectors that need nothing outside: `datagen`, `print`, `blackhole`.
//!
//! What it is: the three connectors with which Flink users try things out, option for option.
//!
//! What it is not: a place for connectors with a client library; those have crates of their own.
//!
//! Read first: [`connectors`], [`datagen::Datagen`], [`print::Print`].
#![warn(missing_docs)]
#![forbid(unsafe_code)]

use std::sync::Arc;

use flott_connector::ConnectorFactory;
use flott_core::clock::SystemClock;

pub mod blackhole;
pub mod datagen;
pub mod print;

/// The connectors of this crate, with the system's clock and standard streams.
pub fn connectors() -> Vec<Arc<dyn ConnectorFactory>> {
    vec![
        Arc::new(datagen::Datagen::new(SystemClock::shared())),
        Arc::new(print::Print::new(Arc::new(print::StandardStreams))),
        Arc::new(blackhole::Blackhole),
    ]
}
