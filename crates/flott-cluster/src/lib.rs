//! Coordinator and worker: checkpoints, enumerators, commit, recovery
