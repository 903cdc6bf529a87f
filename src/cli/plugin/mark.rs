//! Annotations that answer proposals or request one.

use serde::Serialize;

use crate::api::names::{APPROVE, DENY, REQUEST};

/// Longest value that the operator keeps, in characters.
const MOST: usize = 256;

/// An annotation to write.
#[derive(Debug, Serialize)]
pub(super) struct Mark {
    /// Its name.
    pub annotation: String,
    /// Its value.
    pub value: String,
}

/// The annotation already exists with another value.
#[derive(Debug, thiserror::Error)]
#[error("the annotation {annotation} already exists with the value {said:?}. Nothing was changed")]
pub struct SaidOtherwise {
    annotation: String,
    said: String,
}

impl Mark {
    /// The approval of a proposal, by or on behalf of someone.
    pub(super) fn approval(id: &str, by: &str) -> Self {
        Self {
            annotation: format!("{APPROVE}{id}"),
            value: by.to_owned(),
        }
    }

    /// The denial of a proposal.
    pub(super) fn denial(id: &str, reason: &str) -> Self {
        Self {
            annotation: format!("{DENY}{id}"),
            value: reason.to_owned(),
        }
    }

    /// The request of a proposal for a table.
    pub(super) fn request(schema_id: &str, wish: String) -> Self {
        Self {
            annotation: format!("{REQUEST}{schema_id}"),
            value: wish,
        }
    }

    /// True if `said`, the current value, is the same. Another value is never replaced: an answer is final.
    pub(super) fn is_in(&self, said: Option<&str>) -> Result<bool, SaidOtherwise> {
        match said {
            None => Ok(false),
            Some(said) if said == self.value => Ok(true),
            Some(said) => Err(SaidOtherwise {
                annotation: self.annotation.clone(),
                said: said.to_owned(),
            }),
        }
    }
}

/// A value that fits into an annotation and into a line of YAML.
pub(super) fn value(text: &str) -> Result<String, String> {
    let text = text.trim();
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    if text.is_empty() || text.chars().any(breaks) {
        return Err("it must be one line of text".to_owned());
    }
    if text.chars().count() > MOST {
        return Err(format!("it has at most {MOST} characters"));
    }
    Ok(text.to_owned())
}
