//! Answers to those who wait for a checkpoint, and the savepoints that they have asked for.

use flott_core::{CheckpointId, Error, Result};
use flott_state::CheckpointStore;
use flott_state::manifest::Manifest;
use flott_state::savepoint::{GiveUp, PreparedSavepoint};

use crate::control::{Request, SavepointInfo, Taken};

/// Writes the savepoints of a committed checkpoint, and tells everybody who asked. True where the job is not to stop behind
/// it after all: nobody who wanted that has got the savepoint that was to come before.
pub(crate) async fn answer(
    store: &CheckpointStore,
    requests: Vec<Request>,
    manifest: &Manifest,
    give_up: &GiveUp,
) -> bool {
    let (mut wanted, mut refused) = (0, 0);
    for request in requests {
        let ends = request.ends;
        let answered = match prepare_one(store, &request, manifest, give_up).await {
            Ok(savepoint) => publish_one(request, savepoint, manifest.checkpoint).await,
            Err(e) => {
                let failed = Error::new(e.kind(), e.to_string());
                request.answer(Err(if ends { e.hint("The job goes on; stop it with another place") } else { e }));
                Err(failed)
            }
        };
        if ends {
            (wanted, refused) = (wanted + 1, refused + usize::from(answered.is_err()));
        }
    }
    wanted > 0 && refused == wanted
}

/// Savepoints of the end of a drained job. They are written before the end is decided, so that one that cannot be leaves
/// the job to go on, and become savepoints behind the decision, so that none is there of an end that never was.
pub(crate) struct OfTheEnd {
    checkpoint: CheckpointId,
    waiting: Vec<(Request, Option<PreparedSavepoint>)>,
}

impl OfTheEnd {
    /// Writes all but what makes them savepoints. Where one cannot be written, nothing stays of any, and everybody hears
    /// why.
    pub(crate) async fn prepare(
        store: &CheckpointStore,
        requests: Vec<Request>,
        manifest: &Manifest,
        give_up: &GiveUp,
    ) -> Result<OfTheEnd> {
        let mut end = OfTheEnd { checkpoint: manifest.checkpoint, waiting: vec![] };
        let mut requests = requests.into_iter();
        while let Some(request) = requests.next() {
            match prepare_one(store, &request, manifest, give_up).await {
                Ok(savepoint) => end.waiting.push((request, savepoint)),
                Err(error) => {
                    let why = format!("the savepoint of the job's end cannot be written: {error}");
                    request.answer(Err(error));
                    let failed = Error::unavailable(why).hint("The job goes on from its last checkpoint");
                    end.waiting.extend(requests.map(|request| (request, None)));
                    end.discard(&failed).await;
                    return Err(failed);
                }
            }
        }
        Ok(end)
    }

    /// The end is decided. An error is of a savepoint that is none all the same.
    pub(crate) async fn publish(self) -> Result<()> {
        let mut all = Ok(());
        for (request, savepoint) in self.waiting {
            let one = publish_one(request, savepoint, self.checkpoint).await;
            all = all.and(one);
        }
        all
    }

    /// The end came to nothing.
    pub(crate) async fn discard(self, error: &Error) {
        for (request, savepoint) in self.waiting {
            if let Some(savepoint) = savepoint {
                savepoint.discard().await;
            }
            request.answer(Err(Error::new(error.kind(), error.to_string())));
        }
    }
}

/// `None` for a request that wants no savepoint.
async fn prepare_one(
    store: &CheckpointStore,
    request: &Request,
    manifest: &Manifest,
    give_up: &GiveUp,
) -> Result<Option<PreparedSavepoint>> {
    match &request.to {
        None => Ok(None),
        Some(to) => store.prepare_savepoint(manifest, to, give_up).await.map(Some),
    }
}

async fn publish_one(request: Request, savepoint: Option<PreparedSavepoint>, checkpoint: CheckpointId) -> Result<()> {
    let taken = match (savepoint, &request.to) {
        (Some(savepoint), Some(to)) => {
            let location = to.display();
            savepoint.publish().await.map(|bytes| Some(SavepointInfo { checkpoint, location, bytes }))
        }
        _ => Ok(None),
    };
    let failed = taken.as_ref().err().map(|e| Error::new(e.kind(), e.to_string()));
    request.answer(taken.map(|savepoint| Taken { checkpoint, savepoint }));
    failed.map_or(Ok(()), Err)
}
