//! The API key, and what may be known of it.

use std::fmt;

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::secrets::Secrets;

/// Longest text that is taken for an API key, in bytes. `PostHog`'s are about 50.
const MAX_LENGTH: usize = 512;

/// A value that cannot be an API key. Never says what the value was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// Longer than any API key.
    #[error("it is too long for an API key")]
    TooLong,
    /// A line break, a space or another character that no key has.
    #[error("it contains white space or other characters that API keys do not have")]
    Characters,
}

/// A personal API key of `PostHog`. Does not print, does not compare, cannot be serialised.
#[derive(Clone)]
pub struct ApiKey {
    secret: SecretString,
    id: KeyId,
}

/// Distinguishes two keys without showing either. Lives in memory only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 16]);

impl ApiKey {
    /// Takes the bytes of a Secret. White space at both ends is dropped: an editor's trailing newline is the usual slip.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| KeyError::Characters)?
            .trim();
        match text.len() {
            0 => return Err(KeyError::Empty),
            n if n > MAX_LENGTH => return Err(KeyError::TooLong),
            _ if !text.bytes().all(|b| b.is_ascii_graphic()) => return Err(KeyError::Characters),
            _ => {}
        }
        let digest = Sha256::digest(text.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Ok(Self {
            secret: SecretString::from(text.to_owned()),
            id: KeyId(id),
        })
    }

    /// What tells this key from another.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Distinguishes two texts without showing either to anyone who does not have this key: an HMAC-SHA-256 (RFC 2104).
    #[must_use]
    pub fn hmac(&self, text: &[u8]) -> String {
        let key = self.secret.expose_secret().as_bytes();
        hex(&hmac_sha256(key, text))
    }

    /// Adds it to what no text may show.
    pub fn hide(&self, secrets: &Secrets) {
        secrets.add(self.secret.expose_secret());
    }

    /// The value of the `Authorization` header. Callers mark it sensitive and drop it.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.secret.expose_secret())
    }
}

/// The HMAC-SHA-256 (RFC 2104) of a text.
#[must_use]
pub fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text).as_ref().to_vec()
}

/// Bytes as people compare them.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from_digit(u32::from(four), 16).unwrap_or('0');
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect()
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_newline_does_not_make_another_key() {
        let plain = ApiKey::new(b"phx_abc").unwrap();
        assert_eq!(plain.id(), ApiKey::new(b"phx_abc\n").unwrap().id());
        assert_eq!(plain.bearer(), "Bearer phx_abc");
    }

    /// Test cases 2 and 6 of RFC 4231: a short key, and one that is longer than a block.
    #[test]
    fn an_hmac_is_that_of_the_rfc() {
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac_sha256(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn what_cannot_be_a_key_is_refused_without_being_shown() {
        for bytes in [
            &b""[..],
            b" \n",
            b"phx_a b",
            b"phx_a\nb",
            b"\xff\xfe",
            "phx_ä".as_bytes(),
            &[b'x'; 600],
        ] {
            let error = ApiKey::new(bytes).unwrap_err();
            assert!(!error.to_string().contains("phx_"));
        }
        assert_eq!(
            format!("{:?}", ApiKey::new(b"phx_abc").unwrap()),
            "ApiKey(***)"
        );
    }
}
