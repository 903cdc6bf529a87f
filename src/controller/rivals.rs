//! What policies of one project must know of one another, kept up to date by their watch.
//!
//! Each pass asks for it: to read and check all other policies every time would take as long as everything else together, once
//! there are thousands.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::watched::{Watched, at};
use crate::{
    api::{
        ValidatedPolicy, WarehouseSyncPolicy,
        status::{Call, Fate, Incident, Send},
        validated::{PolicyRef, Project},
    },
    decide::ownership::{is_carried_out, is_in_flight},
    observe::Rival,
};

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
    /// Takes note of a policy as the watch has just told it. One that cannot be read any more, or that is not valid, begins nothing;
    /// what it had in flight is still to be minded. Of one that never was valid nothing is known.
    pub fn note(&self, policy: &Watched) {
        let mut known = self.known();
        let before = known.remove(&at(policy));
        let told = policy.told.clone().or_else(|| {
            let (project, rival) = before?;
            let may_act = false;
            Some((
                project,
                Arc::new(Rival {
                    may_act,
                    ..(*rival).clone()
                }),
            ))
        });
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

/// What others have to know of a policy, and the project that it is on; none if it is not valid.
#[must_use]
pub fn told(policy: &WarehouseSyncPolicy) -> Option<(Project, Arc<Rival>)> {
    let validated = ValidatedPolicy::new(policy).ok()?;
    let incidents = || policy.status.iter().flat_map(|status| &status.incidents);
    let in_flight = incidents()
        .filter(|incident| is_in_flight(incident))
        .map(|incident| (incident.schema_id.clone(), incident.deadline));
    let proposals = policy.status.iter().flat_map(|status| &status.proposals);
    let carried_out = proposals.filter(|row| is_carried_out(row)).map(|row| {
        let deadline = row
            .execution
            .as_ref()
            .and_then(|execution| execution.deadline);
        (row.subject_id().to_owned(), deadline)
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
        may_act: validated.may_act(),
        at: validated.at,
        uid: validated.uid,
        created: validated.created,
        selector: validated.selector,
    };
    Some((validated.project, Arc::new(rival)))
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
        with_interval(name, project, "2m")
    }

    fn with_interval(name: &str, project: i64, interval: &str) -> Watched {
        let policy = serde_json::json!({
            "apiVersion": "warehousesync.dev/v1alpha1",
            "kind": "WarehouseSyncPolicy",
            "metadata": {"name": name, "namespace": "data", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"mode": "Enforce", "interval": interval, "posthog": {
                "host": "https://us.posthog.com",
                "projectId": project,
                "apiKeySecretRef": {"name": "posthog", "key": "api-key"},
            }},
        });
        serde_json::from_value(policy).unwrap()
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

    #[test]
    fn a_policy_that_is_not_valid_any_more_begins_nothing_and_what_it_began_is_minded() {
        let rivals = Rivals::default();
        rivals.note(&with_interval("never", 1, "soon"));
        rivals.note(&policy("b", 1));
        rivals.note(&with_interval("b", 1, "soon"));
        let own = policy("a", 1);
        let (project, _) = own.told.clone().unwrap();
        let told = rivals.of(&at(&own), &project);
        let [rival] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((rival.at.name.as_str(), rival.may_act), ("b", false));
        // Until then it keeps its tables; the next valid one begins again.
        rivals.note(&policy("b", 1));
        assert!(rivals.of(&at(&own), &project)[0].may_act);
    }
}
