//! What policies of one project must know of one another, kept up to date by their watch.
//!
//! Each pass asks for it: to read and check all other policies every time would take as long as everything else together, once
//! there are thousands.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::watched::{Watched, at};
use crate::{
    api::{
        ValidatedPolicy, WarehouseSyncPolicy,
        conditions::READY,
        host::Host,
        status::{Call, Fate, Incident, Send, Step},
        validated::{PolicyRef, Project},
    },
    decide::ownership::{is_carried_out, is_in_flight},
    observe::Rival,
    report::{conditions::Truth, writer::CHECKED_EVERY},
};

/// A call takes 130 s at most, and a job that it starts appears soon after.
const SETTLES: SignedDuration = SignedDuration::from_mins(10);

/// How long a policy that cannot read its project keeps what it owns: an outage of PostHog is none of its key.
const LATELY: SignedDuration = SignedDuration::from_mins(15);

/// All policies that are watched, by project. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Rivals(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    projects: HashMap<Project, Vec<Arc<Rival>>>,
    /// Where each policy is to be found in it.
    project_of: HashMap<PolicyRef, Project>,
}

impl Rivals {
    /// Takes note of a policy as the watch has just told it. One that cannot be read any more begins nothing; what it had in flight is
    /// still to be minded. Of one that could not be read since this process began nothing is known.
    pub fn note(&self, policy: &Watched) {
        let mut known = self.known();
        let before = known.remove(&at(policy));
        let stopped = |(project, rival): (Project, Arc<Rival>)| {
            let mut rival = Arc::unwrap_or_clone(rival);
            rival.may_act = false;
            (project, Arc::new(rival))
        };
        let told = policy.told.clone().or_else(|| before.map(stopped));
        if let Some((project, rival)) = told {
            known.project_of.insert(rival.at.clone(), project.clone());
            known.projects.entry(project).or_default().push(rival);
        }
    }

    /// Forgets a policy that is gone.
    pub fn forget(&self, at: &PolicyRef) {
        self.known().remove(at);
    }

    /// Forgets those for which `stays` is false: what was deleted while a watch was broken is told by no event.
    pub fn keep(&self, stays: impl Fn(&PolicyRef) -> bool) {
        let mut known = self.known();
        let mut gone: Vec<PolicyRef> = known.project_of.keys().cloned().collect();
        gone.retain(|at| !stays(at));
        for at in gone {
            known.remove(&at);
        }
    }

    /// The other policies on the project.
    #[must_use]
    pub fn of(&self, own: &PolicyRef, project: &Project) -> Vec<Arc<Rival>> {
        let known = self.known();
        let all = known.projects.get(project).into_iter().flatten();
        all.filter(|rival| rival.at != *own).cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn remove(&mut self, at: &PolicyRef) -> Option<(Project, Arc<Rival>)> {
        let project = self.project_of.remove(at)?;
        let rivals = self.projects.get_mut(&project)?;
        let place = rivals.iter().position(|rival| rival.at == *at)?;
        let removed = rivals.remove(place);
        if rivals.is_empty() {
            self.projects.remove(&project);
        }
        Some((project, removed))
    }
}

/// What others have to know of a policy, and the project that it is on; none if it does not say which. One that is not valid may not
/// act; what its status says counts.
#[must_use]
pub fn told(policy: &WarehouseSyncPolicy) -> Option<(Project, Arc<Rival>)> {
    let valid = ValidatedPolicy::new(policy).ok();
    let posthog = &policy.spec.posthog;
    let project = Project {
        host: Host::parse(&posthog.host).ok()?,
        id: posthog.project_id,
    };
    let incidents = || policy.status.iter().flat_map(|status| &status.incidents);
    // Nothing is being done about one that waits for its next attempt: who owns the table then is for the policies' age to say.
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
    let rival = Rival {
        sends: state().flat_map(|state| &state.sends).copied().collect(),
        in_flight: in_flight.chain(carried_out).collect(),
        poisoned: schemas
            .filter_map(|row| Some((row.id.clone(), row.poisoned?)))
            .collect(),
        cancelled: incidents().filter_map(cancelled_job).collect(),
        may_act: valid.as_ref().is_some_and(ValidatedPolicy::may_act),
        reads_until: reads_until(policy, valid.as_ref())?,
        at: at(policy),
        uid: policy.uid()?,
        created: policy.creation_timestamp()?.0,
        selector: valid.map(|valid| valid.selector).unwrap_or_default(),
    };
    Some((project, Arc::new(rival)))
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
        Some(ready) if ready.status != Truth::True.as_str() => {
            until.min(after(ready.last_transition_time.0, LATELY))
        }
        _ => until,
    })
}

/// When a call that was sent at `sent` has ended, and what it began shows in the list: until then it is in flight, whatever becomes of
/// its policy.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, project: i64) -> Watched {
        serde_json::from_value(object(name, project, "2m")).unwrap()
    }

    fn object(name: &str, project: i64, interval: &str) -> serde_json::Value {
        serde_json::json!({
            "apiVersion": "warehousesync.dev/v1alpha1",
            "kind": "WarehouseSyncPolicy",
            "metadata": {"name": name, "namespace": "data", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"mode": "Enforce", "interval": interval, "posthog": {
                "host": "https://us.posthog.com",
                "projectId": project,
                "apiKeySecretRef": {"name": "posthog", "key": "api-key"},
            }},
        })
    }

    fn names(rivals: &Rivals, own: &str, project: i64) -> Vec<String> {
        let policy = policy(own, project);
        let (project, _) = policy.told.clone().unwrap();
        let rivals = rivals.of(&at(&policy), &project);
        let mut names: Vec<_> = rivals.iter().map(|rival| rival.at.name.clone()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_policy_knows_the_others_of_its_project_as_they_are_now() {
        let rivals = Rivals::default();
        for (name, project) in [("a", 1), ("b", 1), ("c", 2), ("b", 1)] {
            rivals.note(&policy(name, project));
        }
        assert_eq!(
            names(&rivals, "a", 1),
            ["b"],
            "once, however often it is told"
        );
        assert_eq!(names(&rivals, "x", 2), ["c"]);
        rivals.note(&policy("c", 1));
        assert_eq!(
            names(&rivals, "a", 1),
            ["b", "c"],
            "made anew on another project"
        );
        assert!(names(&rivals, "x", 2).is_empty());
        rivals.forget(&at(&policy("b", 1)));
        assert_eq!(names(&rivals, "a", 1), ["c"]);
        rivals.keep(|at| at.name == "a");
        assert!(names(&rivals, "a", 1).is_empty());
        assert_eq!(names(&rivals, "x", 1), ["a"]);
    }

    /// One with something in flight, something to wait for, and something that may be armed.
    fn busy(interval: &str) -> Watched {
        let (at, until) = ("2026-10-01T11:00:00Z", "2026-10-01T13:00:00Z");
        let incident = |id: &str, step: &str| {
            serde_json::json!({
                "schemaId": id, "schema": id, "source": "s", "sourceId": "s", "cause": "Stuck", "step": step, "attempt": 1,
                "jobId": format!("job of {id}"), "openedAt": at, "stepSince": at, "message": "",
                "sends": [{"call": "Cancel", "startedAt": at, "fate": "Accepted"}],
            })
        };
        let mut waits = incident("waits", "WaitTerminal");
        waits["deadline"] = until.into();
        let mut policy = object("b", 1, interval);
        policy["status"] = serde_json::json!({
            "incidents": [waits, incident("reloads", "Reloading"), incident("later", "BackOff"), incident("over", "Escalated")],
            "state": {"schemas": [{"id": "armed", "poisoned": at}, {"id": "other"}], "sends": [at]},
        });
        serde_json::from_value(policy).unwrap()
    }

    #[test]
    fn of_a_policy_that_is_not_valid_any_more_what_it_began_is_minded() {
        let own = policy("a", 1);
        let (project, _) = own.told.clone().unwrap();
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let unreadable = {
            let mut policy = object("b", 1, "2m");
            policy["spec"]["posthog"] = 7.into();
            serde_json::from_value::<Watched>(policy).unwrap()
        };
        // The last is one that was never seen as a valid one.
        for (told, may_act) in [
            (vec![busy("2m")], true),
            (vec![busy("2m"), busy("soon")], false),
            (vec![busy("2m"), unreadable], false),
            (vec![busy("soon")], false),
        ] {
            let rivals = Rivals::default();
            for policy in &told {
                rivals.note(policy);
            }
            let all = rivals.of(&at(&own), &project);
            let [rival] = &all[..] else { panic!("{all:?}") };
            assert_eq!(rival.may_act, may_act);
            let in_flight = [
                ("waits".to_owned(), Some(time("2026-10-01T13:00:00Z"))),
                ("reloads".to_owned(), Some(time("2026-10-01T11:10:00Z"))),
            ];
            assert_eq!(rival.in_flight, in_flight);
            let since = time("2026-10-01T11:00:00Z");
            assert_eq!(rival.poisoned, [("armed".to_owned(), since)]);
            assert_eq!(rival.sends, [since]);
            assert!(rival.cancelled.contains(&"job of over".to_owned()));
        }
    }
}
