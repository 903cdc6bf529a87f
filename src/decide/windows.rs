//! When something may be started.

use jiff::Timestamp;

use super::words::held;
use crate::api::window::{Window, WindowKind};

/// Why nothing may be started at `now`. Deny wins; where there is any Allow, everything else is closed.
#[must_use]
pub fn closed(windows: &[Window], now: Timestamp) -> Option<String> {
    let open = |kind| {
        let of_kind = windows.iter().filter(move |window| window.kind == kind);
        of_kind
            .filter_map(move |window| window.open_until(now))
            .max()
    };
    if let Some(until) = open(WindowKind::Deny) {
        return Some(held::deny_window(until));
    }
    let allows = windows
        .iter()
        .any(|window| window.kind == WindowKind::Allow);
    (allows && open(WindowKind::Allow).is_none()).then(|| held::NO_WINDOW.to_owned())
}
