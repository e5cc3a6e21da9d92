//! A schema registry with Confluent's API: Apicurio, from Maven; it keeps what it is told in memory.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Place, Process, Ready, Service, install_once, run_in};
use crate::{Failure, say};

const VERSION: &str = "2.6.13.Final";

pub(super) struct SchemaRegistry;

impl Service for SchemaRegistry {
    fn name(&self) -> &'static str {
        "schema-registry"
    }

    fn about(&self) -> &'static str {
        "Apicurio, a schema registry; tests use it"
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("java", "a JDK 17 or later"), ("mvn", "Apache Maven"), ("tar", "tar and gzip")]
    }

    fn install(&self, cache: &Path) -> Result<(), Failure> {
        install_once(cache, VERSION, |new| {
            let wrong = |e: std::io::Error| format!("{}: {e}", new.display());
            say(&format!("+ mvn dependency:copy of Apicurio {VERSION} (once, 142 MB)"));
            // The goal needs a project, though an empty one.
            fs::write(
                new.join("pom.xml"),
                "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
                 <groupId>flott</groupId><artifactId>registry</artifactId><version>1</version><packaging>pom</packaging></project>\n",
            )
            .map_err(wrong)?;
            let artifact = format!("-Dartifact=io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all");
            run_in(new, "mvn", &["-q", "-B", "dependency:copy", &artifact, "-DoutputDirectory=."])?;
            let archive = format!("apicurio-registry-app-{VERSION}-all.tar.gz");
            run_in(new, "tar", &["xzf", &archive])?;
            fs::remove_file(new.join(&archive)).map_err(wrong)
        })
    }

    fn processes(&self, place: &Place) -> Result<Vec<Process>, Failure> {
        let port = place.ports[0];
        let mut command = Command::new("java");
        command.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.args(["-Dquarkus.http.host=127.0.0.1".to_string(), format!("-Dquarkus.http.port={port}")]);
        command.arg("-jar").arg(place.cache.join(VERSION).join(format!("apicurio-registry-app-{VERSION}-runner.jar")));
        let ready = Ready::Http { port, path: "/apis/ccompat/v7/subjects", holds: "[" };
        Ok(vec![Process::new("registry", command, ready)])
    }

    fn variables(&self, place: &Place) -> Vec<(String, String)> {
        vec![("FLOTT_TEST_SCHEMA_REGISTRY".to_string(), format!("http://127.0.0.1:{}/apis/ccompat/v7", place.ports[0]))]
    }
}
