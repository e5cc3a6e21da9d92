//! Jobs under faults: what the job master does when sources, commits and users come at the wrong moment.

mod alignment;
mod commit;
mod listing;
mod memory;
mod processing_time;
mod restart;
mod savepoint;
mod scripted;
