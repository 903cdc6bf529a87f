//! Durations as Kubernetes users write them: `90s`, `2m`, `1h30m`.

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A duration as a user wrote it. `cel::between` beside a field defines what it allows. An object may be older than
/// that rule, so the text is read only where an error can be reported.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(transparent)]
#[schemars(inline)]
pub struct DurationText(#[schemars(length(max = 16))] String);

impl DurationText {
    /// The duration. `field` is its path below `spec`, for the error.
    pub fn read(&self, field: &str) -> Result<SignedDuration, DurationError> {
        parse(field, &self.0)
    }
}

impl From<&str> for DurationText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {text:?}, which is not a duration: write for example 90s, 2m or 1h30m")]
pub struct DurationError {
    /// The field that held the text, as its path below `spec`.
    pub field: String,
    /// The text as the user wrote it.
    pub text: String,
}

/// Reads the duration that a user wrote in `field`.
fn parse(field: &str, text: &str) -> Result<SignedDuration, DurationError> {
    let error = || DurationError {
        field: field.to_owned(),
        text: text.to_owned(),
    };
    // jiff also reads "2 days" and "-1h"; the CRD does not, and both must agree.
    if text.is_empty()
        || !text
            .chars()
            .all(|c| c.is_ascii_digit() || "hms".contains(c))
    {
        return Err(error());
    }
    text.parse().map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_read() {
        for (text, seconds) in [
            ("90s", 90),
            ("2m", 120),
            ("1h30m", 5_400),
            ("7h", 25_200),
            ("168h", 604_800),
        ] {
            assert_eq!(
                parse("interval", text),
                Ok(SignedDuration::from_secs(seconds)),
                "{text}"
            );
        }
        assert_eq!(
            parse("interval", "250ms"),
            Ok(SignedDuration::from_millis(250))
        );
    }

    #[test]
    fn anything_else_is_refused_with_the_field_and_an_example() {
        for text in ["", "10", "1d", "-1h", "2 h", "PT1H", "h", "1h 5m"] {
            let error = parse("interval", text).unwrap_err().to_string();
            assert!(
                error.contains("interval") && error.contains("90s"),
                "{error}"
            );
        }
    }
}
