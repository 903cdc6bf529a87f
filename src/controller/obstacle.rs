//! Why a policy could not be observed: a reason, and what a human does about it.

use jiff::Timestamp;

use crate::{
    api::{
        Timings, ValidatedPolicy, WarehouseSyncPolicyStatus, conditions::Reason,
        validated::InvalidPolicy,
    },
    posthog::{PostHogError, error::KEYS_WITHOUT_SCOPES, guard::HostNotAllowed, wire::Source},
    report::{kubernetes::SecretRefused, obstacle::Obstacle},
};

impl From<InvalidPolicy> for Obstacle {
    fn from(error: InvalidPolicy) -> Self {
        Self {
            reason: Reason::InvalidSpec,
            message: error.to_string(),
        }
    }
}

impl From<HostNotAllowed> for Obstacle {
    fn from(error: HostNotAllowed) -> Self {
        Self {
            reason: Reason::HostNotAllowed,
            message: error.to_string(),
        }
    }
}

impl From<SecretRefused> for Obstacle {
    fn from(SecretRefused { reason, message }: SecretRefused) -> Self {
        Self { reason, message }
    }
}

/// The obstacle that a failed poll is.
#[must_use]
pub fn of_poll(error: &PostHogError, policy: &ValidatedPolicy) -> Obstacle {
    let secret = format!(
        "key {} of Secret {}",
        policy.api_key.key, policy.api_key.name
    );
    let (project, host) = (policy.project.id, &policy.project.host);
    let (reason, advice) = match error {
        PostHogError::NotSent { .. } | PostHogError::NoAnswer { .. } => {
            (Reason::HostUnreachable, format!("Check that {host} can be reached from the operator; it is tried again"))
        }
        PostHogError::Waiting { .. } | PostHogError::RateLimited { .. } => {
            (Reason::RateLimited, "The limits of the API key are shared with everything else that uses it; it is tried again".to_owned())
        }
        PostHogError::OverShare { .. } => {
            (Reason::RateLimited, "It is tried again as soon as there is room; a longer interval, fewer projects on one key, or a larger --quota-share of the operator make room".to_owned())
        }
        PostHogError::Refused { status: 401, .. } => {
            (Reason::KeyRejected, format!("Put a valid personal API key of PostHog into {secret}"))
        }
        PostHogError::Refused { status: 403, .. } if error.lacks_scope("external_data_source:read") => {
            (Reason::KeyLacksReadScope, format!("Add the scope external_data_source:read to the API key in PostHog, or put a key that has it into {secret}"))
        }
        PostHogError::Refused { status: 403, .. } if error.is_closed_to_keys() => {
            (Reason::KeyRejected, KEYS_WITHOUT_SCOPES.to_owned())
        }
        PostHogError::Refused { status: 403, .. } => {
            (Reason::ProjectForbidden, format!("Give the API key access to project {project} in PostHog, or put a key that has it into {secret}"))
        }
        PostHogError::Refused { status: 404, .. } => {
            (Reason::ProjectNotFound, format!("PostHog at {host} knows no project {project} for this key: check spec.posthog.projectId"))
        }
        PostHogError::Refused { status: 500.., .. } => (Reason::PostHogUnavailable, "It is tried again".to_owned()),
        PostHogError::TooLarge { .. } => {
            (Reason::ProjectTooLarge, "Nothing of the project is read until it is smaller, or the operator is given more memory and a higher limit".to_owned())
        }
        PostHogError::Refused { .. } | PostHogError::Unexpected { .. } => (
            Reason::UnexpectedAnswer,
            format!("Nothing is done on an answer that is not understood. Check that {host} is PostHog itself; it is tried again"),
        ),
    };
    Obstacle {
        reason,
        message: format!("{error}. {advice}"),
    }
}

/// The obstacle that an empty list is where there were sources: a list that shrinks to nothing is more often an error of
/// PostHog's, or a key that may see less, than a project that was emptied.
#[must_use]
pub fn of_vanished(
    sources: &[Source],
    old: &WarehouseSyncPolicyStatus,
    timings: &Timings,
    now: Timestamp,
) -> Option<Obstacle> {
    let before = old
        .summary
        .as_ref()
        .map_or(0, |summary| summary.sources.total);
    if !sources.is_empty() || before == 0 {
        return None;
    }
    let long_enough = old
        .state
        .empty_since
        .is_some_and(|since| now.duration_since(since) >= timings.trust_empty_after);
    if long_enough {
        return None;
    }
    let message = format!(
        "PostHog lists no source, but there were {before} before: nothing is done until they are back. Check what the API key's user may see. \
         If all sources were deleted on purpose, this is believed after 24 h, or at once by a policy made anew"
    );
    Some(Obstacle {
        reason: Reason::SourcesVanished,
        message,
    })
}
