//! Why an approval is ignored, and the outcome of a proposal while the admission policies were not in effect.

pub(crate) const NO_VALUE: &str = "the approval has no value: it must be the approver's user name";
pub(crate) const PROPOSED_BEFORE: &str = "the admission policies are not those under which this was proposed: approvals written since are ignored";
pub(crate) const STATUS_UNPROTECTED: &str = "the admission policies were not in effect, and this process did not start the execution: anyone may have written its status";

pub(crate) fn not_verified(by: &str) -> String {
    format!(
        "the operator runs with --require-verified-approvals, and the user name {by:?} is not verified: approve with kubectl as yourself"
    )
}

pub(crate) fn unguarded(broken: &str) -> String {
    format!("ApprovalGuardActive is False: {broken}")
}

pub(crate) fn denied(reason: &str) -> String {
    format!("denied: {reason}")
}
