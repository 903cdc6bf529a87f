//! What a rule is: a row of data.

use crate::api::status::{Confidence, RootCause};

/// One way in which an error text names its cause.
#[derive(Debug)]
pub struct Rule {
    /// A stable name, `family/what`.
    pub id: &'static str,
    /// The cause.
    pub cause: RootCause,
    /// High: an exact text of `PostHog` or an unmistakable code of a driver. Medium: telling words. Low: a generic sign.
    pub confidence: Confidence,
    /// What must hold, all of it. The first condition is one that asks for something in the text.
    pub when: &'static [When],
    /// A realistic text that this rule, and no other, decides.
    pub example: &'static str,
    /// A look-alike that this rule must not decide, and what it means.
    pub counter: (&'static str, RootCause),
    /// What to do, where it can be said more precisely than for the cause at large.
    pub advice: Option<&'static str>,
}

/// A condition on a text.
///
/// Phrases are written as the masked text has them: in lower case, a name as `<>`. They match whole words; a `*` at either
/// end lets the word go on there, and ` .. ` lets up to ninety characters of the same sentence stand between.
#[derive(Debug)]
pub enum When {
    /// One of these phrases is in the text.
    Any(&'static [&'static str]),
    /// One of the first and one of the second stand near each other in one sentence, whichever comes first. Without ` .. `.
    Near(&'static [&'static str], &'static [&'static str]),
    /// All of these phrases are in the text.
    All(&'static [&'static str]),
    /// None of these phrases is in the text.
    Without(&'static [&'static str]),
    /// The text is one of these, but for a final stop.
    Whole(&'static [&'static str]),
    /// The text begins with one of these.
    Start(&'static [&'static str]),
    /// A driver's error number, in its form.
    Code(&'static [u32]),
    /// An SQLSTATE, in its form.
    SqlState(&'static [&'static str]),
    /// An HTTP status, in HTTP context.
    Http(&'static [u16]),
    /// The source has one of these types.
    Source(&'static [&'static str]),
}

impl Rule {
    const fn new(
        id: &'static str,
        cause: RootCause,
        confidence: Confidence,
        when: &'static [When],
        example: &'static str,
        counter: (&'static str, RootCause),
    ) -> Self {
        Self {
            id,
            cause,
            confidence,
            when,
            example,
            counter,
            advice: None,
        }
    }

    /// A rule on an exact text or an unmistakable code.
    pub(super) const fn exact(
        id: &'static str,
        cause: RootCause,
        when: &'static [When],
        example: &'static str,
        counter: (&'static str, RootCause),
    ) -> Self {
        Self::new(id, cause, Confidence::High, when, example, counter)
    }

    /// A rule on telling words.
    pub(super) const fn words(
        id: &'static str,
        cause: RootCause,
        when: &'static [When],
        example: &'static str,
        counter: (&'static str, RootCause),
    ) -> Self {
        Self::new(id, cause, Confidence::Medium, when, example, counter)
    }

    /// A rule on a generic sign.
    pub(super) const fn sign(
        id: &'static str,
        cause: RootCause,
        when: &'static [When],
        example: &'static str,
        counter: (&'static str, RootCause),
    ) -> Self {
        Self::new(id, cause, Confidence::Low, when, example, counter)
    }

    /// The same rule with advice of its own.
    pub(super) const fn advice(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }
}
