//! The report of `diagnose` as Markdown, to paste into an issue. What comes from `PostHog` is escaped: a table's name must
//! not become a link, a heading or a mention.

use std::fmt::Write as _;

use super::report::{Report, counts};
use crate::posthog::redact;

/// Longest text that is shown, in characters.
const TEXT: usize = 1_000;
/// Shows as nothing, and separates what would have an effect together.
const NOTHING: &str = "<!-- -->";

/// The whole report.
pub(super) fn page(report: &Report<'_>) -> String {
    let mut page = format!("# {}\n\n", escaped(&report.title()));
    let _ = writeln!(page, "{}", escaped(&counts(report.summary)));
    for note in report.notes {
        let _ = writeln!(page, "\n> **Note:** {}", escaped(note));
    }
    for section in report.sections() {
        let _ = writeln!(page, "\n## {} ({})", section.title, section.count);
        for group in section.groups {
            let _ = writeln!(
                page,
                "\n### {}: {} ({})\n",
                escaped(&group.subject),
                group.cause,
                escaped(group.meaning)
            );
            for (name, value) in group.lines {
                let _ = writeln!(page, "- **{name}:** {}", escaped(&value));
            }
        }
    }
    if let Some(nothing) = report.nothing_found() {
        let _ = writeln!(page, "\n{nothing}");
    }
    page
}

/// `text` on one line, as it is and without effect.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in redact::one_line(text, TEXT).chars() {
        if "\\`*_[]<>|~#&$!".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
        if c == '@' {
            // GitHub and GitLab notify users who are mentioned.
            escaped.push_str(NOTHING);
        }
    }
    // Both make links of what begins like an address.
    escaped
        .replace("://", &format!(":{NOTHING}//"))
        .replace("www.", &format!("www{NOTHING}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_has_an_effect() {
        let cases = [
            ("public.orders", "public.orders"),
            ("<script>", r"\<script\>"),
            ("[a](b) ![c](d)", r"\[a\](b) \!\[c\](d)"),
            ("@ann", "@<!-- -->ann"),
            ("https://evil.example", "https:<!-- -->//evil.example"),
            ("www.evil.example", "www<!-- -->.evil.example"),
            ("a\n# b", r"a \# b"),
            ("a\u{1b}[2Jb", r"a\\u{1b}\[2Jb"),
        ];
        for (name, expected) in cases {
            assert_eq!(escaped(name), expected);
        }
    }
}
