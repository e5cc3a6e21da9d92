//! Digests.

mod hash_code;
mod md5;
mod sha1;
mod sha2;

use crate::scalar::ScalarFunction;

/// All of them.
pub(super) const FUNCTIONS: &[ScalarFunction] =
    &[md5::MD5, sha1::SHA1, sha2::SHA224, sha2::SHA256, sha2::SHA384, sha2::SHA512, sha2::SHA2, hash_code::HASH_CODE];
