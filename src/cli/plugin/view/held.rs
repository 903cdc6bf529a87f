//! What a guard holds, from the sentences of a status.

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    api::{
        proposal::Proposal,
        status::{Finding, NextAction, WarehouseSyncPolicyStatus},
    },
    decide::Guard,
};

/// An action that a guard holds.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldAction<'a> {
    /// Name of the source; empty if the status does not show it.
    pub source: &'a str,
    /// Name of the table; empty for a whole source.
    pub schema: &'a str,
    /// Id of the proposal; empty for an action that needs no approval.
    pub proposal: &'a str,
    /// What would be done and why it is not, in a sentence.
    pub sentence: Cow<'a, str>,
    /// The guard. `docs/guards.md` says how to lift it.
    pub guard: &'static str,
}

/// Everything of `status` that is held.
pub(super) fn held(status: &WarehouseSyncPolicyStatus) -> Vec<HeldAction<'_>> {
    let findings = status.findings.iter().filter_map(of_finding);
    let unfinished = status.proposals.iter().filter(|one| !one.is_over());
    let mut all: Vec<HeldAction<'_>> = findings.chain(unfinished.filter_map(of_proposal)).collect();
    // Credentials of a source are held without a finding.
    let next = status.next_action.as_ref();
    let next = next.and_then(|next| of_next(next, &all));
    all.extend(next);
    all
}

fn of_finding(finding: &Finding) -> Option<HeldAction<'_>> {
    Some(HeldAction {
        source: &finding.source,
        schema: &finding.schema,
        proposal: "",
        sentence: Cow::Borrowed(&finding.next_action),
        guard: Guard::named_in(&finding.next_action)?.as_str(),
    })
}

fn of_proposal(proposal: &Proposal) -> Option<HeldAction<'_>> {
    Some(HeldAction {
        source: &proposal.target.source,
        schema: &proposal.target.schema,
        proposal: &proposal.id,
        sentence: Cow::Borrowed(&proposal.message),
        guard: Guard::named_in(&proposal.message)?.as_str(),
    })
}

/// What `nextAction` holds, unless `all` has it.
fn of_next<'a>(next: &'a NextAction, all: &[HeldAction<'a>]) -> Option<HeldAction<'a>> {
    let why = next.blocked_by.as_ref()?;
    let guard = Guard::named_in(why)?;
    if all.iter().any(|held| held.sentence.contains(why)) {
        return None;
    }
    Some(HeldAction {
        source: "",
        schema: "",
        proposal: "",
        sentence: Cow::Owned(format!("Held: {}. Reason: {why}.", next.what)),
        guard: guard.as_str(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn held_actions_come_from_findings_and_from_the_next_action_each_once() {
        let finding = |next: &str| {
            json!({
                "source": "S", "sourceId": "s", "schema": "orders", "schemaId": "1", "cause": "Stuck",
                "severity": "Error", "confidence": "High", "message": "m", "nextAction": next,
            })
        };
        let of = |findings: Value, next: Value| {
            let status = json!({"findings": findings, "nextAction": next});
            let status: WarehouseSyncPolicyStatus = serde_json::from_value(status).unwrap();
            let held = held(&status).into_iter();
            held.map(|held| (held.schema.to_owned(), held.guard))
                .collect::<Vec<_>>()
        };
        let reload = "Held: reload orders. Reason: spec.suspend is true (guard Suspend).";
        let next = |why: &str| json!({"what": "reload orders", "blockedBy": why});
        let orders = ("orders".to_owned(), "Suspend");
        assert_eq!(
            of(json!([finding("No automatic remediation.")]), json!(null)),
            []
        );
        assert_eq!(
            of(
                json!([finding(reload)]),
                next("spec.suspend is true (guard Suspend)")
            ),
            std::slice::from_ref(&orders)
        );
        assert_eq!(
            of(
                json!([finding(reload)]),
                next("no window is open (guard Window)")
            ),
            [orders, (String::new(), "Window")]
        );
        assert_eq!(of(json!([]), next("approval of rs-1")), []);
    }
}
