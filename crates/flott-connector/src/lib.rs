//! The contract of sources, sinks, formats and catalogs
