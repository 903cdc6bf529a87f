//! What the error texts of one poll say. Each is classified once for all policies; `diagnose` decides how.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::api::status::{Confidence, RootCause};

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The cause that it names, or Unknown.
    pub cause: RootCause,
    /// If no rule decides it: the cause that known texts suggest. Only for a person to read.
    pub resembles: Option<RootCause>,
    /// How sure that is.
    pub confidence: Confidence,
    /// The rule that decided.
    pub rule: &'static str,
    /// True if the text only says that an HTTP API refused a request: because of the key, or because of its object.
    pub is_bare_refusal: bool,
}

/// The readings of the texts of a poll. Belongs to the list of the poll and goes with it.
#[derive(Debug, Default)]
pub struct Readings(Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    /// By type of the source, since that may decide what a text means, then by text.
    by_type: HashMap<String, HashMap<String, Reading>>,
    count: usize,
}

impl Readings {
    /// What `text` says, from a source of this type. `read` is asked only the first time.
    pub fn of(
        &self,
        text: &str,
        source_type: Option<&str>,
        read: impl FnOnce(&str, Option<&str>) -> Reading,
    ) -> Reading {
        // A panic elsewhere leaves readings that were made.
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let type_ = source_type.unwrap_or_default();
        let known = made.by_type.get(type_).and_then(|texts| texts.get(text));
        if let Some(known) = known {
            return *known;
        }
        let reading = read(text, source_type);
        made.count += 1;
        let texts = made.by_type.entry(type_.to_owned()).or_default();
        texts.insert(text.to_owned(), reading);
        reading
    }

    /// How often a text was read.
    #[must_use]
    pub fn made(&self) -> usize {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.count
    }
}
