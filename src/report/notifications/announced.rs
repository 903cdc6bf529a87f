//! Which situations of a status each receiver is notified of, once.
//!
//! A row is written before anything is sent, and a receiver leaves its `owed` only after it has answered: a crash in between
//! repeats a message, with the same id, and loses none.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::channel;
use crate::{
    api::{
        ValidatedPolicy, WarehouseSyncPolicyStatus,
        announced::{Announced, Announcement, FailingChannel, MAX_ANNOUNCEMENTS},
        notification::{Notification, Occasion},
        proposal::{Phase, Proposal},
        status::{Finding, Incident, Severity, Step},
    },
    decide::proposal::note,
    posthog::{key::hex, redact},
};

/// Longest sentence on how something ended or why a delivery failed, in characters; the CRD allows a little more.
const SENTENCE_CAP: usize = 300;
/// Longest name of a source or a table, in characters.
const NAME_CAP: usize = 160;

/// The outcome of one message to one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver accepted it.
    Notified,
    /// It was given up.
    GaveUp {
        /// Why, without any part of the URL.
        why: String,
        /// When.
        at: Timestamp,
        /// Versions of the Secrets that were used.
        edition: String,
    },
}

/// Records the outcome of the message `id` to a receiver.
pub fn take_note(announced: &mut Announced, id: &str, channel: &str, delivery: &Delivery) {
    let Announced {
        announcements,
        failing,
    } = announced;
    let Some(row) = announcements.iter_mut().find(|row| row.id == id) else {
        return;
    };
    if !forget(&mut row.owed, channel) {
        return;
    }
    match delivery {
        Delivery::Notified => {
            row.notified.push(channel.to_owned());
            failing.retain(|known| known.channel != channel);
            // It works again: what it missed and is still open is sent.
            for row in announcements {
                if forget(&mut row.gave_up, channel) {
                    row.owed.push(channel.to_owned());
                }
            }
        }
        Delivery::GaveUp { why, at, edition } => {
            row.gave_up.push(channel.to_owned());
            if failing.iter().all(|known| known.channel != channel) {
                failing.push(FailingChannel {
                    channel: channel.to_owned(),
                    since: *at,
                    why: redact::one_line(why, SENTENCE_CAP),
                    edition: edition.clone(),
                });
            }
        }
    }
}

/// Removes `channel` from a list; true if it was there.
fn forget(list: &mut Vec<String>, channel: &str) -> bool {
    let before = list.len();
    list.retain(|known| known != channel);
    list.len() < before
}

/// What to remember together with `status`, after `old`.
#[must_use]
pub fn next(
    policy: &ValidatedPolicy,
    old: &Announced,
    status: &WarehouseSyncPolicyStatus,
    editions: impl Fn(&str) -> Option<String>,
    now: Timestamp,
) -> Announced {
    let receivers = receivers(policy);
    let mut announced = old.clone();
    let rows = announced.announcements.drain(..);
    let mut rows: Vec<Announcement> = rows
        .filter_map(|row| carried(policy, row, status, &receivers, now))
        .collect();
    for row in standing(policy, status) {
        let known = rows.iter().any(|known| is_same(known, &row));
        let wanted = receivers
            .iter()
            .any(|(_, events)| events.contains(&row.occasion));
        if !known && wanted && rows.len() < MAX_ANNOUNCEMENTS {
            rows.push(row);
        }
    }
    announced.announcements = rows;
    // A receiver that is no longer named is forgotten; one whose Secret has changed is retried.
    announced.failing.retain(|failing| {
        let named = receivers.iter().any(|(key, _)| *key == failing.channel);
        let edition = editions(&failing.channel);
        named && edition.is_none_or(|edition| edition == failing.edition)
    });
    let Announced {
        announcements,
        failing,
    } = &mut announced;
    for row in announcements.iter_mut() {
        settle(row, &receivers, |channel| {
            failing.iter().any(|known| known.channel == channel)
        });
    }
    announcements.retain(|row| {
        let kept = !row.notified.is_empty() || !row.gave_up.is_empty();
        !row.owed.is_empty() || (kept && row.occasion != Occasion::Recovered)
    });
    announced
}

/// The key of a receiver in status, and the events that it is notified of.
type Receiver<'a> = (String, &'a [Occasion]);

fn receivers(policy: &ValidatedPolicy) -> Vec<Receiver<'_>> {
    let named = policy.notifications.iter();
    named
        .map(|one: &Notification| (channel::key(one), one.events.as_slice()))
        .collect()
}

/// Updates the lists of a row to the spec: a receiver of its event that has not been notified is owed.
fn settle(row: &mut Announcement, receivers: &[Receiver<'_>], fails: impl Fn(&str) -> bool) {
    let wants = |channel: &String| {
        let mut all = receivers.iter();
        all.any(|(key, events)| key == channel && events.contains(&row.occasion))
    };
    let missed = row.gave_up.iter().filter(|channel| !fails(channel));
    row.owed.extend(missed.cloned().collect::<Vec<_>>());
    for list in [&mut row.owed, &mut row.notified, &mut row.gave_up] {
        list.retain(&wants);
    }
    row.gave_up.retain(|channel| fails(channel));
    // The end is sent only to receivers that were notified of the start.
    if row.occasion == Occasion::Recovered {
        return;
    }
    for (channel, events) in receivers {
        let known = [&row.owed, &row.notified, &row.gave_up];
        if events.contains(&row.occasion) && !known.iter().any(|list| list.contains(channel)) {
            row.owed.push(channel.clone());
        }
    }
}

/// The next row: unchanged, replaced by the notification that it has ended, or none.
fn carried(
    policy: &ValidatedPolicy,
    row: Announcement,
    status: &WarehouseSyncPolicyStatus,
    receivers: &[Receiver<'_>],
    now: Timestamp,
) -> Option<Announcement> {
    let message = match row.occasion {
        Occasion::Recovered => return Some(row),
        Occasion::BreakerOpen if status.state.breaker.is_some() => return Some(row),
        Occasion::BreakerOpen => {
            "The circuit breaker has closed: the operator starts actions again".to_owned()
        }
        Occasion::ApprovalRequired => {
            let proposal = find_proposal(status, &row.about)?;
            match proposal.phase {
                Phase::Executed => note(proposal),
                // The person who answered knows, and a new proposal is announced separately.
                phase if phase.is_terminal() => return None,
                _ => return Some(row),
            }
        }
        Occasion::Escalated => {
            let incident = find_incident(status, &row.about);
            match incident {
                // It was escalated again: that is announced separately.
                Some(incident) if is_escalated(incident) && incident.step_since != row.since => {
                    return None;
                }
                Some(_) => return Some(row),
                // A person restarted it, or another finding replaced it.
                None if is_still_bad(status, &row) => return Some(row),
                None => ending(status, &row),
            }
        }
    };
    let owed: Vec<String> = row
        .notified
        .iter()
        .filter(|channel| {
            let mut all = receivers.iter();
            all.any(|(key, events)| key == *channel && events.contains(&Occasion::Recovered))
        })
        .cloned()
        .collect();
    (!owed.is_empty()).then(|| Announcement {
        id: id(policy, Occasion::Recovered, &row.id),
        occasion: Occasion::Recovered,
        since: now,
        message: redact::one_line(&message, SENTENCE_CAP),
        owed,
        notified: Vec::new(),
        gave_up: Vec::new(),
        ..row
    })
}

/// True if a finding of severity Error is about the table, its source or the whole project, or may be among those that were
/// cut off.
fn is_still_bad(status: &WarehouseSyncPolicyStatus, row: &Announcement) -> bool {
    let concerns = |finding: &Finding| {
        if finding.schema_id.is_empty() {
            finding.source_id.is_empty() || finding.source_id == row.source_id
        } else {
            finding.schema_id == row.about
        }
    };
    let mut errors = status.findings.iter();
    let found = errors.any(|finding| finding.severity == Severity::Error && concerns(finding));
    found || status.findings_truncated.is_some()
}

/// How the incident of a row ended.
fn ending(status: &WarehouseSyncPolicyStatus, row: &Announcement) -> String {
    let why = status.why_closed(&row.about);
    why.unwrap_or("the incident is closed").to_owned()
}

/// The situations in a status that receivers can be notified of, the widest first.
fn standing(policy: &ValidatedPolicy, status: &WarehouseSyncPolicyStatus) -> Vec<Announcement> {
    let breaker = status.state.breaker.iter().map(|breaker| {
        let since = breaker.open_since;
        row(policy, Occasion::BreakerOpen, "", since)
    });
    let escalated = status.incidents.iter().filter(|one| is_escalated(one));
    let escalated = escalated.map(|incident| Announcement {
        source_id: incident.source_id.clone(),
        source: name(&incident.source),
        schema: name(&incident.schema),
        cause: Some(incident.cause),
        ..row(
            policy,
            Occasion::Escalated,
            &incident.schema_id,
            incident.step_since,
        )
    });
    let waiting = status.proposals.iter().filter(|one| one.is_open());
    let waiting = waiting.map(|proposal| Announcement {
        source_id: proposal.target.source_id.clone(),
        source: name(&proposal.target.source),
        schema: name(&proposal.target.schema),
        cause: Some(proposal.material.cause),
        ..row(
            policy,
            Occasion::ApprovalRequired,
            &proposal.id,
            proposal.created_at,
        )
    });
    breaker.chain(escalated).chain(waiting).collect()
}

fn row(
    policy: &ValidatedPolicy,
    occasion: Occasion,
    about: &str,
    since: Timestamp,
) -> Announcement {
    Announcement {
        id: id(policy, occasion, &format!("{about}\n{since}")),
        occasion,
        about: about.to_owned(),
        source_id: String::new(),
        source: String::new(),
        schema: String::new(),
        cause: None,
        since,
        message: String::new(),
        owed: Vec::new(),
        notified: Vec::new(),
        gave_up: Vec::new(),
    }
}

/// There is only one breaker, whenever it was opened: a person's request to try at once changes that time.
fn is_same(known: &Announcement, row: &Announcement) -> bool {
    known.id == row.id
        || (known.occasion, row.occasion) == (Occasion::BreakerOpen, Occasion::BreakerOpen)
}

fn id(policy: &ValidatedPolicy, occasion: Occasion, what: &str) -> String {
    let text = format!("{}\n{}\n{what}", policy.uid, occasion.as_str());
    hex(&Sha256::digest(text)[..16])
}

fn name(text: &str) -> String {
    redact::one_line(text, NAME_CAP)
}

fn is_escalated(incident: &Incident) -> bool {
    incident.step == Step::Escalated
}

pub(super) fn find_incident<'a>(
    status: &'a WarehouseSyncPolicyStatus,
    schema_id: &str,
) -> Option<&'a Incident> {
    let mut all = status.incidents.iter();
    all.find(|incident| incident.schema_id == schema_id)
}

pub(super) fn find_proposal<'a>(
    status: &'a WarehouseSyncPolicyStatus,
    id: &str,
) -> Option<&'a Proposal> {
    status.proposals.iter().find(|proposal| proposal.id == id)
}
