//! The one door to unique names.

/// A random identifier of 32 hexadecimal digits (as Flink's job ids).
#[expect(clippy::disallowed_methods, reason = "this is the door that the ban points to")]
pub fn random_hex() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Like [`random_hex`], but names made later sort later.
#[expect(clippy::disallowed_methods, reason = "this is the door that the ban points to")]
pub fn ordered_hex() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}
