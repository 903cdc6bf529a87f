//! The rule by cases: healthy look-alikes first.

use super::*;
use crate::{
    observe::Log,
    posthog::{run_log::Line, wire::LogPage},
};

/// Hours after the run began.
fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 + hour * 3600).unwrap()
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// A table whose run began at hour 0, as two looks saw it.
struct Case {
    schema: serde_json::Value,
    jobs: Vec<serde_json::Value>,
    lines: Vec<(i64, &'static str, &'static str)>,
    canaries: Vec<Canary>,
    is_alone: bool,
    run_probes: [i64; 2],
    log: Option<Log>,
}

const STARTING: &str = "V3 Pipeline: Extraction starting";
const BATCH: &str = "batch_inserted_to_postgres_queue";
const COMPLETE: &str = "V3 Pipeline: Extraction complete";

fn job(id: &str, began: i64, status: &str, rows: i64) -> serde_json::Value {
    serde_json::json!({
        "id": id, "created_at": at(began), "finished_at": null, "status": status, "rows_synced": rows,
        "schema": {"id": "a"}, "workflow_run_id": format!("run-{id}"), "billable": true, "destination_ids": [],
    })
}

/// A run of another table that extracted and completed at this hour.
fn canary(hour: i64) -> Canary {
    Canary {
        source_id: "s".into(),
        schema_id: "b".into(),
        name: "b".into(),
        job_id: "c".into(),
        finished_at: at(hour),
        extracted_at: at(hour),
        has_lines: true,
        pipeline: Pipeline::V3,
        details: std::collections::BTreeSet::new(),
        endings: std::collections::BTreeSet::new(),
        loader_logs: true,
        read_at: at(hour),
    }
}

impl Default for Case {
    /// A run that died three hours after its begin while it extracted, looked at then and now.
    fn default() -> Self {
        Self {
            schema: serde_json::json!({"id": "a", "name": "a", "status": "Running", "should_sync": true,
                "sync_type": "incremental", "sync_frequency": "1hour", "last_synced_at": at(-1)}),
            jobs: vec![job("j", 0, "Running", 7000)],
            lines: vec![(0, "run-j", STARTING), (3, "run-j", BATCH)],
            canaries: vec![canary(14)],
            is_alone: false,
            run_probes: [4, 16],
            log: None,
        }
    }
}

impl Case {
    fn extracted(self) -> Self {
        let mut lines = self.lines;
        lines.push((4, "run-j", COMPLETE));
        Self {
            lines,
            run_probes: [5, 17],
            ..self
        }
    }

    fn with_lines(self, more: &[(i64, &'static str, &'static str)]) -> Self {
        let mut lines = self.lines;
        lines.extend(more);
        Self { lines, ..self }
    }

    fn run_probe(&self, hour: i64) -> RunProbe {
        let mut lines: Vec<_> = self
            .lines
            .iter()
            .filter(|(when, ..)| *when <= hour)
            .collect();
        lines.sort_by_key(|(when, ..)| std::cmp::Reverse(*when));
        let rows: Vec<_> = lines
            .iter()
            .map(|(when, run, said)| serde_json::json!({"timestamp": at(*when), "instance_id": run, "message": said}))
            .collect();
        let page: LogPage = serde_json::from_value(serde_json::json!({ "results": rows })).unwrap();
        let log = self
            .log
            .clone()
            .unwrap_or_else(|| Log::from(TableLog::of_page("run-j", at(0), &page).unwrap()));
        let jobs = serde_json::from_value(serde_json::Value::Array(self.jobs.clone())).unwrap();
        RunProbe::new(at(hour), "a", Ok(jobs), log)
    }

    fn judge(&self) -> Liveness {
        let schema: Schema = serde_json::from_value(self.schema.clone()).unwrap();
        let mut seen = Seen::first(&schema, at(0));
        for hour in self.run_probes {
            seen.record_probe(self.run_probe(hour));
        }
        Signs {
            schema: &schema,
            seen: &seen,
            health: &Health {
                stuck_after: hours(6),
                no_progress_for: hours(12),
                loading_silent_for: hours(24),
                failing_for: SignedDuration::ZERO,
                stale_after: (2, 4),
                max_age: None,
                export: false,
            },
            timings: &Timings::PRODUCTION,
            canaries: &self.canaries,
            is_alone: self.is_alone,
        }
        .judge()
    }

    fn is_alive(&self) -> bool {
        self.judge() == Liveness::Alive
    }

    fn reason(&self) -> String {
        match self.judge() {
            Liveness::Unknown(reason) => reason,
            other => panic!("it can be judged: {other:?}"),
        }
    }
}

#[test]
fn a_run_that_died_while_it_extracted_is_dead_once_another_table_proves_that_posthog_works() {
    let Liveness::Dead(silence) = Case::default().judge() else {
        panic!("{:?}", Case::default().judge());
    };
    assert_eq!((silence.job_id.as_str(), silence.since), ("j", at(3)));
    assert_eq!(silence.phase, RunPhase::Extracting);
    assert_eq!(silence.canary, Some(canary(14)));
}

#[test]
fn a_run_is_alive_until_it_was_silent_for_long_enough() {
    let early = Case {
        run_probes: [4, 14],
        canaries: vec![canary(13)],
        ..Case::default()
    };
    assert!(early.is_alive(), "11 hours");
    let single_read = Case {
        run_probes: [16, 16],
        ..Case::default()
    };
    // The second look of the same moment proves no more than the first.
    assert!(
        matches!(single_read.judge(), Liveness::Dead(_)),
        "the line of hour 3 is the last move"
    );
}

#[test]
fn a_loader_that_works_nine_hours_without_a_sign_is_not_disturbed() {
    let loading = Case {
        run_probes: [5, 13],
        canaries: vec![canary(12)],
        ..Case::default().extracted()
    };
    assert!(loading.is_alive());
    assert!(
        Case::default().extracted().is_alive(),
        "nor after 13 hours: no sign is expected of a loader"
    );
}

#[test]
fn a_run_that_is_not_loaded_for_a_day_is_proposed_to_be_cancelled_and_never_called_dead() {
    let queued = Case {
        run_probes: [5, 29],
        canaries: vec![canary(27)],
        ..Case::default().extracted()
    };
    let Liveness::Silent(silence) = queued.judge() else {
        panic!("{:?}", queued.judge());
    };
    assert_eq!(silence.phase, RunPhase::Queued);
    let no_canary = Case {
        canaries: vec![canary(3)],
        ..queued
    };
    assert!(
        no_canary
            .reason()
            .contains("no other table of this project has finished a run")
    );
}

#[test]
fn a_slow_schedule_gives_posthog_the_time_to_end_the_run_itself() {
    let weekly = serde_json::json!({"id": "a", "name": "a", "status": "Running", "should_sync": true,
        "sync_type": "incremental", "sync_frequency": "7day"});
    let queued = Case {
        schema: weekly,
        run_probes: [5, 29],
        canaries: vec![canary(27)],
        ..Case::default().extracted()
    };
    assert!(queued.is_alive());
}

#[test]
fn a_run_behind_an_older_one_is_alive_while_that_moves_and_cannot_be_judged_after() {
    let older = |rows| {
        vec![
            job("j", 0, "Running", 7000),
            job("old", -9, "Running", rows),
        ]
    };
    let schema: Schema = serde_json::from_value(Case::default().schema).unwrap();
    let mut seen = Seen::first(&schema, at(0));
    for (hour, rows) in [(4, 1_000), (10, 2_000), (16, 3_000)] {
        let case = Case {
            jobs: older(rows),
            ..Case::default()
        };
        seen.record_probe(case.run_probe(hour));
    }
    assert!(!seen.frozen);
    let both_still = Case {
        jobs: older(3_000),
        ..Case::default()
    };
    assert!(
        both_still
            .reason()
            .contains("2 runs of the table are in progress")
    );
}

#[test]
fn the_end_of_an_older_run_is_a_sign_of_life() {
    let mut ended = job("old", -9, "Failed", 5);
    ended["finished_at"] = serde_json::json!(at(10));
    let case = Case {
        jobs: vec![job("j", 0, "Running", 7000), ended],
        ..Case::default()
    };
    assert!(case.is_alive());
}

#[test]
fn work_on_another_run_of_the_table_is_a_sign_of_life_and_a_refused_start_is_none() {
    let draining = Case::default().with_lines(&[(9, "run-old", "batch_processed_ok")]);
    assert!(draining.is_alive());
    let refused = Case::default().with_lines(&[(9, "run-x", "v3_pipeline_lock_acquire_result")]);
    assert!(matches!(refused.judge(), Liveness::Dead(_)));
}

#[test]
fn what_posthog_itself_found_when_it_refused_a_start_counts() {
    let vouched = Case::default().with_lines(&[(11, "run-x", "v3_pipeline_lock_takeover_skipped")]);
    assert!(vouched.is_alive());
    let long_ago = Case::default().with_lines(&[(9, "run-x", "v3_pipeline_lock_takeover_skipped")]);
    assert!(matches!(long_ago.judge(), Liveness::Dead(_)));
    let doubted =
        Case::default().with_lines(&[(9, "run-x", "v3_pipeline_lock_takeover_ambiguous")]);
    assert!(
        doubted
            .reason()
            .contains("without knowing whether the run is alive")
    );
}

#[test]
fn a_run_that_finishes_its_table_is_alive() {
    let mut case = Case::default();
    case.schema["last_synced_at"] = serde_json::json!(at(0));
    assert!(case.is_alive());
    // Tidying up takes hours, not days.
    case.run_probes = [4, 30];
    case.canaries = vec![canary(29)];
    let standing = case.judge();
    assert!(
        matches!(&standing, Liveness::Silent(silence) if silence.phase == RunPhase::PostLoad),
        "{standing:?}"
    );
}

#[test]
fn what_may_rest_without_a_sign_cannot_be_judged() {
    let with_job = |field: &str, value: serde_json::Value| {
        let mut case = Case::default();
        case.jobs[0][field] = value;
        case.reason()
    };
    assert!(with_job("cdc_write_mode", "append".into()).contains("change data capture"));
    assert!(with_job("billable", false.into()).contains("without billing"));
    assert!(with_job("destination_ids", serde_json::json!(["x", "y"])).contains("destinations"));
    assert!(with_job("workflow_run_id", serde_json::Value::Null).contains("workflow id"));
    for by in ["cdc", "webhook"] {
        let mut case = Case::default();
        case.schema["sync_type"] = by.into();
        assert!(case.reason().contains(by));
    }
    let mut odd = Case::default();
    odd.schema["sync_type"] = "teleport".into();
    assert!(odd.reason().contains("the table's sync type is unknown"));
}

#[test]
fn a_log_without_lines_proves_nothing() {
    let empty = Case {
        lines: Vec::new(),
        ..Case::default()
    };
    assert!(empty.reason().contains("no lines of the run"));
    let unreadable = Case {
        log: Some(Log::Unreadable("403".into())),
        ..Case::default()
    };
    assert_eq!(unreadable.reason(), "403");
}

#[test]
fn a_missing_sign_of_posthog_is_named() {
    let none = Case {
        canaries: Vec::new(),
        ..Case::default()
    };
    assert!(
        none.reason().contains("PostHog's workers may be down"),
        "{}",
        none.reason()
    );
    let mute = Canary {
        has_lines: false,
        ..canary(14)
    };
    let mute = Case {
        canaries: vec![mute],
        ..Case::default()
    };
    assert!(mute.reason().contains("is empty"));
    let loaded_only = Canary {
        extracted_at: at(2),
        ..canary(14)
    };
    let loaded_only = Case {
        canaries: vec![loaded_only],
        ..Case::default()
    };
    assert!(loaded_only.reason().contains("is known to have extracted"));
    let no_loader_lines = Canary {
        loader_logs: false,
        ..canary(27)
    };
    let no_loader_lines = Case {
        run_probes: [5, 29],
        canaries: vec![no_loader_lines],
        ..Case::default().extracted()
    };
    assert!(
        no_loader_lines
            .reason()
            .contains("loader writes no log lines")
    );
}

#[test]
fn a_completed_run_of_the_same_table_is_no_proof() {
    let own = Canary {
        schema_id: "a".into(),
        ..canary(14)
    };
    let case = Case {
        canaries: vec![own],
        ..Case::default()
    };
    assert!(case.reason().contains("no other table"));
}

#[test]
fn the_only_table_of_a_project_is_only_proposed_and_only_after_a_day() {
    let alone = Case {
        canaries: Vec::new(),
        is_alone: true,
        ..Case::default()
    };
    assert!(alone.is_alive());
    let after_a_day = Case {
        run_probes: [4, 28],
        ..alone
    };
    let Liveness::Silent(silence) = after_a_day.judge() else {
        panic!("{:?}", after_a_day.judge());
    };
    assert_eq!(silence.canary, None);
}

#[test]
fn between_two_attempts_and_with_unknown_markers_the_phase_is_unknown() {
    let failed = Case {
        run_probes: [5, 20],
        canaries: vec![canary(19)],
        ..Case::default().with_lines(&[(4, "run-j", "V3 Pipeline: Extraction failed")])
    };
    assert!(failed.is_alive(), "not before a day has passed");
    let after_a_day = Case {
        run_probes: [5, 30],
        canaries: vec![canary(29)],
        ..failed
    };
    assert!(matches!(
        after_a_day.judge(),
        Liveness::Silent(Silence {
            phase: RunPhase::Unknown,
            ..
        })
    ));
}

#[test]
fn a_run_of_the_v2_pipeline_extracts_until_its_end() {
    let v2 = Canary {
        pipeline: Pipeline::V2,
        loader_logs: false,
        ..canary(14)
    };
    let lines = vec![
        (0, "run-j", "Checking for heartbeat timeout reporting..."),
        (3, "run-j", "Updating rows_synced with +7000"),
    ];
    let case = Case {
        lines: lines.clone(),
        canaries: vec![v2],
        ..Case::default()
    };
    assert!(
        matches!(case.judge(), Liveness::Dead(_)),
        "{:?}",
        case.judge()
    );
    let on_v3 = Case {
        lines,
        ..Case::default()
    };
    assert!(
        on_v3.is_alive(),
        "where others mark phases, the phase of a run without markers is unknown"
    );
}

#[test]
fn a_detail_that_nobody_knows_is_work_and_dates_no_move() {
    let detail = "Fetched page 7";
    let unknown = Case {
        lines: vec![
            (0, "run-j", STARTING),
            (1, "run-j", detail),
            (2, "run-j", BATCH),
            (3, "run-j", detail),
        ],
        run_probes: [4, 15],
        ..Case::default()
    };
    assert!(unknown.is_alive(), "seen to stand still for 11 hours only");
    let longer = Case {
        run_probes: [4, 16],
        ..unknown
    };
    assert!(matches!(longer.judge(), Liveness::Dead(_)));
}

#[test]
fn a_line_that_may_mark_the_end_of_the_extraction_hides_how_far_the_run_is() {
    let unknown = Case::default().with_lines(&[(4, "run-j", "import_ends")]);
    let reason = unknown.reason();
    assert!(reason.contains("import_ends"), "{reason}");
    let known_elsewhere = Canary {
        details: ["import_ends".to_owned()].into(),
        ..canary(14)
    };
    let detail = Case {
        canaries: vec![known_elsewhere],
        ..unknown
    };
    assert!(matches!(detail.judge(), Liveness::Dead(_)));
    let after_a_day = Case {
        run_probes: [4, 29],
        canaries: vec![canary(28)],
        ..Case::default().with_lines(&[(4, "run-j", "import_ends")])
    };
    assert!(matches!(
        after_a_day.judge(),
        Liveness::Silent(Silence {
            phase: RunPhase::Unknown,
            ..
        })
    ));
}

#[test]
fn a_completed_run_in_unknown_words_or_of_another_pipeline_does_not_show_that_a_run_still_extracts()
{
    for pipeline in [Pipeline::Unknown, Pipeline::V2] {
        let case = Case {
            canaries: vec![Canary {
                pipeline,
                ..canary(14)
            }],
            ..Case::default()
        };
        assert!(case.reason().contains("marks the end of an extraction"));
    }
}

#[test]
fn runs_that_fell_silent_within_an_hour_are_silent_at_once() {
    let seen = |last: i64| {
        let schema: Schema = serde_json::from_value(Case::default().schema).unwrap();
        let mut seen = Seen::first(&schema, at(0));
        for hour in [last, 16] {
            let line = TableLog::with_line(Some((at(last), Line::Extracting)));
            let jobs =
                serde_json::from_value(serde_json::Value::Array(Case::default().jobs)).unwrap();
            seen.record_probe(RunProbe::new(at(hour), "a", Ok(jobs), Log::from(line)));
        }
        is_silent_beside_the_dead(&seen, hours(12))
    };
    assert!(seen(3) && seen(4) && seen(5));
    assert!(!seen(6));
}
