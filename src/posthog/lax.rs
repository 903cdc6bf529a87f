//! Fields that may be anything: an API grows, and one odd value must not hide the other thousand rows.

use std::{fmt, marker::PhantomData};

use compact_str::CompactString;
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{self, Error as _, IgnoredAny, Visitor},
};

/// A field of an answer: absent, null, of the expected kind, or something else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Lax<T> {
    /// The field was not there.
    #[default]
    Missing,
    /// The field was null.
    Null,
    /// The field was as expected.
    Is(T),
    /// The field was of another kind, or could not be read.
    Odd,
}

impl<T> Lax<T> {
    /// The value, if it was as expected.
    pub const fn get(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Missing | Self::Null | Self::Odd => None,
        }
    }

    /// True if the field says nothing that can be relied on; null is a statement, absence is not.
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Missing | Self::Odd)
    }
}

/// What [`Lax`] can hold.
pub trait Scalar: Sized {
    /// From a JSON string.
    fn from_text(text: &str) -> Option<Self> {
        let _ = text;
        None
    }
    /// From a JSON integer.
    fn from_integer(number: i64) -> Option<Self> {
        let _ = number;
        None
    }
    /// From a JSON boolean.
    fn from_bool(flag: bool) -> Option<Self> {
        let _ = flag;
        None
    }
}

impl Scalar for String {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

/// A word or two, of which there are many: up to 24 bytes take no memory of their own.
impl Scalar for CompactString {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl Scalar for i64 {
    fn from_integer(number: i64) -> Option<Self> {
        Some(number)
    }
}

impl Scalar for bool {
    fn from_bool(flag: bool) -> Option<Self> {
        Some(flag)
    }
}

impl Scalar for Timestamp {
    // A time without an offset is not a point in time: it stays unknown rather than being guessed.
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl<'de, T: Scalar> Deserialize<'de> for Lax<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LaxVisitor(PhantomData))
    }
}

struct LaxVisitor<T>(PhantomData<T>);

impl<T> LaxVisitor<T> {
    fn is(value: Option<T>) -> Lax<T> {
        value.map_or(Lax::Odd, Lax::Is)
    }
}

impl<'de, T: Scalar> Visitor<'de> for LaxVisitor<T> {
    type Value = Lax<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Lax<T>, E> {
        Ok(Self::is(T::from_text(text)))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Lax<T>, E> {
        Ok(Self::is(T::from_integer(number)))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Lax<T>, E> {
        Ok(Self::is(
            i64::try_from(number).ok().and_then(T::from_integer),
        ))
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Lax<T>, E> {
        Ok(Lax::Odd)
    }
    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Lax<T>, E> {
        Ok(Self::is(T::from_bool(flag)))
    }
    fn visit_unit<E: de::Error>(self) -> Result<Lax<T>, E> {
        Ok(Lax::Null)
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Lax<T>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Lax::Odd)
    }
    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Lax<T>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Lax::Odd)
    }
}

/// An id: a string that is not empty. Without it a row cannot be distinguished from another, and the answer is not usable.
pub fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if is_id(&id) {
        Ok(id)
    } else {
        Err(D::Error::custom("an id that is not a UUID"))
    }
}

/// `PostHog`'s ids are UUIDs. Encoding anything else would not do: servers decode `%2F` before they choose the endpoint.
fn is_id(id: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=64).contains(&id.len()) && id.bytes().all(fits)
}

/// An id as a part of a path. It may come from a status that somebody has written: one that would lead to another endpoint becomes one
/// that does not exist.
#[must_use]
pub fn segment(id: &str) -> &str {
    if is_id(id) { id } else { "not-an-id" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Row {
        #[serde(default)]
        at: Lax<Timestamp>,
        #[serde(default)]
        flag: Lax<bool>,
    }

    fn row(json: &str) -> Row {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn null_is_distinguished_from_absent_and_from_odd() {
        assert_eq!(row("{}").at, Lax::Missing);
        assert_eq!(row(r#"{"at":null}"#).at, Lax::Null);
        for odd in [
            r#"{"at":5}"#,
            r#"{"at":{"a":[1]}}"#,
            r#"{"at":"yesterday"}"#,
            r#"{"at":"2026-10-01T00:00:12"}"#,
        ] {
            assert_eq!(row(odd).at, Lax::Odd, "{odd}");
        }
        assert_eq!(row(r#"{"flag":"true"}"#).flag, Lax::Odd);
        assert_eq!(row(r#"{"flag":true}"#).flag, Lax::Is(true));
    }

    #[test]
    fn times_with_any_offset_are_read() {
        let expected: Timestamp = "2026-10-01T00:00:12Z".parse().unwrap();
        for text in [
            "2026-10-01T00:00:12Z",
            "2026-10-01T02:00:12+02:00",
            "2026-10-01T00:00:12.000000Z",
        ] {
            assert_eq!(row(&format!(r#"{{"at":"{text}"}}"#)).at, Lax::Is(expected));
        }
    }
}
