//! Notes of `PostHog` and of people: no failures. The whole text, or one of `PostHog`'s long sentences from its beginning:
//! an error that quotes such a note is an error.

use crate::{
    api::status::RootCause::{
        CredentialsInvalid, NetworkUnreachable, OperatorAction, PermissionDenied, SshTunnel,
        Transient, Unknown,
    },
    diagnose::classify::rule::{
        Rule,
        When::{Any, Near, Start, Whole, Without},
    },
};

/// The first to be asked.
pub const RULES: &[Rule] = &[
    Rule::words(
        "text/denies",
        Unknown,
        &[Any(&[
            "is not the cause",
            "was not the cause",
            "isn't the cause",
            "is not the problem",
            "was not the problem",
            "is not the reason",
            "was not the reason",
            "is not to blame",
            "not an authentication problem",
            "not a permission problem",
            "not a permissions problem",
            "not a network problem",
            "no errors occurred",
            "no error occurred",
            "completed successfully",
            "succeeded without",
        ])],
        "Connection refused is not the cause: the server answered 200 OK",
        ("Connection refused", NetworkUnreachable),
    ),
    Rule::words(
        "text/hedges",
        Unknown,
        &[Any(&["for another reason", "for some other reason"])],
        "The vendor rejected the request. Your access token may be expired, or it failed for another reason.",
        ("Your access token has expired.", CredentialsInvalid),
    ),
    Rule::words(
        "posthog/fallback",
        Unknown,
        &[
            Any(&["check all connection details"]),
            Without(&["ssh*", "tunnel"]),
        ],
        "Could not connect to Firebird. Please check all connection details are valid.",
        (
            "Could not connect to the database over the SSH tunnel. Please check all connection details are valid.",
            SshTunnel,
        ),
    ),
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
    Rule::words(
        "posthog/no-action",
        OperatorAction,
        &[
            Any(&[
                "no action is needed",
                "no action needed",
                "no action is required",
            ]),
            Any(&["posthog*", "sync", "run"]),
            Without(&["failed", "error*", "exception*", "denied", "refused"]),
        ],
        "An older run was still open, so PostHog closed it. No action is needed.",
        (
            "No action is needed, said the error: permission denied for table x",
            PermissionDenied,
        ),
    ),
    Rule::words(
        "posthog/reset",
        OperatorAction,
        &[
            Near(&["posthog"], &["reset it", "was reset by", "has reset it"]),
            Near(&["stuck", "no progress", "hung"], &["posthog"]),
        ],
        "This sync had been stuck for a while, so PostHog reset it.",
        ("PostHog was stuck: connection reset by peer", Transient),
    ),
    Rule::exact(
        "posthog/superseded",
        OperatorAction,
        &[Start(&[
            "an earlier run of this sync was",
            "this run was cancelled by",
            "this run was canceled by",
            "this sync was cancelled by",
            "this sync was canceled by",
            "the sync was stopped by a teammate",
            "the sync was stopped by a user",
            "the sync was cancelled by",
            "the sync was canceled by",
            "this sync run was cancelled by",
            "sync was cancelled by a",
            "run cancelled by",
            "sync cancelled by a",
            "cancelled by user",
            "syncing was turned off",
            "sync was turned off",
            "this run was replaced by a newer",
            "a newer run replaced this",
            "this sync run was cancelled before it finished",
            "this sync run was canceled before it finished",
            "a previous sync run did not shut down cleanly",
            "sync got stuck and was reset by posthog",
        ])],
        "A previous sync run did not shut down cleanly and was still marked as running.",
        (
            "password authentication failed: a previous sync run did not shut down cleanly",
            CredentialsInvalid,
        ),
    ),
];
