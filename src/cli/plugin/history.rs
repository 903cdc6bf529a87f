//! `history`: what the operator did and observed, and why, from status and from events; newest first.

use std::process::ExitCode;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use serde::Serialize;

use super::{
    PluginError,
    cluster::ClusterArgs,
    print::{Format, print},
    status::clean,
    view,
};
use crate::{
    api::status::HistoryEntry,
    cli::{output, print_error, report::fields},
};

/// An event and an entry of the status about the same are written within this time.
const SAME: SignedDuration = SignedDuration::from_mins(1);

/// Arguments of `history`.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Name of the policy
    name: String,
}

/// Something that was done or observed.
#[derive(Debug, Serialize)]
struct Entry {
    at: Timestamp,
    what: String,
    /// Reason of the event; none for an entry of the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Normal or Warning; none for an entry of the status.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_: Option<String>,
    /// How often the event occurred; the time is that of the last one.
    count: i32,
}

/// Shows the history of one policy.
pub(super) async fn history(
    args: &HistoryArgs,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let cluster = cluster.connect().await?;
    let policy = cluster.policy(&args.name).await?;
    let events = cluster.events(&policy).await.unwrap_or_else(|error| {
        print_error(&format!("note: without events: {error}"));
        Vec::new()
    });
    let mut entries: Vec<Entry> = events.into_iter().filter_map(of_event).collect();
    let status = policy.status.iter().flat_map(|status| &status.history);
    let other = status.filter(|entry| !is_among(entry, &entries));
    let other: Vec<Entry> = other.map(of_status).collect();
    entries.extend(other);
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    print(format, &entries, || text(&entries))
}

/// True if an event has the same sentence: it also names the source, and why.
fn is_among(entry: &HistoryEntry, events: &[Entry]) -> bool {
    events.iter().any(|event| {
        let apart = event.at.duration_since(entry.at).abs();
        apart < SAME && event.what.contains(&entry.what)
    })
}

fn of_status(entry: &HistoryEntry) -> Entry {
    Entry {
        at: entry.at,
        what: entry.what.clone(),
        reason: None,
        type_: None,
        count: 1,
    }
}

/// An event without a time is left out: the API server accepts one from other programs only.
fn of_event(event: Event) -> Option<Entry> {
    let series = event.series.as_ref();
    let last = series.map(|series| series.last_observed_time.0);
    let at = last
        .or(event.event_time.map(|at| at.0))
        .or(event.deprecated_last_timestamp.map(|at| at.0))?;
    let count = series.map(|series| series.count);
    Some(Entry {
        at,
        what: event.note.unwrap_or_default(),
        reason: event.reason,
        type_: event.type_,
        count: count.or(event.deprecated_count).unwrap_or(1).max(1),
    })
}

fn text(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "Nothing was done or observed yet.\n".to_owned();
    }
    let now = Timestamp::now();
    let times: Vec<String> = entries
        .iter()
        .map(|entry| view::since(entry.at, now))
        .collect();
    let lines: Vec<_> = times
        .iter()
        .zip(entries)
        .map(|(at, entry)| (at.as_str(), line(entry)))
        .collect();
    fields("", &lines, output::width())
}

fn line(entry: &Entry) -> String {
    let reason = entry.reason.as_ref();
    let reason = reason.map_or_else(String::new, |reason| format!("{reason}: "));
    let times = match entry.count {
        1 => String::new(),
        count => format!(" ({count} times)"),
    };
    clean(&format!("{reason}{}{times}", entry.what))
}
