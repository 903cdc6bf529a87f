//! Tables that were switched off without an error. `PostHog`'s discovery does that every few hours to tables that the source no
//! longer shows, and calls them Completed; a person may do it too. What was on before tells that it happened, and the customer's
//! source, asked for the table's columns, who probably did it.

use jiff::{SignedDuration, Timestamp};

use super::{
    causes::{Advice, Cause, StrongerSignal, rules},
    failure::{Failure, failure, says_gone},
    known::Known,
    problem::{Fact, NAME_CAP, Problem},
    source_facts::SourceFacts,
    went_off::Records,
    words::seconds,
};
use crate::{
    api::status::{Confidence, RootCause, Severity, SourceOn, WentOff},
    observe::{Newest, Seen, probes::Probed},
    posthog::{
        PostHogError,
        probe::IncrementalFields,
        redact,
        wire::{Schema, SchemaStatus, Source},
    },
};

/// How long it is reported that a person switched a table off.
const PERSON_REPORTED: SignedDuration = SignedDuration::from_hours(24);
/// Tables of which the source is asked, of those that were switched off between the same polls: they have one cause.
const ASKED: usize = 5;
/// The same of the rest, if the source lacked some of them.
const ASKED_AT_MOST: usize = 45;

/// Who switched a table off, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// `PostHog`, because the source does not show the table, or did not.
    Source,
    /// A person.
    Person,
    /// Unknown.
    Unknown,
}

/// Tables of one source that were switched off between the same two polls, or before anybody watched.
struct Group<'a> {
    source: &'a Source,
    tables: Vec<&'a Schema>,
    /// None for those that are only known from old traces: Completed, off, and an error that no success has cleared.
    seen: Option<&'a WentOff>,
}

fn groups<'a>(known: &Known<'a>) -> impl Iterator<Item = Group<'a>> {
    let sources = known.snapshot.selected_sources();
    sources.flat_map(|source| groups_of(known, source))
}

fn groups_of<'a>(known: &Known<'a>, source: &'a Source) -> Vec<Group<'a>> {
    if !source.is_imported() {
        return Vec::new();
    }
    let records = Records::new(known.snapshot, &source.id);
    let group = |seen: Option<&'a WentOff>| Group {
        source,
        tables: Vec::new(),
        seen,
    };
    let mut seen: Vec<Group<'a>> = records.all.iter().map(|one| group(Some(one))).collect();
    let mut unseen = group(None);
    let off = source.schemas.iter().filter(|schema| schema.is_off());
    for schema in off.filter(|schema| known.policy.selector.selects_schema(&schema.name)) {
        match records.place_of.get(schema.id.as_str()) {
            Some(place) if !failed(schema) => seen[*place].tables.push(schema),
            None if schema.is_painted() => unseen.tables.push(schema),
            Some(_) | None => {}
        }
    }
    let groups = seen.into_iter().chain([unseen]);
    groups.filter(|group| !group.tables.is_empty()).collect()
}

/// A table that is off after a failure: its finding is based on that failure.
fn failed(schema: &Schema) -> bool {
    schema.status() == SchemaStatus::Failed && schema.has_error()
}

/// The tables of which the source is to be asked whether it shows them: a few of each group. If it lacked some, one after the other of
/// the rest, to know which of them it shows again.
pub fn to_ask<'a>(known: &Known<'a>) -> Vec<&'a Schema> {
    let of_group = |group: Group<'a>| {
        let few = group.tables.iter().take(ASKED).copied();
        let lacks = group.seen.is_some_and(|seen| seen.gone);
        let rest = group.tables.iter().skip(ASKED).take(ASKED_AT_MOST).copied();
        let open = |schema: &&Schema| !matches!(group.answer(known, schema), Some(probed) if probed.answer.is_ok());
        let rest: Vec<&Schema> = rest.filter(|_| lacks).filter(open).take(ASKED).collect();
        few.chain(rest).collect::<Vec<_>>()
    };
    groups(known).flat_map(of_group).collect()
}

/// Tables of a source that `PostHog` switched off because the source did not show them, and that the source shows again.
pub struct Returned<'a> {
    /// The source.
    pub source: &'a Source,
    /// The tables. The source was seen to lack each of them: none that a person switched off.
    pub tables: Vec<&'a Schema>,
    /// What is said of them.
    pub problem: Problem,
}

/// The tables that are shown again, by source. `PostHog` does not switch them on.
#[must_use]
pub fn returned<'a>(known: &Known<'a>) -> Vec<Returned<'a>> {
    let mut all: Vec<Returned<'a>> = Vec::new();
    for group in groups(known).filter(|group| group.is_gone(known) == Some(false)) {
        let lacked = group.lacked();
        let is_back = |schema: &&Schema| {
            let answer = group.answer(known, schema);
            lacked.contains(&SourceOn::short(&schema.id))
                && answer.is_some_and(|probed| probed.answer.is_ok())
        };
        let tables: Vec<&Schema> = group.tables.iter().copied().filter(is_back).collect();
        let Some(problem) = group.problem(known).filter(|_| !tables.is_empty()) else {
            continue;
        };
        match all.last_mut() {
            Some(last) if last.source.id == group.source.id => last.tables.extend(tables),
            _ => all.push(Returned {
                source: group.source,
                tables,
                problem,
            }),
        }
    }
    all
}

impl Group<'_> {
    /// What the source said of a table since it was switched off.
    fn answer<'a>(
        &self,
        known: &Known<'a>,
        schema: &Schema,
    ) -> Option<&'a Probed<IncrementalFields>> {
        let probed = known.snapshot.probes.fields.get(schema.id.as_str())?;
        let since = self.seen.map(|seen| seen.by);
        since
            .is_none_or(|since| probed.at >= since)
            .then_some(probed)
    }

    /// The ends of the ids of those that the source was found to lack.
    fn lacked(&self) -> Vec<&str> {
        let lacked = self.seen.map_or("", |seen| &seen.lacked);
        lacked.split_ascii_whitespace().collect()
    }

    /// The same, with what it lacks now.
    fn lacks_now(&self, known: &Known<'_>) -> String {
        let before = self.lacked();
        let lacks = |schema: &&Schema| {
            before.contains(&SourceOn::short(&schema.id))
                || self.is_lacking(known, schema) == Some(true)
        };
        let now = self.tables.iter().copied().filter(lacks);
        now.map(|schema| SourceOn::short(&schema.id))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Whether the source does not show a table; none if it cannot be told.
    fn is_lacking(&self, known: &Known<'_>, schema: &Schema) -> Option<bool> {
        match &self.answer(known, schema)?.answer {
            Ok(_) => Some(false),
            Err(PostHogError::Refused {
                status: 400,
                detail,
                ..
            }) if says_gone(detail) => Some(true),
            Err(_) => None,
        }
    }

    fn who(&self, known: &Known<'_>) -> Who {
        if self.seen.is_some_and(|seen| seen.gone) || self.is_gone(known) == Some(true) {
            return Who::Source;
        }
        match self.is_gone(known) {
            Some(_) => Who::Person,
            None => Who::Unknown,
        }
    }

    /// Whether the source does not show the tables; none if it is unknown.
    fn is_gone(&self, known: &Known<'_>) -> Option<bool> {
        let asked = self.tables.iter().take(ASKED);
        let answers: Vec<Option<bool>> =
            asked.map(|schema| self.is_lacking(known, schema)).collect();
        if answers.contains(&Some(true)) {
            return Some(true);
        }
        (!answers.contains(&None)).then_some(false)
    }

    /// Whether all tables of the source went at once.
    fn are_all(&self) -> bool {
        self.seen.is_some_and(|seen| seen.all)
    }

    fn severity(&self, known: &Known<'_>, who: Who) -> Severity {
        let several = self.seen.is_some_and(|seen| seen.count > 1);
        match who {
            Who::Source if self.are_all() => Severity::Error,
            Who::Person | Who::Unknown if self.are_all() && several => Severity::Error,
            Who::Person => Severity::Info,
            // It is unknown when these were switched off: the answer of the source is worth waiting for.
            Who::Unknown if self.seen.is_none() && !known.policy.may_act() => Severity::Info,
            Who::Source | Who::Unknown => Severity::Warning,
        }
    }

    fn problem(&self, known: &Known<'_>) -> Option<Problem> {
        let who = self.who(known);
        let by = self.seen.map(|seen| seen.by);
        // Old traces do not show a person's decision.
        let reported = by.is_some_and(|by| known.now.duration_since(by) < PERSON_REPORTED);
        if who == Who::Person && !reported {
            return None;
        }
        let name = |schema: &Schema| redact::one_line(&schema.name, NAME_CAP);
        let (table, affected) = match self.tables.as_slice() {
            [one] => (Some((one.id.to_string(), name(one))), Vec::new()),
            several => (None, several.iter().map(|schema| name(schema)).collect()),
        };
        let (cause, rule, advice) = advice(who);
        let title = redact::one_line(&self.source.title(), 80);
        Some(Problem {
            table,
            affected,
            severity: self.severity(known, who),
            confidence: confidence(who),
            since: by,
            evidence: self.evidence(known),
            advice,
            ..Problem::of_source(
                title,
                &self.source.id,
                cause,
                rule,
                self.message(known, who),
            )
        })
    }

    fn message(&self, known: &Known<'_>, who: Who) -> String {
        let count = self.seen.map_or_else(
            || i64::try_from(self.tables.len()).unwrap_or(i64::MAX),
            |seen| seen.count,
        );
        let what = match (count, self.are_all()) {
            (1, false) => "Syncing was switched off".to_owned(),
            (1, true) => "Syncing of the only table of the source was switched off".to_owned(),
            (count, true) => {
                format!("Syncing of all {count} tables of the source was switched off")
            }
            (count, false) => format!("Syncing of {count} tables was switched off"),
        };
        let when = match self.seen {
            None => String::new(),
            Some(WentOff {
                after: Some(after),
                by,
                ..
            }) => format!(" between {} and {}", seconds(*after), seconds(*by)),
            Some(seen) => format!(" before {}", seconds(seen.by)),
        };
        let rows = self.tables.iter().filter_map(|schema| {
            let stored = schema.table.as_ref();
            stored.and_then(|table| table.row_count.get().copied())
        });
        let rows: i64 = rows.fold(0, i64::saturating_add);
        let why = match who {
            Who::Source if self.is_gone(known) == Some(false) => {
                "the source did not show them to PostHog, but does now; PostHog does not switch them on by itself"
            }
            Who::Source => {
                "the source does not show them to PostHog: dropped, renamed, or no longer readable for its user"
            }
            Who::Person => "the source shows them, so probably a person switched them off",
            Who::Unknown => "it is unknown who did it",
        };
        format!("{what}{when}, without an error ({rows} rows are kept): {why}")
    }

    fn evidence(&self, known: &Known<'_>) -> Vec<Fact> {
        let synced = self.tables.iter().filter_map(|schema| {
            let at = schema.last_synced_at.get()?;
            let name = redact::one_line(&schema.name, 80);
            Some(format!("the last sync of {name} began at {}", seconds(*at)))
        });
        let asked = self.tables.iter().take(ASKED).filter_map(|schema| {
            let name = redact::one_line(&schema.name, 80);
            Some(match &self.answer(known, schema)?.answer {
                Ok(_) => format!("the source has {name}"),
                Err(error) => format!(
                    "check of {name} in the source: {}",
                    redact::text(&error.to_string(), 200)
                ),
            })
        });
        asked
            .take(3)
            .chain(synced.take(3))
            .map(Fact::Said)
            .collect()
    }
}

const fn confidence(who: Who) -> Confidence {
    match who {
        Who::Source => Confidence::High,
        Who::Person => Confidence::Medium,
        Who::Unknown => Confidence::Low,
    }
}

const fn advice(who: Who) -> (RootCause, &'static str, Advice) {
    match who {
        Who::Source => (
            RootCause::TableMissing,
            rules::NOT_SHOWN,
            Advice::same(
                "Restore the tables at the source, or grant PostHog's user the right to read them. Then switch their sync on in PostHog, which does not do that by itself. If they were dropped for good, exclude them from the policy.",
            ),
        ),
        Who::Person => (
            RootCause::OperatorAction,
            "list/switched-off",
            Advice::same(
                "If this was not intended, switch the tables on in PostHog. Otherwise nothing needs to be done.",
            ),
        ),
        Who::Unknown => (
            RootCause::Unknown,
            "list/switched-off",
            Advice::same(
                "Check in PostHog whether the source still shows these tables, and who switched them off (activity log). Switch them on if their data is needed.",
            ),
        ),
    }
}

/// What somebody should know of tables that were switched off.
pub(super) fn problems(known: &Known<'_>) -> Vec<Problem> {
    groups(known)
        .filter_map(|group| group.problem(known))
        .chain(by_people(known))
        .collect()
}

/// True if a source was switched off as a whole, so that it is not well though none of its tables fails.
pub(super) fn is_off(known: &Known<'_>, source: &Source) -> bool {
    let mut problems =
        (groups_of(known, source).into_iter()).filter_map(|group| group.problem(known));
    problems.any(|problem| problem.severity == Severity::Error)
}

/// What was seen to be switched off since the source was last known not to show it: what of it is remembered as gone.
#[must_use]
pub fn remembered(known: &Known<'_>) -> Vec<WentOff> {
    let groups: Vec<Group<'_>> = groups(known).collect();
    let of = |record: &WentOff| {
        let mut own = groups.iter();
        own.find(|group| group.seen.is_some_and(|seen| std::ptr::eq(seen, record)))
    };
    let records = known.snapshot.changes.went_off.iter();
    records
        .filter(|record| {
            let mut sources = known.snapshot.selected_sources();
            sources.any(|source| source.id == record.source_id)
        })
        .map(|record| match of(record) {
            None => record.clone(),
            Some(group) => WentOff {
                gone: record.gone || group.is_gone(known) == Some(true),
                lacked: group.lacks_now(known),
                ..record.clone()
            },
        })
        .collect()
}

/// When a person was seen to switch off a table that had failed: between two polls between which no run of it failed, or in
/// a run that ended because of it, or after a failure for which `PostHog` switches nothing off.
#[must_use]
pub fn by_person(
    of: &SourceFacts<'_>,
    schema: &Schema,
    failure: &Failure,
    seen: Option<&Seen>,
) -> Option<Timestamp> {
    let off = of.went_off().of(schema)?;
    let run_probe = seen?.readable()?;
    let Newest::Job(job, _) = run_probe.newest() else {
        return None;
    };
    let failed_at = seen?.failed_at()?;
    let before = off.after.is_some_and(|after| failed_at <= after);
    let cause = Cause::of(failure.cause);
    let not_by_posthog = cause.retried_by_posthog && cause.doubt != StrongerSignal::Table;
    (before || job.was_stopped() || not_by_posthog).then_some(off.by)
}

/// Tables that failed and that a person switched off: information, for a day.
fn by_people(known: &Known<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (source, tables) in known.snapshot.sources.selected() {
        let of = SourceFacts::new(known.snapshot, source);
        let off = tables.filter(|schema| schema.is_off() && failed(schema));
        problems.extend(off.filter_map(|schema| off_by_person(known, &of, schema)));
    }
    problems
}

fn off_by_person(known: &Known<'_>, of: &SourceFacts<'_>, schema: &Schema) -> Option<Problem> {
    let seen = known.snapshot.seen(&schema.id);
    let failed_at = seen.and_then(Seen::failed_at);
    let failure = failure(known, of, schema, failed_at);
    let by = by_person(of, schema, &failure, seen)?;
    let (cause, rule, advice) = advice(Who::Person);
    (known.now.duration_since(by) < PERSON_REPORTED).then(|| Problem {
        table: Some((schema.id.to_string(), redact::one_line(&schema.name, NAME_CAP))),
        severity: Severity::Info,
        confidence: Confidence::Medium,
        since: Some(by),
        advice,
        ..Problem::of_source(
            redact::one_line(&of.source.title(), 80),
            &of.source.id,
            cause,
            rule,
            format!(
                "A person switched syncing off before {}: no run failed then for a reason for which PostHog switches tables off",
                seconds(by)
            ),
        )
    })
}
