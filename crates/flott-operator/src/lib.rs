//! Streaming operators over change batches and their deterministic harness
