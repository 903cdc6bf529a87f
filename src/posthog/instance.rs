//! What a `PostHog` shows, and what it says that this version of the operator does not know. Versions differ by years: what one
//! does not show cannot be judged there, and an old one is never written to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use strum::{IntoEnumIterator as _, VariantArray as _};

use super::redact;

/// Most names of one kind that are kept.
const MOST_NAMES: usize = 20;
/// Longest name that is kept, in characters.
const NAME_CAP: usize = 60;
/// Words of a log line that make its family.
const WORDS_OF_A_FAMILY: usize = 6;

/// What an instance may show or have. Those of August 2025, and self-hosted ones of that age, have none of the first six.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "snake_case")]
pub enum Feature {
    /// Personal API keys with scopes are let in.
    ScopedKeys,
    /// Sources say how they are accessed.
    AccessMethod,
    /// A run can be cancelled.
    Cancel,
    /// Runs say when they ended.
    RunTimes,
    /// The list of runs can be asked for those of one table.
    RunFilter,
    /// A change of a table leaves its sync type as it is.
    KeepsSyncType,
    /// Runs mark their phases in the log, as the v3 pipeline does.
    PhaseMarkers,
    /// The loader of the v3 pipeline writes into the log of a run.
    LoaderLines,
    /// Queries are answered with this key.
    Queries,
}

impl Feature {
    /// All features.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// What an instance without it does not do, and what is not judged or done there because of that; none if nothing is lost.
    #[must_use]
    pub const fn without(self) -> Option<&'static str> {
        Some(match self {
            Self::ScopedKeys => "it refuses API keys with scopes",
            Self::AccessMethod => {
                "sources have no access_method: every source is treated as imported, and nothing is written"
            }
            Self::Cancel => "runs cannot be cancelled: dead runs are only reported",
            Self::RunTimes => {
                "runs have no finished_at: no run proves that PostHog's workers run, so a silent run is never judged dead"
            }
            Self::RunFilter => {
                "the list of runs ignores the filter by table: the health of a table without a run among the newest 50 of its source is unknown"
            }
            Self::KeepsSyncType => {
                "changing a table sets its sync type to null: no table is changed"
            }
            // The v2 pipeline: a run extracts until it ends.
            Self::PhaseMarkers => return None,
            Self::LoaderLines => {
                "the loader writes no log lines: the health of a run that waits for the loader is unknown"
            }
            Self::Queries => "queries are refused: data checks are not possible",
        })
    }

    /// Whether an instance without it is too old to be written to.
    const fn is_of_age(self) -> bool {
        match self {
            Self::AccessMethod
            | Self::Cancel
            | Self::RunTimes
            | Self::RunFilter
            | Self::KeepsSyncType => true,
            // Seen before anything is read; a matter of rights; a matter of the pipeline.
            Self::ScopedKeys | Self::PhaseMarkers | Self::LoaderLines | Self::Queries => false,
        }
    }
}

/// A kind of thing that `PostHog` says.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::EnumIter,
)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "snake_case")]
pub enum UnfamiliarKind {
    /// Status of a table.
    TableStatus,
    /// Status of a run.
    RunStatus,
    /// How a table is synced.
    SyncType,
    /// How often a table is synced.
    Frequency,
    /// How a source is accessed.
    AccessMethod,
    /// Lines of the log that begin alike.
    LogLine,
    /// An error whose body has none of the known shapes.
    ErrorShape,
    /// An answer that cannot be read.
    Answer,
}

impl UnfamiliarKind {
    /// All kinds.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Its name in a sentence.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::TableStatus => "status of a table",
            Self::RunStatus => "status of a run",
            Self::SyncType => "sync type",
            Self::Frequency => "sync frequency",
            Self::AccessMethod => "access method",
            Self::LogLine => "log line",
            Self::ErrorShape => "shape of an error",
            Self::Answer => "answer",
        }
    }
}

/// What is known of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    shows: BTreeMap<Feature, bool>,
    unfamiliar: BTreeMap<UnfamiliarKind, BTreeSet<String>>,
}

impl Instance {
    /// Whether it has this; none if that is not known.
    #[must_use]
    pub fn shows(&self, feature: Feature) -> Option<bool> {
        self.shows.get(&feature).copied()
    }

    /// What it lacks for certain.
    pub fn lacks(&self) -> impl Iterator<Item = Feature> + '_ {
        let lacking = self.shows.iter().filter(|(_, shows)| !**shows);
        lacking.map(|(feature, _)| *feature)
    }

    /// Why nothing may be written to it, if so.
    #[must_use]
    pub fn why_only_observed(&self) -> Option<String> {
        let mut lacks = self.lacks().filter(|feature| feature.is_of_age());
        let first = lacks.next().and_then(Feature::without)?;
        Some(format!(
            "this PostHog is too old for safe writes ({first}): the operator only observes until it is upgraded"
        ))
    }

    /// What it says that this version does not know, by kind.
    pub fn unfamiliar(&self) -> impl Iterator<Item = (UnfamiliarKind, &BTreeSet<String>)> {
        self.unfamiliar.iter().map(|(kind, names)| (*kind, names))
    }

    /// How many names of this kind are not known, at most 20.
    #[must_use]
    pub fn count(&self, kind: UnfamiliarKind) -> usize {
        self.unfamiliar.get(&kind).map_or(0, BTreeSet::len)
    }

    /// Records that it has this, or lacks it. The latest observation wins: instances are upgraded.
    pub fn note(&mut self, feature: Feature, shows: bool) {
        self.shows.insert(feature, shows);
    }

    /// Records something that this version does not know. Bounded; nothing that comes from a customer is kept: a name is short,
    /// redacted, and of log lines only the words before the first value.
    pub fn meets(&mut self, kind: UnfamiliarKind, name: &str) {
        let name = redact::text(name, NAME_CAP);
        let names = self.unfamiliar.entry(kind).or_default();
        if names.len() < MOST_NAMES {
            names.insert(name);
        }
    }

    /// What it does not show, what is not judged there because of that, and what it says that is not known: a sentence each.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let lacks = self.lacks().filter_map(Feature::without).map(str::to_owned);
        let unfamiliar = UnfamiliarKind::iter().filter_map(|kind| {
            let names = self.unfamiliar.get(&kind)?;
            let shown: Vec<String> = names
                .iter()
                .take(3)
                .map(|name| format!("{name:?}"))
                .collect();
            let more = match names.len().saturating_sub(shown.len()) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            Some(format!(
                "values that this version of the operator does not know: {} {}{more}",
                kind.in_words(),
                shown.join(", ")
            ))
        });
        lacks.chain(unfamiliar).collect()
    }
}

/// The words with which a log line begins, up to the first that holds a value.
#[must_use]
pub fn family(message: &str) -> String {
    let is_word = |word: &&str| {
        word.chars()
            .all(|c| c.is_alphabetic() || matches!(c, '_' | '-' | ':' | ',' | '.'))
    };
    let words: Vec<&str> = message
        .split_whitespace()
        .take(WORDS_OF_A_FAMILY)
        .take_while(is_word)
        .collect();
    if words.is_empty() {
        "…".to_owned()
    } else {
        words.join(" ")
    }
}

/// What is known of an instance, shared by all policies of its project and key. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Noted(Arc<Mutex<Instance>>);

impl Noted {
    /// What is known now.
    #[must_use]
    pub fn now(&self) -> Instance {
        self.lock().clone()
    }

    /// Records something.
    pub fn note(&self, take: impl FnOnce(&mut Instance)) {
        take(&mut self.lock());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Instance> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_of_a_log_line_ends_before_the_first_value() {
        for (line, expected) in [
            ("Compacting table with 5 files", "Compacting table with"),
            ("batch_moved batch_index=4", "batch_moved"),
            ("Loaded 'secret value' into x", "Loaded"),
            ("12 rows", "…"),
            ("a b c d e f g h", "a b c d e f"),
        ] {
            assert_eq!(family(line), expected, "{line}");
        }
    }

    #[test]
    fn names_are_bounded_and_an_upgrade_is_accepted() {
        let mut instance = Instance::default();
        for number in 0..100 {
            instance.meets(UnfamiliarKind::TableStatus, &format!("Status {number}"));
        }
        assert_eq!(instance.count(UnfamiliarKind::TableStatus), MOST_NAMES);
        let said = instance.sentences();
        assert!(said[0].ends_with("and 17 more"), "{said:?}");
        instance.note(Feature::Cancel, false);
        assert!(instance.why_only_observed().is_some());
        instance.note(Feature::Cancel, true);
        assert_eq!(instance.why_only_observed(), None);
    }
}
