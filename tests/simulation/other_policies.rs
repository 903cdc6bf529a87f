//! Another policy of the project, called `other`, which selects everything.

use jiff::Timestamp;
use warehouse_sync_operator::{
    api::{ValidatedPolicy, validated::PolicyRef},
    observe::OtherPolicy,
};

use crate::world::policy;

/// The one that was made then.
pub fn other_policy(created: &str) -> OtherPolicy {
    let other = ValidatedPolicy::new(&policy("mode: Enforce")).unwrap();
    OtherPolicy {
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
        reset_pending_since: Vec::new(),
    }
}

/// One that was made after the policy of the simulation.
pub fn younger() -> OtherPolicy {
    other_policy("2026-06-01T00:00:00Z")
}

/// One that was made before it.
pub fn older() -> OtherPolicy {
    other_policy("2025-01-01T00:00:00Z")
}
