//! Why a project could not be read, and what to do about it.

use super::waiting::LONGEST_WAIT;
use crate::{
    diagnose::words::in_words,
    posthog::{PostHogError, error::KEYS_WITHOUT_SCOPES},
};

/// What the client reports for a refusal with a body that is not from `PostHog`.
const NOT_POSTHOG: &str = "a body that is not PostHog's";

/// Why the project could not be read, and what to do.
pub(super) fn why(error: &PostHogError, host: &str, project: i64) -> String {
    let advice = match error {
        PostHogError::NotSent { .. } | PostHogError::NoAnswer { .. } => {
            format!("Check that {host} is the address of PostHog and can be reached from here")
        }
        PostHogError::RateLimited { wait, .. } => format!(
            "PostHog asks to wait for {}, but this command waits for at most {}. All clients of an API key share its limits: try again later",
            in_words(*wait),
            in_words(LONGEST_WAIT)
        ),
        PostHogError::Waiting { .. } | PostHogError::OverShare { .. } => {
            "All clients of an API key share its limits: try again later"
                .to_owned()
        }
        PostHogError::Refused { status: 401, .. } => {
            "Use a valid personal API key of PostHog (it begins with phx_) that was created on this host"
                .to_owned()
        }
        PostHogError::Refused { status: 403, .. }
            if error.lacks_scope("external_data_source:read") =>
        {
            "Add the scope external_data_source:read to the API key in PostHog".to_owned()
        }
        PostHogError::Refused { status: 403, .. } if error.is_closed_to_keys() => {
            KEYS_WITHOUT_SCOPES.to_owned()
        }
        PostHogError::Refused { status: 403, .. } => {
            format!("Give the API key access to project {project} in PostHog")
        }
        PostHogError::Refused {
            status: 404,
            detail,
            ..
        } if !detail.contains(NOT_POSTHOG) => {
            format!(
                "PostHog at {host} has no project {project} for this key: check --project (the number in the URL of PostHog's UI) and --host"
            )
        }
        PostHogError::Refused { status: 500.., .. } => {
            "PostHog has a problem: try again in a few minutes".to_owned()
        }
        PostHogError::TooLarge { .. } => {
            format!("Check that {host} is the address of PostHog: PostHog's lists are smaller")
        }
        PostHogError::Refused { .. } | PostHogError::Unexpected { .. } => {
            format!("Check that {host} is the address of PostHog itself, without a path")
        }
    };
    let error = error.to_string();
    format!("{}. {advice}.", error.trim_end_matches('.'))
}
