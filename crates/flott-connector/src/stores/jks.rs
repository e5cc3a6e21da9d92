//! The Java KeyStore: what a JDK before 9 wrote unless it was told otherwise.
//!
//! All numbers are big-endian. `FEEDFEED`, the version (1 or 2), the number of entries; for each entry its kind (1 a key, 2 a
//! certificate that is trusted), its alias, when it was made, and the key, encrypted, with the certificates that belong to it, or the
//! certificate. Version 2 says before each certificate of which type it is. At the end there is a SHA-1 of the password, of a word that is always
//! the same, and of all that comes before.
//!
//! The layout is that of `sun.security.provider.JavaKeyStore`, the encryption of keys that of `KeyProtector`. Both protect little by today's
//! measure: a store of that kind is as secret as its file.

use flott_core::Secret;
use sha1::{Digest as _, Sha1};

use super::{CHAIN_MAX, Der, ENTRIES_MAX, Fault, JKS};

/// What is mixed into the digest.
const WORD: &[u8] = b"Mighty Aphrodite";
const DIGEST_BYTES: usize = 20;
const KEY: u32 = 1;
const CERTIFICATE: u32 = 2;
/// 1.3.6.1.4.1.42.2.17.1.1, by which the JDK names its encryption of keys, in DER.
const KEY_PROTECTOR: [u8; 12] = [0x06, 0x0A, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x2A, 0x02, 0x11, 0x01, 0x01];
const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;

/// What a store has in it.
pub(super) struct Content {
    entries: Vec<Entry>,
}

enum Entry {
    Key { protected: Vec<u8>, chain: Vec<Der> },
    Certificate(Der),
}

/// Reads a store. Without a password it is not known whether somebody has changed it, as in Java.
pub(super) fn read(content: &[u8], password: Option<&Secret>) -> Result<Content, Fault> {
    let cut = || Fault::Damaged("it ends too early".to_string());
    let (body, digest) = content.split_at_checked(content.len().saturating_sub(DIGEST_BYTES)).ok_or_else(cut)?;
    if let Some(password) = password {
        let mut hash = Sha1::new();
        hash.update(utf16(password));
        hash.update(WORD);
        hash.update(body);
        if hash.finalize().as_slice() != digest {
            return Err(Fault::Password);
        }
    }
    let mut cursor = Cursor(body);
    if cursor.take(JKS.len())? != JKS {
        return Err(Fault::Damaged("it does not begin as JKS".to_string()));
    }
    let version = cursor.number()?;
    if !(1..=2).contains(&version) {
        return Err(Fault::Unsupported(format!("it is JKS of version {version}")));
    }
    let count = cursor.count(ENTRIES_MAX, "entries")?;
    let mut entries = vec![];
    for _ in 0..count {
        let kind = cursor.number()?;
        // The alias, and the time in milliseconds.
        cursor.text()?;
        cursor.take(8)?;
        entries.push(match kind {
            KEY => {
                let protected = cursor.bytes()?.to_vec();
                let certificates = cursor.count(CHAIN_MAX, "certificates of a key")?;
                let chain = (0..certificates).map(|_| cursor.certificate(version)).collect::<Result<_, _>>()?;
                Entry::Key { protected, chain }
            }
            CERTIFICATE => Entry::Certificate(cursor.certificate(version)?),
            other => return Err(Fault::Damaged(format!("an entry is of the kind {other}"))),
        });
    }
    if !cursor.0.is_empty() {
        return Err(Fault::Damaged("something follows the last entry".to_string()));
    }
    Ok(Content { entries })
}

impl Content {
    /// All certificates that stand for themselves, and of each key its own.
    pub(super) fn trusted(self) -> Vec<Der> {
        let first = |entry| match entry {
            Entry::Certificate(der) => Some(der),
            Entry::Key { chain, .. } => chain.into_iter().next(),
        };
        self.entries.into_iter().filter_map(first).collect()
    }

    /// The first key, in PKCS#8, with its certificates.
    pub(super) fn key(self, password: Option<&Secret>) -> Result<(Vec<u8>, Vec<Der>), Fault> {
        let keys = self.entries.into_iter().filter_map(|entry| match entry {
            Entry::Key { protected, chain } => Some((protected, chain)),
            Entry::Certificate(_) => None,
        });
        let (protected, chain) = keys.into_iter().next().ok_or(Fault::Nothing("key"))?;
        Ok((unprotected(&protected, password.ok_or(Fault::KeyPassword)?)?, chain))
    }
}

/// Java's characters, high byte first.
fn utf16(password: &Secret) -> Vec<u8> {
    password.reveal().encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A key without its encryption: a stream of digests, each of the password and the one before, is laid over it. In front is the first of
/// them, at random; at the end a digest of the password and the key.
fn unprotected(protected: &[u8], password: &Secret) -> Result<Vec<u8>, Fault> {
    let encrypted = encrypted_part(protected)?;
    let password = utf16(password);
    let digest_of = |part: &[u8]| -> [u8; DIGEST_BYTES] {
        Sha1::new().chain_update(&password).chain_update(part).finalize().into()
    };
    let cut = || Fault::Damaged("a key ends too early".to_string());
    let (salt, rest) = encrypted.split_at_checked(DIGEST_BYTES).ok_or_else(cut)?;
    let (hidden, check) = rest.split_at_checked(rest.len().saturating_sub(DIGEST_BYTES)).ok_or_else(cut)?;
    let mut key = hidden.to_vec();
    let mut digest = digest_of(salt);
    for part in key.chunks_mut(DIGEST_BYTES) {
        part.iter_mut().zip(digest).for_each(|(byte, over)| *byte ^= over);
        digest = digest_of(&digest);
    }
    if digest_of(&key).as_slice() == check { Ok(key) } else { Err(Fault::KeyPassword) }
}

/// What is encrypted of an `EncryptedPrivateKeyInfo`: a sequence of the algorithm and the octets.
fn encrypted_part(protected: &[u8]) -> Result<&[u8], Fault> {
    let mut outer = Cursor(protected);
    let mut inner = Cursor(outer.element(SEQUENCE)?);
    let algorithm = inner.element(SEQUENCE)?;
    if !algorithm.starts_with(&KEY_PROTECTOR) {
        return Err(Fault::Unsupported("its key is encrypted in a way that JKS does not have".to_string()));
    }
    inner.element(OCTETS)
}

/// What is left to read. Nothing is taken that is not there.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let Some((taken, rest)) = self.0.split_at_checked(count) else {
            return Err(Fault::Damaged("it ends too early".to_string()));
        };
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn number(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    fn count(&mut self, max: usize, of: &str) -> Result<usize, Fault> {
        let count = self.number()? as usize;
        if count > max { Err(Fault::Damaged(format!("it has {count} {of}, and may have {max}"))) } else { Ok(count) }
    }

    fn text(&mut self) -> Result<&'a [u8], Fault> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(usize::from(length))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.number()? as usize;
        self.take(length)
    }

    fn certificate(&mut self, version: u32) -> Result<Der, Fault> {
        if version == 2 {
            let kind = self.text()?;
            if kind != b"X.509" {
                return Err(Fault::Unsupported("a certificate is not X.509".to_string()));
            }
        }
        self.bytes().map(<[u8]>::to_vec)
    }

    /// The content of an element of DER.
    fn element(&mut self, tag: u8) -> Result<&'a [u8], Fault> {
        let [found, first] = self.array()?;
        if found != tag {
            return Err(Fault::Damaged("a key is not written as it should be".to_string()));
        }
        let length = match first {
            0..=0x7f => usize::from(first),
            0x81..=0x84 => {
                let bytes = self.take(usize::from(first & 0x7F))?;
                bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
            }
            _ => return Err(Fault::Damaged("a key has a wrong length".to_string())),
        };
        self.take(length)
    }
}
