//! Certificates and keys in the files that clients in Java name ("stores"): JKS, PKCS#12 and PEM, told apart by what is in
//! them, and given as PEM. It is here since the connectors that speak TLS by Java's options have no other crate in common.
//!
//! A store is a file that a table names and perhaps did not make: all that is read of one has a limit.

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod jks;
mod pem;
mod pkcs12;

use std::fmt;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};

use flott_core::{Error, Result, Secret};

/// A larger file is no store. That of a JDK has 200 KB.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Certificates and keys in a store.
const ENTRIES_MAX: usize = 10_000;
/// Certificates that lead from a key's to who is trusted.
const CHAIN_MAX: usize = 100;

/// What opens JKS and JCEKS.
const JKS: [u8; 4] = [0xFE, 0xED, 0xFE, 0xED];
const JCEKS: [u8; 4] = [0xCE, 0xCE, 0xCE, 0xCE];
/// The first byte of a structure in DER, which a PKCS#12 store is.
const DER_SEQUENCE: u8 = 0x30;

/// A private key, with the certificates that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// As PEM: first the key's own, then those of who has signed it.
    pub certificates: String,
    /// As PEM.
    pub key: Secret,
    /// Where the key is still encrypted, which it only is where it was PEM: how to decrypt it.
    pub key_password: Option<Secret>,
}

/// A file with certificates, or a key.
pub struct Store {
    location: String,
    password: Option<Secret>,
    key_password: Option<Secret>,
    options: Names,
    found: Mutex<Option<Found>>,
}

/// What the options of a store are called, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// Of the file.
    pub location: &'static str,
    /// Of the store's password.
    pub password: &'static str,
    /// Of the key's password.
    pub key_password: &'static str,
}

/// What a file had in it. It is kept, since the passwords of stores are made to take long.
struct Found {
    content: Vec<u8>,
    trusted: Option<String>,
    identity: Option<Identity>,
}

/// Why a store cannot be used. A text never has anything of a password or of a key in it.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// Its parts do not fit together.
    Damaged(String),
    /// The store's password is wrong, or is missing.
    Password,
    /// The key's password is wrong, or is missing.
    KeyPassword,
    /// Something of another kind.
    Unsupported(String),
    /// There is nothing in it of what is asked for.
    Nothing(&'static str),
}

/// A certificate in DER.
type Der = Vec<u8>;

impl Store {
    /// A file that is read when it is asked for what is in it.
    pub fn new(location: &str, password: Option<Secret>, key_password: Option<Secret>, options: Names) -> Store {
        Store { location: location.to_string(), password, key_password, options, found: Mutex::new(None) }
    }

    /// The certificates that are trusted, as PEM. Reads the file; blocks.
    ///
    /// Of a key, the certificate of its own is trusted, as in Java. A PKCS#12 store without certificates that Java has marked as
    /// trusted, as OpenSSL writes them, is taken as a list of those that are.
    ///
    /// # Errors
    /// [`User`](flott_core::ErrorKind::User), with the option: no such file, a wrong password, a damaged store, nothing in it.
    pub fn trusted(&self) -> Result<String> {
        let content = self.content()?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = found.as_ref().filter(|f| f.content == content).and_then(|f| f.trusted.clone()) {
            return Ok(known);
        }
        let trusted = self.trusted_in(&content).map_err(|fault| self.error(fault))?;
        *found = Some(Found { content, trusted: Some(trusted.clone()), identity: None });
        Ok(trusted)
    }

    /// The first key, as PEM. Reads the file; blocks.
    ///
    /// # Errors
    /// As [`trusted`](Store::trusted); also where the key's password is wrong.
    pub fn identity(&self) -> Result<Identity> {
        let content = self.content()?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = found.as_ref().filter(|f| f.content == content).and_then(|f| f.identity.clone()) {
            return Ok(known);
        }
        let identity = self.identity_in(&content).map_err(|fault| self.error(fault))?;
        *found = Some(Found { content, trusted: None, identity: Some(identity.clone()) });
        Ok(identity)
    }

    fn trusted_in(&self, content: &[u8]) -> std::result::Result<String, Fault> {
        let certificates = match Kind::of(content)? {
            Kind::Pem => return trusted_pem_of(content),
            Kind::Jks => jks::read(content, self.password.as_ref())?.trusted(),
            Kind::Pkcs12 => pkcs12::trusted(content, self.password.as_ref())?,
        };
        if certificates.is_empty() {
            return Err(Fault::Nothing("certificate"));
        }
        Ok(pem::certificates(&certificates))
    }

    fn identity_in(&self, content: &[u8]) -> std::result::Result<Identity, Fault> {
        let key_password = self.key_password.as_ref().or(self.password.as_ref());
        let (key, chain) = match Kind::of(content)? {
            Kind::Pem => {
                let text = str::from_utf8(content).map_err(|_| Fault::Damaged("it is no UTF-8".to_string()))?;
                return identity_pem_of(text, text, key_password);
            }
            Kind::Jks => jks::read(content, self.password.as_ref())?.key(key_password)?,
            Kind::Pkcs12 => pkcs12::key(content, self.password.as_ref())?,
        };
        if chain.is_empty() {
            return Err(Fault::Nothing("certificate of a key"));
        }
        Ok(Identity { certificates: pem::certificates(&chain), key: pem::key(&key), key_password: None })
    }

    fn content(&self) -> Result<Vec<u8>> {
        let cannot = |e: std::io::Error| {
            Error::user(format!("'{}' cannot be read", self.location))
                .with("option", self.options.location)
                .hint("It has to be a store (JKS, PKCS#12 or PEM) on the machine of each process of the job")
                .caused_by(e)
                .from_outside()
        };
        let file = std::fs::File::open(&self.location).map_err(cannot)?;
        let mut content = vec![];
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(cannot)?;
        if content.len() as u64 > FILE_BYTES_MAX {
            return Err(Error::user(format!(
                "'{}' is larger than {FILE_BYTES_MAX} bytes, and no store of certificates",
                self.location
            ))
            .with("option", self.options.location));
        }
        Ok(content)
    }

    fn error(&self, fault: Fault) -> Error {
        let (location, options) = (&self.location, self.options);
        match fault {
            Fault::Password if self.password.is_none() => {
                Error::user(format!("The store '{location}' has a password, and none is given"))
                    .with("option", options.password)
                    .hint(format!("Set '{}'", options.password))
            }
            Fault::Password => {
                Error::user(format!("The password of the store '{location}' is wrong, or the file is damaged"))
                    .with("option", options.password)
                    .hint(format!(
                        "Check '{}': `keytool -list -keystore {location}` asks for the same",
                        options.password
                    ))
            }
            Fault::KeyPassword => Error::user(format!(
                "The key in the store '{location}' is encrypted with another password, or with one that is missing"
            ))
            .with("option", options.key_password)
            .hint(format!("Set '{}'. The key of a PKCS#12 store has the store's password", options.key_password)),
            Fault::Damaged(why) => Error::user(format!("The store '{location}' is damaged: {why}"))
                .with("option", options.location)
                .hint("There are JKS, PKCS#12 and PEM")
                .from_outside(),
            Fault::Unsupported(what) => Error::user(format!("The store '{location}' cannot be read: {what}"))
                .with("option", options.location)
                .hint("Convert it: keytool -importkeystore -srckeystore OLD -destkeystore NEW -deststoretype PKCS12"),
            Fault::Nothing(what) => Error::user(format!("There is no {what} in the store '{location}'"))
                .with("option", options.location)
                .hint("`keytool -list -v` shows what is in a store")
                .from_outside(),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("location", &self.location).finish_non_exhaustive()
    }
}

/// How a store is written.
enum Kind {
    Jks,
    Pkcs12,
    Pem,
}

impl Kind {
    /// By what is in it: names and declared types are wrong often, and Java looks into the file as well.
    fn of(content: &[u8]) -> std::result::Result<Kind, Fault> {
        match content {
            [a, b, c, d, ..] if [*a, *b, *c, *d] == JKS => Ok(Kind::Jks),
            [a, b, c, d, ..] if [*a, *b, *c, *d] == JCEKS => Err(Fault::Unsupported("it is JCEKS".to_string())),
            _ if pem::is_pem(content) => Ok(Kind::Pem),
            [DER_SEQUENCE, ..] => Ok(Kind::Pkcs12),
            [] => Err(Fault::Damaged("it is empty".to_string())),
            _ => Err(Fault::Unsupported("it is neither JKS nor PKCS#12 nor PEM".to_string())),
        }
    }
}

/// The certificates of a PEM text that an option gives, without its keys and remarks; between their lines there may be spaces
/// instead of ends of lines, as in a file of Java's properties.
///
/// # Errors
/// [`User`](flott_core::ErrorKind::User), with the option: there is no certificate, or one is damaged.
pub fn trusted_pem(text: &str, option: &'static str) -> Result<String> {
    trusted_pem_of(text.as_bytes()).map_err(|fault| pem_error(&fault, option))
}

/// A key and its certificates, each a PEM text that an option gives.
///
/// # Errors
/// As [`trusted_pem`]; also where the key is encrypted, and no password is given.
pub fn identity_pem(
    key: &str,
    certificates: &str,
    password: Option<&Secret>,
    option: &'static str,
) -> Result<Identity> {
    identity_pem_of(key, certificates, password).map_err(|fault| pem_error(&fault, option))
}

fn pem_error(fault: &Fault, option: &'static str) -> Error {
    let why = match fault {
        Fault::Damaged(why) | Fault::Unsupported(why) => why.clone(),
        Fault::Nothing(what) => format!("there is no {what} in it"),
        Fault::Password | Fault::KeyPassword => "its key is encrypted, and no password is given".to_string(),
    };
    Error::user(format!("'{option}' cannot be used: {why}"))
        .with("option", option)
        .hint("Write it as PEM: -----BEGIN CERTIFICATE----- or -----BEGIN PRIVATE KEY-----, and what follows")
}

fn trusted_pem_of(content: &[u8]) -> std::result::Result<String, Fault> {
    let text = String::from_utf8_lossy(content);
    let blocks = pem::blocks(&text)?;
    let certificates: String = blocks.iter().filter(|b| b.is_certificate()).map(|b| b.text.as_str()).collect();
    if certificates.is_empty() { Err(Fault::Nothing("certificate")) } else { Ok(certificates) }
}

fn identity_pem_of(key: &str, certificates: &str, password: Option<&Secret>) -> std::result::Result<Identity, Fault> {
    let certificates = trusted_pem_of(certificates.as_bytes())?;
    let blocks = pem::blocks(key)?;
    let Some(key) = blocks.iter().find(|b| b.is_key()) else { return Err(Fault::Nothing("private key")) };
    let key_password = match (key.is_encrypted(), password) {
        (true, None) => return Err(Fault::KeyPassword),
        (true, Some(password)) => Some(password.clone()),
        (false, _) => None,
    };
    Ok(Identity { certificates, key: Secret::new(key.text.as_str()), key_password })
}

#[cfg(test)]
mod tests;
