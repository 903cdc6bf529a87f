//! What kind of PostHog it is, and when its loader is down.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::clock::plus;
use crate::period;

/// How long after its start the loader sweeps for the first time, and how often afterwards.
const SWEEPS_EVERY: SignedDuration = SignedDuration::from_secs(300);

/// The traits in which one PostHog differs from another.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstanceSpec {
    /// Which lines reach the logs.
    pub lines: Lines,
    /// Runs of v3 take a lock for each table. Old instances do not.
    pub lock: bool,
    /// Runs come from PostHog's own queue instead of Temporal: any Running row keeps the next one out.
    pub queue_runs: bool,
    /// PostHog does not know whether the holder of a lock is alive.
    pub takeover_ambiguous: bool,
    /// Silence of the loader after which PostHog gives up a run, in the loader and at the next start; never, if none.
    #[serde(deserialize_with = "period::option::deserialize")]
    pub stale_after: Option<SignedDuration>,
    /// How far the clock of the logs is ahead of that of the jobs; behind, if negative.
    #[serde(deserialize_with = "period::deserialize")]
    pub log_clock_ahead: SignedDuration,
    /// Lines older than this are gone.
    #[serde(deserialize_with = "period::deserialize")]
    pub log_retention: SignedDuration,
    /// Lines that reach the log only a while after they were written.
    pub late_lines: Vec<LateLines>,
    /// What another version of PostHog writes instead of lines that begin like this; nothing, if empty.
    pub words: BTreeMap<String, String>,
    /// When the loader is down, for every table.
    pub loader_down: Vec<Outage>,
    /// What its API has. A version of August 2025 has none of it: `api: old`.
    pub api: Api,
}

/// Lines that begin like this reach the log so much later.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LateLines {
    /// How they begin.
    pub begins: String,
    /// How much later.
    #[serde(deserialize_with = "period::deserialize")]
    pub by: SignedDuration,
}

impl Default for InstanceSpec {
    fn default() -> Self {
        Self {
            lines: Lines::All,
            lock: true,
            queue_runs: false,
            takeover_ambiguous: false,
            stale_after: Some(SignedDuration::from_hours(6)),
            log_clock_ahead: SignedDuration::ZERO,
            log_retention: SignedDuration::from_hours(90 * 24),
            late_lines: Vec::new(),
            words: BTreeMap::new(),
            loader_down: Vec::new(),
            api: Api::default(),
        }
    }
}

/// What tells a PostHog of today from one of August 2025.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a feature that a version of PostHog has or lacks by itself"
)]
pub struct Api {
    /// Keys with scopes are let in, not only those without.
    pub scoped_keys: bool,
    /// Sources say how they are accessed.
    pub access_method: bool,
    /// Runs can be cancelled.
    pub cancel: bool,
    /// Runs say when they ended.
    pub finished_at: bool,
    /// `?schemas=` of a source's runs is heeded.
    pub jobs_filter: bool,
    /// A PATCH without `sync_type` leaves it as it is.
    pub patch_keeps_sync_type: bool,
    /// What a client or a source did wrong is answered with 400, not 500.
    pub answers_400: bool,
}

impl Api {
    /// All of it, or none.
    const fn all(has: bool) -> Self {
        Self {
            scoped_keys: has,
            access_method: has,
            cancel: has,
            finished_at: has,
            jobs_filter: has,
            patch_keeps_sync_type: has,
            answers_400: has,
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        Self::all(true)
    }
}

/// `new`, `old`, or a new one that lacks this: `{lacks: [cancel]}`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ApiSpec {
    New,
    Old,
    Lacks(Vec<ApiPart>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ApiPart {
    ScopedKeys,
    AccessMethod,
    Cancel,
    FinishedAt,
    JobsFilter,
    PatchKeepsSyncType,
    #[serde(rename = "answers_400")]
    Answers400,
}

impl<'de> Deserialize<'de> for Api {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = match ApiSpec::deserialize(deserializer)? {
            ApiSpec::New => return Ok(Self::all(true)),
            ApiSpec::Old => return Ok(Self::all(false)),
            ApiSpec::Lacks(parts) => parts,
        };
        let mut api = Self::all(true);
        for part in parts {
            let has = match part {
                ApiPart::ScopedKeys => &mut api.scoped_keys,
                ApiPart::AccessMethod => &mut api.access_method,
                ApiPart::Cancel => &mut api.cancel,
                ApiPart::FinishedAt => &mut api.finished_at,
                ApiPart::JobsFilter => &mut api.jobs_filter,
                ApiPart::PatchKeepsSyncType => &mut api.patch_keeps_sync_type,
                ApiPart::Answers400 => &mut api.answers_400,
            };
            *has = false;
        }
        Ok(api)
    }
}

/// Which lines reach the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lines {
    /// Those of extraction and loader.
    All,
    /// The loader's are not tied to a run: PostHog before May 2026.
    NoLoader,
    /// There is no path from runs to logs.
    None,
}

/// A stretch without a loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// When it begins, from the scenario's start; before it, if negative (`-5h`).
    #[serde(deserialize_with = "period::deserialize")]
    pub after: SignedDuration,
    /// How long it lasts; until somebody starts the loader again, if none.
    #[serde(
        default,
        rename = "for",
        deserialize_with = "period::option::deserialize"
    )]
    pub lasts: Option<SignedDuration>,
}

/// When the loader is down: from, and until.
#[derive(Debug, Clone, Default)]
pub(crate) struct Downtimes(Vec<(Timestamp, Option<Timestamp>)>);

impl Downtimes {
    pub(crate) fn of(outages: &[Outage], start: Timestamp) -> Self {
        let times = outages.iter().map(|outage| {
            let from = plus(start, outage.after);
            (from, outage.lasts.map(|lasts| plus(from, lasts)))
        });
        Self(times.collect())
    }

    pub(crate) fn stop(&mut self, at: Timestamp) {
        if self.up_at(at) == Some(at) {
            self.0.push((at, None));
        }
    }

    pub(crate) fn start(&mut self, at: Timestamp) {
        for (from, until) in &mut self.0 {
            if *from <= at && until.is_none_or(|until| until > at) {
                *until = Some(at);
            }
        }
    }

    /// The first moment from `at` on at which the loader is up.
    pub(crate) fn up_at(&self, at: Timestamp) -> Option<Timestamp> {
        let mut up = at;
        // One outage may begin where another ends.
        for _ in 0..=self.0.len() {
            let down = |(from, until): &&(Timestamp, Option<Timestamp>)| {
                *from <= up && until.is_none_or(|until| up < until)
            };
            match self.0.iter().find(down) {
                Some((_, Some(until))) => up = *until,
                Some((_, None)) => return None,
                None => return Some(up),
            }
        }
        Some(up)
    }

    /// When the loader goes down between these two, the second excluded.
    pub(crate) fn goes_down(&self, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let begins = self.0.iter().map(|(begins, _)| *begins);
        begins.filter(|at| from <= *at && *at < until).min()
    }

    /// The first sweep of the loader from `at` on. A loader that has just come back polls its queue before it sweeps.
    pub(crate) fn sweep_at(&self, at: Timestamp) -> Option<Timestamp> {
        let up = self.up_at(at)?;
        let back = self.0.iter().filter_map(|(_, until)| *until);
        let back = back.filter(|until| *until <= up).max();
        let sweep = up.max(back.map_or(up, |back| plus(back, SWEEPS_EVERY)));
        match self.up_at(sweep) {
            Some(up) if up == sweep => Some(sweep),
            Some(up) => Some(plus(up, SWEEPS_EVERY)),
            None => None,
        }
    }
}
