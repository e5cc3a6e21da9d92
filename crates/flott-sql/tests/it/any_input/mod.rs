//! No function panics on any input of its types: every scalar function, every operator and special form, every cast,
//! every aggregate and every function over windows, over random values of random types that it takes.
//!
//! Of each is asserted that a batch has a value for every row or fails for its data; that the values are of the type that
//! was derived, with no NULL where the type has none, and can be printed; that a batch without rows gives none; and that
//! parts of a batch give the same as the whole. And that each was computed often enough: nothing is skipped unseen.
//!
//! A failure names its seed: `PROPTEST_RNG_SEED=seed` repeats it.

mod aggregate;
mod cast;
mod computed;
mod form;
mod over;
mod sampler;
mod scalar;
mod types;
mod values;
