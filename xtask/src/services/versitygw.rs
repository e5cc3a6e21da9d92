//! versitygw: S3 over a folder. Its conditional puts are atomic, which not all small S3 servers can say.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Place, Process, Ready, Service, go_install};
use crate::Failure;

const MODULE: &str = "github.com/versity/versitygw";
const PACKAGE: &str = "github.com/versity/versitygw/cmd/versitygw";
const VERSION: &str = "v1.8.0";
const SUM: &str = "h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc=";

const ACCESS_KEY: &str = "flott";
const SECRET_KEY: &str = "CANARY-secret-of-the-tests";
const BUCKET: &str = "flott-tests";

pub(super) struct Versitygw;

impl Service for Versitygw {
    fn name(&self) -> &'static str {
        "versitygw"
    }

    fn about(&self) -> &'static str {
        "S3 over a folder; tests use it"
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("go", "Go, https://go.dev/dl")]
    }

    fn install(&self, cache: &Path) -> Result<(), Failure> {
        go_install(cache, MODULE, PACKAGE, VERSION, SUM).map(drop)
    }

    fn processes(&self, place: &Place) -> Result<Vec<Process>, Failure> {
        let data = place.folder.join("data");
        // A bucket is a folder.
        fs::create_dir_all(data.join(BUCKET)).map_err(|e| format!("{}: {e}", data.display()))?;
        let mut command = Command::new(place.cache.join(VERSION).join("versitygw"));
        command.args(["--quiet", "--access", ACCESS_KEY, "--secret", SECRET_KEY]);
        command.args(["--port", &format!("127.0.0.1:{}", place.ports[0]), "posix"]).arg(data);
        let ready = Ready::Http { port: place.ports[0], path: "/", holds: "AccessDenied" };
        Ok(vec![Process::new("versitygw", command, ready)])
    }

    fn variables(&self, place: &Place) -> Vec<(String, String)> {
        let program = place.cache.join(VERSION).join("versitygw").display().to_string();
        let mut variables = of_s3(place, ACCESS_KEY, SECRET_KEY, BUCKET);
        variables.push(("FLOTT_TEST_S3_PROGRAM".to_string(), program));
        let folder = place.folder.join("data").display().to_string();
        variables.push(("FLOTT_TEST_S3_FOLDER".to_string(), folder));
        variables
    }
}

/// How tests find an S3 store.
pub(super) fn of_s3(place: &Place, access: &str, secret: &str, bucket: &str) -> Vec<(String, String)> {
    [
        ("FLOTT_TEST_S3_ENDPOINT", format!("http://127.0.0.1:{}", place.ports[0])),
        ("FLOTT_TEST_S3_ACCESS_KEY", access.to_string()),
        ("FLOTT_TEST_S3_SECRET_KEY", secret.to_string()),
        ("FLOTT_TEST_S3_BUCKET", bucket.to_string()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .to_vec()
}
