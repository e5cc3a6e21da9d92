//! A registry behind TLS that asks for the client's certificate: stores of Java. The server is openssl's, which gives files.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use flott_core::ErrorKind;

use crate::open;

const PASSWORD: &str = "a password";

struct Server {
    folder: PathBuf,
    process: Option<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().ok();
            process.wait().ok();
        }
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

impl Server {
    fn keytool(&self, arguments: &[&str], store: &str, kind: &str) {
        let store = ["-keystore", store, "-storetype", kind, "-storepass", PASSWORD];
        let done = Command::new("keytool").args(arguments).args(store).current_dir(&self.folder).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }

    fn openssl(&self, arguments: &[&str]) {
        let done = Command::new("openssl").args(arguments).current_dir(&self.folder).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Starts it, and gives its port.
    fn start(&mut self) -> u16 {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "0", "-WWW", "-cert", "server.pem", "-key", "server.key"]);
        command.args(["-Verify", "1", "-verify_return_error", "-CAfile", "client.pem"]);
        let process =
            command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let process = self.process.insert(process.spawn().unwrap());
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let accepts = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_string)).unwrap();
        // It goes on to write there.
        std::thread::spawn(move || lines.for_each(drop));
        accepts.rsplit(':').next().unwrap().trim().parse().unwrap()
    }
}

#[test]
fn stores_of_java_are_read() {
    for (tool, argument) in [("openssl", "version"), ("keytool", "-help")] {
        if Command::new(tool).arg(argument).output().is_err() {
            flott_testkit::skipped(&format!("there is no {tool} on this machine"));
            return;
        }
    }
    let folder = std::env::temp_dir().join(format!("flott-registry-{}", flott_core::id::random_hex()));
    std::fs::create_dir_all(folder.join("schemas/ids")).unwrap();
    std::fs::write(folder.join("schemas/ids/1"), r#"{"schema": "\"int\""}"#).unwrap();
    let mut server = Server { folder: folder.clone(), process: None };
    for (name, kind) in [("server", "PKCS12"), ("client", "PKCS12")] {
        let host = "san=ip:127.0.0.1";
        let made = ["-genkeypair", "-alias", "x", "-keyalg", "RSA", "-dname", "CN=x", "-ext", host];
        server.keytool(&made, &format!("{name}.p12"), kind);
        let shown = ["-exportcert", "-alias", "x", "-rfc", "-file", &format!("{name}.pem")];
        server.keytool(&shown, &format!("{name}.p12"), kind);
    }
    let pass = format!("pass:{PASSWORD}");
    server.openssl(&["pkcs12", "-in", "server.p12", "-passin", &pass, "-nodes", "-nocerts", "-out", "server.key"]);
    let trusted = ["-importcert", "-noprompt", "-alias", "x", "-file", "server.pem"];
    server.keytool(&trusted, "trust.jks", "JKS");
    server.keytool(&trusted, "trust.p12", "PKCS12");
    let from = ["-importkeystore", "-srckeystore", "client.p12", "-srcstorepass", PASSWORD];
    let to = ["-destkeystore", "client.jks", "-deststoretype", "JKS", "-deststorepass", PASSWORD];
    let done = Command::new("keytool").args([from.as_slice(), &to].concat()).current_dir(&folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));

    let url = format!("https://127.0.0.1:{}", server.start());
    let path = |name: &str| folder.join(name).display().to_string();
    let registry = |trust: &str, trust_password: &str, key: &str| {
        open(&[
            ("url", &url),
            ("ssl.truststore.location", &path(trust)),
            ("ssl.truststore.password", trust_password),
            ("ssl.keystore.location", &path(key)),
            ("ssl.keystore.password", PASSWORD),
        ])
    };
    for (trust, key) in [("trust.jks", "client.jks"), ("trust.p12", "client.p12"), ("server.pem", "client.p12")] {
        let schema = registry(trust, PASSWORD, key).schema(1).unwrap_or_else(|e| panic!("{trust}, {key}: {e:?}"));
        assert_eq!(schema.text, "\"int\"", "{trust}, {key}");
    }
    // Somebody else's certificate; and none of the client's.
    let error = registry("client.p12", PASSWORD, "client.p12").schema(1).map(drop).expect_err("not trusted");
    assert_eq!(error.kind(), ErrorKind::User, "{error:?}");
    assert_eq!(error.context("option"), Some("ssl.truststore.location"), "{error:?}");
    let nobody = [("url", url.as_str()), ("ssl.truststore.location", &path("server.pem"))];
    let error = open(&nobody).schema(1).map(drop).expect_err("not let in");
    assert_eq!(error.kind(), ErrorKind::User, "{error:?}");
    assert_eq!(error.context("option"), Some("ssl.keystore.location"), "{error:?}");
    let error = registry("trust.jks", "CANARY", "client.p12").schema(1).map(drop).expect_err("a wrong password");
    assert_eq!(error.kind(), ErrorKind::User, "{error:?}");
    assert_eq!(error.context("option"), Some("ssl.truststore.password"), "{error:?}");
    assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
}
