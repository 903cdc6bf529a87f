//! Why a project could not be read, and what to do about it.

use super::patient::PATIENCE;
use crate::{
    diagnose::words::in_words,
    posthog::{PostHogError, error::KEYS_WITHOUT_SCOPES},
};

/// What the client says of a refusal whose body `PostHog` would not send.
const NOT_POSTHOG: &str = "a body that is not PostHog's";

/// Why the project could not be read, and what to do.
pub(super) fn why(error: &PostHogError, host: &str, project: i64) -> String {
    let advice = match error {
        PostHogError::NotSent { .. } | PostHogError::NoAnswer { .. } => {
            format!("Check that {host} is the address of PostHog and can be reached from here")
        }
        PostHogError::RateLimited { wait, .. } => format!(
            "It asks to wait for {}, and this command waits for {} at most. The limits of an API key are shared with everything else that uses it: try again later",
            in_words(*wait),
            in_words(PATIENCE)
        ),
        PostHogError::Waiting { .. } | PostHogError::OverShare { .. } => {
            "The limits of an API key are shared with everything else that uses it: try again later"
                .to_owned()
        }
        PostHogError::Refused { status: 401, .. } => {
            "Use a valid personal API key of PostHog (it begins with phx_), made on this host"
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
                "PostHog at {host} knows no project {project} for this key: check --project, the number in the URL of PostHog's UI, and --host"
            )
        }
        PostHogError::Refused { status: 500.., .. } => {
            "PostHog has trouble of its own: try again in some minutes".to_owned()
        }
        PostHogError::TooLarge { .. } => {
            format!("Check that {host} is the address of PostHog; its lists are smaller")
        }
        PostHogError::Refused { .. } | PostHogError::Unexpected { .. } => {
            format!("Check that {host} is the address of PostHog itself, without a path")
        }
    };
    let error = error.to_string();
    format!("{}. {advice}.", error.trim_end_matches('.'))
}
