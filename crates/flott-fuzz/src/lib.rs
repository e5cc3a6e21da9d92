//! Properties of everything in Flott that reads bytes or text from outside, as functions of any input.
//!
//! What it is: a list of targets ([`TARGETS`]). Each is a function of some bytes that panics where a property does not hold. All of
//! them have these: no panic, no error that means a bug ([`ErrorKind::Internal`](flott_core::ErrorKind)), no more memory than
//! the input's length allows ([`Target::bytes_max`]), no input that takes long. Most have more: what is decoded, encoded and decoded
//! again is the same; input in pieces gives what the whole gives; what a decoder has read before changes nothing.
//!
//! What it is not: a fuzzer. Tests of this crate run each target over its small corpus and some thousand inputs made of it
//! ([`mutate`]); `cargo xtask fuzz` runs them under libFuzzer, from the workspace in `fuzz/`. docs/fuzzing.md says how.
//!
//! Read first: [`Target`], then one of the simple ones, [`target::jaas`].
//!
//! ```
//! flott_fuzz::target_of("jaas").expect("a target").check(b"a.b.PlainLoginModule required username=\"u\";");
//! ```

pub mod allocator;
pub mod mutate;
pub mod rows;
pub mod target;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flott_core::clock::{Clock, SystemClock};

pub use target::TARGETS;

/// An input of some kilobytes that takes longer hangs. Debug builds and busy machines are slow.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Something that reads bytes, and what has to be true of it whatever they are.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of its module, of its folder in `corpus`, of its binary.
    pub name: &'static str,
    /// What it reads and what is checked, for people.
    pub checks: &'static str,
    /// Bytes that may be allocated at one time whatever the input is.
    pub floor_bytes: usize,
    /// And for each byte of it.
    pub factor: usize,
    /// The longest input that is worth trying.
    pub length_max: usize,
    /// Panics where a property does not hold.
    pub run: fn(&[u8]),
}

impl Target {
    /// The most bytes that may be allocated at one time while an input is read.
    pub fn bytes_max(&self, length: usize) -> usize {
        self.floor_bytes + self.factor * length
    }

    /// Runs it, with its bounds.
    ///
    /// # Panics
    /// Where a property does not hold.
    pub fn check(&self, data: &[u8]) {
        let clock = clock();
        let began = clock.monotonic();
        let ((), peak) = allocator::peak(|| (self.run)(data));
        let (took, most) = (clock.monotonic() - began, self.bytes_max(data.len()));
        assert!(
            peak <= most,
            "{}: {} bytes of input took {peak} bytes of memory; the most is {most}",
            self.name,
            data.len()
        );
        assert!(took < PATIENCE, "{}: {} bytes of input took {took:?}", self.name, data.len());
    }

    /// Where its corpus lies.
    pub fn corpus(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }

    /// The inputs of its corpus, by their files' names.
    pub fn seeds(&self) -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(self.corpus()).into_iter().flatten().flatten();
        let named = |f: std::fs::DirEntry| Some((f.file_name().into_string().ok()?, std::fs::read(f.path()).ok()?));
        let mut seeds: Vec<_> = files.filter_map(named).collect();
        seeds.sort();
        seeds
    }
}

/// The target of this name.
pub fn target_of(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|t| t.name == name)
}

fn clock() -> &'static Arc<dyn Clock> {
    static CLOCK: OnceLock<Arc<dyn Clock>> = OnceLock::new();
    CLOCK.get_or_init(SystemClock::shared)
}
