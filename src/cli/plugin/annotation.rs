//! Annotations that answer proposals or request one.

use serde::Serialize;

use crate::api::names::{APPROVE, DENY, REQUEST};

/// Longest value that the operator keeps, in characters.
const MOST: usize = 256;

/// An annotation to write.
#[derive(Debug, Serialize)]
pub(super) struct Annotation {
    /// Its key.
    #[serde(rename = "annotation")]
    pub key: String,
    /// Its value.
    pub value: String,
}

/// The annotation already exists with another value.
#[derive(Debug, thiserror::Error)]
#[error("the annotation {key} already exists with the value {current:?}. Nothing was changed")]
pub struct AnnotationConflict {
    key: String,
    current: String,
}

impl Annotation {
    /// The approval of a proposal, by or on behalf of someone.
    pub(super) fn approval(id: &str, by: &str) -> Self {
        Self {
            key: format!("{APPROVE}{id}"),
            value: by.to_owned(),
        }
    }

    /// The denial of a proposal.
    pub(super) fn denial(id: &str, reason: &str) -> Self {
        Self {
            key: format!("{DENY}{id}"),
            value: reason.to_owned(),
        }
    }

    /// The request of a proposal for a table.
    pub(super) fn request(schema_id: &str, value: String) -> Self {
        Self {
            key: format!("{REQUEST}{schema_id}"),
            value,
        }
    }

    /// True if `current`, the existing value, is the same. Another value is never replaced: an answer is final.
    pub(super) fn is_in(&self, current: Option<&str>) -> Result<bool, AnnotationConflict> {
        match current {
            None => Ok(false),
            Some(current) if current == self.value => Ok(true),
            Some(current) => Err(AnnotationConflict {
                key: self.key.clone(),
                current: current.to_owned(),
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
