//! The `values` test connector.

use flott_testkit::suite::values::ValuesContext;
use flott_testkit::{sink_suite, source_suite};

use crate::embedded::Embedded;

source_suite!(source, Embedded::new(), Some(ValuesContext::default()));
sink_suite!(sink, Embedded::new(), Some(ValuesContext::default()));
