//! What a rule is: a row of a file in `rules/`.

use serde::Deserialize;

use crate::api::status::{Confidence, RootCause};

/// The `rule` of a reading that no rule decided.
pub const NO_RULE: &str = "none";

/// One way in which an error text names its cause.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A stable name, `family/what`.
    pub id: String,
    /// The cause.
    pub cause: RootCause,
    /// High: an exact text of `PostHog` or an unmistakable code of a driver. Medium: telling words. Low: a generic sign.
    pub confidence: Confidence,
    /// What must hold, all of it. The first condition is one that asks for something in the text.
    pub when: Vec<When>,
    /// A realistic text that this rule, and no other, decides.
    pub example: String,
    /// A look-alike that this rule must not decide.
    pub counter: Counter,
    /// What to do, where it can be said more precisely than for the cause at large.
    pub advice: Option<String>,
}

/// A text that looks like a rule's and means something else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// What it means.
    pub cause: RootCause,
    /// The text.
    pub text: String,
}

/// A condition on a text.
///
/// Phrases are written as the masked text has them: in lower case, a name as `<>`. They match whole words; a `*` at either
/// end lets the word go on there, and ` .. ` lets up to ninety characters of the same sentence stand between.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// One of these phrases is in the text.
    Any(Vec<String>),
    /// One of the first and one of the second stand near each other in one sentence, whichever comes first. Without ` .. `.
    Near(Vec<String>, Vec<String>),
    /// All of these phrases are in the text.
    All(Vec<String>),
    /// None of these phrases is in the text.
    Without(Vec<String>),
    /// The text is one of these, but for a final stop.
    Whole(Vec<String>),
    /// The text begins with one of these.
    Start(Vec<String>),
    /// A driver's error number, in its form.
    Code(Vec<u32>),
    /// An SQLSTATE, in its form.
    SqlState(Vec<String>),
    /// An HTTP status, in HTTP context.
    Http(Vec<u16>),
    /// The source has one of these types.
    Source(Vec<String>),
}

impl When {
    /// The lists of words of this condition.
    pub fn words_mut(&mut self) -> Vec<&mut Vec<String>> {
        match self {
            Self::Any(phrases)
            | Self::All(phrases)
            | Self::Without(phrases)
            | Self::Whole(phrases)
            | Self::Start(phrases)
            | Self::SqlState(phrases)
            | Self::Source(phrases) => vec![phrases],
            Self::Near(one, other) => vec![one, other],
            Self::Code(_) | Self::Http(_) => Vec::new(),
        }
    }
}
