//! Operators through the harness.

mod changelog_function;
mod common;
mod group;
mod group_functions;
mod group_kept;
mod group_two_phase;
mod join;
mod join_time;
mod lookup;
mod match_recognize;
mod over;
mod over_at_end;
mod over_time;
mod processing_time;
mod rank;
mod rank_bundle;
mod rank_property;
mod session_state;
mod stateless;
mod unnest;
mod watermark;
mod window;
mod window_changes;
mod window_property;
