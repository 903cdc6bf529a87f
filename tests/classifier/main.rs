//! The classifier of error texts against corpora of labelled texts, and against texts that no vendor would write.
//!
//! `seen` holds the texts that the rules were written with, `held-out` texts that an author of rules must not read, and
//! `wordings` what drivers and vendors are known to say, one wording a row: it backs phrases and measures nothing.
//! The misses among those are printed only if `SHOW_HELD_OUT_MISSES` is set, so that rules are not tuned on them by accident.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot continue has failed"
)]

mod corpus;
mod properties;

use corpus::{Miss, Score, read};
use warehouse_sync_operator::{api::status::RootCause, diagnose::classify::classify};

#[test]
fn texts_that_the_rules_were_written_with_are_read_rightly() {
    let score = Score::of(&read("seen"));
    score.print("seen");
    for miss in &score.misses {
        println!("{miss}");
    }
    assert_eq!(score.unsafe_misses(), 0, "a wrong guess leads to an action");
    assert!(score.accuracy() >= 0.98, "{:.4}", score.accuracy());
}

#[test]
fn texts_that_were_misread_in_the_field_are_read_rightly() {
    use RootCause::{CredentialsInvalid, PlatformInternal, SourceConfig, Unknown};
    for (text, cause) in [
        (
            "BuildBetter GraphQL error: webhook authentication request failed",
            CredentialsInvalid,
        ),
        ("Missing Twilio API key SID or secret", CredentialsInvalid),
        (
            "Invalid Langfuse API keys. Check the public key and the secret key.",
            CredentialsInvalid,
        ),
        (
            "Sync stopped because of an error that retrying would not fix",
            Unknown,
        ),
        (
            "Extraction ended before this table's changes were written",
            PlatformInternal,
        ),
        ("superseded by newer attempt", PlatformInternal),
        (
            "Lock takeover: workflow terminated but job was stuck in RUNNING",
            PlatformInternal,
        ),
        (
            "This table's rows aren't objects with named fields, so PostHog has no columns to import.",
            SourceConfig,
        ),
        (
            "ValueError: invalid literal for int() with base 10: '<encrypted>'",
            SourceConfig,
        ),
    ] {
        assert_eq!(classify(text, None).cause, cause, "{text}");
    }
}

#[test]
fn every_known_wording_is_read_as_its_rule_says() {
    let score = Score::of(&read("wordings"));
    for miss in &score.misses {
        println!("{miss}");
    }
    assert!(score.total > 2000, "the wordings are missing");
    assert!(score.misses.is_empty());
}

#[test]
fn texts_that_the_rules_never_saw_are_read_rightly() {
    let (sentences, others): (Vec<_>, Vec<_>) = read("held-out")
        .into_iter()
        .partition(|row| row.family == "connectors");
    for (rows, name, least, floor) in [
        (&others, "held-out", 200, 0.89),
        (
            &sentences,
            "held-out, sentences of PostHog's connectors",
            180,
            0.86,
        ),
    ] {
        let score = Score::of(rows);
        score.print(name);
        if std::env::var_os("SHOW_HELD_OUT_MISSES").is_some() {
            score
                .misses
                .iter()
                .for_each(|miss: &Miss| println!("{miss}"));
        }
        assert!(score.total >= least, "the held-out texts are missing");
        assert!(score.accuracy() >= floor, "{name}: {:.4}", score.accuracy());
        assert_eq!(score.unsafe_misses(), 0, "a wrong guess leads to an action");
    }
}
