//! What happens next about a finding, and by whom: `status.findings[].nextAction` as far as a proposal decides it, and why proposals end.

use super::note::{HELD, in_a_word};
use crate::{
    api::proposal::{MAX_PROPOSALS, Phase, Proposal, ProposedAction},
    posthog::redact,
};

/// How a person declares which columns are unique.
const DECLARE: &str =
    "find columns that are unique together, and declare them in spec.overrides[].primaryKeys";
/// How a person declares by which column a table syncs.
const CHOOSE: &str =
    "declare the replacement in spec.overrides[].incrementalField; the operator then proposes it";

pub(crate) const DETECTED: &str = "PostHog detects at the source";
pub(crate) const DECLARED: &str = "spec.overrides[].primaryKeys declares";

// Why it is not known yet whether something can be proposed.
pub(crate) const SETTINGS_NOT_READ: &str =
    "the settings of the table have not been read from PostHog yet";
pub(crate) const COLUMNS_NOT_READ: &str =
    "the columns of the table have not been read from the source yet";
pub(crate) const SOURCE_NOT_CHECKED: &str =
    "whether the source answers again has not been checked yet";
pub(crate) const SLOT_MAY_RETURN: &str =
    "PostHog recreates a lost slot by itself within two sync intervals";
pub(crate) const NOT_CHECKED: &str = "PostHog's prerequisite check has no result yet";
pub(crate) const NOT_PREPARED: &str = "PostHog's prerequisite check has not passed, so a repair would reset the tables and then fail: fix in the database what the evidence lists as missing";
pub(crate) const NO_RANDOM: &str = "this machine provides no random numbers";

// What a person has to do instead of answering a proposal.
pub(crate) const KEY_CHANGED: &str = "No proposal: the primary key was changed after the failure.";
pub(crate) const SWITCHED_OFF_BY_SOMEONE: &str = "No automatic remediation: the table is switched off, and whether PostHog or a person did that is unknown.";
pub(crate) const NOT_INCREMENTAL: &str = "Action required: the table does not sync by an incremental field; compare its columns and row filter in PostHog with the source.";
pub(crate) const FIELD_EXISTS: &str = "Action required: the incremental field still exists, so another column that the sync uses is missing; compare the row filter and columns in the table's sync settings in PostHog with the columns at the source.";
pub(crate) const FIX_AND_SWITCHED_ON: &str = "Action required: fix the cause. The operator checks the source periodically and switches the table on again once the fix is proved.";
pub(crate) const FIX_AND_PROPOSED: &str = "Action required: fix the cause, if the table is still wanted. The operator checks the source periodically and proposes to switch the table on again once it answers.";
pub(crate) const TEXT_UNCERTAIN: &str = "Action required: read the error text and the run's log in PostHog. No wipe is proposed, because the text does not show for certain that the data is the problem.";
pub(crate) const CONNECTION: &str = "Action required: check the source's settings in PostHog. No wipe is proposed, because the error is about the connection or its stored settings.";

// Why change data capture is not repaired.
pub(crate) fn resets_others(tables: usize) -> String {
    format!(
        "Action required: try Resume in the source settings in PostHog, which deletes nothing. No repair is proposed, because it would also reset {tables} captured tables that this policy does not select."
    )
}

pub(crate) fn resets_too_many(tables: usize, most: usize) -> String {
    format!(
        "Action required: try Resume in the source settings in PostHog, which deletes nothing. No repair is proposed, because it would reset {tables} tables; a proposal names at most {most}."
    )
}

// Why a proposal ended before it was executed.
pub(crate) const TARGET_CHANGED: &str = super::closed::TARGET_CHANGED;
pub(crate) const CLEARED: &str = "the finding has cleared";
pub(crate) const NOT_STARTED: &str =
    "not started within spec.approval.executeWithin after its approval";
pub(crate) const NOT_ANSWERED: &str = "not answered within spec.approval.expiresAfter";

pub(crate) fn no_longer_applies(instead: &str) -> String {
    format!("no longer applicable. {instead}")
}

pub(crate) fn too_many() -> String {
    format!("the policy already has {MAX_PROPOSALS} open proposals, the maximum")
}

/// Of a proposal that could be made, and is not. `steps` are none while they are not known.
pub(crate) fn held(action: ProposedAction, steps: Option<&[String]>, why: &str) -> String {
    let steps = steps.map_or_else(String::new, |steps| format!(" ({})", in_order(steps)));
    format!("{}{steps} is not proposed yet: {why}.", action.as_str())
}

fn in_order(steps: &[String]) -> String {
    steps.join(", then ")
}

/// Of a proposal that is open.
pub(crate) fn open(proposal: &Proposal) -> String {
    let Proposal { id, steps, .. } = proposal;
    let what = in_order(steps);
    if proposal.phase != Phase::AwaitingApproval {
        if let Some(why) = proposal.message.strip_prefix(HELD) {
            return format!("Held: next call of proposal {id} ({what}). Reason: {why}.");
        }
        let why = if proposal.message.is_empty() {
            String::new()
        } else {
            format!(" ({})", proposal.message)
        };
        return format!("Proposal {id} {}: {what}{why}.", in_a_word(proposal.phase));
    }
    match proposal.action {
        ProposedAction::RepairCdc => format!(
            "Action required: first try Resume in the source settings in PostHog, which deletes nothing. Only if that does not help, approve proposal {id}: {what}."
        ),
        _ => format!(
            "Action required: approve or deny proposal {id}: {what}. Its cost is in status.proposals."
        ),
    }
}

/// Of a finding for which nothing is proposed again, because a proposal for it ended in `phase`.
pub(crate) fn suppressed(action: ProposedAction, phase: Phase) -> String {
    let what = action.as_str();
    match phase {
        Phase::Denied => format!("No automatic remediation: {what} was proposed and denied."),
        Phase::Failed => format!(
            "Action required: {what} was approved, but PostHog refused it; see status.proposals. To have it proposed again, annotate reconcile.warehousesync.dev/resetAt."
        ),
        Phase::Executed => {
            format!(
                "Waiting: {what} was executed as approved; the next run shows whether it helped."
            )
        }
        _ => format!(
            "Action required: {what} was approved, but how far it got is unknown; see status.proposals, and check the table in PostHog."
        ),
    }
}

pub(crate) fn source_is_likelier(alike: usize, active: usize) -> String {
    format!(
        "Action required: check the source. {alike} of its {active} tables fail the same way at the same time, so the source is the more likely problem, and no wipe is proposed."
    )
}

pub(crate) fn no_key() -> String {
    format!("Action required: {DECLARE}; the operator then proposes that key.")
}

pub(crate) fn key_failed(whose: &str, key: &str) -> String {
    format!("Action required: the key that {whose} ({key}) is the one that failed; {DECLARE}.")
}

pub(crate) fn key_lacks_column(whose: &str, key: &str, column: &str) -> String {
    format!(
        "Action required: the key that {whose} ({key}) has a column that the source lacks, {}; {DECLARE}.",
        redact::one_line(column, 80)
    )
}

pub(crate) fn key_too_long(whose: &str, key: &str) -> String {
    format!(
        "Action required: the key that {whose} ({key}) is too long for a proposal; set it in PostHog."
    )
}

pub(crate) fn declared_field_unusable(own: &str, declared: &str) -> String {
    format!(
        "Action required: the source no longer has {own}, and the table cannot sync by {}, which spec.overrides[].incrementalField declares.",
        redact::one_line(declared, 80)
    )
}

pub(crate) fn no_field(own: &str) -> String {
    format!(
        "Action required: the source no longer has {own} or any other column to sync by; change the table's sync method in PostHog."
    )
}

pub(crate) fn no_field_of_type(own: &str, other: &str) -> String {
    format!(
        "Action required: the source no longer has {own} or a column of the same type; if {other} or another column could replace it, {CHOOSE}."
    )
}

pub(crate) fn several_fields(own: &str, one: &str, other: &str) -> String {
    format!(
        "Action required: the source no longer has {own}, and more than one column could replace it ({one}, {other}, …); {CHOOSE}."
    )
}
