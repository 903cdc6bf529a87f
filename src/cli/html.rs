//! The report of `diagnose` as one HTML file, with a drawing of the runs of each source. It needs nothing else: no script,
//! no network. The template escapes every text.

use askama::Template;

use super::{
    CliError,
    drawing::Drawing,
    report::{Report, Section, counts},
};
use crate::posthog::redact;

/// Longest text that is shown, in characters.
const TEXT: usize = 1_000;

#[derive(Template)]
#[template(path = "diagnose/report.html")]
struct Page<'a> {
    title: String,
    counts: String,
    notes: &'a [String],
    sections: Vec<Section>,
    nothing: Option<&'static str>,
    drawings: &'a [Drawing],
    version: &'static str,
}

/// A text without control characters, which HTML does not escape.
fn clean(text: &str) -> String {
    redact::one_line(text, TEXT)
}

/// The whole report.
pub(super) fn page(report: &Report<'_>, drawings: &[Drawing]) -> Result<String, CliError> {
    let mut sections = report.sections();
    for group in sections.iter_mut().flat_map(|one| &mut one.groups) {
        group.subject = clean(&group.subject);
        for (_, value) in &mut group.lines {
            *value = clean(value);
        }
    }
    let notes: Vec<String> = report.notes.iter().map(|note| clean(note)).collect();
    let page = Page {
        title: clean(&report.title()),
        counts: counts(report.summary),
        notes: &notes,
        sections,
        nothing: report.nothing_found(),
        drawings,
        version: env!("CARGO_PKG_VERSION"),
    };
    page.render()
        .map_err(|error| CliError::Print(error.to_string()))
}
