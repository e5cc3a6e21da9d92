//! The filesystem connector: source and exactly-once sink over an object store
