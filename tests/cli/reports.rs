//! `diagnose --output html` and `markdown`: nothing from `PostHog` has an effect in them, and runs and gaps are shown.

use std::collections::BTreeMap;

use posthog_simulator::{Fault, FaultKind, Matches, Server, Times};

use crate::{Ran, binary, diagnose::posthog, run};

/// A table and a source whose names and errors try everything, and a table that skipped runs.
const HOSTILE: &str = r#"
sources:
  - {type: Postgres, prefix: '<img src=x onerror=alert(1)>', schemas: [
      {name: '<script>alert(1)</script>', status: Failed, last_synced_ago: 40h, last_run_ago: 2h, latest_error: '</title><script>alert(2)</script> relation "x" does not exist'},
      {name: "a\e[2J\u202Eb@ann [x](http://evil) `code`", status: Failed, last_synced_ago: 40h, last_run_ago: 3h, latest_error: 'relation "y" does not exist'},
      {name: late, last_synced_ago: 20h, frequency: 1hour, rows: 5}]}
"#;

fn report(server: &Server, args: &[&str]) -> Ran {
    let mut command = binary(&["diagnose", "--host", &server.url(), "--project", "12345"]);
    run(command.args(args).env("POSTHOG_API_KEY", "phx_demo"), b"")
}

#[test]
fn the_html_report_is_one_file_in_which_no_name_has_an_effect() {
    let server = posthog(HOSTILE);
    let ran = report(&server, &["--output", "html"]);
    assert_eq!((ran.code, ran.err.as_str()), (2, ""), "{}", ran.out);
    let page = &ran.out;
    assert!(page.starts_with("<!doctype html>"), "{page}");
    for never in [
        "<script",
        "<img",
        "<link",
        "http-equiv=\"refresh\"",
        "\u{1b}",
        "\u{202e}",
        "url(",
    ] {
        assert!(!page.contains(never), "{never}: {page}");
    }
    assert!(
        page.contains("&#60;script&#62;alert(1)&#60;/script&#62;"),
        "{page}"
    );
    // Nothing is loaded from elsewhere.
    assert!(
        !page.contains("href=") && page.contains("default-src 'none'"),
        "{page}"
    );
    for shown in [
        "<h2>ERRORS (",
        "TableMissing",
        "<svg viewBox=",
        ": failed, began ",
        ": completed, began ",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
}

#[test]
fn a_gap_is_drawn_where_a_run_was_due() {
    let server = posthog(HOSTILE);
    let page = report(&server, &["--output", "html", "--days", "3"]).out;
    let gap = "late: no run for 19 hours from ";
    assert!(
        page.contains(gap) && page.contains("class=\"gap\""),
        "{page}"
    );
    let fine = posthog(
        "sources: [{schemas: [{name: a, last_synced_ago: 1h, frequency: 6hour, rows: 5}]}]",
    );
    let page = report(&fine, &["--output", "html"]).out;
    assert!(
        !page.contains(": no run for ") && page.contains("Nothing is wrong."),
        "{page}"
    );
}

#[test]
fn runs_that_cannot_be_read_are_reported_and_not_drawn_as_none() {
    let server = posthog(HOSTILE);
    let kind = FaultKind::Status {
        status: 500,
        body: None,
        headers: BTreeMap::new(),
        after_effect: false,
    };
    server.simulator().add_fault(Fault {
        matches: Matches {
            method: None,
            path_contains: Some("/jobs/".to_owned()),
        },
        skip: 0,
        times: Times::Forever,
        kind,
    });
    let ran = report(&server, &["--output", "html"]);
    assert!(ran.out.contains("are not known: "), "{}", ran.out);
    assert!(!ran.out.contains("No runs in this period."), "{}", ran.out);
}

#[test]
fn the_markdown_report_has_the_findings_and_no_name_has_an_effect() {
    let server = posthog(HOSTILE);
    let ran = report(&server, &["--output", "markdown"]);
    assert_eq!((ran.code, ran.err.as_str()), (2, ""), "{}", ran.out);
    let page = &ran.out;
    assert!(page.starts_with("# PostHog project 12345 at "), "{page}");
    assert!(
        page.contains("## ERRORS (") && page.contains("- **What to do:** "),
        "{page}"
    );
    assert!(page.contains(r"\<script\>alert(1)\</script\>"), "{page}");
    for never in ["@ann", "\u{1b}", "\u{202e}", "http://evil", " `code`"] {
        assert!(!page.contains(never), "{never}: {page}");
    }
}

#[test]
fn days_are_limited() {
    let server = posthog(HOSTILE);
    for days in ["0", "31", "x"] {
        assert_eq!(report(&server, &["--days", days]).code, 3, "{days}");
    }
}
