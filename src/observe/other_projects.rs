//! What policies of other projects on the same host saw of their sources: whether there are any, and when they started failing. Nothing else,
//! and no name: other projects may be of other people.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::api::validated::Project;

/// How long what a project's policies saw counts: longer than most intervals.
const LASTS: SignedDuration = SignedDuration::from_mins(30);

/// Projects of which nothing is known but this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtherProjects {
    /// How many projects have any that sync at all.
    pub active: usize,
    /// When those failed in which most sources have failed.
    pub failed_at: Vec<Timestamp>,
}

/// What was seen last of each project.
#[derive(Debug, Default)]
pub struct AllProjects(Mutex<HashMap<Project, (Timestamp, OtherProjects)>>);

impl AllProjects {
    /// Records the sources of a project.
    pub fn note(&self, project: &Project, sources: OtherProjects, now: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(project.clone(), (now, sources));
    }

    /// The sources of all other projects on the host of this one.
    pub fn but(&self, project: &Project, now: Timestamp) -> OtherProjects {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (at, _)| now.duration_since(*at).abs() < LASTS);
        let mut sum = OtherProjects::default();
        for (other, (_, sources)) in all.iter() {
            if other.host == project.host && other.id != project.id {
                sum.active += sources.active;
                sum.failed_at.extend(&sources.failed_at);
            }
        }
        sum.failed_at.sort_unstable();
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::host::Host;

    #[test]
    fn only_other_projects_of_the_host_count_and_not_forever() {
        let project = |host: &str, id| Project {
            host: Host::parse(host).unwrap(),
            id,
        };
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let (us, eu) = ("https://us.posthog.com", "https://eu.posthog.com");
        let sources = |active| OtherProjects {
            active,
            failed_at: vec![at(0)],
        };
        let all = AllProjects::default();
        for (project, active) in [
            (project(us, 1), 1),
            (project(us, 2), 2),
            (project(us, 3), 4),
            (project(eu, 2), 8),
        ] {
            all.note(&project, sources(active), at(5));
        }
        assert_eq!(all.but(&project(us, 1), at(6)).active, 6);
        assert_eq!(all.but(&project(us, 1), at(6)).failed_at.len(), 2);
        all.note(&project(us, 2), OtherProjects::default(), at(30));
        assert_eq!(all.but(&project(us, 1), at(40)), OtherProjects::default());
    }
}
