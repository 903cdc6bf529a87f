//! What a proposal costs, in a sentence or two.

use crate::api::proposal::ProposedAction;

/// What an action on `title` costs if it touches `rows` rows. `stays_off`: the table is switched off, and not by `PostHog` as
/// far as anybody saw, so that it stays so.
#[must_use]
pub fn in_words(action: ProposedAction, rows: Option<i64>, stays_off: bool) -> String {
    let all = match rows {
        Some(rows) => format!("all {rows} rows"),
        None => "all rows".to_owned(),
    };
    let mut cost = match action {
        ProposedAction::RefreshSchemas => {
            "Stored rows stay. PostHog reads the source's list of tables: it adds new ones, which nobody has set up yet, and switches off every table that the source does not show at that moment, also one that its user may only not read just now. What it switches off stays off, with the status Completed, until a person switches it on.".to_owned()
        }
        ProposedAction::RepairConfig => format!(
            "Stored rows stay. PostHog goes on from what is stored; where it cannot, it imports {all} anew."
        ),
        ProposedAction::Resync => format!(
            "PostHog deletes {all} when the new run begins and imports the table from its beginning. What the source no longer has is gone; what it has is read and counted once more."
        ),
        ProposedAction::DeleteData => format!(
            "PostHog deletes {all} at once; queries find no table until the reload has imported it from its beginning. What the source no longer has is gone; what it has is read and counted once more."
        ),
        ProposedAction::RepairCdc => format!(
            "PostHog imports every captured table from its beginning, {all}. Changes since the slot was lost that the source no longer has are gone."
        ),
        ProposedAction::Reenable => format!(
            "The tables sync again from where they stopped. Those that sync by webhook or change data capture are wiped first and imported from their beginning: {all} of them."
        ),
        ProposedAction::Reload => format!(
            "An earlier call may have made the next run wipe the table: then PostHog deletes {all} and imports it from its beginning."
        ),
        ProposedAction::Cancel => {
            "Stored rows stay. What the run has read and not yet loaded is thrown away: the next run reads it from the source again, and PostHog bills it again. If the run is alive after all, its work is lost.".to_owned()
        }
        ProposedAction::ReregisterWebhook => format!(
            "PostHog deletes {all} of the tables that sync by the webhook and imports them from their beginning. What the vendor sends while there is no webhook is lost."
        ),
    };
    if stays_off {
        cost.push_str(" Syncing stays switched off, because nobody saw PostHog do that: switch it on yourself if it is wanted.");
    }
    cost
}
