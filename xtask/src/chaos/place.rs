//! Where a round's checkpoints and output lie: in its folder, or in a bucket whose objects are files of this machine.

use std::fs;
use std::path::{Path, PathBuf};

use super::{own_name, wrong};
use crate::Failure;

/// A bucket of this run's own.
pub(super) struct Bucket {
    name: String,
    /// The store keeps objects as files below it.
    folder: PathBuf,
    options: Vec<(&'static str, String)>,
}

impl Bucket {
    /// `None` where there is no store.
    pub(super) fn create(variables: &[(String, String)]) -> Result<Option<Bucket>, Failure> {
        let get = |name: &str| variables.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let (Some(endpoint), Some(access), Some(secret), Some(data)) = (
            get("FLOTT_TEST_S3_ENDPOINT"),
            get("FLOTT_TEST_S3_ACCESS_KEY"),
            get("FLOTT_TEST_S3_SECRET_KEY"),
            get("FLOTT_TEST_S3_FOLDER"),
        ) else {
            return Ok(None);
        };
        let name = own_name();
        let folder = Path::new(&data).join(&name);
        fs::create_dir_all(&folder).map_err(wrong(&folder))?;
        let options = vec![
            ("s3.endpoint", endpoint),
            ("s3.access-key", access),
            ("s3.secret-key", secret),
            ("s3.path.style.access", "true".to_string()),
            ("s3.endpoint.region", "us-east-1".to_string()),
        ];
        Ok(Some(Bucket { name, folder, options }))
    }

    /// No upload is open that has parts: they would cost money for ever.
    pub(super) fn check_uploads(&self) -> Result<(), Failure> {
        let entries = |folder: &Path| -> Vec<PathBuf> {
            fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect()
        };
        // One folder per key, in it one per upload, in it one file per part.
        let uploads = entries(&self.folder.join(".sgwtmp/multipart")).into_iter().flat_map(|key| entries(&key));
        let open = uploads.filter(|upload| entries(upload).iter().any(|part| part.is_file())).count();
        if open == 0 { Ok(()) } else { Err(format!("{open} uploads with parts are left in {}", self.folder.display())) }
    }

    pub(super) fn remove(&self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Where a round writes.
pub(super) struct Place {
    /// In SQL.
    url: String,
    /// What can be seen of it.
    folder: PathBuf,
    /// The record of the job.
    pub(super) record: PathBuf,
    /// More of the script.
    pub(super) settings: String,
}

impl Place {
    pub(super) fn local(folder: &Path) -> Place {
        Place {
            url: folder.display().to_string(),
            folder: folder.to_path_buf(),
            record: folder.join(".flott/job"),
            settings: String::new(),
        }
    }

    /// Under the round's name in a bucket.
    pub(super) fn on_s3(bucket: &Bucket, round: &Path) -> Place {
        let name = round.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let (url, folder) = (format!("s3://{}/{name}", bucket.name), bucket.folder.join(&name));
        let set = |(key, value): &(&str, String)| format!("SET '{key}' = '{value}';\n");
        let mut settings: String = bucket.options.iter().map(set).collect();
        settings += &format!("SET 'execution.checkpointing.dir' = '{url}/checkpoints';\n");
        Place { record: folder.join("checkpoints/job"), url, folder, settings }
    }

    pub(super) fn url(&self, output: &str) -> String {
        format!("{}/{output}", self.url)
    }

    pub(super) fn folder(&self, output: &str) -> PathBuf {
        self.folder.join(output)
    }

    /// The attempt that HEAD names; 0 where there is none yet.
    pub(super) fn generation(&self) -> u64 {
        let head = fs::read_to_string(self.record.join("HEAD")).unwrap_or_default();
        let number = head.split_once("\"generation\":").map_or("", |(_, rest)| rest);
        number.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }

    pub(super) fn remove(&self) {
        drop(fs::remove_dir_all(&self.folder));
    }

    /// A finished job leaves its record, one bundle, and nothing hidden beside its output.
    pub(super) fn check_leftovers(&self, outputs: &[&str]) -> Result<(), Failure> {
        let mut bundles = 0;
        for name in names(&self.record)? {
            bundles += usize::from(name.starts_with("bundle-"));
            let is_head = ["HEAD", "HEAD.lock"].contains(&name.as_str());
            if !name.starts_with("bundle-") && !is_head {
                return Err(format!("{} is left in {}", name, self.record.display()));
            }
        }
        if bundles != 1 {
            return Err(format!("{bundles} bundles are left in {}", self.record.display()));
        }
        for output in outputs {
            let folder = self.folder(output);
            // A sink that got no row has none.
            if !folder.exists() {
                continue;
            }
            if let Some(name) = names(&folder)?.iter().find(|n| n.starts_with(['.', '_'])) {
                return Err(format!("{name} is left in {}", folder.display()));
            }
        }
        Ok(())
    }

    /// Rows of all visible files of an output, without quotes, sorted.
    pub(super) fn rows(&self, output: &str) -> Result<Vec<String>, Failure> {
        let folder = self.folder(output);
        let mut rows = vec![];
        if !folder.exists() {
            return Ok(rows);
        }
        for name in names(&folder)? {
            let path = folder.join(&name);
            if path.is_file() && !name.starts_with(['.', '_']) {
                let text = fs::read_to_string(&path).map_err(wrong(&path))?;
                rows.extend(text.lines().map(|l| l.replace('"', "")));
            }
        }
        rows.sort();
        Ok(rows)
    }
}

fn names(folder: &Path) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(folder).map_err(wrong(folder))?;
    entries.map(|e| e.map(|e| e.file_name().to_string_lossy().into_owned()).map_err(|e| e.to_string())).collect()
}
