//! A query that runs, and its rows.

use arrow_array::RecordBatch;
use chrono::{Offset, TimeZone};
use flott_core::{ChangeBatch, Error, LogicalType, Result, SessionZone};
use futures::Stream;
use tokio::sync::mpsc;

use crate::session::Job;

/// A running query and its rows. They are made as fast as they are read: whoever reads slowly holds the query back, and
/// memory stays bounded. Dropped, it cancels the job behind it.
pub struct Query {
    /// Names and types of the columns.
    pub columns: Vec<(String, LogicalType)>,
    /// Whether it ends by itself.
    pub bounded: bool,
    /// Whether rows are only added.
    pub insert_only: bool,
    /// The job behind it.
    pub job: Job,
    pub(crate) rows: mpsc::Receiver<ChangeBatch>,
    pub(crate) zone: SessionZone,
    /// The most that is collected: rows, bytes.
    pub(crate) limits: (u64, u64),
}

impl Drop for Query {
    fn drop(&mut self) {
        if self.job.handle.state().ended_ms.is_none() {
            self.job.handle.try_cancel();
        }
    }
}

impl Query {
    /// The next rows; `None` at the end. [`Job::wait`] then tells whether it was a good one.
    pub async fn next(&mut self) -> Option<ChangeBatch> {
        tokio::select! {
            biased;
            batch = self.rows.recv() => batch,
            // The graph keeps its end of the channel open.
            () = self.job.handle.ended() => self.rows.try_recv().ok(),
        }
    }

    /// The rows as a stream of change batches: `+I`, and of a query with updates `-U`, `+U` and `-D`. A query that failed
    /// ends with its error; nothing follows that.
    pub fn into_stream(self) -> impl Stream<Item = Result<ChangeBatch>> + Send {
        futures::stream::try_unfold(Some(self), |query| async move {
            let Some(mut query) = query else { return Ok(None) };
            match query.next().await {
                Some(batch) => Ok(Some((batch, Some(query)))),
                None => query.job.wait().await.map(|_| None),
            }
        })
    }

    /// All rows of a bounded query that only adds rows, as Arrow batches.
    ///
    /// # Errors
    /// Where the query fails; where it never ends or takes rows back; and where its result is larger than
    /// `flott.collect.max-rows` and `flott.collect.max-bytes` allow.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>> {
        let stream = "Read it batch by batch, with next or into_stream";
        if !self.bounded {
            return Err(Error::user("a query that never ends cannot be collected").hint(stream));
        }
        if !self.insert_only {
            return Err(Error::user("a query whose rows change cannot be collected as rows").hint(
                "SET 'execution.runtime-mode' = 'batch' for final rows only, or read the changes with into_stream",
            ));
        }
        let (rows_max, bytes_max) = self.limits;
        let (mut batches, mut rows, mut bytes) = (vec![], 0u64, 0u64);
        while let Some(batch) = self.next().await {
            rows += batch.num_rows() as u64;
            bytes += batch.size_bytes() as u64;
            if rows > rows_max || bytes > bytes_max {
                return Err(Error::user(format!(
                    "the result is too large to be collected: more than {rows_max} rows or {bytes_max} bytes"
                ))
                .hint(format!(
                    "{stream}, add a LIMIT, or raise 'flott.collect.max-rows' and 'flott.collect.max-bytes'"
                )));
            }
            batches.push(batch.rows);
        }
        self.job.wait().await?;
        Ok(batches)
    }

    /// Rows as the SQL client prints them.
    pub fn texts(&self, batch: &ChangeBatch) -> Result<Vec<Vec<String>>> {
        let zone = self.zone;
        let offset = move |seconds: i64| {
            let time = chrono::DateTime::from_timestamp(seconds, 0).map(|t| t.naive_utc()).unwrap_or_default();
            zone.offset_from_utc_datetime(&time).fix().local_minus_utc()
        };
        flott_connector::row_text::result_strings(batch, &offset)
    }
}
