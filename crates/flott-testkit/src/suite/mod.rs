//! What every connector must keep, whatever it connects to.
//!
//! A connector says how a test makes a table of it ([`SourceContext`], [`SinkContext`]); an environment runs jobs
//! ([`TestEnvironment`]); the [`source`] and [`sink`] cases put them together, each for exactly-once and at-least-once.
//! They are those of Flink's connector testing framework, and a few more: its cases of sinks never fail a job. The macros
//! [`source_suite!`](crate::source_suite) and [`sink_suite!`](crate::sink_suite) make one test of each.
//!
//! [`source_restores`] needs no environment: it cuts and restores a bounded source at many places.

mod context;
mod environment;
mod kill;
mod record;
mod restores;
pub mod sink;
pub mod source;
pub mod values;

pub use context::{SinkContext, SinkTable, SourceContext, SourceSettings, SourceTable};
pub use environment::{JobRequest, Operator, Savepoint, TestEnvironment, TestJob};
pub use kill::KillSwitch;
pub use record::{COLUMNS, Record, Seen, batch_of_records, records};
pub use restores::source_restores;

use std::time::Duration;

use flott_core::Error;

/// What a job promises about each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Semantics {
    /// Each has its effect once.
    ExactlyOnce,
    /// Each has its effect, and after a failure perhaps again.
    AtLeastOnce,
}

impl Semantics {
    /// As a sink's option.
    pub fn name(self) -> &'static str {
        match self {
            Semantics::ExactlyOnce => "exactly-once",
            Semantics::AtLeastOnce => "at-least-once",
        }
    }
}

/// What every case is run with.
pub struct Suite<'a> {
    /// Runs jobs.
    pub environment: &'a dyn TestEnvironment,
    /// What is expected.
    pub semantics: Semantics,
    /// The longest that a case waits for something to become so.
    pub patience: Duration,
}

/// Why a connector does not pass a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed(pub String);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Error> for Failed {
    fn from(e: Error) -> Failed {
        Failed(format!("{e}"))
    }
}

/// What a case gives.
pub type CaseResult = Result<(), Failed>;

impl Suite<'_> {
    /// Waits until something is so, as long as the job runs.
    pub(crate) async fn until(
        &self,
        what: &str,
        job: &dyn TestJob,
        mut holds: impl AsyncFnMut() -> Result<bool, Failed>,
    ) -> CaseResult {
        /// Between two looks.
        const PAUSE: Duration = Duration::from_millis(10);
        let wait = async {
            loop {
                // First the job, then the look: what an ended job has done is there.
                let ended = job.ended();
                if holds().await? {
                    return Ok(());
                }
                if let Some(how) = ended {
                    return Err(Failed(format!("the job ended before {what}: {how}")));
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(self.patience, wait)
            .await
            .unwrap_or_else(|_| Err(Failed(format!("waited {:?} in vain for {what}", self.patience))))
    }

    /// Waits for a future that may never be ready.
    pub(crate) async fn within<T>(
        &self,
        what: &str,
        work: impl Future<Output = flott_core::Result<T>>,
    ) -> Result<T, Failed> {
        match tokio::time::timeout(self.patience, work).await {
            Ok(done) => done.map_err(|e| Failed(format!("{what}: {e}"))),
            Err(_) => Err(Failed(format!("waited {:?} in vain for {what}", self.patience))),
        }
    }
}

/// One test of each source case, in both semantics: `source_suite!(files_csv, environment(), Some(context()))`. Both are
/// expressions that are evaluated in each test; `None` for a context skips it, where its system does not run.
#[macro_export]
macro_rules! source_suite {
    ($name:ident, $environment:expr, $context:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the expressions name what they need")]
            use super::*;
            $crate::suite_cases!(source, $environment, $context;
                single_split, multiple_splits, savepoint, scale_up, scale_down, metrics, idle_reader, worker_failure);
        }
    };
}

/// One test of each sink case, in both semantics, and of the case that exactly-once alone has: like
/// [`source_suite!`](crate::source_suite).
#[macro_export]
macro_rules! sink_suite {
    ($name:ident, $environment:expr, $context:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the expressions name what they need")]
            use super::*;
            $crate::suite_cases!(sink, $environment, $context;
                basic, savepoint, scale_up, scale_down, metrics, worker_failure);
            mod exactly_once_alone {
                #[allow(unused_imports, reason = "the expressions name what they need")]
                use super::*;
                $crate::suite_cases_of!(sink, ExactlyOnce, $environment, $context; undecided);
            }
        }
    };
}

/// One test of each sink case, at-least-once, for a sink that promises no more: like [`source_suite!`](crate::source_suite).
#[macro_export]
macro_rules! at_least_once_sink_suite {
    ($name:ident, $environment:expr, $context:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "the expressions name what they need")]
            use super::*;
            $crate::suite_cases_of!(sink, AtLeastOnce, $environment, $context;
                basic, savepoint, scale_up, scale_down, metrics, worker_failure);
        }
    };
}

/// The tests of [`source_suite!`](crate::source_suite) and [`sink_suite!`](crate::sink_suite).
#[doc(hidden)]
#[macro_export]
macro_rules! suite_cases {
    ($kind:ident, $environment:expr, $context:expr; $($case:ident),+) => {
        mod exactly_once {
            #[allow(unused_imports, reason = "the expressions name what they need")]
            use super::*;
            $crate::suite_cases_of!($kind, ExactlyOnce, $environment, $context; $($case),+);
        }
        mod at_least_once {
            #[allow(unused_imports, reason = "the expressions name what they need")]
            use super::*;
            $crate::suite_cases_of!($kind, AtLeastOnce, $environment, $context; $($case),+);
        }
    };
}

/// The tests of one of the semantics.
#[doc(hidden)]
#[macro_export]
macro_rules! suite_cases_of {
    ($kind:ident, $semantics:ident, $environment:expr, $context:expr; $($case:ident),+) => {
        $($crate::suite_case!($kind, $case, $semantics, $environment, $context);)+
    };
}

/// One test.
#[doc(hidden)]
#[macro_export]
macro_rules! suite_case {
    ($kind:ident, $case:ident, $semantics:ident, $environment:expr, $context:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let Some(context) = $context else { return };
            let environment = $environment;
            let suite = $crate::suite::Suite {
                environment: &environment,
                semantics: $crate::suite::Semantics::$semantics,
                patience: std::time::Duration::from_secs(60),
            };
            if let Err(failed) = $crate::suite::$kind::$case(&suite, &context).await {
                panic!("{failed}");
            }
        }
    };
}
