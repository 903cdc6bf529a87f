//! The log of decisions: one line each, always with the same fields, so that the lines of an incident can be filtered.
//!
//! Changes of a status are logged with their events; decisions, held actions and failed polls are logged here. A steady state
//! logs nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{EventReason, events::Notice, not_ready::NotReady};
use crate::{
    api::{About, conditions::Reason, proposal::Proposal, status::Fate, validated::PolicyRef},
    decide::{Guard, Held, Plan},
};

/// What was last logged of each policy, so that it is logged once.
#[derive(Debug, Default)]
pub struct DecisionLog {
    logged: Mutex<HashMap<PolicyRef, Logged>>,
}

#[derive(Debug, Default)]
struct Logged {
    not_ready: Option<Reason>,
    held: HashSet<(String, String, Guard)>,
}

impl DecisionLog {
    /// `PostHog` could not be polled.
    pub fn poll_failed(&self, at: &PolicyRef, not_ready: &NotReady) {
        let mut logged = self.logged();
        let before = &mut logged.entry(at.clone()).or_default().not_ready;
        if before.replace(not_ready.reason) != Some(not_ready.reason) {
            let said = format!("{}: {}", not_ready.reason, not_ready.message);
            let about = About::default();
            line(
                true,
                at,
                &about,
                None,
                EventReason::NotReady.as_str(),
                &said,
            );
        }
    }

    /// `PostHog` was polled, and these actions are held.
    pub fn held(&self, at: &PolicyRef, plan: &Plan) {
        let mut all = self.logged();
        if plan.held.is_empty() {
            // As of nearly all policies at nearly all times.
            all.remove(at);
            return;
        }
        let logged = all.entry(at.clone()).or_default();
        logged.not_ready = None;
        let kind = |held: &Held| (held.schema_id.clone(), held.what.clone(), held.guard);
        let before = std::mem::take(&mut logged.held);
        for held in &plan.held {
            if !before.contains(&kind(held)) && logged.held.insert(kind(held)) {
                say_held(at, held, plan);
            }
        }
        logged.held = plan.held.iter().map(kind).collect();
    }

    /// Forgets a policy that was deleted, or that another replica now handles.
    pub fn forget(&self, at: &PolicyRef) {
        self.logged().remove(at);
    }

    fn logged(&self) -> MutexGuard<'_, HashMap<PolicyRef, Logged>> {
        self.logged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is about to be sent, and why. Logged after it was written to status, right before the call.
pub fn decided(at: &PolicyRef, about: &About, what: &str, why: &str) {
    let why = why.trim_end_matches('.');
    let said = format!("will {what}: {why}");
    line(false, at, about, None, "Decided", &said);
}

/// The outcome of a call.
pub fn answered(at: &PolicyRef, about: &About, call: &str, fate: Fate, detail: &str) {
    let (warning, event, outcome) = match fate {
        Fate::Accepted => (false, "SendAccepted", "accepted by PostHog"),
        Fate::Refused => (true, "SendRefused", "refused by PostHog"),
        Fate::NotSent => (true, "SendFailed", "not sent"),
        Fate::Unknown => (true, "SendUnknown", "sent, outcome unknown"),
    };
    let said = if detail.is_empty() {
        String::new()
    } else {
        format!(" ({detail})")
    };
    let said = format!("{call} {outcome}{said}");
    line(warning, at, about, None, event, &said);
}

/// What a proposal in progress waits for.
pub fn continues(at: &PolicyRef, before: &Proposal, after: &Proposal) {
    if after.phase == before.phase && after.message != before.message && !after.message.is_empty() {
        let did = after.phase.as_str();
        let about = About::proposal(after);
        line(false, at, &about, None, did, &after.message);
    }
}

/// An event.
pub fn happened(at: &PolicyRef, notice: &Notice) {
    // Logged where it happens, even if no status changes.
    let is_logged = matches!(
        notice.reason,
        EventReason::NotReady
            | EventReason::SendRefused
            | EventReason::SendFailed
            | EventReason::SendUnknown
    );
    if !is_logged {
        let did = notice.reason.as_str();
        line(notice.warning, at, &notice.about, None, did, &notice.note);
    }
}

fn say_held(at: &PolicyRef, held: &Held, plan: &Plan) {
    // An incident that was not opened has no name yet.
    let mut names = plan
        .incidents
        .iter()
        .map(|one| About::incident(one).incident);
    let is_open = names.any(|name| name == held.about.incident);
    let about = About {
        incident: held.about.incident.clone().filter(|_| is_open),
        ..held.about.clone()
    };
    let said = format!("held: {}; reason: {}", held.what, held.blocked_by);
    let guard = Some(held.guard.as_str());
    line(false, at, &about, guard, "Held", &said);
}

/// One line, in fields that are the same everywhere.
fn line(
    warning: bool,
    at: &PolicyRef,
    about: &About,
    guard: Option<&str>,
    event: &'static str,
    said: &str,
) {
    let About {
        source,
        schema,
        incident,
        proposal,
    } = about;
    macro_rules! at_level {
        ($level:ident) => {
            tracing::$level!(event, policy = %at, source, schema, incident, proposal, guard, "{said}")
        };
    }
    if warning {
        at_level!(warn);
    } else {
        at_level!(info);
    }
}
