//! Why a policy that the API server accepted cannot be used.

use super::{duration::DurationError, glob::GlobError, host::HostError, window::WindowError};

/// Why a policy that the API server accepted cannot be used. The CRD's rules make this rare: the object is older than
/// they are, or bypassed them.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPolicy {
    /// The object has no name, namespace or uid.
    #[error("the object has no {0}: it did not come from the API server")]
    Incomplete(&'static str),
    /// A duration cannot be read.
    #[error("spec.{0}")]
    Duration(#[from] DurationError),
    /// The host cannot be read.
    #[error("spec.posthog.host: {0}")]
    Host(#[from] HostError),
    /// A limit is below the minimum that keeps healthy runs safe.
    #[error(
        "spec.health.stuck.{field} is below {hours}h, which is allowed only for a host on 127.0.0.1"
    )]
    TooShort {
        /// The field.
        field: &'static str,
        /// The minimum, in hours.
        hours: i64,
    },
    /// A data check has nothing to check.
    #[error("spec.health.dataChecks: a check has neither uniqueKey nor newestRow")]
    EmptyCheck,
    /// A window cannot be read.
    #[error("spec.remediation.windows: {0}")]
    Window(#[from] WindowError),
    /// Globs of the selector cannot be used.
    #[error("spec.selector.schemas: {0}")]
    Glob(#[from] GlobError),
    /// Globs of the overrides cannot be used.
    #[error("spec.overrides[].schemas: {0}")]
    OverrideGlob(GlobError),
}
