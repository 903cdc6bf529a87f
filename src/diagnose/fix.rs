//! Has the reason been fixed for which `PostHog` switched a table off?
//!
//! | the failure | the sign of a fix |
//! |---|---|
//! | credentials, rights, integration, tunnel, network, encryption, settings | the source refused to list the table's columns, and lists them now |
//! | primary key | it is another one than at the failure, or for a missing one the source declares another |
//! | any of a table that syncs by change data capture | `PostHog`'s check of the prerequisites is good |
//!
//! Only a change proves a fix: a source that answers at the first try may have answered all the time. Observations are kept in `status.state`, so
//! that they survive a restart.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{
    causes::{Cause, FixedBy},
    cdc,
    failure::Failure,
    verdict::Verdict,
};
use crate::{
    api::status::{FixWatch, State},
    observe::{Probe, Snapshot, probes::Probed},
    posthog::{
        PostHogError,
        probe::{IncrementalFields, SchemaDetail},
        wire::{Schema, Source},
    },
};

/// How long after a table was switched off the source is asked first; doubled from time to time.
pub const FIRST_TRY: SignedDuration = SignedDuration::from_mins(10);
/// The longest time between two tries.
const LAST_TRY: SignedDuration = SignedDuration::from_hours(6);
/// The fingerprint of a key without columns.
const NO_KEY: &str = "none";

/// Whether the reason for which a table was switched off was fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fix {
    /// Not checked yet.
    Open,
    /// No sign of a fix.
    No,
    /// It looks so, but no change was seen: a person decides.
    Likely,
    /// A change was seen.
    Proved,
}

/// The sign of a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// The source answers.
    Answers,
    /// The primary key is another one.
    Key,
    /// The check of change data capture is good.
    Check,
}

/// A table that was switched off after a failure whose fix can be detected.
#[derive(Debug, Clone, Copy)]
pub struct SwitchedOff<'a> {
    state: &'a State,
    snapshot: &'a Snapshot,
    source: &'a Source,
    schema: &'a Schema,
    failure: &'a Failure,
    by_posthog: Option<Timestamp>,
    sign: Sign,
}

impl<'a> SwitchedOff<'a> {
    /// The table with this verdict; none if it is on, or if a fix cannot be detected.
    #[must_use]
    pub fn new(
        state: &'a State,
        snapshot: &'a Snapshot,
        (source, schema): (&'a Source, &'a Schema),
        verdict: &'a Verdict,
    ) -> Option<Self> {
        let Verdict::Disabled {
            after: Some(failure),
            by_posthog,
        } = verdict
        else {
            return None;
        };
        Some(Self {
            state,
            snapshot,
            source,
            schema,
            failure,
            by_posthog: *by_posthog,
            sign: sign(
                schema,
                Cause::of(failure.cause).fixed_by,
                by_posthog.is_some(),
            )?,
        })
    }

    /// Whether `PostHog` was seen to switch it off.
    #[must_use]
    pub const fn is_seen(&self) -> bool {
        self.by_posthog.is_some()
    }

    /// Whether its key, and not the source, is what was wrong.
    #[must_use]
    pub fn is_about_key(&self) -> bool {
        self.sign == Sign::Key
    }

    /// Whether the reason for which it was switched off was fixed.
    #[must_use]
    pub fn fix(&self) -> Fix {
        match self.sign {
            Sign::Check => self.check(),
            Sign::Answers if !self.is_seen() => match self.snapshot.fields(&self.schema.id) {
                None => Fix::Open,
                Some(Ok(_)) => Fix::Likely,
                Some(Err(_)) => Fix::No,
            },
            Sign::Answers => self.watch().map_or(Fix::Open, |watch| {
                match (watch.refused, watch.fixed_since) {
                    (Some(_), Some(_)) => Fix::Proved,
                    (None, Some(_)) => Fix::Likely,
                    (_, None) => Fix::No,
                }
            }),
            Sign::Key => match self.watch().and_then(|watch| watch.fixed_since) {
                Some(_) => Fix::Proved,
                None => Fix::No,
            },
        }
    }

    /// It covers the whole source, and never shows who fixed what: a person decides.
    fn check(&self) -> Fix {
        let seen = self.snapshot.seen(&self.schema.id);
        let since = self.by_posthog.or(seen.map(|seen| seen.text_since));
        let probed = self.snapshot.probes.prerequisites.get(&self.source.id);
        let Some(since) = since.filter(|since| probed.is_some_and(|probed| probed.at > *since))
        else {
            return Fix::Open;
        };
        if cdc::is_prepared_since(self.snapshot, &self.source.id, since) {
            Fix::Likely
        } else {
            Fix::No
        }
    }

    /// What to remember of the tries of a table that `PostHog` was seen to switch off; none before the first.
    #[must_use]
    pub fn watch(&self) -> Option<FixWatch> {
        let since = self.by_posthog?;
        let mut states = self.state.schemas.iter();
        let before = states.find(|state| state.id == self.schema.id);
        let before = before.and_then(|state| state.fix.as_ref());
        // What was seen before it was switched off says nothing of this failure.
        let before = before.filter(|watch| watch.asked > since);
        match self.sign {
            Sign::Answers => asked_source(before, after(self.fields(), since)),
            Sign::Key => asked_key(
                before,
                after(self.detail(), since),
                after(self.fields(), since).filter(|_| self.is_without_key()),
            ),
            Sign::Check => None,
        }
    }

    /// What to probe, and from when on; `row_since` is since when its row is unchanged. None for change data capture, whose check covers the whole
    /// source.
    pub(super) fn questions(&self, row_since: Timestamp) -> Option<(Vec<Probe>, Timestamp)> {
        let id = || self.schema.id.to_string();
        let probes = match self.sign {
            Sign::Check => return None,
            Sign::Answers => vec![Probe::Fields(id())],
            Sign::Key if self.is_without_key() => vec![Probe::Detail(id()), Probe::Fields(id())],
            Sign::Key => vec![Probe::Detail(id())],
        };
        let first = self.by_posthog.unwrap_or(row_since);
        let (last, wait) = match (self.watch(), self.fields()) {
            (Some(watch), _) => (watch.asked, wait(watch.tries)),
            // Nobody waits for these: a person who switched them off wants them off.
            (None, Some(last)) if !self.is_seen() => {
                let tries = i64::from(last.in_vain);
                let wait = if tries == 0 { LAST_TRY } else { wait(tries) };
                (last.asked, wait)
            }
            (None, _) => (first, FIRST_TRY),
        };
        Some((probes, last.checked_add(wait).ok()?))
    }

    fn is_without_key(&self) -> bool {
        Cause::of(self.failure.cause).fixed_by == FixedBy::FirstKey
    }

    fn fields(&self) -> Option<&'a Probed<IncrementalFields>> {
        self.snapshot.probes.fields.get(self.schema.id.as_str())
    }

    fn detail(&self) -> Option<&'a Probed<SchemaDetail>> {
        self.snapshot.probes.details.get(self.schema.id.as_str())
    }
}

fn sign(schema: &Schema, fixed_by: FixedBy, seen: bool) -> Option<Sign> {
    let captured = schema.syncs_by("cdc");
    let by_source = if captured { Sign::Check } else { Sign::Answers };
    match fixed_by {
        FixedBy::Nothing => None,
        FixedBy::Source => Some(by_source),
        FixedBy::SourceUnlessSeen => (!seen).then_some(by_source),
        FixedBy::CdcCheck => captured.then_some(Sign::Check),
        // What the key was at the failure is known only of those that were seen to be switched off.
        FixedBy::Key | FixedBy::FirstKey => (seen && !captured).then_some(Sign::Key),
    }
}

/// How long to wait after this many tries.
fn wait(tries: i64) -> SignedDuration {
    let doubled = u32::try_from(tries).ok().and_then(|n| 1_i32.checked_shl(n));
    let wait = doubled.and_then(|times| FIRST_TRY.checked_mul(times));
    wait.filter(SignedDuration::is_positive)
        .map_or(LAST_TRY, |wait| wait.min(LAST_TRY))
}

fn after<A>(probed: Option<&Probed<A>>, since: Timestamp) -> Option<&Probed<A>> {
    probed.filter(|probed| probed.asked > since)
}

/// One try more, at `asked`.
fn next(before: Option<&FixWatch>, asked: Timestamp) -> FixWatch {
    let before = before.cloned();
    FixWatch {
        tries: before.as_ref().map_or(0, |watch| watch.tries) + 1,
        asked,
        ..before.unwrap_or(FixWatch {
            tries: 0,
            asked,
            refused: None,
            fixed_since: None,
            key: None,
            detected: None,
        })
    }
}

fn asked_source(
    before: Option<&FixWatch>,
    probed: Option<&Probed<IncrementalFields>>,
) -> Option<FixWatch> {
    let is_new = |asked| before.is_none_or(|watch| watch.asked < asked);
    let Some(probed) = probed.filter(|probed| is_new(probed.asked)) else {
        return before.cloned();
    };
    let mut watch = next(before, probed.asked);
    match &probed.answer {
        // An earlier good answer, kept because this try brought none.
        _ if probed.at < probed.asked => {}
        Ok(_) => {
            watch.fixed_since.get_or_insert(probed.at);
        }
        Err(PostHogError::Refused { status: 400, .. }) => {
            (watch.refused, watch.fixed_since) = (Some(probed.at), None);
        }
        Err(_) => {}
    }
    Some(watch)
}

fn asked_key(
    before: Option<&FixWatch>,
    detail: Option<&Probed<SchemaDetail>>,
    fields: Option<&Probed<IncrementalFields>>,
) -> Option<FixWatch> {
    let times = [
        detail.map(|probed| probed.asked),
        fields.map(|probed| probed.asked),
    ];
    let asked = times.into_iter().flatten().max();
    let is_new = |asked: &Timestamp| before.is_none_or(|watch| watch.asked < *asked);
    let Some(asked) = asked.filter(is_new) else {
        return before.cloned();
    };
    let mut watch = next(before, asked);
    let key = detail.and_then(|probed| probed.answer.as_ref().ok());
    let key = key.map(|detail| print(detail.primary_key_columns.as_deref()));
    let detected = fields.and_then(|probed| probed.answer.as_ref().ok());
    let detected = detected.map(|fields| print(fields.detected_primary_keys.as_deref()));
    let first = |old: Option<String>, now: &Option<String>| old.or_else(|| now.clone());
    (watch.key, watch.detected) = (first(watch.key, &key), first(watch.detected, &detected));
    let is_other = differs(watch.key.as_ref(), key.as_ref())
        || differs(watch.detected.as_ref(), detected.as_ref());
    watch.fixed_since = is_other.then(|| watch.fixed_since.unwrap_or(asked));
    Some(watch)
}

/// True if there is a key now that is not the one that failed.
fn differs(failed: Option<&String>, now: Option<&String>) -> bool {
    matches!((failed, now), (Some(failed), Some(now)) if failed != now && now != NO_KEY)
}

/// A fingerprint of a key, independent of the order of its columns: names may be long, and a status is small.
fn print(columns: Option<&[String]>) -> String {
    let mut columns = columns.unwrap_or_default().to_vec();
    if columns.is_empty() {
        return NO_KEY.to_owned();
    }
    columns.sort();
    let digest = Sha256::digest(columns.join("\0").as_bytes());
    digest[..8].iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn refused(status: u16) -> Result<IncrementalFields, PostHogError> {
        Err(PostHogError::Refused {
            call: "x",
            status,
            detail: String::new(),
        })
    }

    /// What is known after these answers, a minute apart.
    fn after_all(answers: &[Result<IncrementalFields, PostHogError>]) -> (bool, bool, i64) {
        let (mut watch, mut probed, mut minute) = (None, None, 0);
        for answer in answers {
            minute += 1;
            probed = Some(Probed::new(at(minute), answer.clone(), probed));
            watch = asked_source(watch.as_ref(), probed.as_ref());
            // Nothing new: nothing changes.
            assert_eq!(asked_source(watch.as_ref(), probed.as_ref()), watch);
        }
        let watch: FixWatch = watch.unwrap();
        (
            watch.refused.is_some(),
            watch.fixed_since.is_some(),
            watch.tries,
        )
    }

    #[test]
    fn only_a_400_and_then_an_answer_prove_a_fix() {
        let ok = || Ok(IncrementalFields::default());
        assert_eq!(after_all(&[ok()]), (false, true, 1));
        assert_eq!(after_all(&[refused(400)]), (true, false, 1));
        assert_eq!(after_all(&[refused(400), ok()]), (true, true, 2));
        assert_eq!(after_all(&[ok(), refused(400)]), (true, false, 2));
        // Neither silence nor another refusal is a sign of anything.
        assert_eq!(after_all(&[refused(503), ok()]), (false, true, 2));
        assert_eq!(after_all(&[refused(403), ok()]), (false, true, 2));
        let silent_since = [refused(400), ok(), refused(503)];
        assert_eq!(after_all(&silent_since), (true, true, 3));
    }

    #[test]
    fn the_tries_become_rarer() {
        let minutes: Vec<i64> = (0..8).map(|tries| wait(tries).as_mins()).collect();
        assert_eq!(minutes, [10, 20, 40, 80, 160, 320, 360, 360]);
        for odd in [-1, 31, 32, i64::MAX] {
            assert_eq!(wait(odd), LAST_TRY, "{odd}");
        }
    }

    #[test]
    fn a_key_is_identified_by_its_columns_and_none_is_no_other_key() {
        let key = |columns: &[&str]| {
            let columns: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
            Some(print(Some(&columns)))
        };
        assert_eq!(key(&["a", "b"]), key(&["b", "a"]));
        assert!(differs(key(&["a"]).as_ref(), key(&["a", "b"]).as_ref()));
        assert!(differs(key(&[]).as_ref(), key(&["a"]).as_ref()));
        assert!(!differs(key(&["a"]).as_ref(), key(&[]).as_ref()));
        assert!(!differs(None, key(&["a"]).as_ref()));
    }
}
