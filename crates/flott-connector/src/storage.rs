//! Files and objects behind one interface: a path or URL to a store and a location in it.

use std::sync::Arc;

use flott_core::options::Options;
use flott_core::{Error, Result};
use object_store::ObjectStore;
use object_store::path::Path;

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
}

/// Opens a location: `/absolute`, `relative` (to `base`), `file:///..` or, with `s3.*` options, `s3://bucket/key`.
pub fn open(url: &str, base: &std::path::Path, options: &Options) -> Result<StorageLocation> {
    if let Some(rest) = url.strip_prefix("s3://").or_else(|| url.strip_prefix("s3a://")) {
        return open_s3(url, rest, options);
    }
    if let Some((scheme, _)) = url.split_once("://")
        && scheme != "file"
    {
        return Err(Error::user(format!("Cannot open '{url}': there is no file system for the scheme '{scheme}'"))
            .hint("Supported are local paths, file:// and s3://"));
    }
    let text = url.strip_prefix("file://").or_else(|| url.strip_prefix("file:")).unwrap_or(url);
    let absolute = std::path::absolute(base.join(text))?;
    let clean = normalize(&absolute);
    let path = Path::from_absolute_path(&clean)
        .map_err(|e| Error::user(format!("'{url}' is not a usable path")).caused_by(e))?;
    let store = object_store::local::LocalFileSystem::new();
    Ok(StorageLocation { store: Arc::new(store), path, display: clean.display().to_string(), local: Some(clean) })
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

fn open_s3(url: &str, rest: &str, options: &Options) -> Result<StorageLocation> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let mut builder = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket);
    // Flink's keys; the short forms are those of its own S3 file systems.
    for (key, value) in options.iter() {
        builder = match key {
            "s3.endpoint" => builder.with_endpoint(value).with_allow_http(value.starts_with("http://")),
            "s3.access-key" | "s3.access.key" => builder.with_access_key_id(value),
            "s3.secret-key" | "s3.secret.key" => builder.with_secret_access_key(value),
            "s3.region" | "s3.endpoint.region" => builder.with_region(value),
            "s3.path.style.access" | "s3.path-style-access" => {
                builder.with_virtual_hosted_style_request(!value.eq_ignore_ascii_case("true"))
            }
            _ => builder,
        };
    }
    let store = builder.build().map_err(|e| Error::user(format!("Cannot open '{url}'")).caused_by(e))?;
    let path = Path::parse(key.trim_end_matches('/'))
        .map_err(|e| Error::user(format!("'{url}' is not a usable object name")).caused_by(e))?;
    Ok(StorageLocation { store: Arc::new(store), path, display: url.to_string(), local: None })
}

/// An error of a store, as an instruction: what is missing or forbidden is the user's, the rest may pass.
pub fn storage_error(what: impl Into<String>, error: object_store::Error) -> Error {
    use object_store::Error as E;
    let what = what.into();
    match &error {
        E::NotFound { .. } => Error::user(what).hint("Check the path").caused_by(error).from_outside(),
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            Error::user(what).hint("Check permissions and credentials").caused_by(error).from_outside()
        }
        E::InvalidPath { .. } | E::NotSupported { .. } | E::UnknownConfigurationKey { .. } => {
            Error::user(what).caused_by(error)
        }
        _ => {
            let io = std::error::Error::source(&error).and_then(|s| find_io(s)).map(std::io::Error::kind);
            match io {
                Some(std::io::ErrorKind::PermissionDenied) => {
                    let hint = "Check who owns the folder and its permissions";
                    Error::user(what).hint(hint).caused_by(error).from_outside()
                }
                Some(std::io::ErrorKind::StorageFull) => {
                    Error::unavailable(what).hint("Free some space").caused_by(error)
                }
                _ => Error::unavailable(what).caused_by(error),
            }
        }
    }
}

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
