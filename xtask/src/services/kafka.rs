//! Apache Kafka: one broker that is its own controller (KRaft), from Maven.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Place, Process, Ready, Service, install_once, run_in};
use crate::{Failure, say};

const VERSION: &str = "4.3.1";
const LOG4J: &str = "2.26.1";
/// Of the listeners that ask who one is.
const USER: &str = "flott";
const PASSWORD: &str = "a password of the tests";
/// Of the log directory; any will do.
const CLUSTER: &str = "Zmxvdi10ZXN0cy1rYWZrYQ";

pub(super) struct Kafka;

impl Service for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn about(&self) -> &'static str {
        "Apache Kafka, one broker; tests use it"
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("java", "a JDK 17 or later"), ("keytool", "a JDK 17 or later"), ("mvn", "Apache Maven")]
    }

    fn install(&self, cache: &Path) -> Result<(), Failure> {
        install_once(cache, VERSION, |new| {
            fs::write(new.join("pom.xml"), pom()).map_err(|e| format!("{}: {e}", new.display()))?;
            say(&format!("+ mvn dependency:copy-dependencies of Kafka {VERSION} (once, 54 MB)"));
            let goal = ["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=libs"];
            run_in(new, "mvn", &goal)
        })
    }

    fn ports(&self) -> usize {
        6
    }

    fn processes(&self, place: &Place) -> Result<Vec<Process>, Failure> {
        let (properties, logging) = (place.folder.join("server.properties"), place.folder.join("log4j2.yaml"));
        let data = place.folder.join("data/logs");
        let wrong = |e: std::io::Error| format!("{}: {e}", place.folder.display());
        fs::write(&properties, settings(place)).map_err(wrong)?;
        fs::write(&logging, LOGGING).map_err(wrong)?;
        make_certificate(&place.folder)?;
        // A broker that was killed goes on with its data.
        if !data.is_dir() {
            let mut format = java(place);
            format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"]).arg(&properties);
            format.args(["--add-scram", &format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]")]);
            let output = format.output().map_err(|e| format!("java cannot be started: {e}"))?;
            if !output.status.success() {
                return Err(format!("StorageTool: {}", String::from_utf8_lossy(&output.stderr)));
            }
        }
        let mut command = java(place);
        command.arg("kafka.Kafka").arg(&properties);
        Ok(vec![Process::new("kafka", command, Ready::Log { holds: "Kafka Server started" })])
    }

    fn variables(&self, place: &Place) -> Vec<(String, String)> {
        let libraries = place.cache.join(VERSION).join("libs").display().to_string();
        [
            ("FLOTT_TEST_KAFKA", format!("127.0.0.1:{}", place.ports[0])),
            // Who listens at the second passes bytes on to the first: clients that begin there are told to stay there.
            ("FLOTT_TEST_KAFKA_BEHIND_PROXY", format!("127.0.0.1:{}", place.ports[2])),
            ("FLOTT_TEST_KAFKA_PROXY", format!("127.0.0.1:{}", place.ports[3])),
            // Who asks for a user by PLAIN, and who does so by SCRAM-SHA-512 and speaks TLS, with this certificate.
            ("FLOTT_TEST_KAFKA_LOGIN", format!("127.0.0.1:{}", place.ports[4])),
            ("FLOTT_TEST_KAFKA_TLS", format!("127.0.0.1:{}", place.ports[5])),
            ("FLOTT_TEST_KAFKA_USER", USER.to_string()),
            ("FLOTT_TEST_KAFKA_PASSWORD", PASSWORD.to_string()),
            ("FLOTT_TEST_KAFKA_CERTIFICATE", place.folder.join(CERTIFICATE).display().to_string()),
            ("FLOTT_TEST_KAFKA_LIBRARIES", libraries),
            ("FLOTT_TEST_KAFKA_FOLDER", place.folder.display().to_string()),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .to_vec()
    }
}

fn java(place: &Place) -> Command {
    let libraries = place.cache.join(VERSION).join("libs/*");
    let mut command = Command::new("java");
    command.args(["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.arg(format!("-Dlog4j2.configurationFile={}", place.folder.join("log4j2.yaml").display()));
    command.arg("-cp").arg(libraries);
    command
}

/// The broker's key store, and its certificate for clients.
const STORE: &str = "broker.p12";
const CERTIFICATE: &str = "broker.pem";

fn make_certificate(folder: &Path) -> Result<(), Failure> {
    if folder.join(CERTIFICATE).is_file() {
        return Ok(());
    }
    let store = ["-alias", "broker", "-keystore", STORE, "-storetype", "PKCS12", "-storepass", PASSWORD];
    let made = ["-genkeypair", "-keyalg", "RSA", "-dname", "CN=localhost", "-ext", "san=ip:127.0.0.1,dns:localhost"];
    let shown = ["-exportcert", "-rfc", "-file", CERTIFICATE];
    run_in(folder, "keytool", &[made.as_slice(), &["-validity", "30"], &store].concat())?;
    run_in(folder, "keytool", &[shown.as_slice(), &store].concat())
}

fn pom() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>\n"
        )
    };
    let dependencies: String = [
        dependency("org.apache.kafka", "kafka_2.13", VERSION),
        dependency("org.apache.kafka", "kafka-tools", VERSION),
        dependency("org.apache.logging.log4j", "log4j-core", LOG4J),
        dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J),
    ]
    .concat();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>flott</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>\n\
         <dependencies>\n{dependencies}</dependencies></project>\n"
    )
}

/// Short sessions, so that a broker that was killed is back in seconds; few partitions of the inner topics.
fn settings(place: &Place) -> String {
    let [clients, controller, behind, proxy, login, tls] = [0, 1, 2, 3, 4, 5].map(|i| place.ports[i]);
    let store = place.folder.join(STORE).display().to_string();
    let modules = "org.apache.kafka.common.security";
    let data = place.folder.join("data/logs");
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{clients},PROXIED://127.0.0.1:{behind},LOGIN://127.0.0.1:{login},\
         TLS://127.0.0.1:{tls},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{clients},PROXIED://127.0.0.1:{proxy},\
         LOGIN://127.0.0.1:{login},TLS://127.0.0.1:{tls}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLS:SASL_SSL,\
         CONTROLLER:PLAINTEXT\n\
         listener.name.login.sasl.enabled.mechanisms=PLAIN\n\
         listener.name.login.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";\n\
         listener.name.tls.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
         listener.name.tls.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n\
         listener.name.tls.ssl.keystore.type=PKCS12\n\
         listener.name.tls.ssl.keystore.location={store}\n\
         listener.name.tls.ssl.keystore.password={PASSWORD}\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         auto.create.topics.enable=false\n\
         broker.session.timeout.ms=2000\n\
         broker.heartbeat.interval.ms=200\n",
        data.display()
    )
}

const LOGGING: &str = "\
Configuration:
  status: error
  Appenders:
    Console:
      name: out
      PatternLayout:
        pattern: '%d %p %m (%c)%n'
  Loggers:
    Root:
      level: info
      AppenderRef:
        - ref: out
";
