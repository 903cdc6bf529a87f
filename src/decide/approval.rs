//! Which annotations are approvals.

/// Which approvals count, by the operator's command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Believe them also while the guard does not stand (`--allow-unguarded-approvals`).
    pub allow_unguarded: bool,
    /// Only those whose name the API server has checked (`--require-verified-approvals`).
    pub require_verified: bool,
}
