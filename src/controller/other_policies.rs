//! What policies of one project must know of one another, kept up to date by their watch.
//!
//! Each reconcile needs it: to read and check all other policies every time would take as long as everything else together, once
//! there are thousands.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::watched::Watched;
use crate::{
    api::{
        host::Host,
        validated::{PolicyRef, Project},
    },
    observe::OtherPolicy,
};

/// All policies that are watched, by project. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct OtherPolicies(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    projects: HashMap<Arc<Project>, Vec<Arc<OtherPolicy>>>,
    /// The project of each policy.
    project_of: HashMap<PolicyRef, Arc<Project>>,
}

impl OtherPolicies {
    /// Records a policy as the watch has just reported it. One that can no longer be read starts nothing, but what it had in flight
    /// still blocks others. Of one that was unreadable since this process started, nothing is known.
    pub fn note(&self, policy: &Watched) {
        let mut known = self.known();
        let before = known.remove(&policy.at);
        let stopped = |(project, other_policy): (Arc<Project>, Arc<OtherPolicy>)| {
            let mut other_policy = Arc::unwrap_or_clone(other_policy);
            other_policy.may_act = false;
            (Arc::unwrap_or_clone(project), Arc::new(other_policy))
        };
        let as_other_policy = policy
            .as_other_policy
            .clone()
            .or_else(|| before.map(stopped));
        if let Some((project, other_policy)) = as_other_policy {
            known.add(project, other_policy);
        }
    }

    /// Forgets a policy that was deleted.
    pub fn forget(&self, at: &PolicyRef) {
        self.known().remove(at);
    }

    /// Forgets those for which `stays` is false: there is no event for what was deleted while a watch was broken.
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
    pub fn of(&self, own: &PolicyRef, project: &Project) -> Vec<Arc<OtherPolicy>> {
        let known = self.known();
        let all = known.projects.get(project).into_iter().flatten();
        all.filter(|other_policy| other_policy.at != *own)
            .cloned()
            .collect()
    }

    /// The host of a policy; none if nothing is known of it.
    pub(super) fn host_of(&self, at: &PolicyRef) -> Option<Host> {
        let known = self.known();
        known.project_of.get(at).map(|project| project.host.clone())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add(&mut self, project: Project, other_policy: Arc<OtherPolicy>) {
        let known = self.projects.get_key_value(&project);
        let project = known.map_or_else(|| Arc::new(project), |(known, _)| known.clone());
        self.project_of
            .insert(other_policy.at.clone(), project.clone());
        let other_policies = self.projects.entry(project).or_default();
        other_policies.push(other_policy);
    }

    fn remove(&mut self, at: &PolicyRef) -> Option<(Arc<Project>, Arc<OtherPolicy>)> {
        let project = self.project_of.remove(at)?;
        let other_policies = self.projects.get_mut(&project)?;
        let place = other_policies
            .iter()
            .position(|other_policy| other_policy.at == *at)?;
        let removed = other_policies.remove(place);
        if other_policies.is_empty() {
            self.projects.remove(&project);
        }
        Some((project, removed))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

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

    fn names(other_policies: &OtherPolicies, own: &str, project: i64) -> Vec<String> {
        let policy = policy(own, project);
        let (project, _) = policy.as_other_policy.clone().unwrap();
        let other_policies = other_policies.of(&policy.at, &project);
        let mut names: Vec<_> = other_policies
            .iter()
            .map(|other_policy| other_policy.at.name.to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_policy_knows_the_others_of_its_project_as_they_are_now() {
        let other_policies = OtherPolicies::default();
        for (name, project) in [("a", 1), ("b", 1), ("c", 2), ("b", 1)] {
            other_policies.note(&policy(name, project));
        }
        assert_eq!(
            names(&other_policies, "a", 1),
            ["b"],
            "once, although it was reported twice"
        );
        assert_eq!(names(&other_policies, "x", 2), ["c"]);
        other_policies.note(&policy("c", 1));
        assert_eq!(
            names(&other_policies, "a", 1),
            ["b", "c"],
            "recreated on another project"
        );
        assert!(names(&other_policies, "x", 2).is_empty());
        other_policies.forget(&policy("b", 1).at);
        assert_eq!(names(&other_policies, "a", 1), ["c"]);
        other_policies.keep(|at| &*at.name == "a");
        assert!(names(&other_policies, "a", 1).is_empty());
        assert_eq!(names(&other_policies, "x", 1), ["a"]);
    }

    /// One with something in flight, something to wait for, and a table that the next run may reset.
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
            "state": {"schemas": [{"id": "armed", "resetPendingSince": at}, {"id": "other"}], "sends": [at]},
        });
        serde_json::from_value(policy).unwrap()
    }

    #[test]
    fn what_a_policy_started_still_blocks_others_when_it_is_no_longer_valid() {
        let own = policy("a", 1);
        let (project, _) = own.as_other_policy.clone().unwrap();
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let unreadable = {
            let mut policy = object("b", 1, "2m");
            policy["spec"]["posthog"] = 7.into();
            serde_json::from_value::<Watched>(policy).unwrap()
        };
        // The last is one that was never seen as a valid one.
        for (as_other_policy, may_act) in [
            (vec![busy("2m")], true),
            (vec![busy("2m"), busy("soon")], false),
            (vec![busy("2m"), unreadable], false),
            (vec![busy("soon")], false),
        ] {
            let other_policies = OtherPolicies::default();
            for policy in &as_other_policy {
                other_policies.note(policy);
            }
            let all = other_policies.of(&own.at, &project);
            let [other_policy] = &all[..] else {
                panic!("{all:?}")
            };
            assert_eq!(other_policy.may_act, may_act);
            let in_flight = [
                ("waits".to_owned(), Some(time("2026-10-01T13:00:00Z"))),
                ("reloads".to_owned(), Some(time("2026-10-01T11:10:00Z"))),
            ];
            assert_eq!(other_policy.in_flight, in_flight);
            let since = time("2026-10-01T11:00:00Z");
            assert_eq!(
                other_policy.reset_pending_since,
                [("armed".to_owned(), since)]
            );
            assert_eq!(other_policy.sends, [since]);
            assert!(other_policy.cancelled.contains(&"job of over".to_owned()));
        }
    }
}
