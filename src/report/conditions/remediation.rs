//! `RemediationAllowed`: whether the operator may send what it decides.

use super::{ConditionFact, ConditionStatus};
use crate::{
    api::{
        WarehouseSyncPolicyStatus,
        conditions::{REMEDIATION_ALLOWED, Reason},
        policy::Mode,
    },
    observe::WriteScope,
};

/// Whether anything may be sent, and if not, why.
#[must_use]
pub fn remediation(
    mode: Mode,
    stopped: Option<&'static str>,
    write_scope: WriteScope,
) -> ConditionFact {
    let say = |truth, reason, message: &str| {
        ConditionFact::new(REMEDIATION_ALLOWED, truth, reason, message)
    };
    if let Some(why) = stopped {
        let message = format!("{why}: the operator changes nothing in PostHog");
        return say(ConditionStatus::False, Reason::Suspended, &message);
    }
    if mode == Mode::Observe {
        return say(
            ConditionStatus::False,
            Reason::Observing,
            "spec.mode is Observe: the operator only reports, and changes nothing in PostHog. Set it to Enforce to allow remediation",
        );
    }
    if write_scope == WriteScope::Missing {
        return say(
            ConditionStatus::False,
            Reason::KeyLacksWriteScope,
            "The API key lacks the scope external_data_source:write: add it to the key in PostHog, or put a key that has it into the Secret",
        );
    }
    say(
        ConditionStatus::True,
        Reason::Enforcing,
        "The operator performs safe actions; the others need approval",
    )
}

/// What the status knows of the key: that does not change because `PostHog` cannot be read.
#[must_use]
pub fn known_scope(old: &WarehouseSyncPolicyStatus) -> WriteScope {
    let lacks = old
        .condition(REMEDIATION_ALLOWED)
        .is_some_and(|known| known.reason == Reason::KeyLacksWriteScope.as_str());
    if lacks {
        WriteScope::Missing
    } else {
        WriteScope::Unknown
    }
}
