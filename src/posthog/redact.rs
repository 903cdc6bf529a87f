//! Makes texts from outside safe to show: secrets masked, invisible characters escaped, length capped.
//!
//! `PostHog` masks most secrets in the errors of tables, but not in those of jobs, and it forwards messages of databases and vendors. Every text from
//! outside goes through [`text`] before it reaches status, an event or a log.

use std::sync::LazyLock;

use regex::Regex;

use super::visible::{is_visible, is_visible_first};

/// What replaces a secret.
pub const MASK: &str = "***";

/// Patterns of secrets, each with its replacement. Order matters: the specific ones come first.
const PATTERNS: [(&str, &str); 9] = [
    // PEM blocks, also cut off ones.
    (
        r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
        MASK,
    ),
    // User and password in URLs of any scheme; a password may itself contain an @.
    (r"://[^\s/]*@", "://***@"),
    // Keys that name themselves: PostHog, Stripe, Slack, GitHub, Google, AWS, Shopify, Databricks.
    (
        r"\b(ph[a-z]_|[rspw]k_(live|test)_|whsec_|xox[a-z]-|gh[a-z]_|github_pat_|ya29\.|AIza|AKIA|ASIA|shp[a-z]{2}_|dapi|glpat-|pat-|sk-|SG\.)[A-Za-z0-9_\-./+]{6,}",
        MASK,
    ),
    // JSON web tokens.
    (
        r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(\.[A-Za-z0-9_\-]*)?",
        MASK,
    ),
    (
        r"(?i)\b(bearer|basic)\s+[A-Za-z0-9_\-.~+/=]{8,}",
        "${1} ***",
    ),
    // key=value and "key": "value" of telling names, quoted or not.
    (
        r#"(?i)\b([a-z0-9_\-]*(password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|signature|sig|credential)[a-z0-9_\-]*["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&)}\]]+)"#,
        "${1}***",
    ),
    // Query strings of signed URLs.
    (
        r"(?i)([?&](x-amz-[a-z\-]+|code|key|auth|session)=)[^&\s]+",
        "${1}***",
    ),
    // Long hexadecimal texts. UUIDs have dashes and stay readable.
    (r"\b[0-9A-Fa-f]{32,}\b", MASK),
    // Long base64 texts are caught by their length alone.
    (r"\b[A-Za-z0-9+/_\-]{40,}={0,2}", MASK),
];

static COMPILED: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    PATTERNS
        .iter()
        .filter_map(|(pattern, with)| Regex::new(pattern).ok().map(|r| (r, *with)))
        .collect()
});

/// Longest input that is read, in bytes: the patterns run over no more than this.
const MAX_INPUT: usize = 16 * 1024;

/// Most marks on a letter. Languages need four; many more would cover the lines above and below.
const MARKS: usize = 8;

/// `raw` without secrets, on one line, at most `cap` characters; those that are not seen are escaped.
#[must_use]
pub fn text(raw: &str, cap: usize) -> String {
    let mut masked = beginning(raw).to_owned();
    for (pattern, with) in COMPILED.iter() {
        masked = pattern.replace_all(&masked, *with).into_owned();
    }
    one_line(&masked, cap)
}

/// What is read of `raw`. A word that would be cut is left out: no pattern may recognise a secret without its end.
fn beginning(raw: &str) -> &str {
    if raw.len() <= MAX_INPUT {
        return raw;
    }
    let mut end = MAX_INPUT;
    while !raw.is_char_boundary(end) {
        end -= 1;
    }
    let read = &raw[..end];
    read.rfind(char::is_whitespace)
        .map_or(read, |at| &read[..at])
}

/// `raw` on one line, at most `cap` characters; those that are not seen are escaped. For names, which hold no secrets.
#[must_use]
pub fn one_line(raw: &str, cap: usize) -> String {
    let mut line = String::with_capacity(raw.len().min(cap * 4));
    let mut gap = false;
    let (mut length, mut marks) = (0, 0);
    for c in raw.chars() {
        if is_space(c) {
            gap = length > 0;
            continue;
        }
        let is_first = is_visible_first(c);
        marks = if is_first { 0 } else { marks + 1 };
        let seen = is_first || (!gap && length > 0 && marks <= MARKS && is_visible(c));
        let width = if seen { 1 } else { c.escape_unicode().len() };
        if length + usize::from(gap) + width >= cap {
            line.push('…');
            return line;
        }
        if std::mem::take(&mut gap) {
            line.push(' ');
            length += 1;
        }
        if seen {
            line.push(c);
        } else {
            line.extend(c.escape_unicode());
        }
        length += width;
    }
    line
}

/// True for characters that separate words. Of line separators, only those that files and terminals use.
const fn is_space(c: char) -> bool {
    c.is_whitespace() && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(COMPILED.len(), PATTERNS.len());
    }

    #[test]
    fn secrets_are_masked() {
        for (raw, secret) in [
            (
                "connect postgresql://app:hunter2@db:5432/x failed",
                "hunter2",
            ),
            ("connect mysql://app:p@ss2@db:3306/x failed", "ss2"),
            ("clone https://tok3n12345@host/x failed", "tok3n12345"),
            ("key sk-ant-api03-abcdef is wrong", "api03"),
            ("key sk_live_51Habcdefgh is invalid", "51Habcdefgh"),
            ("Authorization: Bearer abcdef123456789", "abcdef123456789"),
            ("password='p w' rejected", "p w"),
            (r#"{"client_secret": "s3cr3t"}"#, "s3cr3t"),
            ("api_key=abc123, retry", "abc123"),
            ("phx_9f8e7d6c5b4a is not valid", "9f8e7d6c5b4a"),
            ("token eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJ", "eyJzdWIiOiIx"),
            ("GET /f?X-Amz-Signature=deadbeef&x=1", "deadbeef"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
                "MIIE",
            ),
            (
                "digest 0123456789abcdef0123456789abcdef",
                "0123456789abcdef",
            ),
        ] {
            let shown = text(raw, 500);
            assert!(!shown.contains(secret), "{shown}");
            assert!(shown.contains(MASK), "{shown}");
        }
    }

    #[test]
    fn a_secret_whose_end_is_not_read_is_not_shown() {
        let cut = format!("{} postgres://app:hunter2@db/x", "A".repeat(MAX_INPUT - 24));
        assert_eq!(text(&cut, 500), MASK);
    }

    #[test]
    fn ordinary_texts_stay_as_they_are() {
        for raw in [
            "password authentication failed for user \"app\"",
            "relation \"public.billing_events\" does not exist",
            "job 0196f0aa-0000-7000-8000-0000000000a1 failed at 16/4010A3F8",
            "401 Client Error: Unauthorized for url: https://api.stripe.com/v1/charges",
        ] {
            assert_eq!(text(raw, 500), raw);
        }
    }

    #[test]
    fn what_is_not_seen_is_escaped_and_length_is_capped() {
        assert_eq!(
            text("a\u{1b}[31m\r\n\tb\u{202e}c \u{301}d", 500),
            r"a\u{1b}[31m b\u{202e}c \u{301}d"
        );
        let hidden = one_line(&"\u{e0041}".repeat(40), 20);
        assert_eq!(hidden, r"\u{e0041}\u{e0041}…");
        let stacked = format!("a{}b", "\u{33f}".repeat(10));
        let shown = format!("a{}\\u{{33f}}\\u{{33f}}b", "\u{33f}".repeat(8));
        assert_eq!(one_line(&stacked, 50), shown);
        let long = text(&"é ".repeat(4_000), 100);
        assert!(long.chars().count() <= 100 && long.ends_with('…'));
        assert_eq!(one_line("", 10), "");
    }

    proptest! {
        #[test]
        fn every_shown_character_is_visible_and_stays_so(
            raw in "[\\PC\\p{C} \u{200b}-\u{200f}\u{300}-\u{310}\u{e0000}-\u{e0fff}]{0,60}",
            cap in 1..80_usize,
        ) {
            let shown = one_line(&raw, cap);
            prop_assert!(shown.chars().all(is_visible));
            prop_assert!(shown.chars().count() <= cap);
            prop_assert_eq!(one_line(&shown, cap + 1), shown.as_str());
        }
    }
}
