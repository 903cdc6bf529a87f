//! What the operator still waits for before it can do its work.

use std::sync::{Arc, Mutex, PoisonError};

use super::absent::Absent;

/// What the operator still waits for before it can work.
#[derive(Debug, Clone)]
pub struct ProcessHealth {
    pending: Arc<Mutex<Vec<String>>>,
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
            blocked: Arc::default(),
            absent: Absent::default(),
        }
    }
}

impl ProcessHealth {
    /// Says what is pending; nothing means ready.
    pub fn pending(&self, what: &[String]) {
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = what.to_vec();
    }

    /// Says that something is no longer pending.
    pub fn done(&self, what: &str) {
        let was_pending = !self.awaited().is_empty();
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|one| one != what);
        drop(pending);
        if was_pending && self.awaited().is_empty() {
            tracing::info!("ready");
        }
    }

    /// What is pending, without what a namespace would have to exist for.
    fn awaited(&self) -> Vec<String> {
        let absent = self.absent.all();
        let is_awaited = |what: &&String| {
            let mut absent = absent.iter();
            !absent.any(|namespace| what.ends_with(&in_namespace(Some(namespace))))
        };
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.iter().filter(is_awaited).cloned().collect()
    }

    /// Reports what keeps the process from leading and from being a standby; none if nothing does.
    pub fn blocked(&self, why: Option<String>) {
        *self.blocked.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// What is pending.
    #[must_use]
    pub fn what_is_pending(&self) -> Vec<String> {
        let mut all = self.awaited();
        let blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(blocked.clone());
        all
    }
}
