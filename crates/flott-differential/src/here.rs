//! The same queries on Flott.

use std::time::Duration;

use flott::Session;

use crate::answer::{Answer, normal};
use crate::gateway::{Table, floating};

/// The longest that a query may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a query to its end.
pub(crate) async fn run(session: &mut Session, sql: &str) -> Result<Answer, String> {
    let run = async {
        let mut query = session.sql_query(sql).await.map_err(|e| e.to_string())?;
        // The gateway's types have no quotes around the names of fields.
        let mut answer = Answer::new(query.columns.iter().map(|(_, t)| t.to_string().replace('`', "")).collect());
        while let Some(batch) = query.next().await {
            let rows = query.texts(&batch).map_err(|e| e.to_string())?;
            for (row, values) in rows.into_iter().enumerate() {
                let values = values.iter().zip(&answer.types).map(|(v, t)| text(v, t)).collect();
                answer.change(values, batch.kind(row).is_addition());
            }
        }
        query.job.wait().await.map_err(|e| e.to_string())?;
        Ok(answer)
    };
    tokio::time::timeout(PATIENCE, run).await.unwrap_or_else(|_| Err("it hangs".into()))
}

/// Runs a query that only adds rows to its end: the values as the SQL client prints them.
pub(crate) async fn table(session: &mut Session, sql: &str) -> Result<Table, String> {
    let run = async {
        let mut query = session.sql_query(sql).await.map_err(|e| e.to_string())?;
        let types: Vec<String> = query.columns.iter().map(|(_, t)| kind(&t.to_string())).collect();
        let mut rows = vec![];
        while let Some(batch) = query.next().await {
            for row in query.texts(&batch).map_err(|e| e.to_string())? {
                rows.push(row.iter().zip(&types).map(|(v, t)| floating(t, v)).collect());
            }
        }
        query.job.wait().await.map_err(|e| e.to_string())?;
        Ok(Table { types, rows, values: vec![] })
    };
    tokio::time::timeout(PATIENCE, run).await.unwrap_or_else(|_| Err("it hangs".into()))
}

/// A type as the gateway's are written: without quotes around names, and without the precision of intervals, which no
/// client shows.
fn kind(text: &str) -> String {
    let text = text.replace('`', "");
    if text.starts_with("INTERVAL") {
        return if text.ends_with(" NOT NULL") { "INTERVAL NOT NULL" } else { "INTERVAL" }.to_string();
    }
    text
}

fn text(value: &str, kind: &str) -> String {
    // So does `query` print NULL.
    if value == "<NULL>" { "NULL".to_string() } else { normal(kind, value) }
}
