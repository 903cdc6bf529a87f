//! Conditions after the Kubernetes API conventions: `observedGeneration` on each, and `lastTransitionTime` moves only when
//! the status does.
//!
//! Each file beside this one knows what one condition, or a few that belong together, says: as [`ConditionFact`]s. [`Conditions`]
//! combines them, given the previous ones.

mod approvals;
mod builder;
mod fact;
mod healthy;
mod notifying;
mod readiness;
mod remediation;

pub use approvals::{guarding, not_checked, pending};
pub use builder::Conditions;
pub use fact::{ConditionFact, ConditionStatus};
pub use healthy::{healthy, not_observed};
pub use notifying::notifying;
pub use readiness::{is_first, readiness};
pub use remediation::{known_scope, remediation};
