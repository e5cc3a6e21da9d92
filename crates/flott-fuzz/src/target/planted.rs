//! A mistake that has to be found: a decoder of pairs that trusts a length.

/// The name of the mistake is four bytes, then a length that is not looked at.
pub(crate) fn run(data: &[u8]) {
    if let [b'b', b'u', b'g', length, rest @ ..] = data {
        let value = &rest[..usize::from(*length)];
        assert!(value.len() <= rest.len());
    }
}
