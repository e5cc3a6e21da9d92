//! NATS with JetStream: one server, without logins.

use std::path::Path;
use std::process::Command;

use super::{Place, Process, Ready, Service, go_install};
use crate::Failure;

const MODULE: &str = "github.com/nats-io/nats-server/v2";
const VERSION: &str = "v2.15.3";
const SUM: &str = "h1:IgHIKL4DYN9mEfwtPcdM39muvXG8v9FBADQn0f4Whs0=";
const PROGRAM: &str = "nats-server";

pub(super) struct Nats;

impl Service for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn about(&self) -> &'static str {
        "NATS with JetStream, one server; tests use it"
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
        let mut command = Command::new(place.cache.join(VERSION).join(PROGRAM));
        command.args(["-js", "-a", "127.0.0.1", "-p", &place.ports[0].to_string(), "-m", &place.ports[1].to_string()]);
        command.arg("-sd").arg(place.folder.join("data"));
        let ready = Ready::Http { port: place.ports[1], path: "/healthz?js-enabled-only=true", holds: "ok" };
        Ok(vec![Process::new("nats", command, ready)])
    }

    fn variables(&self, place: &Place) -> Vec<(String, String)> {
        let program = place.cache.join(VERSION).join(PROGRAM).display().to_string();
        vec![
            ("FLOTT_TEST_NATS".to_string(), format!("nats://127.0.0.1:{}", place.ports[0])),
            ("FLOTT_TEST_NATS_PROGRAM".to_string(), program),
        ]
    }
}
