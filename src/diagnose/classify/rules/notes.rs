//! Notes of `PostHog` and of people: no failures. The whole text, or one of `PostHog`'s long sentences from its beginning:
//! an error that quotes such a note is an error.

use crate::{
    api::status::RootCause::{CredentialsInvalid, OperatorAction, Unknown},
    diagnose::classify::rule::{
        Rule,
        When::{Start, Whole},
    },
};

/// The first to be asked.
pub const RULES: &[Rule] = &[
    Rule::exact(
        "posthog/cancelled",
        OperatorAction,
        &[Whole(&[
            "sync cancelled by user",
            "sync canceled by user",
            "cancelled",
            "canceled",
        ])],
        "Sync cancelled by user",
        ("statement cancelled: Sync cancelled by user", Unknown),
    ),
    Rule::exact(
        "posthog/stopped",
        OperatorAction,
        &[Whole(&[
            "sync stopped because syncing was turned off",
            "sync stopped because the table was deleted",
            "sync stopped because the schema was deleted",
            "sync stopped because the source was deleted",
        ])],
        "Sync stopped because syncing was turned off",
        (
            "Sync stopped because of an error that retrying would not fix",
            Unknown,
        ),
    ),
    Rule::exact(
        "posthog/superseded",
        OperatorAction,
        &[Start(&[
            "this sync run was cancelled before it finished",
            "this sync run was canceled before it finished",
            "a previous sync run did not shut down cleanly",
            "sync got stuck and was reset by posthog",
        ])],
        "A previous sync run did not shut down cleanly and was still marked as running. It has been reset. No action is needed.",
        (
            "password authentication failed: a previous sync run did not shut down cleanly",
            CredentialsInvalid,
        ),
    ),
];
