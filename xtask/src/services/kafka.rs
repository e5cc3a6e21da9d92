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
/// Who may log in with the same password, and then nothing, until a test allows it.
const STRANGER: &str = "stranger";
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
        8
    }

    fn processes(&self, place: &Place) -> Result<Vec<Process>, Failure> {
        let (properties, logging) = (place.folder.join("server.properties"), place.folder.join("log4j2.yaml"));
        let data = place.folder.join("data/logs");
        let wrong = |e: std::io::Error| format!("{}: {e}", place.folder.display());
        fs::write(&properties, settings(place)).map_err(wrong)?;
        fs::write(&logging, LOGGING).map_err(wrong)?;
        make_certificates(&place.folder)?;
        // A broker that was killed goes on with its data.
        if !data.is_dir() {
            let mut format = java(place);
            format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"]).arg(&properties);
            for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                format.args(["--add-scram", &format!("{mechanism}=[name={USER},password={PASSWORD}]")]);
            }
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
            // Who asks for a user by PLAIN; who does so by SCRAM and speaks TLS, with this certificate; who speaks TLS and asks for
            // a certificate, which is in this store; and who speaks TLS with a certificate of another host.
            ("FLOTT_TEST_KAFKA_LOGIN", format!("127.0.0.1:{}", place.ports[4])),
            ("FLOTT_TEST_KAFKA_TLS", format!("127.0.0.1:{}", place.ports[5])),
            ("FLOTT_TEST_KAFKA_MUTUAL", format!("127.0.0.1:{}", place.ports[6])),
            ("FLOTT_TEST_KAFKA_ELSEWHERE", format!("127.0.0.1:{}", place.ports[7])),
            ("FLOTT_TEST_KAFKA_USER", USER.to_string()),
            ("FLOTT_TEST_KAFKA_STRANGER", STRANGER.to_string()),
            ("FLOTT_TEST_KAFKA_PASSWORD", PASSWORD.to_string()),
            ("FLOTT_TEST_KAFKA_CERTIFICATE", place.folder.join("broker.pem").display().to_string()),
            ("FLOTT_TEST_KAFKA_ELSEWHERE_CERTIFICATE", place.folder.join("elsewhere.pem").display().to_string()),
            ("FLOTT_TEST_KAFKA_CLIENT", place.folder.join("client.p12").display().to_string()),
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

/// Key stores and their certificates: whose, and for which host.
const KEYS: [(&str, &str, &str); 3] = [
    ("broker", "CN=localhost", "san=ip:127.0.0.1,dns:localhost"),
    ("elsewhere", "CN=elsewhere.test", "san=dns:elsewhere.test"),
    ("client", CLIENT, "san=dns:client.test"),
];
/// Who a client with a certificate is.
const CLIENT: &str = "CN=flott-client";
/// The certificates that the broker trusts.
const CLIENTS: &str = "clients.p12";

/// What keytool is told of a store.
fn store(file: &str) -> [&str; 6] {
    ["-keystore", file, "-storetype", "PKCS12", "-storepass", PASSWORD]
}

fn make_certificates(folder: &Path) -> Result<(), Failure> {
    if folder.join(CLIENTS).is_file() {
        return Ok(());
    }
    for (name, subject, host) in KEYS {
        let (file, pem) = (format!("{name}.p12"), format!("{name}.pem"));
        let made =
            ["-genkeypair", "-alias", name, "-keyalg", "RSA", "-dname", subject, "-ext", host, "-validity", "30"];
        run_in(folder, "keytool", &[made.as_slice(), &store(&file)].concat())?;
        let shown = ["-exportcert", "-alias", name, "-rfc", "-file", &pem];
        run_in(folder, "keytool", &[shown.as_slice(), &store(&file)].concat())?;
    }
    let trusted = ["-importcert", "-noprompt", "-alias", "client", "-file", "client.pem"];
    run_in(folder, "keytool", &[trusted.as_slice(), &store(CLIENTS)].concat())
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

/// Short sessions, so that a broker that was killed is back in seconds; few partitions of the inner topics; a transaction that takes
/// too long is ended soon, and not only by the next look after ten seconds.
fn settings(place: &Place) -> String {
    let [clients, controller, behind, proxy, login, tls] = [0, 1, 2, 3, 4, 5].map(|i| place.ports[i]);
    let [mutual, elsewhere] = [6, 7].map(|i| place.ports[i]);
    let of = |listener: &str, what: &str, file: &str| {
        let (begin, file) = (format!("listener.name.{listener}.ssl.{what}store"), place.folder.join(file));
        format!("{begin}.type=PKCS12\n{begin}.location={}\n{begin}.password={PASSWORD}\n", file.display())
    };
    let stores = [
        of("tls", "key", "broker.p12"),
        of("mutual", "key", "broker.p12"),
        of("mutual", "trust", CLIENTS),
        of("elsewhere", "key", "elsewhere.p12"),
    ]
    .concat();
    let modules = "org.apache.kafka.common.security";
    let data = place.folder.join("data/logs");
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{clients},PROXIED://127.0.0.1:{behind},LOGIN://127.0.0.1:{login},\
         TLS://127.0.0.1:{tls},MUTUAL://127.0.0.1:{mutual},ELSEWHERE://127.0.0.1:{elsewhere},\
         CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{clients},PROXIED://127.0.0.1:{proxy},\
         LOGIN://127.0.0.1:{login},TLS://127.0.0.1:{tls},MUTUAL://127.0.0.1:{mutual},ELSEWHERE://127.0.0.1:{elsewhere}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLS:SASL_SSL,\
         MUTUAL:SSL,ELSEWHERE:SSL,CONTROLLER:PLAINTEXT\n\
         listener.name.login.sasl.enabled.mechanisms=PLAIN\n\
         listener.name.login.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\" \
         user_{STRANGER}=\"{PASSWORD}\";\n\
         listener.name.tls.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512\n\
         listener.name.tls.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n\
         listener.name.tls.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n\
         {stores}\
         listener.name.mutual.ssl.client.auth=required\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS;User:{USER};User:{CLIENT}\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         transaction.abort.timed.out.transaction.cleanup.interval.ms=500\n\
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
