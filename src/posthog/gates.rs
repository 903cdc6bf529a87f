//! The gates of all API keys in use: `PostHog`'s limits are for the key, over all its projects.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;

use super::{
    client::KeyGate,
    key::KeyId,
    quota::{Share, Usage},
};
use crate::api::host::Host;

/// One gate for each key at each host. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Gates(Arc<Mutex<ByKey>>);

type ByKey = HashMap<(Host, KeyId), Arc<KeyGate>>;

impl Gates {
    /// The gate of a key at a host, which lets this share of the key's limits pass; all of them if none.
    pub fn of(&self, host: &Host, key: KeyId, share: Option<Share>) -> Arc<KeyGate> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.retain(|_, gate| in_use(gate));
        gates
            .entry((host.clone(), key))
            .or_insert_with(|| Arc::new(share.map_or_else(KeyGate::default, KeyGate::sharing)))
            .clone()
    }

    /// How much each key in use has used of its shares.
    #[must_use]
    pub fn usage(&self, now: Timestamp) -> Vec<Usage> {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = gates.values().filter(|gate| in_use(gate));
        used.flat_map(|gate| gate.usage(now)).collect()
    }
}

/// The gate of a key that no policy uses any more has no other owner.
fn in_use(gate: &Arc<KeyGate>) -> bool {
    Arc::strong_count(gate) > 1
}
