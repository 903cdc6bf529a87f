//! What holds for every text.

use proptest::prelude::*;
use warehouse_sync_operator::{
    api::status::RootCause,
    diagnose::classify::{RULES, classify},
};

/// Words that mean something elsewhere than in a name.
const TRIGGERS: &[&str] = &[
    "invalid_grant",
    "unauthorized",
    "timeout",
    "rate_limit",
    "permission_denied",
    "billing",
    "throttled",
    "http_403",
    "ssl_error",
    "password",
    "too_many_requests",
    "deadlock",
    "connection_refused",
    "access_denied",
    "quota_exceeded",
    "forbidden",
    "replication_slot",
    "publication",
    "wal_level",
    "ssh_tunnel",
    "token_expired",
    "api_key_invalid",
    "429",
];

/// Texts that say nothing, and stay so with a name behind them.
const NEUTRAL: &[&str] = &[
    "An unexpected error has occurred",
    "Something went wrong in",
    "Internal error near",
    "Could not process table",
    "Failed at column",
    "Unhandled case for",
];

fn examples() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.example.as_str())
}

proptest! {
    #[test]
    fn any_text_is_read_and_always_alike(text in any::<String>(), source in proptest::option::of(any::<String>())) {
        prop_assert_eq!(classify(&text, source.as_deref()), classify(&text, source.as_deref()));
    }

    #[test]
    fn texts_full_of_quotes_and_marks_are_read(text in r#"[a-c0-4 '"`\\\[\](){}:/.@&#;<>\n\t_=-]{0,400}"#) {
        classify(&text, None);
    }

    #[test]
    fn a_quoted_name_decides_nothing(
        neutral in proptest::sample::select(NEUTRAL),
        words in proptest::collection::vec(proptest::sample::select(TRIGGERS), 1..4),
        quote in proptest::sample::select(&['\'', '"', '`'][..]),
    ) {
        let name = words.join("_");
        let text = format!("{neutral} {quote}{name}{quote}");
        prop_assert_eq!(classify(&text, None).cause, RootCause::Unknown, "{}", text);
        let text = format!("{neutral} {quote}public{quote}.{quote}{name}{quote}");
        prop_assert_eq!(classify(&text, None).cause, RootCause::Unknown, "{}", text);
    }

    #[test]
    fn blanks_around_a_text_do_not_matter(blanks in "[ \t\r\n]{0,8}") {
        for example in examples() {
            prop_assert_eq!(classify(example, None), classify(&format!("{blanks}{example}{blanks}"), None));
        }
    }
}

#[test]
fn case_does_not_matter() {
    for example in examples() {
        let (lower, upper) = (example.to_ascii_lowercase(), example.to_ascii_uppercase());
        assert_eq!(classify(example, None), classify(&lower, None), "{example}");
        // `\n` and its like are escapes in either case, so nothing is lost by writing them large.
        assert_eq!(classify(example, None), classify(&upper, None), "{example}");
    }
}
