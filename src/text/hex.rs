//! Bytes as lower-case hexadecimal digits, and the hash that is nearly always written so.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Two digits for each byte.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}

/// The 64 digits of the SHA-256 of these bytes.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_lower_case_and_two_for_each_byte() {
        assert_eq!(encode([0, 10, 255]), "000aff");
        assert_eq!(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
