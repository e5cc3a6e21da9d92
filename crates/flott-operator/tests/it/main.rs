//! Operators through the harness.

mod common;
mod stateless;
mod watermark;
mod window;
mod window_property;
