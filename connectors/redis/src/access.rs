//! Where the server is, who asks, and what its errors mean for the job.

use std::time::Duration;

use flott_core::options::{ConfigOption, Options};
use flott_core::{Error, ErrorKind, Result};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind as Kind, IntoConnectionInfo, RedisError, TlsCertificates};

use crate::options;

/// A server.
#[derive(Clone)]
pub(crate) struct Access {
    client: Client,
    timeout: Duration,
    /// For messages.
    pub(crate) shown: String,
}

pub(crate) fn wrong(option: &ConfigOption, message: impl Into<String>) -> Error {
    Error::user(message.into()).with("option", option.key)
}

impl Access {
    pub(crate) fn of(given: &Options) -> Result<Access> {
        let url = given.get(options::URL.key).unwrap_or_default().trim();
        let rest = ["redis://", "rediss://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| {
            wrong(&options::URL, "'url' must begin with redis:// or rediss://")
                .hint("Write 'url' = 'redis://host:6379'")
        })?;
        if rest.contains(['@', '?', '#']) {
            return Err(wrong(&options::URL, "'url' has more than a server and a database in it")
                .hint("Set 'username' and 'password', and the other options"));
        }
        // What the client says of a URL that it does not like may hold all of it, which has no secrets.
        let info = url.into_connection_info();
        let info = info.map_err(|e| {
            wrong(&options::URL, "'url' is no server").caused_by(e).hint("Write it as in 'redis://host:6379/0'")
        })?;
        let mut settings = info.redis_settings().clone();
        match (given.get(options::USERNAME.key), given.get(options::PASSWORD.key)) {
            (None, None) => {}
            (None, Some(password)) => settings = settings.set_password(password),
            (Some(user), Some(password)) => settings = settings.set_username(user).set_password(password),
            (Some(_), None) => return Err(wrong(&options::PASSWORD, "'username' is set, and 'password' is not")),
        }
        let info = info.set_redis_settings(settings);
        let client = match given.get(options::TLS_CA.key) {
            Some(_) if !url.starts_with("rediss://") => {
                return Err(wrong(&options::TLS_CA, "'tls.ca' is set, and 'url' is not rediss://"));
            }
            Some(pem) => {
                let no_certificate = || {
                    wrong(&options::TLS_CA, "'tls.ca' holds no certificate")
                        .hint("Write it as PEM: -----BEGIN CERTIFICATE----- and what follows")
                };
                if !pem.contains("-----BEGIN CERTIFICATE-----") {
                    return Err(no_certificate());
                }
                let root_cert = Some(pem.as_bytes().to_vec());
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
                    .map_err(|_| no_certificate())?
            }
            None => {
                Client::open(info).map_err(|e| wrong(&options::URL, "A client of Redis cannot be made").caused_by(e))?
            }
        };
        let timeout = given.duration(&options::TIMEOUT)?.filter(|t| !t.is_zero());
        let timeout = timeout.ok_or_else(|| wrong(&options::TIMEOUT, "'sink.request.timeout' must be more than 0"))?;
        Ok(Access { client, timeout, shown: url.to_string() })
    }

    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(|e| self.error(e, "connect to"))
    }

    /// What an error means for the job.
    pub(crate) fn error(&self, error: RedisError, what: &str) -> Error {
        // What a server says begins with a word in capitals; of a pipeline the first error counts.
        let errors = error.clone().into_server_errors();
        let code = errors.as_ref().and_then(|e| e.first()).map(|(_, e)| e.code());
        let (kind, hint) = match (error.kind(), code.or(error.code()).unwrap_or_default()) {
            (Kind::AuthenticationFailed | Kind::InvalidClientConfig, _) | (_, "NOAUTH" | "WRONGPASS") => {
                (ErrorKind::User, "Check 'username', 'password' and the database in 'url'")
            }
            (_, "NOPERM") => {
                (ErrorKind::User, "The user may not do that: the sink needs SET, HSET, HDEL, DEL, PEXPIRE and RPUSH")
            }
            (_, "MOVED" | "ASK" | "CROSSSLOT") => {
                (ErrorKind::User, "The server is a node of Redis Cluster, which is not supported")
            }
            (_, "WRONGTYPE") => (
                ErrorKind::Data,
                "A key holds something of another type: remove it, or set another 'key.prefix' or 'data-type'",
            ),
            (_, "OOM") => (ErrorKind::Unavailable, "The server's memory is full ('maxmemory')"),
            (_, "READONLY") => (ErrorKind::Unavailable, "The server is a replica: name the primary"),
            (_, "ERR") => (ErrorKind::User, "See what the server says"),
            _ => (ErrorKind::Unavailable, "Check that the server runs and can be reached from here"),
        };
        let message = format!("Cannot {what} Redis at '{}'", self.shown);
        let told = match kind {
            ErrorKind::User => Error::user(message),
            ErrorKind::Data => Error::data(message),
            _ => Error::unavailable(message),
        };
        told.hint(hint).caused_by(error).from_outside()
    }
}
