//! The log of a run, made up when somebody reads it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::clock::{plus, text};
use crate::http;
use crate::listing::{Page, number_parameter, time_parameter};
use crate::message::{Request, Response};
use crate::state::{Job, Schema, Status};

/// A run that has gone on for weeks would make more lines than anybody reads.
const MOST_LINES: usize = 5000;

struct Line {
    at: Timestamp,
    run: String,
    level: &'static str,
    message: String,
}

/// `GET schemas/{id}/logs/`. The count is that of the lines within `limit`, not of all there are: PostHog pages over
/// what it has already cut off.
pub(crate) fn logs(
    schema: &Schema,
    request: &Request,
    now: Timestamp,
    base: &str,
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

    let mut lines: Vec<Line> = schema
        .jobs
        .iter()
        .flat_map(|job| lines_of(job, &schema.spec.name, now))
        .collect();
    lines.retain(|line| {
        run.as_ref().is_none_or(|run| *run == line.run)
            && after.is_none_or(|after| line.at > after)
            && before.is_none_or(|before| line.at < before)
            && levels
                .as_ref()
                .is_none_or(|levels| levels.split(',').any(|level| level == line.level))
            && search
                .as_ref()
                .is_none_or(|search| line.message.to_lowercase().contains(search))
    });
    lines.sort_by_key(|line| std::cmp::Reverse(line.at));
    lines.truncate(limit);
    let rows = lines.iter().map(|line| row(schema, line)).collect();
    Ok(Page::of(request, base).answer(rows))
}

fn row(schema: &Schema, line: &Line) -> Value {
    json!({
        "log_source_id": schema.id,
        "instance_id": line.run,
        "timestamp": text(line.at),
        "level": line.level,
        "message": line.message,
    })
}

fn lines_of(job: &Job, name: &str, now: Timestamp) -> Vec<Line> {
    let line = |at, level, message: String| Line {
        at,
        run: job.run_id.clone(),
        level,
        message,
    };
    let mut lines = vec![line(
        job.created_at,
        "INFO",
        format!("Starting sync for {name}"),
    )];
    if let Some(at) = job.last_log_before {
        lines.push(line(at, "INFO", "Processing batch".to_owned()));
    }
    for at in ticks(job, now) {
        lines.push(line(
            at,
            "INFO",
            format!("Synced {} rows so far", job.rows(at)),
        ));
    }
    for (at, message) in &job.lines {
        lines.push(line(*at, "INFO", message.clone()));
    }
    if let Some(at) = job.finished_at {
        lines.push(last_line(job, at, &line));
    }
    lines.retain(|line| line.at <= now);
    lines
}

fn last_line(
    job: &Job,
    at: Timestamp,
    line: &impl Fn(Timestamp, &'static str, String) -> Line,
) -> Line {
    match job.status {
        Status::Completed => line(at, "INFO", format!("Sync completed, {} rows", job.rows(at))),
        _ => line(
            at,
            "ERROR",
            job.latest_error
                .clone()
                .unwrap_or_else(|| "Sync ended".to_owned()),
        ),
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
