//! Annotations that answer proposals or ask for one.

use serde::Serialize;

use super::{
    PluginError,
    print::{Format, print},
};
use crate::api::names::{APPROVE, DENY, REQUEST};

/// Longest value that the operator keeps, in characters.
const MOST: usize = 256;

/// An annotation that is to be written.
#[derive(Debug, Serialize)]
pub(super) struct Mark {
    /// Its name.
    pub annotation: String,
    /// Its value.
    pub value: String,
}

impl Mark {
    /// Yes to a proposal, by or on behalf of somebody.
    pub(super) fn approval(id: &str, by: &str) -> Self {
        Self {
            annotation: format!("{APPROVE}{id}"),
            value: by.to_owned(),
        }
    }

    /// No to a proposal.
    pub(super) fn denial(id: &str, reason: &str) -> Self {
        Self {
            annotation: format!("{DENY}{id}"),
            value: reason.to_owned(),
        }
    }

    /// Asking for a proposal about a table.
    pub(super) fn request(schema_id: &str, wish: String) -> Self {
        Self {
            annotation: format!("{REQUEST}{schema_id}"),
            value: wish,
        }
    }

    /// True if `said`, the value of before, is this one. Another value is never replaced: what somebody has said stays said.
    pub(super) fn is_in(&self, said: Option<&str>) -> Result<bool, PluginError> {
        match said {
            None => Ok(false),
            Some(said) if said == self.value => Ok(true),
            Some(said) => Err(PluginError::refused(format!(
                "the annotation {} is there already, and says {said:?}. Nothing was changed",
                self.annotation
            ))),
        }
    }
}

/// Tells what was written, and where.
pub(super) fn tell(
    format: Format,
    mark: &Mark,
    place: &str,
    changed: bool,
) -> Result<std::process::ExitCode, PluginError> {
    #[derive(Serialize)]
    struct Told<'a> {
        #[serde(flatten)]
        mark: &'a Mark,
        place: &'a str,
        changed: bool,
    }
    let told = Told {
        mark,
        place,
        changed,
    };
    print(format, &told, || {
        let Mark { annotation, value } = mark;
        if changed {
            format!("{place}: {annotation}: {value}\n")
        } else {
            format!("{place}: unchanged, {annotation}: {value} is there already\n")
        }
    })
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
