//! PKCS#12, which JDKs write since 9, and OpenSSL.

use flott_core::Secret;
use p12_keystore::error::Error;
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};

use super::{CHAIN_MAX, Der, ENTRIES_MAX, Fault};

fn read(content: &[u8], password: Option<&Secret>, policy: Pkcs12ImportPolicy) -> Result<KeyStore, Fault> {
    let store = KeyStore::from_pkcs12(content, password.map_or("", Secret::reveal), policy);
    let store = store.map_err(|error| match error {
        Error::MacError(_) => Fault::Password,
        // The digest was right, or there is none.
        Error::Pkcs5Error(_) | Error::UnpadError | Error::InvalidPrivateKey => Fault::KeyPassword,
        Error::UnsupportedContentType
        | Error::UnsupportedCertificateType
        | Error::UnsupportedEncryptionScheme
        | Error::UnsupportedMacAlgorithm
        | Error::InvalidVersion => Fault::Unsupported(error.to_string()),
        Error::DerError(_) => Fault::Damaged("it is not written as PKCS#12".to_string()),
        other => Fault::Damaged(other.to_string()),
    })?;
    if store.entries_len() > ENTRIES_MAX {
        return Err(Fault::Damaged(format!("it has more than {ENTRIES_MAX} entries")));
    }
    Ok(store)
}

/// The certificates that are trusted.
pub(super) fn trusted(content: &[u8], password: Option<&Secret>) -> Result<Vec<Der>, Fault> {
    let certificates = |store: &KeyStore| -> Vec<Der> {
        let of = |entry: &KeyStoreEntry| match entry {
            KeyStoreEntry::Certificate(certificate) => Some(certificate.as_der().to_vec()),
            KeyStoreEntry::PrivateKeyChain(chain) => chain.certs().first().map(|c| c.as_der().to_vec()),
            KeyStoreEntry::Secret(_) => None,
        };
        store.entries().filter_map(|(_, entry)| of(entry)).collect()
    };
    let marked = certificates(&read(content, password, Pkcs12ImportPolicy::Strict)?);
    if !marked.is_empty() {
        return Ok(marked);
    }
    Ok(certificates(&read(content, password, Pkcs12ImportPolicy::Raw)?))
}

/// The first key, in PKCS#8, with its certificates.
pub(super) fn key(content: &[u8], password: Option<&Secret>) -> Result<(Vec<u8>, Vec<Der>), Fault> {
    let store = read(content, password, Pkcs12ImportPolicy::Strict)?;
    let (_, chain) = store.private_key_chain().ok_or(Fault::Nothing("key with a certificate"))?;
    if chain.certs().len() > CHAIN_MAX {
        return Err(Fault::Damaged(format!("a key has more than {CHAIN_MAX} certificates")));
    }
    Ok((chain.key().as_der().to_vec(), chain.certs().iter().map(|c| c.as_der().to_vec()).collect()))
}
