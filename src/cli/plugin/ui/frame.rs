//! What every page shows.

use jiff::Timestamp;

use super::{live::Seen, sentence::sentence};
use crate::cli::plugin::view;

/// What every page shows.
pub(super) struct Frame<'a> {
    pub scope: String,
    pub user: &'a str,
    /// Below which all pages are.
    pub path: &'a str,
    /// When this was read.
    pub now: String,
    pub version: u64,
    /// Why it may be outdated.
    pub lost: Option<Outdated>,
    pub has_read: bool,
}

/// Why a page may be outdated.
pub(super) struct Outdated {
    pub since: String,
    pub why: String,
}

impl<'a> Frame<'a> {
    /// What was seen of `namespace`, or all, by `user`; all pages are below `path`.
    pub(super) fn new(
        seen: &Seen,
        namespace: Option<&str>,
        user: &'a str,
        path: &'a str,
        now: Timestamp,
    ) -> Self {
        Self {
            scope: namespace.map_or("All namespaces".to_owned(), |name| {
                format!("Namespace {name}")
            }),
            user,
            path,
            now: now.strftime("%H:%M:%S UTC").to_string(),
            version: seen.version,
            lost: seen.lost.as_ref().map(|lost| Outdated {
                since: view::since(lost.since, now),
                why: sentence(&lost.why),
            }),
            has_read: seen.policies.is_some(),
        }
    }
}
