//! Requests and what is kept of their answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flott_connector::schema_registry::{RegisteredSchema, SchemaRegistry};
use flott_core::{Error, Result};
use parking_lot::Mutex;
use reqwest::{Certificate, Identity, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::options::{Access, Credentials};

/// How long an answer may take, with all of its bytes.
pub const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer.
pub const RESPONSE_BYTES_MAX: usize = 16 << 20;
/// How often a request is made that finds nobody, or a server that is ill.
pub const TRIES: u32 = 4;
/// Before the second try; each wait is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Schemas that refer to others, inside each other.
const REFERENCES_MAX: usize = 64;
/// Schemas that are kept; what is beyond is asked for again.
const KEPT_MAX: usize = 10_000;
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A registry.
pub(crate) struct Client {
    access: Access,
    schemas: Mutex<HashMap<u32, Arc<RegisteredSchema>>>,
    ids: Mutex<HashMap<(String, String), u32>>,
}

/// What `/schemas/ids/..` and `/subjects/../versions/..` answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaAnswer {
    schema: String,
    #[serde(default)]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    subject: String,
    version: i64,
}

#[derive(Deserialize)]
struct IdAnswer {
    id: u32,
}

/// An answer that is none of success.
#[derive(Debug, Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    error_code: i64,
    #[serde(default)]
    message: String,
}

/// What came of a request.
enum Answer {
    Success(Vec<u8>),
    Refused(StatusCode, Refusal),
}

impl Client {
    pub(crate) fn new(access: Access) -> Client {
        Client { access, schemas: Mutex::default(), ids: Mutex::default() }
    }

    /// Makes a request on a thread of its own and waits for it: the caller's thread may drive other futures.
    fn request(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
        let (access, path) = (self.access.clone(), path.to_string());
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|e| Error::unavailable("a request cannot be made").caused_by(e))?;
            runtime.block_on(ask(&access, method, &path, body))
        };
        let thread = std::thread::Builder::new().name("schema-registry".to_string()).spawn(run);
        let thread = thread.map_err(|e| Error::unavailable("a thread cannot be started").caused_by(e))?;
        thread.join().unwrap_or_else(|_| Err(Error::internal("a request to the schema registry panicked")))
    }

    fn answer<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(|e| {
            Error::unavailable("The schema registry answers with something else than expected")
                .with("url", self.access.urls.join(","))
                .hint("The URL has to be that of the API, with its path: /apis/ccompat/v7 for Apicurio")
                .caused_by(e)
        })
    }

    /// The schemas that one refers to, each before those that refer to it.
    fn references(&self, of: &[Reference], depth: usize, found: &mut Vec<String>) -> Result<()> {
        for reference in of {
            if depth >= REFERENCES_MAX || found.len() >= REFERENCES_MAX {
                return Err(Error::data(format!("A schema has more than {REFERENCES_MAX} references")));
            }
            let path = format!("/subjects/{}/versions/{}", encoded(&reference.subject), reference.version);
            let answer = match self.request(Method::GET, &path, None)? {
                Answer::Success(bytes) => self.answer::<SchemaAnswer>(&bytes)?,
                Answer::Refused(status, refusal) => {
                    return Err(refused(&self.access, status, &refusal)
                        .with("subject", &reference.subject)
                        .with("version", reference.version));
                }
            };
            self.references(&answer.references, depth + 1, found)?;
            if !found.contains(&answer.schema) {
                found.push(answer.schema);
            }
        }
        Ok(())
    }
}

impl SchemaRegistry for Client {
    fn schema(&self, id: u32) -> Result<Arc<RegisteredSchema>> {
        if let Some(known) = self.schemas.lock().get(&id) {
            return Ok(Arc::clone(known));
        }
        let answer = match self.request(Method::GET, &format!("/schemas/ids/{id}"), None)? {
            Answer::Success(bytes) => self.answer::<SchemaAnswer>(&bytes)?,
            Answer::Refused(StatusCode::NOT_FOUND, _) => {
                return Err(Error::data(format!("The schema registry has no schema with the id {id}"))
                    .with("url", self.access.urls.join(","))
                    .hint("The message comes from a writer with another registry, or is no message of such a writer"));
            }
            Answer::Refused(status, refusal) => {
                return Err(refused(&self.access, status, &refusal).with("schema id", id));
            }
        };
        let mut references = vec![];
        self.references(&answer.references, 0, &mut references)?;
        let kind = answer.schema_type.unwrap_or_else(|| "AVRO".to_string());
        let schema = Arc::new(RegisteredSchema { kind, text: answer.schema, references });
        let mut schemas = self.schemas.lock();
        if schemas.len() >= KEPT_MAX {
            schemas.clear();
        }
        schemas.insert(id, Arc::clone(&schema));
        Ok(schema)
    }

    fn id(&self, subject: &str, schema: &RegisteredSchema) -> Result<u32> {
        let key = (subject.to_string(), schema.text.clone());
        if let Some(known) = self.ids.lock().get(&key) {
            return Ok(*known);
        }
        let mut body = json!({ "schema": schema.text });
        if schema.kind != "AVRO" {
            body["schemaType"] = Value::from(schema.kind.as_str());
        }
        let path = format!("/subjects/{}", encoded(subject));
        let path = if self.access.auto_register { format!("{path}/versions") } else { path };
        let id = match self.request(Method::POST, &path, Some(body))? {
            Answer::Success(bytes) => self.answer::<IdAnswer>(&bytes)?.id,
            Answer::Refused(StatusCode::CONFLICT, refusal) => {
                return Err(Error::user(format!(
                    "The schema of the table is not compatible with those of the subject '{subject}': {}",
                    refusal.message
                ))
                .with("subject", subject)
                .hint("Change the table's columns as the subject's compatibility allows, or choose another subject"));
            }
            Answer::Refused(StatusCode::NOT_FOUND, _) if !self.access.auto_register => {
                return Err(Error::user(format!("The subject '{subject}' does not have the schema of the table"))
                    .with("subject", subject)
                    .hint("Register it, or set 'auto.register.schemas' = 'true'"));
            }
            Answer::Refused(status, refusal) => {
                return Err(refused(&self.access, status, &refusal).with("subject", subject));
            }
        };
        let mut ids = self.ids.lock();
        if ids.len() >= KEPT_MAX {
            ids.clear();
        }
        ids.insert(key, id);
        Ok(id)
    }
}

/// A part of a path.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn refused(access: &Access, status: StatusCode, refusal: &Refusal) -> Error {
    let url = access.urls.join(",");
    let said = if refusal.message.is_empty() { String::new() } else { format!(": {}", refusal.message) };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Error::user(format!("The schema registry does not let us in ({status}){said}"))
                .with("url", url)
                .hint("Check 'basic-auth.user-info' or 'bearer-auth.token'")
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Error::unavailable(format!("The schema registry fails ({status}){said}")).with("url", url)
        }
        status => Error::user(format!("The schema registry refuses ({status}, {}){said}", refusal.error_code))
            .with("url", url)
            .hint("The URL has to be that of the API, with its path: /apis/ccompat/v7 for Apicurio"),
    }
}

fn http(access: &Access) -> Result<reqwest::Client> {
    let read = |path: &str| {
        std::fs::read(path).map_err(|e| {
            Error::user(format!("'{path}' cannot be read"))
                .caused_by(e)
                .hint("It has to be a PEM file on every process's machine")
        })
    };
    let no_pem = |path: &str, what: &str, e: reqwest::Error| {
        Error::user(format!("'{path}' holds no {what} in PEM")).caused_by(e.without_url())
    };
    let mut client = reqwest::Client::builder()
        .connect_timeout(CONNECT_PATIENCE)
        .timeout(REQUEST_PATIENCE)
        // A registry does not move; credentials are not carried elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("flott/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &access.trusted {
        for certificate in Certificate::from_pem_bundle(&read(path)?).map_err(|e| no_pem(path, "certificates", e))? {
            client = client.add_root_certificate(certificate);
        }
    }
    if let Some(path) = &access.identity {
        client =
            client.identity(Identity::from_pem(&read(path)?).map_err(|e| no_pem(path, "key and certificates", e))?);
    }
    client.build().map_err(|e| Error::user("A client of the schema registry cannot be made").caused_by(e.without_url()))
}

/// Asks one server after the other, and all of them again where none answers.
async fn ask(access: &Access, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
    let client = http(access)?;
    let mut wait = FIRST_WAIT;
    let mut last = None;
    for tried in 0..TRIES {
        if tried > 0 {
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        for url in &access.urls {
            match once(&client, access, method.clone(), &format!("{url}{path}"), body.as_ref()).await {
                Ok(Answer::Refused(status, refusal))
                    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS =>
                {
                    last = Some(refused(access, status, &refusal));
                }
                Ok(answer) => return Ok(answer),
                Err(e) => last = Some(e),
            }
        }
    }
    Err(last.unwrap_or_else(|| Error::internal("a schema registry without a URL")))
}

async fn once(
    client: &reqwest::Client,
    access: &Access,
    method: Method,
    url: &str,
    body: Option<&Value>,
) -> Result<Answer> {
    let mut request = client.request(method, url).header("accept", MEDIA_TYPE);
    request = match &access.credentials {
        Credentials::None => request,
        Credentials::Basic(user, password) => request.basic_auth(user, Some(password.reveal())),
        Credentials::Bearer(token) => request.bearer_auth(token.reveal()),
    };
    if let Some(body) = body {
        request = request.header("content-type", MEDIA_TYPE).body(body.to_string());
    }
    let silent = |e: reqwest::Error| {
        Error::unavailable("The schema registry does not answer").with("url", url).caused_by(e.without_url())
    };
    let mut response = request.send().await.map_err(silent)?;
    let status = response.status();
    let mut bytes = vec![];
    while let Some(chunk) = response.chunk().await.map_err(silent)? {
        if bytes.len() + chunk.len() > RESPONSE_BYTES_MAX {
            return Err(Error::data(format!(
                "An answer of the schema registry is longer than {RESPONSE_BYTES_MAX} bytes (RESPONSE_BYTES_MAX)"
            ))
            .with("url", url));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(if status.is_success() {
        Answer::Success(bytes)
    } else {
        Answer::Refused(status, serde_json::from_slice(&bytes).unwrap_or_default())
    })
}
