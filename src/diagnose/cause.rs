//! The cause of a failed run, from the text that it left.

use super::classify::classify;
use crate::api::status::RootCause;

/// The cause that an error text of a failed run names.
#[must_use]
pub fn of_failure(text: Option<&str>) -> RootCause {
    text.map_or(RootCause::Unknown, |text| classify(text, None).cause)
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
