//! What the operator still waits for before it can do its work.

use std::sync::{Arc, Mutex, PoisonError};

/// What the operator still waits for before it can work.
#[derive(Debug, Clone)]
pub struct Health(Arc<Mutex<Vec<String>>>);

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(vec!["starting".to_owned()])))
    }
}

impl Health {
    /// Says what is pending; nothing means ready.
    pub fn pending(&self, what: &[String]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what.to_vec();
    }

    /// Says that something is no longer pending.
    pub fn done(&self, what: &str) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = pending.len();
        pending.retain(|one| one != what);
        if before > 0 && pending.is_empty() {
            tracing::info!("ready");
        }
    }

    /// What is pending.
    #[must_use]
    pub fn what_is_pending(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// True when nothing is pending.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }
}
