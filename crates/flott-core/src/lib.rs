//! The field's nouns: types, change batches, watermarks, checkpoints, options, errors, clock and randomness
