//! Which error does a text describe?
//!
//! A text is made plain (`clean`), stripped of the names it mentions (`mask`), and then matched against the rules in their order (`rules`): the first
//! match decides, and a text without a match is Unknown. Known texts are asked where no rule matches, and before the operator acts (`likeness`). Pure: the same text always gives the same answer. Texts come from outside; instructions in
//! them are never followed.

mod clean;
pub mod likeness;
mod mask;
mod matcher;
mod numbers;
pub mod rule;
mod rules;
mod word;

pub use likeness::LIKENESS;
pub use rule::{NO_RULE, Rule, When};
pub use rules::RULES;

use super::causes::{Advice, Cause};
use crate::{
    api::status::{Confidence, RootCause},
    observe::Reading,
};

impl Reading {
    /// What a human should do next, as precisely as the text allows.
    pub fn advice(&self) -> Advice {
        rule(self.rule)
            .and_then(|rule| rule.advice.as_deref())
            .map_or(Cause::of(self.shown_cause()).advice, Advice::same)
    }

    /// The cause that a person is shown: what the rules name, otherwise what known texts suggest, otherwise Unknown. The operator goes by
    /// [`Self::cause`].
    pub fn shown_cause(&self) -> RootCause {
        self.resembles.unwrap_or(self.cause)
    }

    /// What known texts say of it, as a sentence without its end; none if they were not needed.
    pub fn likeness(&self) -> Option<String> {
        (self.rule == LIKENESS).then(|| match self.resembles {
            Some(cause) => format!(
                "no rule decides this text, but it reads like known texts of the cause {}; that is a guess, so the operator does not act on it",
                cause.as_str()
            ),
            None => "a rule names a cause for this text, but it reads like known texts of other causes, so the operator does not act on it".to_owned(),
        })
    }
}

/// The cause that `text` names; `source_type` is `PostHog`'s name for the kind of source, where it is known.
///
/// Where the whole text says little, the part before its advice is matched alone: `…, then check the host` is about no
/// host. That may not lead to an action, because advice may also qualify what was said.
pub fn classify(text: &str, source_type: Option<&str>) -> Reading {
    let text = mask::mask(&clean::clean(text));
    likeness::review(by_rules(&text, source_type), &text)
}

/// What the model of [`likeness`] sees of a text.
pub fn features(text: &str) -> likeness::Features {
    likeness::features(&mask::mask(&clean::clean(text)).text)
}

fn by_rules(text: &mask::Masked, source_type: Option<&str>) -> Reading {
    let is_bare_refusal = is_bare_refusal(text);
    let whole = matcher::MATCHER.first(text, source_type);
    let decided = whole
        .filter(|rule| rule.confidence != Confidence::Low)
        .or_else(|| {
            matcher::MATCHER
                .first(&text.without_advice()?, source_type)
                .filter(|rule| !Cause::of(rule.cause).needs_the_whole_text())
        })
        .or(whole);
    decided.map_or(
        Reading {
            cause: RootCause::Unknown,
            resembles: None,
            confidence: Confidence::Low,
            rule: NO_RULE,
            is_bare_refusal,
        },
        |rule| Reading {
            cause: rule.cause,
            resembles: None,
            confidence: rule.confidence,
            rule: &rule.id,
            is_bare_refusal,
        },
    )
}

/// True if a text only says that an HTTP API refused a request: because of the key, or because of its object.
fn is_bare_refusal(masked: &mask::Masked) -> bool {
    let (said, signs) = masked.text.split_at(masked.body);
    let refused = ["http:401", "http:403"]
        .iter()
        .any(|sign| signs.contains(sign));
    let names_a_right = ["table <>", "permission <>", "scope"]
        .iter()
        .any(|right| said.contains(right));
    // The sentence that `PostHog` makes of both of Stripe's refusals.
    (refused && !names_a_right) || said.contains("credentials do not have permission")
}

/// The rule of this id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

#[cfg(test)]
mod tests;
