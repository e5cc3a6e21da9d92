//! A program that has a streaming job inside: it starts one, watches it, takes a savepoint, stops it, and starts another
//! from the savepoint.
//!
//! `cargo run -p flott --example embed`

use std::path::Path;
use std::time::Duration;

use flott::{Error, Job, Outcome, Restore, SavepointTarget, Session, StopMode};

const SCRIPT: &str = "
    CREATE TABLE orders (id BIGINT, amount INT) WITH ('connector' = 'datagen', 'rows-per-second' = '2000',
      'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '6000');
    CREATE TABLE large (id BIGINT, amount INT) WITH ('connector' = 'filesystem', 'path' = 'large', 'format' = 'csv');
    INSERT INTO large SELECT * FROM orders WHERE amount > 0;";

/// A session over a folder, and the job of the script in it.
async fn start(folder: &Path, restore: Restore) -> flott::Result<Job> {
    let mut session = Session::builder().base_dir(folder).name("orders").restore(restore).build()?;
    for statement in session.parse(SCRIPT)? {
        if let Outcome::Job(job) = session.execute(&statement).await? {
            return Ok(job);
        }
    }
    Err(Error::user("the script starts no job"))
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> flott::Result<()> {
    let folder = std::env::temp_dir().join("flott-embed");
    let job = start(&folder, Restore::Fresh).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("job {} is {}", job.handle.id(), job.handle.state().status.name());

    // The job goes on behind a savepoint; a stop with one ends it.
    let stop = StopMode::suspend().with_savepoint(SavepointTarget::In("savepoints".to_string()));
    let savepoint = job.handle.stop(stop).await?.ok_or_else(|| Error::internal("no savepoint"))?;
    println!("stopped at checkpoint {}, savepoint in {}", savepoint.checkpoint, savepoint.location);

    let mut job = start(&folder, Restore::Path(savepoint.location.into())).await?;
    let outcome = job.wait().await?;
    println!("the rest is done: {outcome:?}");
    Ok(())
}
