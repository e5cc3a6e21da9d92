//! The jobs that a session has started, for whoever asks about them.

use std::sync::{Arc, Mutex, PoisonError};

use flott_cluster::{JobClient, JobState};

use crate::metrics::{JobMeter, MetricsReport};

/// Jobs that have ended are remembered up to this number, the oldest go first.
const ENDED_MAX: usize = 1_000;

/// A job that a session started.
#[derive(Clone)]
pub(crate) struct KnownJob {
    pub(crate) name: Arc<str>,
    pub(crate) meter: JobMeter,
}

impl KnownJob {
    pub(crate) fn client(&self) -> &JobClient {
        self.meter.client()
    }

    pub(crate) fn state(&self) -> JobState {
        self.client().state()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state().ended_ms.is_some()
    }
}

/// All jobs of a session. Clones are of the same list.
#[derive(Clone, Default)]
pub(crate) struct Jobs(Arc<Mutex<Vec<KnownJob>>>);

impl Jobs {
    pub(crate) fn add(&self, job: KnownJob) {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.push(job);
        let mut surplus = jobs.iter().filter(|j| j.has_ended()).count().saturating_sub(ENDED_MAX);
        jobs.retain(|job| {
            let goes = surplus > 0 && job.has_ended();
            surplus -= usize::from(goes);
            !goes
        });
    }

    pub(crate) fn all(&self) -> Vec<KnownJob> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Of those that run.
    pub(crate) fn reports(&self) -> Vec<MetricsReport> {
        self.all().iter().filter(|job| !job.has_ended()).map(|job| job.meter.report()).collect()
    }

    pub(crate) fn sample(&self) {
        self.all().iter().filter(|job| !job.has_ended()).for_each(|job| job.meter.sample());
    }
}
