//! MinIO: a second S3, to see that nothing leans on the first one's ways.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::versitygw::of_s3;
use super::{Place, Process, Ready, Service, go_install};
use crate::Failure;

const MODULE: &str = "github.com/minio/minio";
const VERSION: &str = "v0.0.0-20260212201848-7aac2a2c5b7c";
const SUM: &str = "h1:/qdoYujxF5MBLDMVLeiYJ/7fBa1HikX39Dvzb9Ji8pA=";

const ACCESS_KEY: &str = "flott";
const SECRET_KEY: &str = "CANARY-secret-of-the-tests";
const BUCKET: &str = "flott-tests";

pub(super) struct Minio;

impl Service for Minio {
    fn name(&self) -> &'static str {
        "minio"
    }

    fn about(&self) -> &'static str {
        "S3 by another maker; its first build takes five minutes"
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("go", "Go, https://go.dev/dl")]
    }

    fn install(&self, cache: &Path) -> Result<(), Failure> {
        go_install(cache, MODULE, MODULE, VERSION, SUM).map(drop)
    }

    fn ports(&self) -> usize {
        2
    }

    fn processes(&self, place: &Place) -> Result<Vec<Process>, Failure> {
        let data = place.folder.join("data");
        // A bucket is a folder.
        fs::create_dir_all(data.join(BUCKET)).map_err(|e| format!("{}: {e}", data.display()))?;
        let mut command = Command::new(place.cache.join(VERSION).join("minio"));
        command.env("MINIO_ROOT_USER", ACCESS_KEY).env("MINIO_ROOT_PASSWORD", SECRET_KEY);
        command.args(["server", "--quiet", "--address", &format!("127.0.0.1:{}", place.ports[0])]);
        command.args(["--console-address", &format!("127.0.0.1:{}", place.ports[1])]).arg(data);
        let ready = Ready::Http { port: place.ports[0], path: "/minio/health/ready", holds: "200 OK" };
        Ok(vec![Process::new("minio", command, ready)])
    }

    fn variables(&self, place: &Place) -> Vec<(String, String)> {
        of_s3(place, ACCESS_KEY, SECRET_KEY, BUCKET)
    }
}
