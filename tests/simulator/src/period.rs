//! Lengths of time in scenarios: `5s`, `9h`, `2h 30m`, `30d` (a day is 24 hours), or ISO 8601 (`PT9H`).

use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::{Deserialize, Deserializer, de::Error as _};

pub(crate) fn parse(text: &str) -> Result<SignedDuration, String> {
    let span: Span = text.parse().map_err(|error| {
        format!("`{text}` is not a length of time such as `5s`, `9h` or `30d`: {error}")
    })?;
    span.to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|error| format!("`{text}` is not a fixed length of time: {error}"))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SignedDuration, D::Error> {
    parse(&String::deserialize(from)?).map_err(D::Error::custom)
}

/// For fields that may be absent or null.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, SignedDuration, parse};
    use serde::de::Error as _;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SignedDuration>, D::Error> {
        Option::<String>::deserialize(from)?
            .map(|text| parse(&text).map_err(D::Error::custom))
            .transpose()
    }
}
