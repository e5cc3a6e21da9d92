//! Stores that keytool and OpenSSL have written: a CA, and a client whose certificate it has signed. Both stores of the client are made
//! with `keytool -importkeystore` of one key; in `client.jks` the key has a password of its own.

use std::path::PathBuf;

use super::*;

const PASSWORD: &str = "a password";
const KEY_PASSWORD: &str = "another password";
const NAMES: Names = Names { location: "x.location", password: "x.password", key_password: "x.key.password" };

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/stores").join(name)
}

fn store(name: &str, password: Option<&str>, key_password: Option<&str>) -> Store {
    let path = path(name);
    Store::new(path.to_str().expect("a path"), password.map(Secret::new), key_password.map(Secret::new), NAMES)
}

fn pem_of(name: &str) -> String {
    std::fs::read_to_string(path(name)).expect("a file")
}

/// A store over these bytes.
fn written(content: &[u8], password: Option<&str>) -> (PathBuf, Store) {
    let path = std::env::temp_dir().join(format!("flott-store-{}", flott_core::id::random_hex()));
    std::fs::write(&path, content).expect("written");
    let store = Store::new(path.to_str().expect("a path"), password.map(Secret::new), None, NAMES);
    (path, store)
}

#[test]
fn all_kinds_have_the_same_in_them() {
    let ca = trusted_pem(&pem_of("ca.pem"), "ca").expect("PEM");
    for (name, password) in [
        ("ca.pem", None),
        ("trust.jks", Some(PASSWORD)),
        // What is public is read without the password, as in Java.
        ("trust.jks", None),
        ("trust.p12", Some(PASSWORD)),
        ("openssl.p12", Some(PASSWORD)),
    ] {
        assert_eq!(store(name, password, None).trusted().expect(name), ca, "{name}");
    }
    let client = store("client.pem", None, None).identity().expect("PEM");
    assert!(client.certificates.ends_with(&ca) && client.certificates.len() > ca.len() * 3 / 2);
    for (name, key_password) in [("client.jks", Some(KEY_PASSWORD)), ("client.p12", None), ("old.p12", None)] {
        let store = store(name, Some(PASSWORD), key_password);
        assert_eq!(store.identity().expect(name), client, "{name}");
        assert_eq!(store.identity().expect(name), client, "{name}, kept");
        let own = store.trusted().expect("the certificate of the key");
        assert!(client.certificates.starts_with(&own) && own != client.certificates, "{name}");
        let shown = format!("{store:?} {:?}", store.identity().expect(name));
        assert!(!shown.contains(PASSWORD) && !shown.contains("BEGIN PRIVATE"), "{shown}");
    }
}

#[test]
fn a_wrong_password_is_told_as_one() {
    for name in ["trust.jks", "trust.p12", "client.jks", "client.p12"] {
        let error = store(name, Some("CANARY"), None).trusted().expect_err(name);
        assert_eq!(error.context("option"), Some("x.password"), "{error}");
        assert!(error.to_string().contains("is wrong") && !format!("{error:?}").contains("CANARY"), "{error}");
    }
    let error = store("trust.p12", None, None).trusted().expect_err("no password");
    assert!(error.to_string().contains("has a password, and none is given"), "{error}");
    // The key's own.
    for key_password in [None, Some("CANARY")] {
        let error = store("client.jks", Some(PASSWORD), key_password).identity().expect_err("a wrong password");
        assert_eq!(error.context("option"), Some("x.key.password"), "{error}");
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }
    let error = store("client.jks", None, None).identity().expect_err("no password");
    assert_eq!(error.context("option"), Some("x.key.password"), "{error}");
}

#[test]
fn what_is_no_store_is_told_as_that() {
    let error = store("nowhere.jks", None, None).trusted().expect_err("no file");
    assert_eq!(error.context("option"), Some("x.location"), "{error}");
    for (name, part) in [("trust.jks", "no key in"), ("trust.p12", "no key with"), ("ca.pem", "no private key")] {
        let error = store(name, Some(PASSWORD), None).identity().expect_err(name).to_string();
        assert!(error.contains(part), "{error}");
    }
    for (content, part) in [
        (&b""[..], "is empty"),
        (b"\xCE\xCE\xCE\xCE..", "JCEKS"),
        (b"PK\x03\x04", "neither JKS nor PKCS#12 nor PEM"),
        (b"\x30\x03\x02\x01\x03", "not written as PKCS#12"),
        (b"-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----", "no Base64"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA", "no END"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "no certificate"),
    ] {
        let (path, store) = written(content, None);
        let error = store.trusted().expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
        std::fs::remove_file(path).ok();
    }
}

#[test]
fn a_store_that_changes_is_read_again() {
    let (path, store) = written(&std::fs::read(path("trust.jks")).expect("a file"), Some(PASSWORD));
    let first = store.trusted().expect("read");
    std::fs::copy(self::path("client.p12"), &path).expect("copied");
    assert_ne!(store.trusted().expect("read"), first);
    std::fs::remove_file(path).ok();
}

/// Wherever a store is cut or a byte is another one it is refused, or nothing of it is taken that is not there.
#[test]
fn damaged_stores_are_refused() {
    let content = std::fs::read(path("client.jks")).expect("a file");
    let password = Secret::new(PASSWORD);
    for end in 0..content.len() {
        assert!(jks::read(&content[..end], Some(&password)).is_err(), "cut at {end}");
        assert!(jks::read(&content[..end], None).is_err(), "cut at {end}, without a password");
    }
    for at in 0..content.len() {
        let mut damaged = content.clone();
        damaged[at] ^= 0xFF;
        let why = jks::read(&damaged, Some(&password)).err();
        assert_eq!(why, Some(Fault::Password), "{at}");
        // Without the digest lengths are all that can be wrong.
        if let Ok(read) = jks::read(&damaged, None) {
            read.key(Some(&Secret::new(KEY_PASSWORD))).err();
        }
    }
    // Numbers that ask for more memory than there is.
    for at in [8, 12] {
        let mut damaged = content.clone();
        damaged[at..at + 4].copy_from_slice(&[0xFF; 4]);
        assert!(matches!(jks::read(&damaged, None), Err(Fault::Damaged(_))), "{at}");
    }
}

#[test]
fn keys_that_are_encrypted_take_their_password_along() {
    let certificate = pem_of("ca.pem");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    for key in [encrypted, older] {
        let given = identity_pem(key, &certificate, Some(&Secret::new("p")), "k").expect("taken");
        assert_eq!((given.key.reveal(), given.key_password), (key, Some(Secret::new("p"))));
        let error = identity_pem(key, &certificate, None, "k").expect_err("no password").to_string();
        assert!(error.contains("no password is given"), "{error}");
    }
    let plain = encrypted.replace("ENCRYPTED ", "");
    assert_eq!(identity_pem(&plain, &certificate, Some(&Secret::new("p")), "k").expect("taken").key_password, None);
}
