//! What is announced once to each receiver: from what stands in a status to what the status remembers of it.
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

/// Longest sentence on how something ended or why a receiver was not told, in characters; the CRD takes a little more.
const SENTENCE_CAP: usize = 300;
/// Longest name of a source or a table, in characters.
const NAME_CAP: usize = 160;

/// What became of one message to one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver took it.
    Told,
    /// It was given up.
    GaveUp {
        /// Why, without any part of the URL.
        why: String,
        /// When.
        at: Timestamp,
        /// Versions of the Secrets with which it was tried.
        edition: String,
    },
}

/// Takes note of what became of the message `id` to a receiver.
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
        Delivery::Told => {
            row.told.push(channel.to_owned());
            failing.retain(|known| known.channel != channel);
            // It works again: what it missed and still stands is told after all.
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

/// What is to be remembered once `status` stands, after `old`.
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
    // A receiver that is no longer named is nobody's; one whose Secret has changed deserves another try.
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
        let kept = !row.told.is_empty() || !row.gave_up.is_empty();
        !row.owed.is_empty() || (kept && row.occasion != Occasion::Recovered)
    });
    announced
}

/// What the status calls a receiver, and of what it wants to be told.
type Receiver<'a> = (String, &'a [Occasion]);

fn receivers(policy: &ValidatedPolicy) -> Vec<Receiver<'_>> {
    let named = policy.notifications.iter();
    named
        .map(|one: &Notification| (channel::key(one), one.events.as_slice()))
        .collect()
}

/// Brings the lists of a row in line with the spec: who wants to know and was not told is owed.
fn settle(row: &mut Announcement, receivers: &[Receiver<'_>], fails: impl Fn(&str) -> bool) {
    let wants = |channel: &String| {
        let mut all = receivers.iter();
        all.any(|(key, events)| key == channel && events.contains(&row.occasion))
    };
    let missed = row.gave_up.iter().filter(|channel| !fails(channel));
    row.owed.extend(missed.cloned().collect::<Vec<_>>());
    for list in [&mut row.owed, &mut row.told, &mut row.gave_up] {
        list.retain(&wants);
    }
    row.gave_up.retain(|channel| fails(channel));
    // Of what is over only those hear who were told of it.
    if row.occasion == Occasion::Recovered {
        return;
    }
    for (channel, events) in receivers {
        let known = [&row.owed, &row.told, &row.gave_up];
        if events.contains(&row.occasion) && !known.iter().any(|list| list.contains(channel)) {
            row.owed.push(channel.clone());
        }
    }
}

/// What becomes of a row: it stays as it is, or turns into the news that it is over, or goes.
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
            "The breaker has closed: the operator starts repairs again".to_owned()
        }
        Occasion::ApprovalRequired => {
            let proposal = find_proposal(status, &row.about)?;
            match proposal.phase {
                Phase::Executed => note(proposal),
                // Who answered knows, and a new one is announced by itself.
                phase if phase.is_terminal() => return None,
                _ => return Some(row),
            }
        }
        Occasion::Escalated => {
            let incident = find_incident(status, &row.about);
            match incident {
                // The operator came to its end once more: that is announced by itself.
                Some(incident) if is_escalated(incident) && incident.step_since != row.since => {
                    return None;
                }
                Some(_) => return Some(row),
                // Somebody had it begun anew, or another trouble took its place.
                None if is_still_bad(status, &row) => return Some(row),
                None => ending(status, &row),
            }
        }
    };
    let owed: Vec<String> = row
        .told
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
        told: Vec::new(),
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

/// How the incident of a row came to its end.
fn ending(status: &WarehouseSyncPolicyStatus, row: &Announcement) -> String {
    let why = status.why_closed(&row.about);
    why.unwrap_or("the incident is closed").to_owned()
}

/// What stands in a status that somebody may want to be told, the widest first.
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
        told: Vec::new(),
        gave_up: Vec::new(),
    }
}

/// Of the breaker there is only one, whenever it was opened: a person's request to try at once moves that time.
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
