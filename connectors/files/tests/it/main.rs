//! The filesystem connector as a runtime drives it: source, sink, and both over an object store.

mod commit;
mod compressed;
mod crashes;
mod cut;
mod damage;
mod monitor;
mod object_store_faults;
mod objects;
mod options;
mod overwrite;
mod partition_commit;
mod s3;
mod sink;
mod source;
mod support;
mod uploads;
