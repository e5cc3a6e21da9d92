//! The connector suite: every connector that promises something, in an embedded job.

mod embedded;
mod files;
mod objects;
mod sabotage;
mod values;
