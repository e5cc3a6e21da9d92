//! Redis, from the distribution's package.

use std::path::Path;
use std::process::Command;

use super::{Place, Process, Ready, Service, run_in};
use crate::{Failure, say};

const PASSWORD: &str = "CANARY-secret-of-the-tests";
const PROGRAM: &str = "redis-server";

pub(super) struct Redis;

impl Service for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn about(&self) -> &'static str {
        "Redis, one server; tests use it"
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn install(&self, cache: &Path) -> Result<(), Failure> {
        if Command::new(PROGRAM).arg("--version").output().is_ok_and(|o| o.status.success()) {
            return Ok(());
        }
        say("+ apt-get install redis-server (once)");
        let apt = |arguments: &[&str]| {
            // The package would start a server of its own: not in this runlevel.
            let environment = ["RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"];
            run_in(cache, "env", &[&environment, arguments].concat())
        };
        let install = ["install", "-y", "--no-install-recommends", "redis-server"];
        apt(&install)
            .or_else(|_| apt(&["update"]).and_then(|()| apt(&install)))
            .map_err(|why| format!("{why}; install {PROGRAM} by hand"))
    }

    fn processes(&self, place: &Place) -> Result<Vec<Process>, Failure> {
        let mut command = Command::new(PROGRAM);
        command.args([
            "--port",
            &place.ports[0].to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.args(["--requirepass", PASSWORD]).arg("--dir").arg(place.folder.join("data"));
        Ok(vec![Process::new("redis", command, Ready::Log { holds: "Ready to accept connections" })])
    }

    fn variables(&self, place: &Place) -> Vec<(String, String)> {
        vec![
            ("FLOTT_TEST_REDIS".to_string(), format!("redis://127.0.0.1:{}/0", place.ports[0])),
            ("FLOTT_TEST_REDIS_PASSWORD".to_string(), PASSWORD.to_string()),
        ]
    }
}
