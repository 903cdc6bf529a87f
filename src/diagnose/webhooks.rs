//! Does the push channel of a source work? A table that is synced by webhook says Completed as long as its bulk sync works.

use std::collections::BTreeSet;

use super::{
    causes::{
        Advice, Cause,
        rules::{DISABLED_AT_VENDOR, GONE_AT_VENDOR, INPUT_MISSING, NOT_REGISTERED},
    },
    credentials,
    known::Known,
    problem::{Fact, NAME_CAP, Problem, SharedProblem},
    verdict::{Judged, Verdict},
    words::{as_of, seconds},
};
use crate::{
    api::status::{Confidence, RootCause, Severity},
    observe::{Deliveries, probes::Probed},
    posthog::{
        lax::Lax,
        probe::{ExternalStatus, FunctionState, HogFunction, WebhookInfo},
        redact, webhook_fields,
        wire::{Schema, Source},
    },
};

/// The tables of a source that are synced by webhook and switched on.
pub fn tables<'a>(known: &Known<'a>, source: &'a Source) -> impl Iterator<Item = &'a Schema> {
    let selector = &known.policy.selector;
    source
        .schemas
        .iter()
        .filter(|schema| schema.is_on() && schema.syncs_by("webhook"))
        .filter(|schema| selector.selects_schema(&schema.name))
}

/// True if the vendor says that it has switched the webhook off.
pub fn is_off_at_vendor(probed: Option<&Probed<WebhookInfo>>) -> bool {
    let info = probed.and_then(|probed| probed.answer.as_ref().ok());
    let trouble = info.and_then(|info| trouble(info, &[]));
    trouble.is_some_and(|trouble| {
        trouble.rule == DISABLED_AT_VENDOR && trouble.severity == Severity::Error
    })
}

/// The inputs that the webhook of a source needs and that `PostHog` certainly shows as not set: those that its type needs, that it shows
/// empty, or that `spec.credentials` names.
#[must_use]
pub fn missing_inputs(known: &Known<'_>, source: &Source, info: &WebhookInfo) -> Vec<String> {
    if info.exists != Lax::Is(true) {
        return Vec::new();
    }
    let named = required(known, source).into_iter();
    let named = named.chain(credentials::webhook_inputs(known, source));
    let missing = named.filter(|name| info.has_input(name) == Some(false));
    let all: BTreeSet<&str> = missing.chain(info.empty_inputs()).collect();
    all.into_iter().map(str::to_owned).collect()
}

/// What the webhook of a source needs, as the wizard says, or as this version knows.
fn required<'a>(known: &Known<'a>, source: &Source) -> Vec<&'a str> {
    let probed = known.snapshot.probes.webhook_fields.as_ref();
    let listed = probed.and_then(|probed| probed.answer.as_ref().ok());
    match listed.and_then(|listed| listed.of_type(source.type_name())) {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => webhook_fields::of_type(source.type_name()).to_vec(),
    }
}

/// True if it is worth knowing what the webhook of a source needs: `PostHog` has it, and shows its inputs.
pub(super) fn shows_inputs(known: &Known<'_>, source: &Source) -> bool {
    let probed = known.snapshot.probes.webhooks.get(&source.id);
    let info = probed.and_then(|probed| probed.answer.as_ref().ok());
    let shows = |info: &WebhookInfo| info.exists == Lax::Is(true) && info.inputs.is_object();
    tables(known, source).next().is_some() && info.is_some_and(shows)
}

/// For how many `checkEvery` an answer is believed.
const BELIEVED_FOR: i32 = 2;

/// Why it is unknown whether events arrive by the webhook of a source; none if it is known.
pub(super) fn why_unknown(known: &Known<'_>, source: &Source) -> Option<String> {
    let Some(probed) = known.snapshot.probes.webhooks.get(&source.id) else {
        return Some("PostHog's webhook_info has not been read yet".to_owned());
    };
    let info = match &probed.answer {
        Ok(info) => info,
        Err(error) => {
            let said = redact::text(&error.to_string(), 200);
            return Some(format!("PostHog's webhook_info has no answer: {said}"));
        }
    };
    if trouble(info, &[]).is_some_and(|trouble| trouble.severity == Severity::Error) {
        return None;
    }
    // Answered in the future: the clock was set back.
    let old = known.now.duration_since(probed.at).abs();
    if old > known.policy.check_webhooks_every * BELIEVED_FOR {
        let asked = match probed.in_vain {
            0 => "been read",
            _ => "answered",
        };
        return Some(format!(
            "PostHog's webhook_info has not {asked} since {}",
            seconds(probed.at)
        ));
    }
    if info.exists.get().is_none() {
        return Some("PostHog does not show whether the webhook exists".to_owned());
    }
    let function = info.hog_function.as_ref();
    let shows_whether_on = function.is_some_and(|function| function.enabled.get().is_some());
    if info.exists == Lax::Is(true) && !shows_whether_on {
        return Some(
            "PostHog does not show whether its side of the webhook is switched on".to_owned(),
        );
    }
    match function.map(HogFunction::state) {
        Some(FunctionState::Unknown(state)) => Some(format!(
            "PostHog rates its side of the webhook as {}, which is unknown to this version of the operator",
            redact::one_line(&state, 40)
        )),
        Some(FunctionState::NoAnswer) => Some(
            "PostHog's watcher does not say how its side of the webhook works (state 0)".to_owned(),
        ),
        Some(FunctionState::Works | FunctionState::Degraded | FunctionState::Disabled) | None => {
            None
        }
    }
}

/// The reason why the health of a table is unknown while its webhook is.
pub(super) fn unknown_table(why: &str) -> String {
    format!("it syncs by webhook, and whether events arrive is unknown: {why}")
}

/// One problem for each source whose webhook is unknown, instead of one for each table.
pub(super) fn unknown(known: &Known<'_>, judged: &[Judged]) -> Vec<SharedProblem> {
    let sources = known.snapshot.selected_sources();
    sources
        .filter(|source| tables(known, source).next().is_some())
        .filter_map(|source| {
            let why = why_unknown(known, source)?;
            let reason = unknown_table(&why);
            let is_of_this = |judged: &&Judged| {
                judged.source_id == source.id
                    && matches!(&judged.verdict, Verdict::CannotTell { reason: own } if *own == reason)
            };
            let tables: Vec<&Judged> = judged.iter().filter(is_of_this).collect();
            let names = tables.iter().map(|judged| redact::one_line(&judged.schema, NAME_CAP));
            let is_read = known.snapshot.probes.webhooks.contains_key(&source.id);
            let problem = Problem {
                severity: if is_read { Severity::Warning } else { Severity::Info },
                confidence: Confidence::Low,
                affected: names.collect(),
                advice: Advice {
                    with_operator: "Check the source's Webhook tab in PostHog, and the webhook on the vendor's dashboard. The operator does not act on an unknown state.",
                    ..Cause::of(RootCause::Unknown).advice
                },
                ..Problem::of_source(
                    redact::one_line(&source.title(), 80),
                    &source.id,
                    RootCause::Unknown,
                    "webhook/unknown",
                    format!("Whether events arrive by webhook is unknown: {why}"),
                )
            };
            let tables: Vec<String> = tables.iter().map(|judged| judged.schema_id.clone()).collect();
            (!tables.is_empty()).then_some(SharedProblem { problem, tables })
        })
        .collect()
}

/// The problems of webhooks.
pub fn problems(known: &Known<'_>) -> Vec<Problem> {
    known
        .snapshot
        .selected_sources()
        .filter_map(|source| {
            let probed = known.snapshot.probes.webhooks.get(&source.id)?;
            let affected: Vec<String> = tables(known, source)
                .map(|schema| redact::one_line(&schema.name, NAME_CAP))
                .collect();
            (!affected.is_empty()).then(|| problem(known, source, probed, affected))?
        })
        .collect()
}

fn problem(
    known: &Known<'_>,
    source: &Source,
    probed: &Probed<WebhookInfo>,
    affected: Vec<String>,
) -> Option<Problem> {
    // Without an answer nothing is wrong that anybody knows of: see `why_unknown`.
    let info = probed.answer.as_ref().ok()?;
    let missing = missing_inputs(known, source, info);
    let deliveries = deliveries(known, source);
    let Trouble {
        severity,
        rule,
        message,
        advice: own,
    } = trouble(info, &missing).or_else(|| refused(deliveries?))?;
    let mut problem = Problem::of_source(
        redact::one_line(&source.title(), 80),
        &source.id,
        RootCause::WebhookBroken,
        rule,
        message,
    );
    problem.severity = severity;
    problem.evidence = vec![
        format!("read from PostHog's webhook_info{}", as_of(probed)).into(),
        "the tables' status does not show this, because their bulk sync still works".into(),
    ];
    let newest = deliveries.and_then(|deliveries| deliveries.refused.first());
    problem.evidence.extend(newest.map(|(at, said)| {
        let said = redact::text(said, 120);
        Fact::Said(format!(
            "the webhook's log shows a refused delivery at {}: {said}",
            seconds(*at)
        ))
    }));
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

/// What the log says of deliveries, if it was read since inputs were pushed last.
fn deliveries<'a>(known: &Known<'a>, source: &Source) -> Option<&'a Deliveries> {
    let probed = known.snapshot.probes.deliveries.get(&source.id)?;
    let mut states = known.state.sources.iter();
    let state = states.find(|state| state.id == source.id);
    let pushed = state.and_then(|state| Some(state.webhook_inputs.as_ref()?.at));
    let deliveries = probed.answer.as_ref().ok()?;
    let (newest, _) = deliveries.refused.first()?;
    pushed.is_none_or(|at| *newest > at).then_some(deliveries)
}

/// Deliveries that the signature does not fit. One among many may be anybody's: the address is public.
fn refused(deliveries: &Deliveries) -> Option<Trouble> {
    let Deliveries { refused, others } = deliveries;
    let (bad, all) = (refused.len(), refused.len() + others.len());
    let (newest, _) = refused.first()?;
    let severity = if bad * 10 >= all * 9 {
        Severity::Error
    } else if bad * 2 >= all {
        Severity::Warning
    } else {
        return None;
    };
    Some(Trouble {
        severity,
        rule: "webhook/signature-refused",
        message: format!(
            "PostHog refused {bad} of the last {all} webhook deliveries for their signature, the newest at {}; refused events are lost",
            seconds(*newest)
        ),
        advice: Some(Advice::same(
            "Copy the signing secret of the webhook from the vendor's dashboard into PostHog (the source's Webhook tab), or into the Secret that spec.credentials maps.",
        )),
    })
}

/// What is wrong with a webhook, of which these inputs are missing. What `PostHog` does not know is not wrong.
fn trouble(info: &WebhookInfo, missing_inputs: &[String]) -> Option<Trouble> {
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
        auto_creation_blocked_reason: _,
        hog_function,
        inputs: _,
        external_status,
        missing_events,
    } = info;
    let blocked = info.creation_is_blocked();
    if *supports_webhooks == Lax::Is(false) {
        return broken(
            "webhook/not-supported",
            "Tables sync by webhook, but the source supports no webhook according to PostHog",
            None,
        );
    }
    if let Some(reason) = blocked.filter(|_| *exists == Lax::Is(false)) {
        let message = format!(
            "PostHog has no webhook for the source and cannot create one: {}",
            redact::text(reason, 200)
        );
        return broken(CREATION_BLOCKED, &message, Some(BY_HAND));
    }
    if *exists == Lax::Is(false) {
        return broken(
            NOT_REGISTERED,
            "PostHog has no webhook for the source, so no events arrive",
            None,
        );
    }
    let off = hog_function
        .as_ref()
        .is_some_and(|function| function.enabled == Lax::Is(false));
    if off {
        return broken(
            FUNCTION_DISABLED,
            "PostHog's side of the webhook is switched off",
            Some(Advice::same(
                "In PostHog, open the source's webhook and switch it on again.",
            )),
        );
    }
    let state = hog_function.as_ref().map(HogFunction::state);
    if state == Some(FunctionState::Disabled) {
        return broken(
            FUNCTION_DISABLED,
            "PostHog has disabled its side of the webhook, although it is switched on: it takes no events",
            Some(Advice::same(
                "In PostHog, open the source's webhook, read its log for the errors that made PostHog disable it, fix them, and switch it off and on again. If PostHog's staff disabled it, ask PostHog's support.",
            )),
        );
    }
    let at_vendor = external_status
        .as_ref()
        .and_then(|external| at_vendor(external, blocked));
    if at_vendor.as_ref().is_none_or(|trouble| !is_gone(trouble)) && !missing_inputs.is_empty() {
        let message = format!(
            "The webhook has no {} in PostHog, so PostHog drops every event",
            redact::one_line(&missing_inputs.join(" and no "), 200)
        );
        return broken(
            INPUT_MISSING,
            &message,
            Some(Advice::same(
                "Copy the input from the webhook on the vendor's dashboard into PostHog (the source's Webhook tab), or name a Secret with it in spec.credentials, under webhookInputs.",
            )),
        );
    }
    at_vendor
        .or_else(|| missing(missing_events.as_deref().unwrap_or_default()))
        .or_else(|| (state == Some(FunctionState::Degraded)).then(degraded))
}

fn degraded() -> Trouble {
    Trouble {
        severity: Severity::Warning,
        rule: "webhook/function-degraded",
        message: "PostHog rates its side of the webhook as degraded: events arrive late, and some may fail".to_owned(),
        advice: Some(Advice::same(
            "Read the log of the source's webhook in PostHog: its function is slow or fails too often. If PostHog's staff degraded it, ask PostHog's support.",
        )),
    }
}

/// `PostHog`'s side takes no events.
const FUNCTION_DISABLED: &str = "webhook/function-disabled";

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

/// `PostHog` can make no webhook for the source as it is connected.
const CREATION_BLOCKED: &str = "webhook/creation-blocked";

const BY_HAND: Advice = Advice::same(
    "Create the webhook by hand at the vendor, with the address from the source's Webhook tab in PostHog, and enter its signing secret in that tab; or connect the source with a key that may create webhooks.",
);

/// Registering it again brings new inputs with it.
fn is_gone(trouble: &Trouble) -> bool {
    trouble.rule == GONE_AT_VENDOR
}

fn at_vendor(external: &ExternalStatus, blocked: Option<&str>) -> Option<Trouble> {
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
                "The state of the webhook at the vendor is unknown: {}",
                redact::text(error, 200)
            ),
            advice: Some(Advice::same(
                "Allow the source's key to read webhooks at the vendor, or check on the vendor's dashboard that the webhook is enabled.",
            )),
        });
    }
    let broken = |rule, message, advice| Trouble {
        severity: Severity::Error,
        rule,
        message,
        advice: Some(advice),
    };
    if let Some(reason) = blocked.filter(|_| external.exists == Lax::Is(false)) {
        let message = format!(
            "The webhook no longer exists at the vendor, and PostHog cannot create one: {}",
            redact::text(reason, 200)
        );
        return Some(broken(CREATION_BLOCKED, message, BY_HAND));
    }
    if external.exists == Lax::Is(false) {
        return Some(broken(
            GONE_AT_VENDOR,
            "The webhook no longer exists at the vendor".to_owned(),
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
                "The webhook's status at the vendor is {:?} instead of enabled{}",
                redact::one_line(status, 40),
                if off { ": it sends no events" } else { "" }
            ),
            Advice::same(
                "Enable the webhook on the vendor's dashboard (Stripe: Developers, Webhooks). Vendors usually disable it after repeated failed deliveries.",
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
        trouble(&serde_json::from_str(json).unwrap(), &[]).map(|trouble| trouble.rule)
    }

    #[test]
    fn what_is_healthy_or_not_known_is_no_trouble() {
        for json in [
            r#"{"exists":true,"hog_function":{"enabled":true},"external_status":{"exists":true,"status":"enabled","error":null},"missing_events":[]}"#,
            r#"{"exists":true,"hog_function":{"enabled":true},"external_status":null,"missing_events":[]}"#,
            r#"{"exists":true,"hog_function":null,"external_status":null}"#,
            r#"{"exists":true,"hog_function":{"enabled":true,"status":{"state":1,"tokens":10000}}}"#,
            r#"{"exists":true,"hog_function":{"enabled":true,"status":{"state":0,"tokens":0}}}"#,
            r#"{"exists":true,"hog_function":{"enabled":true,"status":null}}"#,
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
                r#"{"exists":false,"auto_creation_blocked_reason":"The grant excludes webhooks"}"#,
                "webhook/creation-blocked",
            ),
            (
                r#"{"exists":true,"hog_function":{"enabled":false}}"#,
                "webhook/function-disabled",
            ),
            (
                r#"{"exists":true,"hog_function":{"enabled":true,"status":{"state":3}}}"#,
                "webhook/function-disabled",
            ),
            (
                r#"{"exists":true,"hog_function":{"enabled":true,"status":{"state":12}},"missing_events":["a"]}"#,
                "webhook/function-disabled",
            ),
            (
                r#"{"exists":true,"hog_function":{"enabled":true,"status":{"state":"forcefully_disabled"}}}"#,
                "webhook/function-disabled",
            ),
            (
                r#"{"exists":true,"hog_function":{"enabled":true,"status":{"state":2}}}"#,
                "webhook/function-degraded",
            ),
            (
                r#"{"exists":true,"hog_function":{"enabled":true,"status":{"state":11}}}"#,
                "webhook/function-degraded",
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
        let found = trouble(&serde_json::from_str(json).unwrap(), &[]).unwrap();
        assert_eq!(
            (found.severity, found.rule),
            (Severity::Info, "webhook/cannot-read")
        );
    }
}
