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

/// A type as the gateway's are written: without quotes around names, and without the fields of intervals, also inside, which
/// no client shows.
fn kind(text: &str) -> String {
    let text = text.replace('`', "");
    let mut parts = text.split("INTERVAL ");
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        plain.push_str("INTERVAL");
        let is_field = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "( )".contains(c);
        let fields = part.split(" NOT NULL").next().unwrap_or_default();
        let end = fields.find(|c| !is_field(c)).unwrap_or(fields.len());
        plain.push_str(&part[end..]);
    }
    plain
}

fn text(value: &str, kind: &str) -> String {
    // So does `query` print NULL.
    if value == "<NULL>" { "NULL".to_string() } else { normal(kind, value) }
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn intervals_have_no_fields() {
        for (ours, theirs) in [
            ("INTERVAL DAY(2) TO SECOND(3) NOT NULL", "INTERVAL NOT NULL"),
            ("INTERVAL MONTH", "INTERVAL"),
            ("MAP<INTERVAL MONTH NOT NULL, INTERVAL DAY(2)>", "MAP<INTERVAL NOT NULL, INTERVAL>"),
            ("ROW<`a` INTERVAL SECOND(3), `b` INT>", "ROW<a INTERVAL, b INT>"),
            ("STRING NOT NULL", "STRING NOT NULL"),
        ] {
            assert_eq!(kind(ours), theirs);
        }
    }
}
