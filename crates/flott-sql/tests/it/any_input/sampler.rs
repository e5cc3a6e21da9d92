//! Chance, and strategies that are asked for one value after another: proptest's, under one seed.

use flott_core::rng::Rng;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestError, TestRunner};

/// What a call gives, or what it says when it panics.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        format!("panics: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a word"))
    })
}

/// How often a failing input is made smaller.
const SHRINKS_MAX: u32 = 300;

pub(crate) struct Sampler {
    seed: u64,
    rng: Rng,
    runner: TestRunner,
}

impl Sampler {
    /// Seeded as `PROPTEST_RNG_SEED` says, else by chance.
    pub(crate) fn new() -> Sampler {
        let config = Config::default();
        let seed = match config.rng_seed {
            RngSeed::Fixed(seed) => seed,
            RngSeed::Random => Rng::from_entropy().next_u64(),
        };
        let rng_seed = RngSeed::Fixed(seed);
        let config = Config { rng_seed, failure_persistence: None, max_shrink_iters: SHRINKS_MAX, ..config };
        Sampler { seed, rng: Rng::seeded(seed), runner: TestRunner::new(config) }
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.rng.below(bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A value of a strategy.
    pub(crate) fn sample<S: Strategy>(&mut self, strategy: &S) -> S::Value {
        strategy.new_tree(&mut self.runner).expect("a value").current()
    }

    /// Checks one input; what is told of a failure is the smallest that was found.
    pub(crate) fn check<S: Strategy>(
        &mut self,
        strategy: &S,
        check: impl Fn(S::Value) -> TestCaseResult,
    ) -> Result<(), String> {
        let tree = strategy.new_tree(&mut self.runner).expect("an input");
        match self.runner.run_one(tree, check) {
            Ok(_) => Ok(()),
            Err(TestError::Fail(reason, input)) => Err(format!("{reason}\n    over {input:?}")),
            Err(TestError::Abort(reason)) => Err(reason.to_string()),
        }
    }

    /// Ends a test: nothing may be wrong.
    #[track_caller]
    pub(crate) fn finish(&self, wrong: &[String]) {
        assert!(wrong.is_empty(), "PROPTEST_RNG_SEED={}: {} wrong\n{}", self.seed, wrong.len(), wrong.join("\n"));
    }
}
