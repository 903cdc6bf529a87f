//! Does the push channel of a source work? A table that is synced by webhook says Completed as long as its bulk sync works.

use super::{
    causes::{
        Advice, Cause,
        rules::{DISABLED_AT_VENDOR, GONE_AT_VENDOR, NOT_REGISTERED},
    },
    known::Known,
    problem::{NAME_CAP, Problem},
    words::as_of,
};
use crate::{
    api::status::{Confidence, RootCause, Severity},
    observe::probes::Probed,
    posthog::{
        lax::Lax,
        probe::{ExternalStatus, WebhookInfo},
        redact,
        wire::{Schema, Source},
    },
};

/// The tables of a source that are synced by webhook and switched on.
pub fn tables<'a>(known: &Known<'a>, source: &'a Source) -> impl Iterator<Item = &'a Schema> {
    let selector = &known.policy.selector;
    source
        .schemas
        .iter()
        .filter(|schema| schema.should_sync == Lax::Is(true) && schema.syncs_by("webhook"))
        .filter(|schema| selector.selects_schema(&schema.name))
}

/// True if the vendor says that it has switched the webhook off.
pub fn is_off_at_vendor(probed: Option<&Probed<WebhookInfo>>) -> bool {
    let info = probed.and_then(|probed| probed.answer.as_ref().ok());
    let trouble = info.and_then(trouble);
    trouble.is_some_and(|trouble| {
        trouble.rule == DISABLED_AT_VENDOR && trouble.severity == Severity::Error
    })
}

/// The problems of webhooks.
pub fn problems(known: &Known<'_>) -> Vec<Problem> {
    known
        .snapshot
        .selected_sources(&known.policy.selector)
        .filter_map(|source| {
            let probed = known.snapshot.probes.webhooks.get(&source.id)?;
            let affected: Vec<String> = tables(known, source)
                .map(|schema| redact::one_line(&schema.name, NAME_CAP))
                .collect();
            (!affected.is_empty()).then(|| problem(source, probed, affected))?
        })
        .collect()
}

fn problem(
    source: &Source,
    probed: &Probed<WebhookInfo>,
    affected: Vec<String>,
) -> Option<Problem> {
    let Trouble {
        severity,
        rule,
        message,
        advice: own,
    } = match &probed.answer {
        Ok(info) => trouble(info)?,
        // Nothing is known, and nothing is wrong that anybody knows of; the next check asks again.
        Err(_) => return None,
    };
    let mut problem = Problem::of_source(
        redact::one_line(&source.title(), 80),
        &source.id,
        RootCause::WebhookBroken,
        rule,
        message,
    );
    problem.severity = severity;
    problem.evidence = vec![
        format!("PostHog's webhook_info says so{}", as_of(probed)).into(),
        "the status of the tables does not show it: their bulk sync still works".into(),
    ];
    problem.affected = affected;
    problem.advice = own.unwrap_or(problem.advice);
    if severity == Severity::Info {
        problem.cause = RootCause::Unknown;
        problem.confidence = Confidence::Low;
    }
    Some(problem)
}

struct Trouble {
    severity: Severity,
    rule: &'static str,
    message: String,
    advice: Option<Advice>,
}

/// What is wrong with a webhook. What `PostHog` does not know is not wrong.
fn trouble(info: &WebhookInfo) -> Option<Trouble> {
    let broken = |rule, message: &str, advice| {
        Some(Trouble {
            severity: Severity::Error,
            rule,
            message: message.to_owned(),
            advice,
        })
    };
    let WebhookInfo {
        supports_webhooks,
        exists,
        hog_function,
        external_status,
        missing_events,
    } = info;
    if *supports_webhooks == Lax::Is(false) {
        return broken(
            "webhook/not-supported",
            "Tables are synced by webhook, but PostHog says that the source supports none",
            None,
        );
    }
    if *exists == Lax::Is(false) {
        return broken(
            NOT_REGISTERED,
            "PostHog has no webhook for the source, so no event can arrive",
            None,
        );
    }
    let off = hog_function
        .as_ref()
        .is_some_and(|function| function.enabled == Lax::Is(false));
    if off {
        return broken(
            "webhook/function-disabled",
            "PostHog's side of the webhook is switched off",
            Some(Advice::same(
                "In PostHog, open the source's webhook and switch it on again.",
            )),
        );
    }
    external_status
        .as_ref()
        .and_then(at_vendor)
        .or_else(|| missing(missing_events.as_deref().unwrap_or_default()))
}

/// What vendors call a webhook that sends nothing.
const OFF: [&str; 7] = [
    "disabled",
    "inactive",
    "deactivated",
    "paused",
    "suspended",
    "failed",
    "deleted",
];

fn at_vendor(external: &ExternalStatus) -> Option<Trouble> {
    let error = external
        .error
        .get()
        .filter(|error| !error.trim().is_empty());
    if let Some(error) = error {
        // Mostly a key that may not read webhooks: unknown, not broken.
        return Some(Trouble {
            severity: Severity::Info,
            rule: "webhook/cannot-read",
            message: format!(
                "Cannot tell how the webhook stands at the vendor: {}",
                redact::text(error, 200)
            ),
            advice: Some(Advice::same(
                "Let the source's key read webhooks at the vendor, or look at the vendor's dashboard whether the webhook is enabled.",
            )),
        });
    }
    let broken = |rule, message, advice| Trouble {
        severity: Severity::Error,
        rule,
        message,
        advice: Some(advice),
    };
    if external.exists == Lax::Is(false) {
        return Some(broken(
            GONE_AT_VENDOR,
            "The vendor no longer has the webhook".to_owned(),
            Advice {
                with_operator: "Register the webhook again in PostHog (the source's Webhook tab), or let the operator do it.",
                ..Cause::of(RootCause::WebhookBroken).advice
            },
        ));
    }
    let status = external.status.get()?;
    if status.eq_ignore_ascii_case("enabled") {
        return None;
    }
    let off = OFF.iter().any(|word| status.eq_ignore_ascii_case(word));
    Some(Trouble {
        severity: if off {
            Severity::Error
        } else {
            Severity::Warning
        },
        ..broken(
            DISABLED_AT_VENDOR,
            format!(
                "The vendor calls the webhook {:?} instead of enabled{}",
                redact::one_line(status, 40),
                if off { ": it sends nothing" } else { "" }
            ),
            Advice::same(
                "Enable the webhook again on the vendor's dashboard (Stripe: Developers, Webhooks); it is usually switched off after repeated failures to deliver.",
            ),
        )
    })
}

fn missing(events: &[String]) -> Option<Trouble> {
    if events.is_empty() {
        return None;
    }
    let shown: Vec<String> = events
        .iter()
        .take(5)
        .map(|event| redact::one_line(event, 60))
        .collect();
    Some(Trouble {
        severity: Severity::Warning,
        rule: "webhook/missing-events",
        message: format!(
            "The vendor does not send {} of the events that the tables need: {}",
            events.len(),
            shown.join(", ")
        ),
        advice: Some(Advice::same(
            "Add the missing events to the webhook on the vendor's dashboard.",
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> Option<&'static str> {
        trouble(&serde_json::from_str(json).unwrap()).map(|trouble| trouble.rule)
    }

    #[test]
    fn what_is_healthy_or_not_known_is_no_trouble() {
        for json in [
            r#"{"exists":true,"hog_function":{"enabled":true},"external_status":{"exists":true,"status":"enabled","error":null},"missing_events":[]}"#,
            r#"{"exists":true,"hog_function":{"enabled":true},"external_status":null,"missing_events":[]}"#,
            r#"{"exists":true,"hog_function":null,"external_status":null}"#,
            r#"{"exists":"perhaps","external_status":{"exists":null,"status":null}}"#,
            "{}",
        ] {
            assert_eq!(rule(json), None, "{json}");
        }
    }

    #[test]
    fn each_way_to_be_broken_has_its_rule() {
        for (json, expected) in [
            (r#"{"exists":false}"#, "webhook/not-registered"),
            (
                r#"{"exists":true,"hog_function":{"enabled":false}}"#,
                "webhook/function-disabled",
            ),
            (
                r#"{"exists":true,"external_status":{"exists":false,"error":null}}"#,
                "webhook/gone-at-vendor",
            ),
            (
                r#"{"exists":true,"external_status":{"exists":true,"status":"disabled"}}"#,
                "webhook/disabled-at-vendor",
            ),
            (
                r#"{"exists":true,"external_status":{"exists":true,"status":"enabled"},"missing_events":["charge.failed"]}"#,
                "webhook/missing-events",
            ),
        ] {
            assert_eq!(rule(json), Some(expected), "{json}");
        }
    }

    #[test]
    fn a_key_that_may_not_read_webhooks_is_information_and_not_an_error() {
        let json = r#"{"exists":true,"external_status":{"exists":false,"error":"API key doesn't have permission to read webhooks"}}"#;
        let found = trouble(&serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(
            (found.severity, found.rule),
            (Severity::Info, "webhook/cannot-read")
        );
    }
}
