//! Where the servers are, who asks, and a connection to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::rustls::crypto::ring;
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{ClientConfig, RootCertStore};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};
use flott_core::options::{ConfigOption, Options};
use flott_core::{Error, Result, Secret};
use parking_lot::Mutex;

use crate::options;

/// How long a question to the servers may take, and a connection.
pub(crate) const REQUEST_PATIENCE: Duration = Duration::from_secs(20);
/// Messages that wait in one subscription at most; what is asked for at a time is far less.
const SUBSCRIPTION_CAPACITY: usize = 65_536;

/// Who asks.
#[derive(Debug, Clone)]
enum Login {
    Nobody,
    User(String, Secret),
    Token(Secret),
    NKey(Secret),
    Credentials(Secret),
}

/// A table's servers and how they are spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// Without users.
    urls: Vec<String>,
    login: Login,
    tls: ClientConfig,
    tls_required: bool,
    tls_first: bool,
    inbox: String,
    /// What subjects of the API begin with.
    api: String,
}

/// What a connection has gone through, told by the client's own task.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// How often it was lost.
    lost: AtomicU64,
    /// What the server has refused last: it says so beside the answers, which do not come then.
    refused: Mutex<Option<String>>,
}

/// A connection.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) access: Arc<Access>,
    events: Arc<Events>,
}

fn wrong(option: &ConfigOption, message: impl Into<String>) -> Error {
    Error::user(message.into()).with("option", option.key)
}

fn secret(given: &Options, option: &ConfigOption) -> Option<Secret> {
    given.get(option.key).map(Secret::new)
}

fn login(given: &Options) -> Result<Login> {
    let mut ways = vec![];
    match (given.get(options::USERNAME.key), secret(given, &options::PASSWORD)) {
        (Some(name), Some(password)) => {
            ways.push((options::USERNAME.key, Login::User(name.to_string(), password)));
        }
        (Some(_), None) => return Err(wrong(&options::PASSWORD, "'username' is set, and 'password' is not")),
        (None, Some(_)) => return Err(wrong(&options::USERNAME, "'password' is set, and 'username' is not")),
        (None, None) => {}
    }
    ways.extend(secret(given, &options::TOKEN).map(|s| (options::TOKEN.key, Login::Token(s))));
    ways.extend(secret(given, &options::NKEY).map(|s| (options::NKEY.key, Login::NKey(s))));
    ways.extend(secret(given, &options::CREDENTIALS).map(|s| (options::CREDENTIALS.key, Login::Credentials(s))));
    match ways.len() {
        0 => Ok(Login::Nobody),
        1 => Ok(ways.remove(0).1),
        _ => Err(Error::user(format!("'{}' and '{}' both say who asks", ways[0].0, ways[1].0))
            .with("option", ways[1].0)
            .hint("Set one of them")),
    }
}

/// Trust and identity. The provider is named: with two of them in one program there is no default.
fn tls(given: &Options) -> Result<ClientConfig> {
    let certificates = |option: &ConfigOption, pem: &str| -> Result<Vec<CertificateDer<'static>>> {
        let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            _ => Err(wrong(option, format!("'{}' holds no certificate", option.key))
                .hint("Write it as PEM: -----BEGIN CERTIFICATE----- and what follows")),
        }
    };
    let mut roots = RootCertStore::empty();
    match given.get(options::TLS_CA.key) {
        Some(pem) => {
            for certificate in certificates(&options::TLS_CA, pem)? {
                roots
                    .add(certificate)
                    .map_err(|e| wrong(&options::TLS_CA, "A certificate in 'tls.ca' cannot be trusted").caused_by(e))?;
            }
        }
        None => drop(roots.add_parsable_certificates(system_certificates())),
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::internal("TLS cannot be set up").caused_by(e))?
        .with_root_certificates(roots);
    let key = secret(given, &options::TLS_KEY);
    match (given.get(options::TLS_CERTIFICATE.key), key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(pem), Some(key)) => {
            let chain = certificates(&options::TLS_CERTIFICATE, pem)?;
            // What is wrong with a key is not shown: it might be a part of it.
            let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes()).map_err(|_| {
                wrong(&options::TLS_KEY, "'tls.secret-key' holds no private key").hint("Write it as PEM, not encrypted")
            })?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|_| wrong(&options::TLS_KEY, "'tls.secret-key' is not the key of 'tls.certificate'"))
        }
        (Some(_), None) => Err(wrong(&options::TLS_KEY, "'tls.certificate' is set, and 'tls.secret-key' is not")),
        (None, Some(_)) => {
            Err(wrong(&options::TLS_CERTIFICATE, "'tls.secret-key' is set, and 'tls.certificate' is not"))
        }
    }
}

/// One that cannot be read is left out: whether a server is trusted is found out when it is spoken to.
fn system_certificates() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

impl Access {
    pub(crate) fn of(given: &Options) -> Result<Access> {
        let mut urls = vec![];
        let mut tls_required = given.contains(options::TLS_CERTIFICATE.key) || given.contains(options::TLS_CA.key);
        for url in given.get(options::URL.key).unwrap_or_default().split(',').map(str::trim).filter(|u| !u.is_empty()) {
            urls.push(checked_url(url)?);
            tls_required |= url.starts_with("tls://");
        }
        if urls.is_empty() {
            return Err(wrong(&options::URL, "'url' is empty").hint("Name servers: 'nats://host:4222'"));
        }
        let tls_first = given.bool(&options::TLS_FIRST)?;
        let domain = given.get(options::DOMAIN.key);
        let is_token =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !".*>".contains(c));
        if domain.is_some_and(|d| !is_token(d)) {
            return Err(wrong(&options::DOMAIN, "'jetstream.domain' is no name of a domain"));
        }
        let inbox = given.text(&options::INBOX).unwrap_or_default().to_string();
        if !inbox.split('.').all(is_token) {
            return Err(wrong(&options::INBOX, "'inbox-prefix' is no subject").hint("Write it as in '_INBOX_flott'"));
        }
        let access = Access {
            urls,
            login: login(given)?,
            tls: tls(given)?,
            tls_required: tls_required || tls_first,
            tls_first,
            inbox,
            api: domain.map_or_else(|| "$JS.API".to_string(), |d| format!("$JS.{d}.API")),
        };
        // What is wrong with a seed is told before the job runs.
        access.connect_options()?;
        Ok(access)
    }

    /// For messages.
    pub(crate) fn servers(&self) -> String {
        self.urls.join(",")
    }

    /// The subject of a question to JetStream.
    pub(crate) fn api(&self, what: &str) -> String {
        format!("{}.{what}", self.api)
    }

    fn connect_options(&self) -> Result<ConnectOptions> {
        let options = ConnectOptions::new()
            .name("flott")
            .tls_client_config(self.tls.clone())
            .require_tls(self.tls_required)
            .custom_inbox_prefix(&self.inbox)
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .connection_timeout(REQUEST_PATIENCE / 2)
            .request_timeout(Some(REQUEST_PATIENCE));
        let options = if self.tls_first { options.tls_first() } else { options };
        Ok(match &self.login {
            Login::Nobody => options,
            Login::User(name, password) => options.user_and_password(name.clone(), password.reveal().to_string()),
            Login::Token(token) => options.token(token.reveal().to_string()),
            Login::NKey(seed) => options.nkey(seed.reveal().trim().to_string()),
            Login::Credentials(text) => options.credentials(text.reveal()).map_err(|_| {
                wrong(&options::CREDENTIALS, "'credentials.secret' is not the content of a .creds file")
                    .hint("Write the whole file, with its lines of dashes")
            })?,
        })
    }

    pub(crate) async fn connect(self: &Arc<Self>) -> Result<Connection> {
        let events = Arc::new(Events::default());
        let told = Arc::clone(&events);
        let options = self.connect_options()?.event_callback(move |event| {
            match &event {
                Event::Disconnected | Event::SlowConsumer(_) | Event::Closed => {
                    told.lost.fetch_add(1, Ordering::SeqCst);
                }
                // A consumer that may not be removed goes by itself.
                Event::ServerError(ServerError::Other(text)) if !text.contains("CONSUMER.DELETE") => {
                    *told.refused.lock() = Some(text.clone());
                }
                _ => {}
            }
            tracing::debug!(%event, "nats");
            std::future::ready(())
        });
        let connecting = tokio::time::timeout(REQUEST_PATIENCE, options.connect(&self.urls));
        let message = || format!("Cannot connect to NATS at '{}'", self.servers());
        match connecting.await {
            Ok(Ok(client)) => Ok(Connection { client, access: Arc::clone(self), events }),
            Ok(Err(error)) => {
                let told = match error.kind() {
                    ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                        Error::user(message()).hint("Check the options that say who asks")
                    }
                    ConnectErrorKind::ServerParse => Error::user(message()).hint("Check 'url'"),
                    ConnectErrorKind::Tls => {
                        Error::user(message()).hint("Check 'tls.ca', the server's certificate, and its name in 'url'")
                    }
                    _ => Error::unavailable(message()).hint("Check that the servers run and can be reached from here"),
                };
                Err(told.caused_by(error).from_outside())
            }
            Err(_) => Err(Error::unavailable(message()).hint("They do not answer in time").from_outside()),
        }
    }
}

/// Takes schemes that there are, and no user.
fn checked_url(url: &str) -> Result<String> {
    let rest = ["nats://", "tls://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = rest else {
        return Err(wrong(&options::URL, "A server's URL begins with nats:// or tls://"));
    };
    if rest.contains('@') {
        return Err(
            wrong(&options::URL, "A server's URL has a user in it").hint("Set 'username' and 'password', or 'token'")
        );
    }
    match url.parse::<async_nats::ServerAddr>() {
        Ok(_) if !rest.is_empty() => Ok(url.to_string()),
        _ => Err(wrong(&options::URL, format!("'{url}' is no server")).hint("Write it as in 'nats://host:4222'")),
    }
}

impl Connection {
    /// How often it was lost so far: what was under way then may be, too.
    pub(crate) fn times_lost(&self) -> u64 {
        self.events.lost.load(Ordering::SeqCst)
    }

    /// Why no answer has come, as far as the server has said so. It counts once: what comes later has its own reasons.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.events.refused.lock().take().filter(|text| text.to_ascii_lowercase().contains("permissions violation"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(pairs: &[(&str, &str)]) -> Result<Access> {
        Access::of(&pairs.iter().copied().collect())
    }

    #[test]
    fn logins_are_read_and_not_shown() {
        let seed = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";
        for more in [
            &[][..],
            &[("username", "me"), ("password", "CANARY")],
            &[("token", "CANARY")],
            &[("nkey.secret-seed", seed)],
        ] {
            let pairs = [&[("url", "nats://a:4222, tls://b")], more].concat();
            let access = access(&pairs).expect("understood");
            assert_eq!(access.servers(), "nats://a:4222,tls://b");
            let shown = format!("{access:?}");
            assert!(!shown.contains("CANARY") && !shown.contains(seed), "{shown}");
        }
        let domain = access(&[("url", "nats://a"), ("jetstream.domain", "hub")]).expect("understood");
        assert_eq!(domain.api("INFO"), "$JS.hub.API.INFO");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (pairs, part) in [
            (&[("url", " ")][..], "is empty"),
            (&[("url", "ws://a")], "nats:// or tls://"),
            (&[("url", "nats://me:CANARY@a")], "has a user"),
            (&[("url", "nats://a"), ("username", "me")], "'password' is not"),
            (&[("url", "nats://a"), ("password", "CANARY")], "'username' is not"),
            (&[("url", "nats://a"), ("token", "t"), ("nkey.secret-seed", "CANARY")], "both say who asks"),
            (&[("url", "nats://a"), ("credentials.secret", "CANARY")], ".creds file"),
            (&[("url", "nats://a"), ("tls.ca", "x")], "holds no certificate"),
            (&[("url", "nats://a"), ("tls.secret-key", "CANARY")], "'tls.certificate' is not"),
            (&[("url", "nats://a"), ("jetstream.domain", "a.b")], "no name of a domain"),
            (&[("url", "nats://a"), ("inbox-prefix", "a..b")], "no subject"),
        ] {
            let error = access(pairs).expect_err(part);
            assert!(error.to_string().contains(part) && error.context("option").is_some(), "{error}");
            assert!(!error.to_string().contains("CANARY"), "{error}");
        }
    }
}
