//! Files and objects behind one interface: a path or URL to a store and a location in it.

use std::sync::Arc;

use flott_core::options::Options;
use flott_core::{Error, Result, secret};
use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use object_store::path::Path;

use crate::s3;

/// A folder or object in a store.
#[derive(Debug, Clone)]
pub struct StorageLocation {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The place in it.
    pub path: Path,
    /// As shown to people: an absolute path or `s3://bucket/key`.
    pub display: String,
    /// The local file-system path, where it is one (rename and fsync are possible).
    pub local: Option<std::path::PathBuf>,
    /// Uploads that can be completed by another process than the one that began them, where the store has them.
    pub multipart: Option<Multipart>,
}

/// A store's uploads in parts: nothing is to be seen of one before it is completed.
#[derive(Clone)]
pub struct Multipart(pub Arc<dyn MultipartStore>);

impl std::fmt::Debug for Multipart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Multipart")
    }
}

/// Opens a location: `/absolute`, `relative` (to `base`), `file:///..` or, `s3://bucket/key`, as the
/// `s3.*` options and the environment say.
pub fn open(url: &str, base: &std::path::Path, options: &Options) -> Result<StorageLocation> {
    if let Some(rest) = s3::of_url(url) {
        return s3::open(url, rest, options);
    }
    let of_file = path_of_file_url(url)?;
    if of_file.is_none()
        && let Some((scheme, _)) = url.split_once("://")
    {
        return Err(Error::user(format!("Cannot open '{url}': there is no file system for the scheme '{scheme}'"))
            .hint("Supported are local paths, file:// and s3://"));
    }
    let text = of_file.unwrap_or(url);
    let absolute = std::path::absolute(base.join(text))?;
    let clean = normalize(&absolute);
    let path = Path::from_absolute_path(&clean)
        .map_err(|e| Error::user(format!("'{url}' is not a usable path")).caused_by(e))?;
    let store = object_store::local::LocalFileSystem::new();
    let display = clean.display().to_string();
    Ok(StorageLocation { store: Arc::new(store), path, display, local: Some(clean), multipart: None })
}

/// The path of a URL of a file: `file:///path`, `file://localhost/path` or `file:path`. `None` for what is none.
///
/// # Errors
/// Where it names a file of another machine, or has two slashes where there should be three.
pub fn path_of_file_url(url: &str) -> Result<Option<&str>> {
    const SCHEME: &str = "file:";
    let is_file = url.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME));
    if !is_file {
        return Ok(None);
    }
    let rest = &url[SCHEME.len()..];
    let Some(behind) = rest.strip_prefix("//") else { return Ok(Some(rest)) };
    let (host, path) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
        return Err(Error::user(format!("'{url}' names a file of another machine, '{host}'"))
            .hint("Write file:///path, or a path alone where it is relative"));
    }
    if path.is_empty() {
        return Err(Error::user(format!("'{url}' names no path")).hint("Write file:///path, or a path alone"));
    }
    Ok(Some(path))
}

/// `.` and `..` taken out without asking the file system (the file may not exist yet).
fn normalize(path: &std::path::Path) -> std::path::PathBuf {
    use std::path::Component;
    let mut out = std::path::PathBuf::new();
    for c in path.components() {
        match c {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// What a store that refuses leaves to do.
const CREDENTIALS: &str = "Check permissions and credentials: 's3.access-key' and 's3.secret-key', or else AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
/// The same where nobody has said any, and the machine was asked for its own.
const NO_CREDENTIALS: &str =
    "There are no credentials: set 's3.access-key' and 's3.secret-key', or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
/// Where machines and containers of a cloud ask for credentials.
const METADATA_HOSTS: &str = "://169.254.";

/// An error of a store, as an instruction: what is missing or forbidden is the user's, the rest may pass.
pub fn storage_error(what: impl Into<String>, error: object_store::Error) -> Error {
    use object_store::Error as E;
    let what = what.into();
    let status = status_of(&error);
    match &error {
        _ if error.to_string().contains(METADATA_HOSTS) => {
            Error::user(what).hint(NO_CREDENTIALS).caused_by(Answer::of(error)).from_outside()
        }
        E::NotFound { .. } => {
            let of_bucket = error.to_string().contains("NoSuchBucket");
            let hint = if of_bucket { "Check that the bucket exists" } else { "Check the path" };
            Error::user(what).hint(hint).caused_by(Answer::of(error)).from_outside()
        }
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            Error::user(what).hint(CREDENTIALS).caused_by(Answer::of(error)).from_outside()
        }
        E::InvalidPath { .. } | E::NotSupported { .. } | E::UnknownConfigurationKey { .. } => {
            Error::user(what).caused_by(Answer::of(error))
        }
        _ => {
            let io = std::error::Error::source(&error).and_then(|s| find_io(s)).map(std::io::Error::kind);
            let user = |hint: &str| Error::user(what.clone()).hint(hint).from_outside();
            let told = match (io, status) {
                (Some(std::io::ErrorKind::PermissionDenied), _) => {
                    user("Check who owns the folder and its permissions")
                }
                (Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded), _) => {
                    Error::unavailable(what).hint("Free some space")
                }
                (_, Some(404)) => user("Check that the bucket exists"),
                (_, Some(401 | 403)) => user(CREDENTIALS),
                (_, Some(301 | 307 | 400)) => user("Check 's3.endpoint.region', 's3.endpoint' and the credentials"),
                (None, Some(_)) => Error::unavailable(what).hint("Try again when the store answers"),
                (Some(_), _) if is_local(&error) => Error::unavailable(what),
                _ => Error::unavailable(what).hint("Check that the store runs and can be reached from here"),
            };
            told.caused_by(Answer::of(error))
        }
    }
}

fn is_local(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::Generic { store: "LocalFileSystem", .. })
}

/// The HTTP status of an answer that was an error. The store's own type of such errors is private, and not all of them
/// become a kind of their own: those of listings and of redirects do not.
fn status_of(error: &object_store::Error) -> Option<u16> {
    let text = error.to_string();
    if text.contains("Received redirect without LOCATION") {
        return Some(301);
    }
    let (_, rest) = text.split_once("non-2xx status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// What a store has answered, without the parts of an XML answer that are not for people. Some stores repeat there who has
/// asked and what was signed.
#[derive(Debug)]
struct Answer(String);

impl Answer {
    fn of(error: object_store::Error) -> Answer {
        let mut text = secret::mask_urls(&error.to_string()).into_owned();
        if let Some(begin) = text.find("<?xml").or_else(|| text.find("<Error")) {
            let xml = text.split_off(begin);
            let element = |name: &str| {
                let (_, rest) = xml.split_once(&format!("<{name}>"))?;
                rest.split_once("</").map(|(content, _)| content)
            };
            let parts: Vec<&str> = [element("Code"), element("Message")].into_iter().flatten().collect();
            text = format!("{}{}", text.trim_end(), if parts.is_empty() { "" } else { " " }) + &parts.join(": ");
        }
        Answer(text)
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Answer {}

fn find_io<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut at = Some(error);
    while let Some(e) = at {
        if let Some(io) = e.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        at = e.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use flott_core::ErrorKind;

    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn answers_are_told_by_their_status() {
        let list = "Error performing list request: Error performing GET http://h/b in 2ms - Server returned non-2xx status code: ";
        for (status, kind) in [
            ("404 Not Found", ErrorKind::User),
            ("403 Forbidden", ErrorKind::User),
            ("400 Bad Request", ErrorKind::User),
            ("429 Too Many Requests", ErrorKind::Unavailable),
            ("503 Service Unavailable", ErrorKind::Unavailable),
        ] {
            assert_eq!(storage_error("x", generic(&format!("{list}{status}: "))).kind(), kind, "{status}");
        }
        assert_eq!(storage_error("x", generic("connection refused")).kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn urls_of_files_are_of_this_machine() {
        let base = std::path::Path::new("/base");
        for (url, path) in [
            ("file:///a/b", "/a/b"),
            ("file://localhost/a", "/a"),
            ("FILE:///a", "/a"),
            ("file:/a", "/a"),
            ("file:a", "/base/a"),
            ("a/b", "/base/a/b"),
        ] {
            let opened = open(url, base, &Options::new()).expect(url);
            assert_eq!(opened.local.as_deref(), Some(std::path::Path::new(path)), "{url}");
        }
        for url in ["file://host/x", "file://a", "file://./a", "file://"] {
            let error = open(url, base, &Options::new()).expect_err(url);
            assert!(error.kind() == ErrorKind::User && error.to_string().contains("file:///path"), "{error}");
        }
    }

    #[test]
    fn passwords_in_what_a_store_answers_are_not_told() {
        let e = storage_error("x", generic("error sending request for url (http://u:CANARY@h/b?list-type=2)"));
        let all = format!("{e} {e:?} {}", std::error::Error::source(&e).expect("a cause"));
        assert!(!all.contains("CANARY") && all.contains("u:******@h"), "{all}");
    }

    #[test]
    fn what_a_store_repeats_of_the_credentials_is_not_told() {
        let xml = "non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code>\
                   <Message>No match</Message><AWSAccessKeyId>CANARY</AWSAccessKeyId></Error>";
        let e = storage_error("Cannot list 's3://b'", generic(xml));
        let all = format!("{e} {e:?} {}", std::error::Error::source(&e).expect("a cause"));
        assert!(!all.contains("CANARY") && all.contains("SignatureDoesNotMatch: No match"), "{all}");
    }
}
