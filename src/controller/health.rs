//! What the operator still waits for before it can do its work.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// What the operator still waits for before it can work.
#[derive(Debug, Clone)]
pub struct ProcessHealth {
    pending: Arc<Mutex<Vec<String>>>,
    blocked: Arc<Mutex<Option<String>>>,
    begun: Arc<AtomicBool>,
}

impl Default for ProcessHealth {
    fn default() -> Self {
        Self {
            pending: Arc::new(Mutex::new(vec!["starting".to_owned()])),
            blocked: Arc::default(),
            begun: Arc::default(),
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
        self.begun.store(true, Ordering::Relaxed);
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let before = pending.len();
        pending.retain(|one| one != what);
        if before > 0 && pending.is_empty() {
            tracing::info!("ready");
        }
    }

    /// Reports what keeps the process from leading and from being a standby; none if nothing does.
    pub fn blocked(&self, why: Option<String>) {
        *self.blocked.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// What is pending.
    #[must_use]
    pub fn what_is_pending(&self) -> Vec<String> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        pending.iter().chain(&*blocked).cloned().collect()
    }

    /// True once any first list is complete, so that reconciles may be running.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }
}
