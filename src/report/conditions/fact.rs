//! What a condition says.

use crate::api::conditions::Reason;

/// A condition's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
pub enum ConditionStatus {
    /// True.
    True,
    /// False.
    False,
    /// Unknown.
    Unknown,
}

impl ConditionStatus {
    /// As conditions show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionFact {
    /// Type.
    pub type_: &'static str,
    /// Status.
    pub truth: ConditionStatus,
    /// Reason.
    pub reason: Reason,
    /// Message.
    pub message: String,
}

impl ConditionFact {
    /// That the condition `type_` has this status, for this reason.
    pub fn new(
        type_: &'static str,
        truth: ConditionStatus,
        reason: Reason,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_,
            truth,
            reason,
            message: message.into(),
        }
    }
}
