//! One proposal, as the page shows it.

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{rights::Right, sentence::sentence};
use crate::{
    api::{
        WarehouseSyncPolicy,
        names::DENY,
        proposal::{LosesData, Phase, Proposal},
    },
    cli::plugin::{answer::wipes, approve::approvable, view, words},
};

/// A button: why it cannot be pressed, if it cannot.
pub(super) struct Button {
    pub off: Option<String>,
}

/// A proposal.
pub(super) struct Card<'a> {
    pub proposal: &'a Proposal,
    /// Whether data can be lost, in words.
    pub loses: &'static str,
    pub class: &'static str,
    /// Whether the name must be typed before an answer.
    pub asks_for_name: bool,
    /// Whether it can be approved, and why not; none if it no longer waits.
    pub approve: Option<Button>,
    /// Whether it can be denied, and why not; none if that has no effect any more.
    pub deny: Option<Button>,
    /// Names and values.
    pub facts: Vec<(&'static str, String)>,
}

/// Whether the name of the table must be typed before `proposal` is answered.
pub(super) fn asks_for_name(proposal: &Proposal) -> bool {
    wipes(proposal.action) || proposal.impact.loses_data != LosesData::No
}

/// `proposal` of `policy` at `now`.
pub(super) fn card<'a>(
    policy: &WarehouseSyncPolicy,
    proposal: &'a Proposal,
    right: &Right,
    now: Timestamp,
) -> Card<'a> {
    let (loses, class) = match proposal.impact.loses_data {
        LosesData::Yes => ("loses data", "error"),
        LosesData::Maybe => ("may lose data", "warning"),
        LosesData::No if wipes(proposal.action) => ("loses data", "error"),
        LosesData::No => ("loses no data", "info"),
    };
    let missing = right.missing().map(sentence);
    let button = |off: Option<String>| Button { off };
    let may_be_denied = matches!(proposal.phase, Phase::AwaitingApproval | Phase::Approved);
    Card {
        proposal,
        loses,
        class,
        asks_for_name: asks_for_name(proposal),
        approve: proposal.is_open().then(|| {
            let refused = approvable(policy, &proposal.id).err();
            button(
                missing
                    .clone()
                    .or_else(|| refused.map(|error| sentence(&error.to_string()))),
            )
        }),
        deny: may_be_denied.then(|| button(missing)),
        facts: facts(policy, proposal, now),
    }
}

fn facts(
    policy: &WarehouseSyncPolicy,
    proposal: &Proposal,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let impact = &proposal.impact;
    let rows = impact
        .rows
        .map_or("not known".to_owned(), |rows| rows.to_string());
    let mut facts = vec![
        ("Cost", impact.cost.clone()),
        ("Rows", rows),
        ("Source", proposal.target.source.clone()),
    ];
    facts.extend(impact.sync_type.clone().map(|by| ("Synced by", by)));
    facts.push(("Phase", proposal.phase.as_str().to_owned()));
    if !proposal.message.is_empty() {
        facts.push(("Why", proposal.message.clone()));
    }
    let denied = policy.annotations().get(&format!("{DENY}{}", proposal.id));
    facts.extend(denied.map(|reason| ("Denied", reason.clone())));
    facts.extend(proposal.approval.as_ref().map(|approval| {
        let checked = words::verified(approval);
        let at = view::since(approval.observed_at, now);
        (
            "Approved by",
            format!("{} ({checked}), observed {at}", approval.by),
        )
    }));
    facts.push(("Proposed", view::since(proposal.created_at, now)));
    if proposal.is_open() {
        facts.push(("Expires", view::by(proposal.expires_at, now)));
    }
    facts.push(("Id", proposal.id.clone()));
    facts
}
