//! Requests and what is kept of their answers.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error as _;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use flott_connector::schema_registry::{RegisteredSchema, SchemaRegistry};
use flott_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use reqwest::{Certificate, Identity, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::options::{Access, Credentials, KEY_LOCATION, Server, TRUST_LOCATION};

/// How long a call may take with all of its requests, tries and references: its caller does nothing else meanwhile.
/// Each server has half of it for the first try.
pub const CALL_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer.
pub const RESPONSE_BYTES_MAX: usize = 16 << 20;
/// How often a request is made that finds nobody, or a server that is ill.
pub const TRIES: u32 = 4;
/// Before the second try; each wait is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Schemas that refer to others, inside each other.
const REFERENCES_MAX: usize = 64;
/// Schemas that are kept, and their bytes; what is beyond is asked for again.
const KEPT_MAX: usize = 10_000;
const KEPT_BYTES_MAX: usize = 64 << 20;
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A registry.
pub(crate) struct Client {
    access: Arc<Access>,
    patience: Duration,
    schemas: Mutex<Kept<u32, Arc<RegisteredSchema>>>,
    ids: Mutex<Kept<(String, String), u32>>,
}

/// Answers, all of which are forgotten when they are too many.
struct Kept<K, V> {
    answers: HashMap<K, V>,
    bytes: usize,
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    fn new() -> Mutex<Kept<K, V>> {
        Mutex::new(Kept { answers: HashMap::new(), bytes: 0 })
    }

    fn keep(&mut self, key: K, value: V, bytes: usize) {
        if self.answers.len() >= KEPT_MAX || self.bytes + bytes > KEPT_BYTES_MAX {
            self.answers.clear();
            self.bytes = 0;
        }
        if bytes <= KEPT_BYTES_MAX && self.answers.insert(key, value).is_none() {
            self.bytes += bytes;
        }
    }
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
        Client { access: Arc::new(access), patience: CALL_PATIENCE, schemas: Kept::new(), ids: Kept::new() }
    }

    /// Makes a call on a thread of its own and waits for it: the caller's thread may drive other futures.
    fn wait<T: Send + 'static>(&self, call: impl AsyncFnOnce(&Session) -> Result<T> + Send + 'static) -> Result<T> {
        let (access, patience) = (Arc::clone(&self.access), self.patience);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|e| Error::unavailable("a request cannot be made").caused_by(e))?;
            let session = Session { http: http(&access, patience)?, access, last: RefCell::default() };
            runtime.block_on(async {
                match tokio::time::timeout(patience, call(&session)).await {
                    Ok(answer) => answer,
                    Err(_) => Err(session.too_slow(patience)),
                }
            })
        };
        let thread = std::thread::Builder::new().name("schema-registry".to_string()).spawn(run);
        let thread = thread.map_err(|e| Error::unavailable("a thread cannot be started").caused_by(e))?;
        thread.join().unwrap_or_else(|_| Err(Error::internal("a request to the schema registry panicked")))
    }
}

/// The requests of one call.
struct Session {
    access: Arc<Access>,
    http: reqwest::Client,
    /// Why the last try failed.
    last: RefCell<Option<Error>>,
}

impl Session {
    fn too_slow(&self, patience: Duration) -> Error {
        let error = Error::unavailable(format!(
            "The schema registry does not answer within {} s (CALL_PATIENCE)",
            patience.as_secs_f32()
        ))
        .with("url", self.access.urls());
        match self.last.take() {
            Some(last) => error.caused_by(last),
            None => error,
        }
    }

    fn answer<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(|e| {
            Error::unavailable("The schema registry answers with something else than expected")
                .with("url", self.access.urls())
                .hint("The URL has to be that of the API, with its path: /apis/ccompat/v7 for Apicurio")
                .caused_by(e)
        })
    }

    async fn latest(&self, subject: &str) -> Result<RegisteredSchema> {
        let path = format!("/subjects/{}/versions/latest", encoded(subject));
        match self.ask(Method::GET, &path, None).await? {
            Answer::Success(bytes) => self.registered(self.answer::<SchemaAnswer>(&bytes)?).await,
            Answer::Refused(StatusCode::NOT_FOUND, _) => {
                Err(Error::user(format!("The schema registry has no subject '{subject}'"))
                    .with("url", self.access.urls())
                    .hint("A topic's subject is usually TOPIC-value or TOPIC-key"))
            }
            Answer::Refused(status, refusal) => Err(refused(&self.access, status, &refusal).with("subject", subject)),
        }
    }

    async fn schema(&self, id: u32) -> Result<RegisteredSchema> {
        let answer = match self.ask(Method::GET, &format!("/schemas/ids/{id}"), None).await? {
            Answer::Success(bytes) => self.answer::<SchemaAnswer>(&bytes)?,
            Answer::Refused(StatusCode::NOT_FOUND, _) => {
                return Err(Error::data(format!("The schema registry has no schema with the id {id}"))
                    .with("url", self.access.urls())
                    .hint("The message comes from a writer with another registry, or is no message of such a writer"));
            }
            Answer::Refused(status, refusal) => {
                return Err(refused(&self.access, status, &refusal).with("schema id", id));
            }
        };
        self.registered(answer).await
    }

    /// With the schemas that it refers to.
    async fn registered(&self, answer: SchemaAnswer) -> Result<RegisteredSchema> {
        let mut references = vec![];
        self.references(&answer.references, 0, &mut references).await?;
        let kind = answer.schema_type.unwrap_or_else(|| "AVRO".to_string());
        Ok(RegisteredSchema { kind, text: answer.schema, references })
    }

    /// The schemas that one refers to, each before those that refer to it.
    async fn references(&self, of: &[Reference], depth: usize, found: &mut Vec<String>) -> Result<()> {
        for reference in of {
            if depth >= REFERENCES_MAX || found.len() >= REFERENCES_MAX {
                return Err(Error::data(format!("A schema has more than {REFERENCES_MAX} references")));
            }
            let path = format!("/subjects/{}/versions/{}", encoded(&reference.subject), reference.version);
            let answer = match self.ask(Method::GET, &path, None).await? {
                Answer::Success(bytes) => self.answer::<SchemaAnswer>(&bytes)?,
                Answer::Refused(status, refusal) => {
                    return Err(refused(&self.access, status, &refusal)
                        .with("subject", &reference.subject)
                        .with("version", reference.version));
                }
            };
            Box::pin(self.references(&answer.references, depth + 1, found)).await?;
            if !found.contains(&answer.schema) {
                found.push(answer.schema);
            }
        }
        Ok(())
    }

    async fn id(&self, subject: &str, schema: &RegisteredSchema) -> Result<u32> {
        let mut body = json!({ "schema": schema.text });
        if schema.kind != "AVRO" {
            body["schemaType"] = Value::from(schema.kind.as_str());
        }
        let path = format!("/subjects/{}", encoded(subject));
        let path = if self.access.auto_register { format!("{path}/versions") } else { path };
        Ok(match self.ask(Method::POST, &path, Some(body)).await? {
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
        })
    }

    /// Asks one server after the other, and all of them again where none answers.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
        let mut wait = FIRST_WAIT;
        for tried in 0..TRIES {
            if tried > 0 {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            for server in &self.access.servers {
                let failed = match once(&self.http, server, method.clone(), path, body.as_ref()).await {
                    Ok(Answer::Refused(status, refusal))
                        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS =>
                    {
                        refused(&self.access, status, &refusal)
                    }
                    Ok(answer) => return Ok(answer),
                    // No later try goes otherwise.
                    Err(e) if e.kind() == ErrorKind::User => return Err(e),
                    Err(e) => e,
                };
                self.last.replace(Some(failed));
            }
        }
        Err(self.last.take().unwrap_or_else(|| Error::internal("a schema registry without a URL")))
    }
}

impl SchemaRegistry for Client {
    fn schema(&self, id: u32) -> Result<Arc<RegisteredSchema>> {
        if let Some(known) = self.schemas.lock().answers.get(&id) {
            return Ok(Arc::clone(known));
        }
        let schema = Arc::new(self.wait(async move |session| session.schema(id).await)?);
        let bytes = schema.text.len() + schema.references.iter().map(String::len).sum::<usize>();
        self.schemas.lock().keep(id, Arc::clone(&schema), bytes);
        Ok(schema)
    }

    fn id(&self, subject: &str, schema: &RegisteredSchema) -> Result<u32> {
        let key = (subject.to_string(), schema.text.clone());
        if let Some(known) = self.ids.lock().answers.get(&key) {
            return Ok(*known);
        }
        let (subject, schema) = (subject.to_string(), schema.clone());
        let id = self.wait(async move |session| session.id(&subject, &schema).await)?;
        let bytes = key.0.len() + key.1.len();
        self.ids.lock().keep(key, id, bytes);
        Ok(id)
    }

    fn latest(&self, subject: &str) -> Result<Arc<RegisteredSchema>> {
        let subject = subject.to_string();
        Ok(Arc::new(self.wait(async move |session| session.latest(&subject).await)?))
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
    let url = access.urls();
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

fn http(access: &Access, patience: Duration) -> Result<reqwest::Client> {
    // One that is silent does not take the time of the next.
    let each = patience / 2 / u32::try_from(access.servers.len()).unwrap_or(u32::MAX).max(1);
    let no_pem = |option: &'static str, what: &str, e: reqwest::Error| {
        Error::user(format!("The {what} of the store cannot be used")).with("option", option).caused_by(e.without_url())
    };
    let mut client = reqwest::Client::builder()
        .timeout(each)
        // A registry does not move; credentials are not carried elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("flott/", env!("CARGO_PKG_VERSION")));
    if let Some(store) = &access.trusted {
        let no_pem = |e| no_pem(TRUST_LOCATION.key, "certificates", e);
        for certificate in Certificate::from_pem_bundle(store.trusted()?.as_bytes()).map_err(no_pem)? {
            client = client.add_root_certificate(certificate);
        }
    }
    if let Some(store) = &access.identity {
        let identity = store.identity()?;
        if identity.key_password.is_some() {
            return Err(Error::user("The client's key for the schema registry is encrypted PEM, which is not read")
                .with("option", KEY_LOCATION.key)
                .hint("Decrypt it (openssl pkey), or put it into a PKCS#12 store (openssl pkcs12 -export)"));
        }
        let pem = format!("{}{}", identity.key.reveal(), identity.certificates);
        let identity =
            Identity::from_pem(pem.as_bytes()).map_err(|e| no_pem(KEY_LOCATION.key, "key and certificates", e))?;
        client = client.identity(identity);
    }
    client.build().map_err(|e| Error::user("A client of the schema registry cannot be made").caused_by(e.without_url()))
}

/// Which side does not trust the other one, where TLS came to nothing for that: a message, the option, and a hint.
fn distrust(error: &reqwest::Error) -> Option<(&'static str, &'static str, &'static str)> {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string);
    causes.find_map(|cause| {
        let says = |words: &[&str]| words.iter().any(|w| cause.contains(w));
        if says(&["invalid peer certificate"]) {
            Some((
                "The certificate of the schema registry is not trusted, or is another host's",
                TRUST_LOCATION.key,
                "Set 'ssl.truststore.location' to a store with the certificate of who has signed it",
            ))
        } else if says(&[
            "CertificateRequired",
            "BadCertificate",
            "CertificateUnknown",
            "UnknownCA",
            "HandshakeFailure",
        ]) {
            Some((
                "The schema registry does not accept the client's certificate, or wants one and gets none",
                KEY_LOCATION.key,
                "Set 'ssl.keystore.location' to a store with a key and a certificate that the registry trusts",
            ))
        } else {
            None
        }
    })
}

async fn once(
    client: &reqwest::Client,
    server: &Server,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer> {
    let url = format!("{}{path}", server.url);
    let mut request = client.request(method, &url).header("accept", MEDIA_TYPE);
    request = match &server.credentials {
        Credentials::None => request,
        Credentials::Basic(user, password) => request.basic_auth(user, Some(password.reveal())),
        Credentials::Bearer(token) => request.bearer_auth(token.reveal()),
    };
    if let Some(body) = body {
        request = request.header("content-type", MEDIA_TYPE).body(body.to_string());
    }
    let silent = |e: reqwest::Error| match distrust(&e) {
        Some((message, option, hint)) => Error::user(message)
            .with("url", &url)
            .with("option", option)
            .hint(hint)
            .caused_by(e.without_url())
            .from_outside(),
        None => Error::unavailable("The schema registry does not answer").with("url", &url).caused_by(e.without_url()),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers that take a connection and never say a word: each is asked, and the call ends.
    #[test]
    fn a_registry_that_is_silent_does_not_hold_its_caller() {
        let servers = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
        let urls = servers.iter().map(|s| format!("http://{}", s.local_addr().expect("bound"))).collect::<Vec<_>>();
        let options = [("url", urls.join(","))];
        let access = Access::parse(&options.iter().map(|(k, v)| (*k, v.as_str())).collect()).expect("valid");
        let client = Client { patience: Duration::from_millis(800), ..Client::new(access) };
        let e = client.schema(1).expect_err("silent");
        assert!(e.to_string().contains("does not answer within 0.8 s"), "{e}");
        assert_eq!(e.kind(), ErrorKind::Unavailable);
        for server in &servers {
            server.set_nonblocking(true).expect("set");
            server.accept().expect("each was asked");
        }
    }

    #[test]
    fn answers_are_kept_up_to_a_number_of_bytes() {
        let kept = Kept::<u32, ()>::new();
        let mut kept = kept.lock();
        (0..10).for_each(|id| kept.keep(id, (), KEPT_BYTES_MAX / 4));
        assert_eq!((kept.answers.len(), kept.bytes), (2, KEPT_BYTES_MAX / 4 * 2));
        kept.keep(10, (), KEPT_BYTES_MAX + 1);
        assert_eq!((kept.answers.len(), kept.bytes), (0, 0));
    }
}
