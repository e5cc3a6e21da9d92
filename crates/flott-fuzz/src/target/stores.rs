//! Trust and key stores. The first byte says which passwords are given.

use flott_connector::stores::{fuzzing, trusted_pem};

use crate::rows;

/// Passwords of the stores in the corpus.
const PASSWORD: &str = "a password";
const KEY_PASSWORD: &str = "another password";

pub(crate) fn run(data: &[u8]) {
    let Some((first, content)) = data.split_first() else { return };
    let password = (first & 1 == 1).then_some(PASSWORD);
    let key_password = (first & 2 == 2).then_some(KEY_PASSWORD);
    let (trusted, identity) = fuzzing::read(content, password, key_password);
    if let Some(pem) = rows::given(trusted) {
        // What is given is PEM, whatever it was before.
        assert_eq!(trusted_pem(&pem, "option").ok().as_deref(), Some(pem.as_str()), "certificates as PEM");
    }
    if let Some(identity) = rows::given(identity) {
        assert!(trusted_pem(&identity.certificates, "option").is_ok(), "the certificates of a key");
        assert!(!format!("{identity:?}").contains("BEGIN PRIVATE"), "a key is shown");
    }
}
