//! Another policy of the project, called `other`, which selects everything.

use jiff::Timestamp;
use warehouse_sync_operator::{
    api::{ValidatedPolicy, validated::PolicyRef},
    observe::Rival,
};

use crate::world::policy;

/// The one that was made then.
pub fn rival(created: &str) -> Rival {
    let other = ValidatedPolicy::new(&policy("mode: Enforce")).unwrap();
    Rival {
        at: PolicyRef {
            namespace: "n".into(),
            name: "other".into(),
        },
        uid: "u0".into(),
        created: created.parse().unwrap(),
        may_act: true,
        reads_until: Timestamp::MAX,
        selector: other.selector,
        in_flight: Vec::new(),
        cancelled: Vec::new(),
        sends: Vec::new(),
        poisoned: Vec::new(),
    }
}

/// One that was made after the policy of the simulation.
pub fn younger() -> Rival {
    rival("2026-06-01T00:00:00Z")
}

/// One that was made before it.
pub fn older() -> Rival {
    rival("2025-01-01T00:00:00Z")
}
