//! Why a policy could not be observed: a reason, and what a human does about it.

use jiff::Timestamp;

use crate::{
    api::{
        Timings, ValidatedPolicy, WarehouseSyncPolicyStatus, conditions::Reason,
        validated::InvalidPolicy,
    },
    posthog::{PostHogError, error::KEYS_WITHOUT_SCOPES, guard::HostNotAllowed, wire::Source},
    report::{kubernetes::SecretRefused, not_ready::NotReady},
};

impl From<InvalidPolicy> for NotReady {
    fn from(error: InvalidPolicy) -> Self {
        Self {
            reason: Reason::InvalidSpec,
            message: error.to_string(),
        }
    }
}

impl From<HostNotAllowed> for NotReady {
    fn from(error: HostNotAllowed) -> Self {
        Self {
            reason: Reason::HostNotAllowed,
            message: format!("{error} (helm: allowedHosts)"),
        }
    }
}

impl From<SecretRefused> for NotReady {
    fn from(SecretRefused { reason, message }: SecretRefused) -> Self {
        Self { reason, message }
    }
}

/// What a failed poll means for the conditions.
#[must_use]
pub fn of_poll(error: &PostHogError, policy: &ValidatedPolicy) -> NotReady {
    let secret = format!(
        "key {} of Secret {}",
        policy.api_key.key, policy.api_key.name
    );
    let (project, host) = (policy.project.id, &policy.project.host);
    let (reason, advice) = match error {
        PostHogError::NotSent { .. } | PostHogError::NoAnswer { .. } => {
            (Reason::HostUnreachable, format!("Check that the operator can reach {host}. The poll is retried"))
        }
        PostHogError::Waiting { .. } | PostHogError::RateLimited { .. } => {
            (Reason::RateLimited, "All clients of an API key share its limits. The poll is retried".to_owned())
        }
        PostHogError::OverShare { .. } => {
            (Reason::RateLimited, "The poll is retried when the share allows it. A longer spec.interval, fewer projects per key, or a larger --quota-share (helm: quotaShare) helps".to_owned())
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
            (Reason::ProjectNotFound, format!("PostHog at {host} has no project {project} for this key: check spec.posthog.projectId"))
        }
        PostHogError::Refused { status: 500.., .. } => (Reason::PostHogUnavailable, "The poll is retried".to_owned()),
        PostHogError::TooLarge { .. } => {
            (Reason::ProjectTooLarge, "The project is not polled until it is smaller, or the operator has more memory and a higher limit (helm: maxTablesPerProject, maxTables)".to_owned())
        }
        PostHogError::Refused { .. } | PostHogError::Unexpected { .. } => (
            Reason::UnexpectedAnswer,
            format!("The operator does not act on an answer that it does not understand. Check that {host} is PostHog itself. The poll is retried"),
        ),
    };
    // Some of PostHog's own texts are sentences.
    let said = error.to_string();
    NotReady {
        reason,
        message: format!("{}. {advice}", said.trim_end_matches('.')),
    }
}

/// An empty list where there were sources: it is more often an error of PostHog, or a key that may see less, than a project
/// that was emptied.
#[must_use]
pub fn of_vanished(
    sources: &[Source],
    old: &WarehouseSyncPolicyStatus,
    timings: &Timings,
    now: Timestamp,
) -> Option<NotReady> {
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
        "PostHog lists no sources, but listed {before} before: nothing is done until they are back. Check what the API key's user may see. \
         If all sources were deleted on purpose, the operator accepts this after 24 h, or at once if you recreate the policy"
    );
    Some(NotReady {
        reason: Reason::SourcesVanished,
        message,
    })
}
