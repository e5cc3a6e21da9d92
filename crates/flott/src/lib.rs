//! Flott as a library: sessions, job handles, and the one list of connectors, formats and functions
