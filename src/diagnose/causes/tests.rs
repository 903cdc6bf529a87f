use std::collections::HashSet;

use super::*;
use crate::{
    api::status::{Action, RootCause},
    diagnose::classify::RULES,
};

#[test]
fn an_action_is_named_only_where_it_would_help() {
    let registers = Remedy::Safe(Action::RegisterWebhook);
    let reload = Remedy::Safe(Action::Reload);
    let resync = Remedy::NeedsApproval(Action::Resync);
    let (webhook, cdc) = (RootCause::WebhookBroken, RootCause::CdcBroken);
    let requested = RootCause::Requested;
    for (cause, rule, expected) in [
        (webhook, "webhook/not-registered", registers),
        (webhook, "webhook/gone-at-vendor", registers),
        (webhook, "webhook/disabled-at-vendor", Remedy::Nothing),
        (cdc, "cdc/publication-gone", reload),
        (cdc, "cdc/lag-critical", Remedy::Nothing),
        (requested, "request/delete-data", resync),
        (requested, "request/not-understood", Remedy::Nothing),
    ] {
        assert_eq!(Cause::of(cause).remedy_for(rule), expected, "{rule}");
    }
}

#[test]
fn every_cause_has_plain_advice() {
    let mut seen = HashSet::new();
    for &cause in RootCause::ALL {
        let Advice {
            with_operator,
            by_hand,
        } = Cause::of(cause).advice;
        for text in [with_operator, by_hand] {
            assert!(text.ends_with('.') && !text.contains('!'), "{cause:?}");
        }
        assert!(
            seen.insert(with_operator),
            "{cause:?} repeats another's advice"
        );
    }
}

#[test]
fn advice_by_hand_counts_on_no_operator_its_policy_or_its_proposals() {
    let of_rules = RULES.iter();
    let of_rules = of_rules.filter_map(|rule| Some((rule.cause, rule.advice.as_deref()?)));
    let general = RootCause::ALL
        .iter()
        .map(|&cause| (cause, Cause::of(cause).advice.by_hand));
    for (cause, shown) in general.chain(of_rules) {
        for word in [
            "operator",
            "the policy",
            "approve",
            "proposed",
            "proposal",
            "Secret",
        ] {
            assert!(!shown.contains(word), "{cause:?} mentions {word}: {shown}");
        }
        assert!(shown.ends_with('.'), "{cause:?}");
    }
}

#[test]
fn what_needs_approval_is_proposed_and_what_is_reloaded_has_a_switch() {
    for &cause in RootCause::ALL {
        let row = Cause::of(cause);
        if let Remedy::NeedsApproval(_) = row.remedy {
            assert_ne!(row.proposes, Proposes::Nothing, "{cause:?}");
        }
        // A cancel is followed by a reload, and so are new credentials.
        let reloads = matches!(
            row.remedy,
            Remedy::Safe(Action::Reload | Action::CancelAndReload | Action::ApplyCredentials)
        );
        assert_eq!(row.reload != Reload::Never, reloads, "{cause:?}");
    }
}
