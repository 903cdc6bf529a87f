//! What was tried once is not tried again until something changes. Only a call that was certainly not sent is not a try.

use jiff::Timestamp;

use super::{Hold, OrderContext};
use crate::{
    api::status::{Fate, SentInput, SourceState},
    decide::plan::{Basis, Kind},
};

/// The same credentials, or the same registration of a webhook.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    let Basis::Source(basis) = context.basis else {
        return None;
    };
    let mut states = context.known.state.sources.iter();
    let state = states.find(|state| state.id == context.subject.source_id)?;
    let before = tried(given(state, context.kind)?, &basis.hmac)?;
    let (at, became) = (seconds(before.at), became(before));
    let why = match context.kind {
        Kind::Webhook => format!(
            "tried at {at}: {became}. Not tried again until the state of the webhook changes, or until the Secret that spec.credentials names for the source changes. To fix it now, register the webhook in PostHog (the source's Webhook tab)"
        ),
        _ => format!(
            "already sent at {at}: {became}. Rotate it at the source and write the new value into {}",
            basis.from
        ),
    };
    Some(Hold::for_now(why))
}

const fn given(state: &SourceState, kind: Kind) -> Option<&SentInput> {
    match kind {
        Kind::Credentials => state.credentials.as_ref(),
        Kind::Webhook => state.webhook.as_ref(),
        Kind::WebhookInputs => state.webhook_inputs.as_ref(),
        Kind::Stuck
        | Kind::Reload
        | Kind::StaleReload
        | Kind::RotationReload
        | Kind::Enable
        | Kind::Approved => None,
    }
}

/// Whether exactly this was sent before.
#[must_use]
pub fn tried<'a>(before: &'a SentInput, hmac: &str) -> Option<&'a SentInput> {
    let left = before.fate != Some(Fate::NotSent);
    Some(before).filter(|_| left && before.hmac == hmac)
}

/// Its result, in words.
fn became(sent_input: &SentInput) -> String {
    let said = if sent_input.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", sent_input.detail)
    };
    match sent_input.fate {
        Some(Fate::Accepted) => format!("PostHog accepted it{said}"),
        Some(Fate::Refused) => format!("PostHog refused it{said}"),
        Some(Fate::Unknown | Fate::NotSent) => {
            format!("it failed, or its outcome is unknown{said}")
        }
        None => "the operator was interrupted, and whether it arrived is unknown".to_owned(),
    }
}

fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guards::fixture::{Situation, ago, of_source};

    fn sent_input(hmac: &str, fate: Option<Fate>, detail: &str) -> SentInput {
        SentInput {
            hmac: hmac.into(),
            at: ago(60) + jiff::SignedDuration::from_millis(7),
            fate,
            detail: detail.into(),
            shown: false,
        }
    }

    fn said(kind: Kind, state: SourceState) -> Option<String> {
        let other = SourceState {
            id: "s2".into(),
            ..state.clone()
        };
        let mut situation = Situation::new(of_source(kind));
        situation.state.sources = vec![other, state];
        situation.ask(check).map(|hold| hold.why)
    }

    fn state() -> SourceState {
        SourceState {
            id: "s1".into(),
            ..SourceState::default()
        }
    }

    #[test]
    fn it_says_what_was_tried_when_and_with_which_outcome() {
        let given = Some(sent_input("x", Some(Fate::Refused), "no such host"));
        let became = "at 2026-10-01T11:00:00Z: PostHog refused it (no such host).";
        let credentials = SourceState {
            credentials: given.clone(),
            ..state()
        };
        let webhook = SourceState {
            webhook: given,
            ..state()
        };
        let again = format!(
            "already sent {became} Rotate it at the source and write the new value into Secret db"
        );
        let registered = format!(
            "tried {became} Not tried again until the state of the webhook changes, or until the Secret that spec.credentials names for the source changes. To fix it now, register the webhook in PostHog (the source's Webhook tab)"
        );
        for (kind, before, expected) in [
            (Kind::Credentials, &credentials, Some(again)),
            (Kind::Webhook, &webhook, Some(registered)),
            (Kind::Webhook, &credentials, None),
            (Kind::Credentials, &webhook, None),
            (Kind::Credentials, &state(), None),
        ] {
            assert_eq!(said(kind, before.clone()), expected, "{kind:?}");
        }
    }

    #[test]
    fn only_the_same_counts_and_not_if_it_did_not_leave() {
        let unknown = "it failed, or its outcome is unknown";
        let interrupted = "the operator was interrupted, and whether it arrived is unknown";
        for (hmac, fate, expected) in [
            ("x", Some(Fate::Accepted), Some("PostHog accepted it")),
            ("x", Some(Fate::Refused), Some("PostHog refused it")),
            ("x", Some(Fate::Unknown), Some(unknown)),
            ("x", None, Some(interrupted)),
            ("x", Some(Fate::NotSent), None),
            ("y", Some(Fate::Accepted), None),
            ("y", Some(Fate::NotSent), None),
        ] {
            let before = SourceState {
                credentials: Some(sent_input(hmac, fate, "")),
                ..state()
            };
            let held = said(Kind::Credentials, before);
            let expected = expected.map(|became| format!(": {became}. Rotate it"));
            let as_expected = match (&held, &expected) {
                (Some(held), Some(expected)) => held.contains(expected),
                (held, expected) => held.is_none() && expected.is_none(),
            };
            assert!(as_expected, "{hmac} {fate:?}: {held:?}");
        }
    }
}
