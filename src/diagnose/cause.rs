//! What an error text means. So far only the notes that are no errors are told from the rest.

use crate::api::status::RootCause;

/// What `PostHog` writes into `latest_error` when somebody stopped a run. The second is what older versions wrote.
const OPERATOR_NOTES: [&str; 4] = [
    "Sync cancelled by user",
    "Cancelled",
    "Sync stopped because syncing was turned off",
    "Sync stopped because the table was deleted",
];

/// The cause that an error text of a failed run names.
#[must_use]
pub fn of_failure(text: Option<&str>) -> RootCause {
    let note = text.map(|text| text.trim().trim_end_matches('.'));
    // The whole text, not a part of it: an error that quotes such a note is an error.
    if note.is_some_and(|note| {
        OPERATOR_NOTES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(note))
    }) {
        RootCause::OperatorAction
    } else {
        RootCause::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_people_are_no_failures_and_errors_that_quote_them_are() {
        for note in [
            "Sync cancelled by user",
            "sync cancelled by user.",
            "Cancelled",
            "Sync stopped because syncing was turned off",
        ] {
            assert_eq!(of_failure(Some(note)), RootCause::OperatorAction, "{note}");
        }
        for error in [
            None,
            Some(""),
            Some("statement cancelled: Sync cancelled by user"),
            Some("query Cancelled by server"),
        ] {
            assert_eq!(of_failure(error), RootCause::Unknown, "{error:?}");
        }
    }
}
