//! The API key, and what may be known of it.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Longest text that is taken for an API key, in bytes. `PostHog`'s are about 50.
const MAX_LENGTH: usize = 512;

/// A value that cannot be an API key. Never says what the value was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// Longer than any API key.
    #[error("it is longer than an API key can be")]
    TooLong,
    /// A line break, a space or another character that no key has.
    #[error("it contains white space or characters that no API key has")]
    Characters,
}

/// A personal API key of `PostHog`. Does not print, does not compare, cannot be serialised.
#[derive(Clone)]
pub struct ApiKey {
    secret: SecretString,
    id: KeyId,
}

/// Tells two keys apart without showing either. Lives in memory only.
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

    /// The value of the `Authorization` header. Callers mark it sensitive and drop it.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.secret.expose_secret())
    }
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
