//! S3 and stores that speak its protocol: what the session's `s3.*` options and the environment say of them.
//!
//! Options go before the environment (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, …), and a key that is given
//! as an option takes no part of its credentials from there. Without either the machine's own role is asked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use flott_core::options::Options;
use flott_core::secret::Secret;
use flott_core::{Error, Result};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use crate::storage::{Multipart, StorageLocation};

/// Schemes that mean S3; the last two are Hadoop's, which Flink takes too.
const SCHEMES: [&str; 3] = ["s3://", "s3a://", "s3n://"];
/// How long a request is tried again before its failure is told: a job's restart strategy, which knows more, waits longer.
const RETRY_TIMEOUT: Duration = Duration::from_secs(15);
/// Tries again of one request at most.
const RETRIES_MAX: usize = 6;
/// The first pause between two tries; each is up to twice as long as the one before.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(3);
/// A server that does not take a connection for so long is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bucket and key, where a URL is one of S3.
pub(crate) fn of_url(url: &str) -> Option<&str> {
    SCHEMES.iter().find_map(|s| url.strip_prefix(s))
}

/// What the session says of its store.
#[derive(Debug, Default, PartialEq)]
struct S3Options {
    /// With scheme, without a slash at its end.
    endpoint: Option<String>,
    keys: Option<(String, Secret)>,
    region: Option<String>,
    path_style: bool,
}

impl S3Options {
    fn read(options: &Options) -> Result<S3Options> {
        let first =
            |keys: [&str; 2]| keys.iter().find_map(|k| options.get(k)).map(str::trim).filter(|value| !value.is_empty());
        let access = first(["s3.access-key", "s3.access.key"]);
        let secret = first(["s3.secret-key", "s3.secret.key"]);
        let keys = match (access, secret) {
            (Some(access), Some(secret)) => Some((access.to_string(), Secret::new(secret))),
            (None, None) => None,
            (access, _) => {
                let (there, missing) = if access.is_some() {
                    ("s3.access-key", "s3.secret-key")
                } else {
                    ("s3.secret-key", "s3.access-key")
                };
                return Err(Error::user(format!("'{there}' is set and '{missing}' is not"))
                    .with("option", missing)
                    .hint("Set both, or neither to use the environment's credentials"));
            }
        };
        let endpoint = first(["s3.endpoint", "s3.endpoint.url"]).map(|e| {
            // A bare host means what it means to Flink: TLS.
            let scheme = if e.contains("://") { "" } else { "https://" };
            format!("{scheme}{}", e.trim_end_matches('/'))
        });
        let authority = endpoint.as_deref().and_then(|e: &str| e.split_once("://")).map_or("", |(_, rest)| rest);
        if authority.split('/').next().unwrap_or_default().contains('@') {
            return Err(Error::user("'s3.endpoint' holds a name or a password")
                .with("option", "s3.endpoint")
                .hint("Write the host alone, and who asks as 's3.access-key' and 's3.secret-key'"));
        }
        let path_style = match first(["s3.path.style.access", "s3.path-style-access"]) {
            None => false,
            Some(text) if text.eq_ignore_ascii_case("true") => true,
            Some(text) if text.eq_ignore_ascii_case("false") => false,
            Some(text) => {
                return Err(Error::user(format!("Invalid value '{text}': a boolean is expected"))
                    .with("option", "s3.path.style.access")
                    .hint("Use 'true' or 'false'"));
            }
        };
        let region = first(["s3.endpoint.region", "s3.region"]).map(str::to_string);
        Ok(S3Options { endpoint, keys, region, path_style })
    }

    /// The endpoint with the bucket in its host's name, where it is to be there and can: an address has no names below it.
    fn host_of_bucket(&self, bucket: &str) -> Option<String> {
        let (scheme, authority) = self.endpoint.as_deref()?.split_once("://")?;
        let host = match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or(v6),
            None => authority.split([':', '/']).next().unwrap_or(authority),
        };
        let is_address = host.parse::<IpAddr>().is_ok() || host == "localhost";
        (!self.path_style && !is_address).then(|| format!("{scheme}://{bucket}.{authority}"))
    }
}

/// Variables that are about who asks.
fn is_credential(key: &AmazonS3ConfigKey) -> bool {
    matches!(key, AmazonS3ConfigKey::AccessKeyId | AmazonS3ConfigKey::SecretAccessKey | AmazonS3ConfigKey::Token)
}

/// Variables that say who asks, or that nobody is asked.
const CREDENTIALS: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_SKIP_SIGNATURE",
];

/// Without any word on who asks, the machine is asked, which only those of Amazon know: elsewhere the answer is an error
/// that names an address nobody has written, or comes after minutes.
fn check_credentials(options: &S3Options, is_set: impl Fn(&str) -> bool) -> Result<()> {
    let is_elsewhere = options.endpoint.as_ref().is_some_and(|e| !e.contains("amazonaws.com"));
    if options.keys.is_some() || !is_elsewhere || CREDENTIALS.into_iter().any(is_set) {
        return Ok(());
    }
    Err(Error::user("there are no credentials for 's3.endpoint': 's3.access-key' and 's3.secret-key' are not set")
        .with("option", "s3.access-key")
        .hint("Set both, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment; AWS_SKIP_SIGNATURE=true asks for a public bucket without any"))
}

fn from_environment(keys_are_given: bool) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::new();
    for (name, value) in std::env::vars_os() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if !name.starts_with("AWS_") || value.is_empty() {
            continue;
        }
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()
            && !(keys_are_given && is_credential(&key))
        {
            builder = builder.with_config(key, value);
        }
    }
    builder
}

pub(crate) fn open(url: &str, rest: &str, options: &Options) -> Result<StorageLocation> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(Error::user(format!("'{url}' names no bucket")).hint("Write s3://bucket/path"));
    }
    let path = Path::parse(key.trim_end_matches('/'))
        .map_err(|e| Error::user(format!("'{url}' is not a usable object name")).caused_by(e))?;
    let options = S3Options::read(options)?;
    check_credentials(&options, |name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        .map_err(|e| e.with("path", url))?;
    let retry = RetryConfig {
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIMEOUT,
        backoff: BackoffConfig { init_backoff: RETRY_PAUSE, max_backoff: RETRY_PAUSE_MAX, base: 2.0 },
    };
    let plain = options.endpoint.as_ref().is_some_and(|e| e.starts_with("http://"));
    let mut builder = from_environment(options.keys.is_some()).with_bucket_name(bucket).with_retry(retry);
    if let Some(endpoint) = &options.endpoint {
        let virtual_host = options.host_of_bucket(bucket);
        builder = builder
            .with_virtual_hosted_style_request(virtual_host.is_some())
            .with_endpoint(virtual_host.unwrap_or_else(|| endpoint.clone()))
            // Never without being asked: keys and rows would go over the wire as they are.
            .with_client_options(ClientOptions::new().with_allow_http(plain).with_connect_timeout(CONNECT_TIMEOUT))
            .with_allow_http(plain);
    } else if options.path_style {
        builder = builder.with_virtual_hosted_style_request(false);
    }
    if let Some((access, secret)) = &options.keys {
        builder = builder.with_access_key_id(access).with_secret_access_key(secret.reveal());
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    let store = Arc::new(builder.build().map_err(|e| {
        Error::user(format!("Cannot open '{url}'")).hint("Check the s3.* options and the AWS_* variables").caused_by(e)
    })?);
    let multipart = Some(Multipart(Arc::clone(&store) as _));
    Ok(StorageLocation { store, path, display: url.to_string(), local: None, multipart })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        let mut options = Options::new();
        for (key, value) in pairs {
            options.set(*key, *value);
        }
        options
    }

    #[test]
    fn urls() {
        for url in ["s3://b/k", "s3a://b/k", "s3n://b/k"] {
            assert_eq!(of_url(url), Some("b/k"));
        }
        assert_eq!(of_url("/s3/b"), None);
        let e = open("s3:///k", "/k", &Options::new()).expect_err("no bucket");
        assert!(e.to_string().contains("names no bucket"), "{e}");
    }

    #[test]
    fn either_both_keys_or_none() {
        for key in ["s3.access-key", "s3.secret.key"] {
            let e = S3Options::read(&options(&[(key, "CANARY")])).expect_err("one of two");
            assert!(e.to_string().contains("is set and") && !e.to_string().contains("CANARY"), "{e}");
        }
        let both = options(&[("s3.access.key", "a"), ("s3.secret-key", "CANARY"), ("s3.region", "r")]);
        let read = S3Options::read(&both).expect("read");
        assert!(read.keys.is_some() && !format!("{read:?}").contains("CANARY"));
        let location = open("s3://b/k", "b/k", &both).expect("opened");
        assert!(!format!("{location:?}").contains("CANARY"), "{location:?}");
    }

    #[test]
    fn without_credentials_the_options_for_them_are_named() {
        let away = S3Options::read(&options(&[("s3.endpoint", "http://127.0.0.1:9")])).expect("read");
        let e = check_credentials(&away, |_| false).expect_err("none").to_string();
        assert!(
            e.contains("'s3.access-key'") && e.contains("'s3.secret-key'") && e.contains("AWS_ACCESS_KEY_ID"),
            "{e}"
        );
        check_credentials(&away, |name| name == "AWS_ACCESS_KEY_ID").expect("the environment has them");
        check_credentials(&S3Options::default(), |_| false).expect("a machine of Amazon may know");
        let said = options(&[("s3.endpoint", "h:9"), ("s3.access-key", "a"), ("s3.secret-key", "b")]);
        check_credentials(&S3Options::read(&said).expect("read"), |_| false).expect("said");
    }

    #[test]
    fn the_bucket_is_in_the_host_unless_it_cannot_be() {
        let host = |endpoint: &str, style: &str| {
            let read = S3Options::read(&options(&[("s3.endpoint", endpoint), ("s3.path.style.access", style)]));
            read.expect("read").host_of_bucket("b")
        };
        assert_eq!(host("minio.local:9000/", "false").as_deref(), Some("https://b.minio.local:9000"));
        assert_eq!(host("http://minio.local", "false").as_deref(), Some("http://b.minio.local"));
        for (endpoint, style) in [
            ("minio.local", "true"),
            ("http://127.0.0.1:9000", "false"),
            ("http://[::1]:9", "false"),
            ("localhost:9", "false"),
        ] {
            assert_eq!(host(endpoint, style), None, "{endpoint}");
        }
        assert!(S3Options::read(&options(&[("s3.path.style.access", "perhaps")])).is_err());
    }
}
