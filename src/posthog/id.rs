//! Ids of `PostHog`.

use std::{fmt, ops::Deref};

use serde::{Deserialize, Deserializer};

use super::lax::{self, Scalar};

/// Length of a UUID as text.
const UUID: usize = 36;

/// An id: a UUID as text, which becomes part of a URL path. Kept in place, because there is one in each of many rows: a `String` takes
/// 72 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Text);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Text {
    /// Of the length of a UUID; ASCII.
    InPlace([u8; UUID]),
    Other(Box<str>),
}

impl Id {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // Never empty: it was made of a text.
            Text::InPlace(bytes) => str::from_utf8(bytes).unwrap_or_default(),
            Text::Other(text) => text,
        }
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self(match text.as_bytes().try_into() {
            Ok(bytes) => Text::InPlace(bytes),
            Err(_) => Text::Other(text.into()),
        })
    }
}

impl Deref for Id {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Id {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq<str> for Id {
    /// Without a check that it is text.
    fn eq(&self, other: &str) -> bool {
        match &self.0 {
            Text::InPlace(bytes) => bytes == other.as_bytes(),
            Text::Other(text) => **text == *other,
        }
    }
}

impl PartialEq<&str> for Id {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialEq<String> for Id {
    fn eq(&self, other: &String) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Id> for String {
    fn eq(&self, other: &Id) -> bool {
        other == self
    }
}

impl PartialEq<Id> for str {
    fn eq(&self, other: &Id) -> bool {
        other == self
    }
}

impl PartialEq<Id> for &str {
    fn eq(&self, other: &Id) -> bool {
        other == self
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lax::id(deserializer).map(|id| id.as_str().into())
    }
}

impl Scalar for Id {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_text_that_it_was_made_of() {
        let uuid = "0190e7a2-5d5f-7c3e-9c56-3b7a3a3f0d11";
        for text in [uuid, "a1", "", "ü", &"x".repeat(64)] {
            let id = Id::from(text);
            assert_eq!(id.as_str(), text);
            assert_eq!(id.to_string(), text);
            assert_eq!(id, text);
        }
        let (id, same, other) = (Id::from(uuid), Id::from(uuid), Id::from("a1"));
        assert!(id == same && id != other);
    }

    #[test]
    fn what_cannot_be_part_of_a_path_is_no_id() {
        for text in [r#""""#, r#""a/b""#, r#""ä""#, "7", "null"] {
            assert!(serde_json::from_str::<Id>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Id>(r#""a-1_b""#).unwrap(), "a-1_b");
    }
}
