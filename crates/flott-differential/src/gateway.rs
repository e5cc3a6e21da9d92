//! A real Flink behind its SQL gateway (REST API v2).

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::{Answer, normal};

/// The longest that one answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a statement that is not ready.
const PAUSE: Duration = Duration::from_millis(30);

/// What Flink says where its TaskManager has ended, and how long to wait for another one.
const WITHOUT_SLOTS: [&str; 3] =
    ["NoResourceAvailableException", "TaskExecutor is shutting down", "is no longer reachable"];
const WAIT: Duration = Duration::from_secs(5);
const WAITS_MAX: usize = 12;

/// A result as the SQL client prints it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) types: Vec<String>,
    /// To be compared: floating-point numbers by their value.
    pub(crate) rows: Vec<Vec<String>>,
    /// As they are printed; `None` is NULL.
    pub(crate) values: Vec<Vec<Option<String>>>,
}

/// A session.
pub(crate) struct Gateway {
    client: reqwest::Client,
    url: String,
    session: String,
}

impl Gateway {
    /// Opens a session with these settings.
    pub(crate) async fn open(url: &str, settings: &[(&str, &str)]) -> Result<Gateway, String> {
        let mut gateway =
            Gateway { client: reqwest::Client::new(), url: url.trim_end_matches('/').into(), session: String::new() };
        let properties: serde_json::Map<String, Value> =
            settings.iter().map(|(k, v)| ((*k).to_string(), json!(v))).collect();
        let opened = gateway.post("/v2/sessions", &json!({ "properties": properties })).await?;
        gateway.session = opened["sessionHandle"].as_str().ok_or("no session")?.to_string();
        Ok(gateway)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let request = self.client.post(format!("{}{path}", self.url)).header("Content-Type", "application/json");
        answered(request.body(body.to_string())).await
    }

    /// Runs a statement that only adds rows to its end: the values as the SQL client prints them.
    pub(crate) async fn table(&self, sql: &str) -> Result<Table, String> {
        let mut table = Table::default();
        self.pages(sql, "PLAIN_TEXT", |result| {
            if table.types.is_empty() {
                table.types = list(&result["results"]["columns"]).iter().map(|c| kind(&c["logicalType"])).collect();
            }
            for row in list(&result["results"]["data"]) {
                let values: Vec<Option<String>> = list(&row["fields"]).iter().map(printed).collect();
                let compared =
                    |(v, t): (&Option<String>, &String)| v.as_deref().map_or("<NULL>".into(), |v| floating(t, v));
                table.rows.push(values.iter().zip(&table.types).map(compared).collect());
                table.values.push(values);
            }
        })
        .await?;
        Ok(table)
    }

    /// Runs a statement to its end and shows each page of its result. Some statements end Flink's TaskManager: what comes
    /// behind them waits for the next one.
    async fn pages(&self, sql: &str, format: &str, mut page: impl FnMut(&Value)) -> Result<(), String> {
        let mut left = WAITS_MAX;
        loop {
            let mut shown = vec![];
            match self.run_once(sql, format, |result| shown.push(result.clone())).await {
                Err(e) if left > 0 && WITHOUT_SLOTS.iter().any(|text| e.contains(text)) => {
                    left -= 1;
                    tokio::time::sleep(WAIT).await;
                }
                done => {
                    shown.iter().for_each(&mut page);
                    return done;
                }
            }
        }
    }

    async fn run_once(&self, sql: &str, format: &str, mut page: impl FnMut(&Value)) -> Result<(), String> {
        // The first version of the interface knows no format but JSON.
        let path = format!("/v2/sessions/{}", self.session);
        let started = self.post(&format!("{path}/statements"), &json!({ "statement": sql })).await?;
        let operation = started["operationHandle"].as_str().ok_or("no operation")?;
        let mut next = format!("{path}/operations/{operation}/result/0?rowFormat={format}");
        loop {
            let result = answered(self.client.get(format!("{}{next}", self.url))).await?;
            if result["resultType"] == "NOT_READY" {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            page(&result);
            match (result["resultType"].as_str(), result["nextResultUri"].as_str()) {
                (Some("EOS") | None, _) | (_, None) => return Ok(()),
                (_, Some(uri)) => next = uri.to_string(),
            }
        }
    }

    /// Runs a statement to its end. An error is Flink's root cause.
    pub(crate) async fn run(&self, sql: &str) -> Result<Answer, String> {
        let mut answer: Option<Answer> = None;
        let (mut before, mut after) = (0, 0);
        self.pages(sql, "PLAIN_TEXT", |result| {
            let types: Vec<String> =
                list(&result["results"]["columns"]).iter().map(|c| kind(&c["logicalType"])).collect();
            let answer = answer.get_or_insert_with(|| Answer::new(types));
            for row in list(&result["results"]["data"]) {
                before += usize::from(row["kind"] == "UPDATE_BEFORE");
                after += usize::from(row["kind"] == "UPDATE_AFTER");
                let adds = matches!(row["kind"].as_str(), Some("INSERT" | "UPDATE_AFTER"));
                let values = list(&row["fields"]).iter().zip(&answer.types).map(|(v, t)| text(v, t)).collect();
                answer.change(values, adds);
            }
        })
        .await?;
        let mut answer = answer.ok_or("no answer")?;
        answer.upserts = after > before;
        Ok(answer)
    }
}

fn list(v: &Value) -> &[Value] {
    v.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value, kind: &str) -> String {
    match value {
        Value::Null => "NULL".to_string(),
        Value::String(s) => normal(kind, s),
        other => normal(kind, &other.to_string()),
    }
}

/// A value that the gateway has printed.
fn printed(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(s) => Some(s.clone()),
        other => Some(other.to_string()),
    }
}

/// A floating-point number by its value, anything else as it is.
pub(crate) fn floating(kind: &str, text: &str) -> String {
    if kind.starts_with("FLOAT") || kind.starts_with("DOUBLE") { normal(kind, text) } else { text.to_string() }
}

/// A type as SQL.
fn kind(t: &Value) -> String {
    let number = |key: &str| t[key].as_u64().unwrap_or_default();
    let name = match t["type"].as_str().unwrap_or_default() {
        "INTEGER" => "INT".to_string(),
        "VARCHAR" if number("length") == 2_147_483_647 => "STRING".to_string(),
        "VARBINARY" if number("length") == 2_147_483_647 => "BYTES".to_string(),
        n @ ("VARCHAR" | "CHAR" | "BINARY" | "VARBINARY") => format!("{n}({})", number("length")),
        "DECIMAL" => format!("DECIMAL({}, {})", number("precision"), number("scale")),
        "TIMESTAMP_WITHOUT_TIME_ZONE" => format!("TIMESTAMP({})", number("precision")),
        "TIMESTAMP_WITH_LOCAL_TIME_ZONE" => format!("TIMESTAMP_LTZ({})", number("precision")),
        "TIME_WITHOUT_TIME_ZONE" => format!("TIME({})", number("precision")),
        "ARRAY" | "MULTISET" => format!("{}<{}>", t["type"].as_str().unwrap_or_default(), kind(&t["elementType"])),
        "MAP" => format!("MAP<{}, {}>", kind(&t["keyType"]), kind(&t["valueType"])),
        "ROW" => {
            let field = |f: &Value| format!("{} {}", f["name"].as_str().unwrap_or_default(), kind(&f["fieldType"]));
            format!("ROW<{}>", list(&t["fields"]).iter().map(field).collect::<Vec<_>>().join(", "))
        }
        "INTERVAL_YEAR_MONTH" | "INTERVAL_DAY_TIME" => "INTERVAL".to_string(),
        other => other.to_string(),
    };
    if t["nullable"].as_bool().unwrap_or(true) { name } else { format!("{name} NOT NULL") }
}

async fn answered(request: reqwest::RequestBuilder) -> Result<Value, String> {
    let response = request.timeout(PATIENCE).send().await.map_err(|e| format!("the gateway does not answer: {e}"))?;
    let good = response.status().is_success();
    let body = response.text().await.map_err(|e| e.to_string())?;
    let value: Value = serde_json::from_str(&body).map_err(|e| format!("{e}: {body}"))?;
    if good { Ok(value) } else { Err(cause(&value)) }
}

/// The last "Caused by" of a stack trace.
fn cause(answer: &Value) -> String {
    let trace = list(&answer["errors"]).iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
    let last = trace.rsplit("Caused by: ").next().unwrap_or(&trace);
    let lines: Vec<&str> = last.lines().take_while(|l| !l.trim_start().starts_with("at ")).take(4).collect();
    lines.join(" ")
}
