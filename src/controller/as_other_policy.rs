//! What policies of one project must know of one.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::{
    api::{
        ValidatedPolicy, WarehouseSyncPolicy,
        conditions::READY,
        host::Host,
        status::{Call, Fate, Incident, Send, Step},
        validated::{PolicyRef, Project},
    },
    decide::ownership::{is_carried_out, is_in_flight},
    observe::{OtherPolicy, WriteScope},
    report::{
        conditions::{ConditionStatus, known_scope},
        writer::CHECKED_EVERY,
    },
};

/// A call takes 130 s at most, and a job that it starts appears soon after.
const SETTLES: SignedDuration = SignedDuration::from_mins(10);

/// How long a policy that cannot read its project keeps what it owns: an outage of PostHog is none of its key.
const LATELY: SignedDuration = SignedDuration::from_mins(15);

/// Where the policy with this metadata is.
pub fn at(metadata: &ObjectMeta) -> PolicyRef {
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    PolicyRef {
        namespace: text(&metadata.namespace),
        name: text(&metadata.name),
    }
}

/// What others have to know of a policy, and the project that it is on; none if it does not say which. One that is not valid may not
/// act; but its status is used.
#[must_use]
pub fn as_other_policy(policy: &WarehouseSyncPolicy) -> Option<(Project, Arc<OtherPolicy>)> {
    let valid = ValidatedPolicy::new(policy).ok();
    let posthog = &policy.spec.posthog;
    let project = Project {
        host: Host::parse(&posthog.host).ok()?,
        id: posthog.project_id,
    };
    let incidents = || policy.status.iter().flat_map(|status| &status.incidents);
    // One that waits for its next attempt is not in flight: the age of the policies decides who owns the table then.
    let in_flight = incidents()
        .filter(|incident| is_in_flight(incident) && incident.step != Step::BackOff)
        .map(|incident| {
            let last = incident.sends.last().map(|send| send.started_at);
            (
                incident.schema_id.clone(),
                incident.deadline.or(settled(last)),
            )
        });
    let proposals = policy.status.iter().flat_map(|status| &status.proposals);
    let carried_out = proposals.filter(|row| is_carried_out(row)).map(|row| {
        let execution = row.execution.as_ref();
        let deadline = execution.and_then(|execution| execution.deadline);
        let last = execution.and_then(|execution| execution.steps.last());
        let last = last.map(|step| step.started_at);
        (row.subject_id().to_owned(), deadline.or(settled(last)))
    });
    let state = || policy.status.iter().map(|status| &status.state);
    let schemas = state().flat_map(|state| &state.schemas);
    let other_policy = OtherPolicy {
        sends: state().flat_map(|state| &state.sends).copied().collect(),
        in_flight: in_flight.chain(carried_out).collect(),
        reset_pending_since: schemas
            .filter_map(|row| Some((row.id.clone(), row.reset_pending_since?)))
            .collect(),
        cancelled: incidents().filter_map(cancelled_job).collect(),
        may_act: valid.as_ref().is_some_and(ValidatedPolicy::may_act) && may_write(policy),
        reads_until: reads_until(policy, valid.as_ref())?,
        at: at(&policy.metadata),
        uid: policy.uid()?.into(),
        created: policy.creation_timestamp()?.0,
        selector: valid.map(|valid| valid.selector).unwrap_or_default(),
    };
    Some((project, Arc::new(other_policy)))
}

/// When a call that was sent at `sent` has ended, and what it began shows in the list: until then it is in flight, even if its policy is
/// deleted.
fn settled(sent: Option<Timestamp>) -> Option<Timestamp> {
    sent?.checked_add(SETTLES).ok()
}

/// The job that an incident has cancelled, or may have.
fn cancelled_job(incident: &Incident) -> Option<String> {
    let left = |send: &Send| send.call == Call::Cancel && send.fate != Some(Fate::NotSent);
    incident
        .job_id
        .clone()
        .filter(|_| incident.sends.iter().any(left))
}

/// False for one whose key may only read: it can repair nothing, and must keep nobody else from it.
fn may_write(policy: &WarehouseSyncPolicy) -> bool {
    let mut status = policy.status.iter();
    status.all(|status| known_scope(status) != WriteScope::Missing)
}

/// Until when a policy counts as one that reads its project. A new one has some minutes to show that it can.
fn reads_until(policy: &WarehouseSyncPolicy, valid: Option<&ValidatedPolicy>) -> Option<Timestamp> {
    let status = policy.status.as_ref();
    let after = |at: Timestamp, time| at.checked_add(time).unwrap_or(at);
    let Some(read) = status.and_then(|status| status.last_checked_at) else {
        return Some(after(policy.creation_timestamp()?.0, LATELY));
    };
    let interval = valid.map_or(SignedDuration::ZERO, |valid| valid.interval);
    let until = after(read, CHECKED_EVERY + interval * 2 + LATELY);
    let ready = status.and_then(|status| status.condition(READY));
    Some(match ready {
        Some(ready) if ready.status != ConditionStatus::True.as_str() => {
            until.min(after(ready.last_transition_time.0, LATELY))
        }
        _ => until,
    })
}
