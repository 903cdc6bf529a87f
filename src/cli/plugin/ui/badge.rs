//! How a policy is, in a word.

use std::borrow::Cow;

use crate::cli::plugin::view::OverallHealth;

/// A word and its colour.
pub(super) struct Badge {
    pub label: &'static str,
    pub class: &'static str,
}

/// Of a policy. While the API server cannot be read, nothing is known to be healthy.
pub(super) const fn badge(standing: OverallHealth, is_lost: bool) -> Badge {
    let (label, class) = match standing {
        OverallHealth::Stalled => ("Stalled", "error"),
        OverallHealth::Unhealthy => ("Unhealthy", "error"),
        OverallHealth::Warnings => ("Warnings", "warning"),
        OverallHealth::Healthy if !is_lost => ("Healthy", "healthy"),
        OverallHealth::Healthy | OverallHealth::Unknown => ("Unknown", "unknown"),
    };
    Badge { label, class }
}

/// Why a policy has its badge: `message`, which is of the past while the API server cannot be read.
pub(super) fn why(message: &str, is_lost: bool) -> Cow<'_, str> {
    if is_lost {
        format!("The API server cannot be read. Reported last: {message}").into()
    } else {
        message.into()
    }
}
