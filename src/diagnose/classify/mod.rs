//! stub
use crate::api::status::{Confidence, RootCause};
/// What a text was read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The cause.
    pub cause: RootCause,
    /// How sure.
    pub confidence: Confidence,
    /// The rule.
    pub rule: &'static str,
}
impl Reading {
    /// Advice.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        super::advice::advice(self.cause)
    }
}
/// Reads a text.
#[must_use]
pub fn classify(text: &str, _source_type: Option<&str>) -> Reading {
    let cause = super::cause::of_failure(Some(text));
    Reading {
        cause,
        confidence: Confidence::Low,
        rule: "none",
    }
}
