//! What the operator still waits for before it can do its work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::runtime::watcher;

use super::absent::Absent;

/// What the operator still waits for before it can work.
#[derive(Debug, Clone)]
pub struct ProcessHealth {
    pending: Arc<Mutex<Vec<String>>>,
    reading: Arc<Mutex<Vec<String>>>,
    blocked: Arc<Mutex<Option<String>>>,
    /// Namespaces that are not waited for.
    pub absent: Absent,
}

/// A scope, as what is pending names it at its end.
#[must_use]
pub fn in_namespace(namespace: Option<&str>) -> String {
    namespace.map_or_else(
        || "in all namespaces".to_owned(),
        |namespace| format!("in namespace {namespace}"),
    )
}

impl Default for ProcessHealth {
    fn default() -> Self {
        Self {
            pending: Arc::new(Mutex::new(vec!["starting".to_owned()])),
            reading: Arc::default(),
            blocked: Arc::default(),
            absent: Absent::default(),
        }
    }
}

impl ProcessHealth {
    /// Says what is pending; nothing means ready.
    pub fn pending(&self, what: &[String]) {
        *locked(&self.pending) = what.to_vec();
    }

    /// A list is no longer pending once it begins to come, and no longer read at its end.
    pub fn heard<K>(&self, event: &watcher::Event<K>, list: &str) {
        match event {
            watcher::Event::InitApply(_) => self.begun(list),
            watcher::Event::InitDone => {
                self.begun(list);
                locked(&self.reading).retain(|one| one != list);
            }
            // Before the API server has answered, or after the list.
            watcher::Event::Init | watcher::Event::Apply(_) | watcher::Event::Delete(_) => {}
        }
    }

    fn begun(&self, list: &str) {
        let begun: Vec<String> = locked(&self.pending)
            .extract_if(.., |one| one == list)
            .collect();
        if begun.is_empty() {
            return;
        }
        locked(&self.reading).extend(begun);
        if self.awaited().is_empty() {
            tracing::info!("ready");
        }
    }

    /// The lists that have begun to come.
    #[must_use]
    pub fn reading(&self) -> Vec<String> {
        locked(&self.reading).clone()
    }

    /// What is pending, without what a namespace would have to exist for.
    fn awaited(&self) -> Vec<String> {
        let absent = self.absent.all();
        let is_awaited = |what: &&String| {
            let mut absent = absent.iter();
            !absent.any(|namespace| what.ends_with(&in_namespace(Some(namespace))))
        };
        let pending = locked(&self.pending);
        pending.iter().filter(is_awaited).cloned().collect()
    }

    /// Reports what keeps the process from leading and from being a standby; none if nothing does.
    pub fn blocked(&self, why: Option<String>) {
        *locked(&self.blocked) = why;
    }

    /// What is pending.
    #[must_use]
    pub fn what_is_pending(&self) -> Vec<String> {
        let mut all = self.awaited();
        all.extend(locked(&self.blocked).clone());
        all
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    #[test]
    fn a_list_that_has_begun_keeps_nothing_from_being_ready_and_is_named_until_it_is_complete() {
        let health = ProcessHealth::default();
        let [policies, secrets] = ["policies", "Secrets"].map(str::to_owned);
        health.pending(&[policies.clone(), secrets.clone()]);
        health.heard(&watcher::Event::<()>::Init, &policies);
        assert_eq!(health.what_is_pending().len(), 2);
        health.heard(&watcher::Event::InitApply(()), &policies);
        assert_eq!(health.what_is_pending(), slice::from_ref(&secrets));
        health.heard(&watcher::Event::<()>::InitDone, &secrets);
        assert!(health.what_is_pending().is_empty());
        assert_eq!(health.reading(), slice::from_ref(&policies));
        health.heard(&watcher::Event::<()>::InitDone, &policies);
        assert!(health.reading().is_empty());
    }
}
