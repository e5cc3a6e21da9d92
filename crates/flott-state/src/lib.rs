//! State: sealed columnar runs, snapshot files, the checkpoint store
