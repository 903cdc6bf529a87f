//! The log of a table. What a run of v2 writes is made up when somebody reads it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::clock::{minus, plus, text};
use crate::http;
use crate::instance::Lines;
use crate::line::{self, Level, Line};
use crate::listing::{Page, number_parameter, time_parameter};
use crate::message::{Request, Response};
use crate::run::Behaviour;
use crate::simulator::Simulator;
use crate::state::{Job, Schema, Status};

/// A run that takes weeks would write more lines than anyone reads.
const MOST_LINES: usize = 5000;

/// A line, and the run it belongs to.
struct Of<'a> {
    run: &'a str,
    line: Line,
}

/// `GET schemas/{id}/logs/`. The count is that of the lines within `limit`, not of all there are: PostHog pages over
/// what it has already cut off.
pub(crate) fn logs(
    schema: &Schema,
    request: &Request,
    simulator: &Simulator,
) -> Result<Response, Response> {
    let limit = number_parameter(request, "limit", 50)?;
    if !(1..=500).contains(&limit) {
        let bound = if limit < 1 {
            "greater than or equal to 1"
        } else {
            "less than or equal to 500"
        };
        return Err(http::validation(
            Some("limit"),
            &format!("Ensure this value is {bound}."),
        ));
    }
    let bad_time = |name: &str| {
        http::validation(
            Some(name),
            "Datetime has wrong format. Use one of these formats \
        instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].",
        )
    };
    let after = time_parameter(request, "after").map_err(|()| bad_time("after"))?;
    let before = time_parameter(request, "before").map_err(|()| bad_time("before"))?;
    let levels = request
        .parameter("level")
        .map(|levels| levels.to_uppercase());
    let search = request
        .parameter("search")
        .map(|search| search.to_lowercase());
    let run = request.parameter("instance_id");

    let now = simulator.now();
    let oldest = minus(now, simulator.instance.log_retention);
    let mut lines = if simulator.instance.lines == Lines::None {
        Vec::new()
    } else {
        lines_of_table(schema, now)
    };
    let late = &simulator.instance.late_lines;
    lines.retain(|Of { line, .. }| {
        let mut late = late.iter();
        let late = late.find(|late| line.message.starts_with(&late.begins));
        late.is_none_or(|late| plus(line.at, late.by) <= now)
    });
    for of in &mut lines {
        of.line.at = plus(of.line.at, simulator.instance.log_clock_ahead);
        reword(&mut of.line.message, &simulator.instance.words);
    }
    lines.retain(|of| !of.line.message.is_empty());
    lines.retain(|Of { run: own, line }| {
        run.as_ref().is_none_or(|run| run == own)
            && line.at > oldest
            && after.is_none_or(|after| line.at > after)
            && before.is_none_or(|before| line.at < before)
            && levels
                .as_ref()
                .is_none_or(|levels| levels.split(',').any(|level| level == line.level.text()))
            && search
                .as_ref()
                .is_none_or(|search| line.message.to_lowercase().contains(search))
    });
    // Of lines of one moment, the later one is the newer.
    lines.reverse();
    lines.sort_by_key(|of| std::cmp::Reverse(of.line.at));
    lines.truncate(limit);
    let rows = lines.iter().map(|of| row(schema, of)).collect();
    Ok(Page::of(request, &simulator.base_url).answer(rows))
}

/// Puts the line into the words of another version of PostHog.
fn reword(message: &mut String, words: &BTreeMap<String, String>) {
    let known = words
        .iter()
        .filter(|(begins, _)| message.starts_with(*begins));
    if let Some((_, word)) = known.max_by_key(|(begins, _)| begins.len()) {
        message.clone_from(word);
    }
}

fn row(schema: &Schema, of: &Of<'_>) -> Value {
    json!({
        "log_source_id": schema.id,
        "instance_id": of.run,
        "timestamp": text(of.line.at),
        "level": of.line.level.text(),
        "message": of.line.message,
    })
}

fn lines_of_table(schema: &Schema, now: Timestamp) -> Vec<Of<'_>> {
    let starts = schema.v3.lines.iter().map(|(run, line)| Of {
        run,
        line: line.clone(),
    });
    let runs = schema.jobs.iter().flat_map(|job| {
        let mut lines = job.lines.clone();
        if job.v3.is_none() {
            lines.extend(lines_of_v2(job, &schema.id, now));
            lines.sort_by_key(|line| line.at);
        }
        lines.into_iter().map(|line| Of {
            run: &job.run_id,
            line,
        })
    });
    runs.chain(starts).collect()
}

fn lines_of_v2(job: &Job, table: &str, now: Timestamp) -> Vec<Line> {
    let line = |at, level, message: String| Line { at, level, message };
    let info = |at, message: String| line(at, Level::Info, message);
    let mut lines = vec![info(job.created_at, line::ATTEMPT_STARTS[0].to_owned())];
    if let Some(at) = job.last_log_before {
        lines.push(info(
            at,
            format!("Updating rows_synced with +{}", job.rows_before),
        ));
    }
    let mut before = job.rows_before;
    for at in ticks(job, now) {
        let rows = job.rows(at);
        lines.push(info(at, tick(job, rows.saturating_sub(before))));
        before = rows;
    }
    if let Some(at) = job.finished_at {
        let failed = |error: &String| {
            line(
                at,
                Level::Error,
                format!(
                    "External data job failed for external data schema {table} with error: {error}"
                ),
            )
        };
        lines.push(match job.status {
            Status::Completed => info(at, line::REGISTERED.to_owned()),
            _ => job.latest_error.as_ref().map_or_else(
                || {
                    info(
                        at,
                        format!(
                            "Updated external data job with for external data source to status {}",
                            job.status.of_job()
                        ),
                    )
                },
                failed,
            ),
        });
    }
    lines.retain(|line| line.at <= now);
    lines
}

/// What a run of v2 writes while it works.
fn tick(job: &Job, rows: u64) -> String {
    match &job.plan.behaviour {
        Behaviour::LogsOnly { .. } => line::POST_LOAD_BEGINS[1].to_owned(),
        Behaviour::Hangs { .. }
        | Behaviour::Progresses { .. }
        | Behaviour::Completes { .. }
        | Behaviour::Fails { .. }
        | Behaviour::BillingLimit { .. }
        | Behaviour::V3(_) => format!("Updating rows_synced with +{rows}"),
    }
}

/// When the run wrote a line of its own accord: at regular times until it hung or ended.
fn ticks(job: &Job, now: Timestamp) -> Vec<Timestamp> {
    let (every, until) = job.plan.behaviour.log_lines();
    let mut end = job.finished_at.unwrap_or(now);
    if let Some(until) = until {
        end = end.min(plus(job.since, until));
    }
    let first = plus(job.since, every);
    let missed = overdue(first, end, every);
    std::iter::successors(Some(plus(first, missed)), |at| Some(plus(*at, every)))
        .take_while(|at| *at < end)
        .take(MOST_LINES)
        .collect()
}

/// How far to skip ahead so that at most `MOST_LINES` remain before the end.
fn overdue(first: Timestamp, end: Timestamp, every: SignedDuration) -> SignedDuration {
    let step = every.as_millis().max(1);
    let lines = end.duration_since(first).as_millis() / step;
    let skipped = lines - i128::try_from(MOST_LINES).unwrap_or(i128::MAX) + 1;
    i64::try_from(skipped.max(0) * step).map_or(SignedDuration::ZERO, SignedDuration::from_millis)
}
