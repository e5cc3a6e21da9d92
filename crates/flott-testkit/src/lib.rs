//! Test connector, batch assertions, connector suite, service launcher
