//! What a proposal costs, in a sentence or two.

use crate::api::proposal::ProposedAction;

/// What an action on `title` costs if it touches `rows` rows. `stays_off`: the table is switched off, `PostHog` was not observed
/// doing that, and so it stays off.
#[must_use]
pub fn in_words(action: ProposedAction, rows: Option<i64>, stays_off: bool) -> String {
    let all = match rows {
        Some(rows) => format!("all {rows} rows"),
        None => "all rows".to_owned(),
    };
    let mut cost = match action {
        ProposedAction::RefreshSchemas => {
            "Stored rows stay. PostHog reads the source's list of tables: it adds new tables, which do not sync until they are set up, and switches off every table that the source does not show at that moment, including tables that PostHog's user cannot read at the moment. What it switches off stays off until a person switches it on; PostHog still shows the status Completed for it.".to_owned()
        }
        ProposedAction::RepairConfig => format!(
            "Stored rows stay. The next run continues where the last one ended, if PostHog can do that; otherwise it imports {all} again."
        ),
        ProposedAction::Resync => format!(
            "PostHog deletes {all} when the new run starts and imports the table from the beginning. Rows that the source no longer has are lost; all others are read and billed again."
        ),
        ProposedAction::DeleteData => format!(
            "PostHog deletes {all} at once; queries find no table until the reload has imported it from the beginning. Rows that the source no longer has are lost; all others are read and billed again."
        ),
        ProposedAction::RepairCdc => format!(
            "PostHog imports every captured table from the beginning, {all}. Changes since the slot was lost are lost if the source no longer has them."
        ),
        ProposedAction::Reenable => format!(
            "The tables sync again from where they stopped. Those that sync by webhook or change data capture are wiped first and imported from the beginning: {all} of them."
        ),
        ProposedAction::Reload => format!(
            "An earlier call may make the next run wipe the table: then PostHog deletes {all} and imports the table from the beginning."
        ),
        ProposedAction::Cancel => {
            "Stored rows stay. What the run has read but not yet loaded is discarded: the next run reads it from the source again, and PostHog bills it again. If the run is still alive, its work is lost.".to_owned()
        }
        ProposedAction::ReregisterWebhook => format!(
            "PostHog deletes {all} of the tables that sync by the webhook and imports them from the beginning. What the vendor sends while there is no webhook is lost."
        ),
    };
    if stays_off {
        cost.push_str(" The table stays switched off, because a person may have switched it off. To sync it again, switch it on in PostHog.");
    }
    cost
}
