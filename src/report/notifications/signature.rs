//! Signatures after Standard Webhooks 1.0 (standardwebhooks.com): over id, time of the try and body, so that a receiver can
//! detect forged, altered and replayed messages.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretSlice};

use crate::posthog::key::hmac_sha256;

/// How keys are written, as the standard says.
const PREFIX: &str = "whsec_";
/// Fewest and most random bytes of a key, as the standard says.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// What messages to one receiver are signed with. Does not print.
#[derive(Debug, Clone)]
pub struct SigningKey(SecretSlice<u8>);

impl SigningKey {
    /// Reads `whsec_` and the key in base64; none if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let key = STANDARD.decode(text.trim().strip_prefix(PREFIX)?).ok()?;
        LENGTH
            .contains(&key.len())
            .then(|| Self(SecretSlice::from(key)))
    }

    fn sign(&self, id: &str, at: i64, body: &str) -> String {
        let signed = format!("{id}.{at}.{body}");
        let mac = hmac_sha256(self.0.expose_secret(), signed.as_bytes());
        format!("v1,{}", STANDARD.encode(mac))
    }
}

/// The headers by which a receiver can check the body.
#[must_use]
pub fn headers(
    key: &SigningKey,
    id: &str,
    now: Timestamp,
    body: &str,
) -> Vec<(&'static str, String)> {
    let at = now.as_second();
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", at.to_string()),
        ("webhook-signature", key.sign(id, at, body)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard's reference libraries.
    #[test]
    fn a_signature_is_that_of_the_standards_reference_libraries() {
        let key = SigningKey::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;
        let signature = key.sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);
        assert_eq!(signature, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }

    #[test]
    fn a_key_is_long_random_and_marked_as_one() {
        assert!(SigningKey::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n").is_some());
        for wrong in [
            "",
            "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "whsec_",
            "whsec_c2hvcnQ=",
            "whsec_not base64, but long enough to be one",
        ] {
            assert!(SigningKey::parse(wrong).is_none(), "{wrong}");
        }
        let key = SigningKey::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        assert!(!format!("{key:?}").contains("11"), "{key:?}");
    }
}
