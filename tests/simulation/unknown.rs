//! What is unknown of a run is never taken for its death: lines in the words of another version, a log that has lost its beginning or all
//! of its lines, times of which nobody knows by which clock they are.

use jiff::SignedDuration;
use posthog_simulator::EffectKind;
use warehouse_sync_operator::api::{
    conditions::HEALTHY,
    status::{RootCause, Step},
};

use crate::{
    alive::{
        CANARY, NO_PROGRESS_FOR, WORKS, dies, effects, has_completed, hours, proposals, reloads,
        run_with_restarts, simulator, tables, world,
    },
    scenarios::{ENFORCE, HEARTBEAT},
    world::World,
};

/// A run that has read everything after an hour and then waits for the loader, healthy, without a line.
const WAITS: &str =
    "run: {pipeline: v3, started_ago: 0s, extract: 1h, rows: 4000, batches: 4, queue: 60h}";

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A PostHog that never gives up a run, in which a table runs like this beside a canary.
fn posthog(instance: &str, run: &str) -> String {
    let tables = tables(&[run]);
    format!("{{instance: {{stale_after: null, {instance}}}, {tables}}}")
}

fn messages(world: &World) -> String {
    let findings = world.status().findings.into_iter();
    let said: Vec<String> = findings.map(|finding| finding.message).collect();
    said.join("\n")
}

// --- Words ----------------------------------------------------------------------------------------------------------

/// Texts in which another version may mark the phases of a run.
const OTHER_WORDS: [(&str, &str); 6] = [
    (
        "all other words",
        "'V3 Pipeline: Extraction starting': import_begins, 'V3 Pipeline: Finalizing': import_flushes, \
         'V3 Pipeline: Extraction complete': import_ends, 'V3 Pipeline: Cleaning': import_closes, v3_pipeline_lock: lock_taken, \
         batch_: chunk_step, message_received: chunk_read, parquet_file_read: chunk_open, writing_to_delta_lake: chunk_write, \
         deltalite: chunk_commit, final_batch: chunk_last, job_marked: run_over, staged_cursor: run_position, post_: run_after",
    ),
    (
        "another word for the end of the extraction only",
        "'V3 Pipeline: Finalizing': import_flushes, 'V3 Pipeline: Extraction complete': import_ends, 'V3 Pipeline: Cleaning': import_closes",
    ),
    (
        "one word for all phases",
        "'V3 Pipeline': run_changed, v3_pipeline_lock: run_changed, batch_picked: run_changed, batch_processed: run_changed, \
         batch_written: run_changed, message_received: run_changed, parquet: run_changed, writing: run_changed, deltalite: run_changed, \
         final_batch: run_changed, job_marked: run_changed, staged_cursor: run_changed, post_: run_changed",
    ),
    (
        "no line for the end of the extraction",
        "'V3 Pipeline: Finalizing': '', 'V3 Pipeline: Extraction complete': '', 'V3 Pipeline: Cleaning': ''",
    ),
    (
        "no line for any phase",
        "'V3 Pipeline': '', v3_pipeline_lock: ''",
    ),
    (
        "no line that only this pipeline writes but for the last",
        "'V3 Pipeline': '', v3_pipeline_lock: '', batch_: '', message_received: '', parquet: '', writing: '', deltalite: ''",
    ),
];

#[test]
fn a_healthy_run_that_waits_in_other_words_is_never_cancelled_unasked() {
    for (what, words) in OTHER_WORDS {
        let scenario = posthog(&format!("words: {{{words}}}"), WAITS);
        let mut world = world(&scenario, ENFORCE);
        run_with_restarts(&mut world, 1);
        // Where the lines are only missing, nothing is unknown of those that are there.
        let said = messages(&world);
        assert!(
            what.starts_with("no line") || said.contains("but "),
            "{what}: {said}"
        );
        world.run_for(hours(16));
        assert_eq!(
            (world.count("cancel"), world.count("reload")),
            (0, 0),
            "{what}"
        );
    }
}

#[test]
fn a_log_in_words_that_nobody_knows_is_named_as_the_reason() {
    let (_, words) = OTHER_WORDS[0];
    let mut world = world(&posthog(&format!("words: {{{words}}}"), WAITS), ENFORCE);
    world.run_for(hours(15));
    let said = messages(&world);
    assert!(
        said.contains("its status is Running, but") && said.contains("import_"),
        "{said}"
    );
    assert!(
        world
            .metrics()
            .contains("warehouse_sync_posthog_unfamiliar{kind=\"log_line\"}")
    );
}

/// Writes a line into the log of a table that nobody knows, every ten minutes for so long.
fn chatter(world: &mut World, long: SignedDuration) {
    let id = world.schema_id("a");
    let end = world.now() + long;
    while world.now() < end {
        world.run_for(minutes(10));
        let said = "Fetched a page of orders from the API, 500 rows";
        simulator(world, |posthog| posthog.write_log(&id, said).unwrap());
    }
}

#[test]
fn chatter_of_a_known_pipeline_does_not_spare_a_run_that_died_while_extracting() {
    let v2 = "run: {started_ago: 0s, hangs: {after: 2h, rows: 4000}}, then: {completes: {after: 1m, rows: 5}}";
    let of_v2 = format!(
        "sources: [{{type: Postgres, prefix: prod, schemas: [{{name: a, frequency: 30day, last_synced_ago: 40h, rows: 4000, {v2}}}, {HEARTBEAT}]}}]"
    );
    for (what, scenario) in [("v3", tables(&[&dies()])), ("v2", of_v2)] {
        let mut world = world(&scenario, ENFORCE);
        // The last is written after the second of four batches.
        chatter(&mut world, minutes(130));
        let last_sign = world.now();
        world.run_until_cancelled(1);
        let cancels = effects(&world, "a", EffectKind::Cancelled);
        let silent = cancels[0].at.duration_since(last_sign);
        assert!(silent >= NO_PROGRESS_FOR, "{what}: {silent}");
        assert!(silent <= NO_PROGRESS_FOR + hours(1), "{what}: {silent}");
        world.run_for(hours(1));
        assert!(has_completed(&world, "a"), "{what}");
    }
}

#[test]
fn a_dead_run_whose_last_line_is_a_word_that_nobody_knows_is_a_persons() {
    let mut world = world(&posthog("", &dies()), ENFORCE);
    world.run_for(minutes(140));
    let id = world.schema_id("a");
    simulator(&world, |posthog| {
        posthog
            .write_log(&id, "handed_over_to_the_next_stage")
            .unwrap();
    });
    world.run_for(hours(14));
    let said = messages(&world);
    assert!(said.contains("handed_over_to_the_next_stage"), "{said}");
    world.run_for(hours(30));
    assert_eq!(world.count("cancel"), 0);
}

// --- Lost lines -----------------------------------------------------------------------------------------------------

#[test]
fn a_run_whose_first_lines_are_gone_is_never_cancelled_unasked() {
    let loads = "run: {pipeline: v3, started_ago: 0s, extract: 1h, rows: 4000, batches: 4, queue: 0s, load_per_batch: 13h, post_load: 13h}";
    for run in [WAITS, loads] {
        for retention in ["3h", "14h"] {
            let scenario = posthog(&format!("log_retention: {retention}"), run);
            let mut world = world(&scenario, ENFORCE);
            run_with_restarts(&mut world, 2);
            assert_eq!(
                (world.count("cancel"), world.count("reload")),
                (0, 0),
                "{retention}"
            );
        }
    }
}

/// Of the completed runs, too, only the last lines are left.
#[test]
fn completed_runs_whose_first_lines_are_gone_do_not_show_which_pipeline_runs() {
    let slow = "{name: slow, frequency: 12hour, schedule: true, last_synced_ago: 30m, then: {pipeline: v3, extract: 2m, rows: 20, post_load: 4h}}";
    let table = format!("{{name: a, frequency: 30day, last_synced_ago: 40h, rows: 4000, {WAITS}}}");
    let scenario = format!(
        "{{instance: {{stale_after: null, log_retention: 3h}}, sources: [{{type: Postgres, prefix: prod, schemas: [{table}, {slow}]}}]}}"
    );
    let mut world = world(&scenario, ENFORCE);
    run_with_restarts(&mut world, 2);
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
}

#[test]
fn after_a_cancel_a_log_that_lost_all_lines_is_not_called_quiet() {
    let empty = "{status: 200, body: {count: 0, next: null, previous: null, results: []}}";
    for (what, answer) in [
        ("an empty log", empty),
        ("no permission", "{status: 403}"),
        ("the log service is down", "{status: 500}"),
    ] {
        let mut world = world(&tables(&[&dies()]), ENFORCE);
        world.run_until_cancelled(1);
        let fault = format!(
            "{{matches: {{path_contains: /logs/}}, times: forever, kind: {{status: {answer}}}}}"
        );
        let fault = serde_saphyr::from_str(&fault).unwrap();
        simulator(&world, |posthog| posthog.add_fault(fault));
        world.run_for(hours(1));
        world.restart();
        world.run_for(hours(5));
        assert_eq!(
            (world.count("cancel"), world.count("reload")),
            (1, 0),
            "{what}"
        );
        let incidents = world.status().incidents;
        let of_a = incidents
            .iter()
            .find(|incident| incident.schema == "a")
            .unwrap();
        assert_eq!(of_a.step, Step::Escalated, "{what}: {of_a:#?}");
        assert!(
            of_a.message.contains("Not reloaded"),
            "{what}: {}",
            of_a.message
        );
    }
}

/// Lines of the end of an extraction that reach the log late, after newer ones.
const LATE: &str = "late_lines: [{begins: 'V3 Pipeline: Finalizing', by: 2h}, {begins: 'V3 Pipeline: Extraction complete', by: 2h}, \
     {begins: 'V3 Pipeline: Cleaning', by: 2h}]";

#[test]
fn a_healthy_run_whose_last_marker_reached_the_log_hours_late_is_never_cancelled_unasked() {
    let loads = "run: {pipeline: v3, started_ago: 0s, extract: 1h, rows: 4000, batches: 4, queue: 0s, load_per_batch: 30h}";
    let mut world = world(&posthog(LATE, loads), ENFORCE);
    world.run_for(minutes(65));
    let id = world.schema_id("a");
    for _ in 0..6 {
        world.run_for(minutes(10));
        let said = "deltalite write: committed";
        simulator(&world, |posthog| posthog.write_log(&id, said).unwrap());
    }
    world.run_for(hours(20));
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
}

/// Writes this many lines that mark a phase, and do not say how far the extraction is, into the log of the newest run of a table.
fn mark(world: &World, table: &str, times: usize) {
    let id = world.schema_id(table);
    for _ in 0..times {
        simulator(world, |posthog| {
            let said = "V3 Pipeline: Updating incremental_field";
            posthog.write_log(&id, said).unwrap();
            posthog.advance(SignedDuration::from_millis(100));
        });
    }
}

/// More than a page of lines that mark phases hide those that say how far the extraction is.
#[test]
fn a_dead_run_with_hundreds_of_markers_is_cancelled_and_a_live_one_is_not() {
    let mut dead = world(&posthog("", &dies()), ENFORCE);
    dead.run_for(minutes(140));
    mark(&dead, "a", 700);
    dead.run_for(hours(17));
    assert_eq!(dead.count("cancel"), 1, "{}", messages(&dead));
    let mut alive = world(&posthog("", WAITS), ENFORCE);
    alive.run_for(minutes(45));
    mark(&alive, "a", 700);
    alive.run_for(hours(20));
    assert_eq!((alive.count("cancel"), alive.count("reload")), (0, 0));
}

/// The one run that completes while the other is silent: the begin of its extraction is hidden behind the lines of its batches, and perhaps behind more
/// than a page of markers, too.
#[test]
fn a_completed_run_with_hundreds_of_lines_or_markers_proves_that_posthog_works() {
    let canary = "{name: canary, frequency: 12hour, schedule: true, last_synced_ago: 6h, \
         then: {pipeline: v3, start: 0s, extract: 30m, rows: 7000, batches: 700, load_per_batch: 1s}}";
    for markers in [0, 700] {
        let tables = tables(&[&dies()]).replace(CANARY, canary);
        let mut world = world(
            &format!("{{instance: {{stale_after: null}}, {tables}}}"),
            ENFORCE,
        );
        world.run_for(hours(6) + minutes(20));
        mark(&world, "canary", markers);
        world.run_for(hours(11));
        assert_eq!(world.count("cancel"), 1, "{markers}: {}", messages(&world));
    }
}

// --- Clocks ---------------------------------------------------------------------------------------------------------

/// A world whose PostHog does not say when it answers, and whose operator's clock is ahead by so much.
fn undated(scenario: &str, ahead: i64) -> World {
    let world = world(scenario, ENFORCE);
    world.faults.hide_dates();
    world.faults.set_clock_ahead(hours(ahead));
    world
}

#[test]
fn a_live_run_is_not_taken_for_silent_by_a_clock_that_is_hours_away_from_posthogs() {
    let slow = "run: {pipeline: v3, started_ago: 0s, extract: 2h, rows: 4000, batches: 4, slow_page: {after: 45m, for: 10h}}";
    for ahead in [13, 30, -13, -30, 1, -1] {
        let mut world = undated(&tables(&[slow]), ahead);
        for _ in 0..4 {
            world.run_for(hours(3));
            world.restart();
        }
        assert_eq!(
            (world.count("cancel"), reloads(&world, "a").len()),
            (0, 0),
            "{ahead}"
        );
    }
}

/// Two tables that sync by schedule and one that is due once a month.
const SCHEDULED: &str = "sources: [{type: Postgres, prefix: prod, schemas: [\
     {name: a, frequency: 1hour, schedule: true, last_synced_ago: 30m, then: {completes: {after: 1m, rows: 5}}}, \
     {name: b, frequency: 6hour, schedule: true, last_synced_ago: 3h, then: {completes: {after: 1m, rows: 5}}}]}]";

#[test]
fn healthy_tables_are_not_stale_by_a_clock_that_is_hours_ahead_of_posthogs() {
    for ahead in [13, 30, 400, 0] {
        let mut world = undated(SCHEDULED, ahead);
        for _ in 0..3 {
            world.run_for(hours(7));
            world.restart();
        }
        world.run_for(minutes(30));
        assert_eq!(world.count("reload"), 0, "{ahead}");
        let status = world.status();
        let causes: Vec<RootCause> = status.findings.iter().map(|one| one.cause).collect();
        let healthy = status.condition(HEALTHY).unwrap();
        if ahead == 0 {
            assert_eq!((causes, healthy.status.as_str()), (Vec::new(), "True"));
        } else {
            assert!(
                causes.iter().all(|cause| *cause == RootCause::Unknown),
                "{causes:?}"
            );
            assert_eq!(healthy.status, "Unknown", "{ahead}");
        }
    }
}

#[test]
fn a_table_that_is_stale_by_posthogs_own_times_is_stale_by_any_clock() {
    let stale = "{name: c, frequency: 1hour, last_synced_ago: 30d, rows: 5}";
    let scenario = SCHEDULED.replace("schemas: [", &format!("schemas: [{stale}, "));
    for ahead in [0, 13] {
        let mut world = undated(&scenario, ahead);
        world.run_for(minutes(40));
        assert_eq!(world.count("reload"), 1, "{ahead}");
        assert_eq!(reloads(&world, "c").len(), 1, "{ahead}");
    }
}

#[test]
fn a_live_run_is_not_taken_for_silent_by_a_clock_that_is_set_to_another_time() {
    let slow = "run: {pipeline: v3, started_ago: 0s, extract: 2h, rows: 4000, batches: 4, slow_page: {after: 45m, for: 10h}}";
    for (before, after) in [(0, 13), (-13, 0), (13, 0), (0, -13)] {
        let mut world = undated(&tables(&[slow]), before);
        world.run_for(hours(5));
        world.faults.set_clock_ahead(hours(after));
        world.run_for(hours(4));
        world.restart();
        world.run_for(hours(1));
        assert_eq!(
            (world.count("cancel"), reloads(&world, "a").len()),
            (0, 0),
            "{before} to {after}"
        );
    }
}

#[test]
fn a_run_that_died_while_extracting_is_cancelled_also_where_posthogs_answers_have_no_date() {
    for ahead in [0, 13] {
        let mut world = undated(&tables(&[&dies()]), ahead);
        let last_sign = world.now() + hours(2);
        world.run_until_cancelled(1);
        let cancels = effects(&world, "a", EffectKind::Cancelled);
        let silent = cancels[0].at.duration_since(last_sign);
        assert!(silent >= NO_PROGRESS_FOR, "{ahead}: {silent}");
        // Proved by the end of the next run of the canary, which comes once an hour.
        assert!(silent <= NO_PROGRESS_FOR + hours(2), "{ahead}: {silent}");
        world.run_for(hours(1));
        assert_eq!(
            (world.count("cancel"), reloads(&world, "a").len()),
            (1, 1),
            "{ahead}"
        );
        assert!(has_completed(&world, "a"), "{ahead}");
    }
}

#[test]
fn without_dates_a_run_that_waits_for_the_loader_is_proposed_to_be_cancelled_after_a_day_of_posthogs_time()
 {
    let waits = WAITS.replace("queue: 60h", "queue: 60h, dies: {phase: queued}");
    let run = format!("{waits}, then: {WORKS}");
    let scenario = posthog("", &run).replace("30day", "12hour");
    let mut world = undated(&scenario, 13);
    world.run_for(hours(24));
    assert!(proposals(&world).is_empty(), "{:#?}", proposals(&world));
    world.run_for(hours(6));
    assert_eq!(proposals(&world).len(), 1, "{:#?}", world.status().findings);
    assert_eq!(world.count("cancel"), 0);
}

#[test]
fn an_operator_whose_clock_is_behind_posthogs_cancels_nothing() {
    let mut world = undated(&tables(&[&dies()]), -13);
    world.run_for(hours(40));
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
    assert!(messages(&world).contains("but "), "{}", messages(&world));
}

// --- Lists of runs --------------------------------------------------------------------------------------------------

/// A table whose newest run has ended while an older one, healthy, loads for two days.
#[test]
fn an_older_run_that_has_not_ended_is_never_taken_for_no_run() {
    let older = "earlier_runs: [{pipeline: v3, started_ago: 3h, extract: 1h, rows: 4000, batches: 4, load_per_batch: 12h}]";
    for newest in [
        "run: {pipeline: v3, started_ago: 1h, extract: 5m, rows: 10, fails: {error: 'Sync cancelled by user'}}",
        "run: {started_ago: 1h, completes: {after: 5m, rows: 10}}",
    ] {
        let mut world = world(&posthog("", &format!("{older}, {newest}")), ENFORCE);
        let id = world.schema_id("a");
        for _ in 0..20 {
            world.run_for(hours(1));
            simulator(&world, |posthog| {
                posthog
                    .set_status(&id, Some(posthog_simulator::Status::Running), None)
                    .unwrap();
            });
        }
        assert_eq!(
            (world.count("cancel"), world.count("reload")),
            (0, 0),
            "{newest}"
        );
        let said = messages(&world);
        assert!(said.contains("an older one has not"), "{newest}: {said}");
    }
}

#[test]
fn of_a_dead_run_whose_row_contradicts_itself_or_hides_something_nothing_is_cancelled() {
    for row in [
        "finished_at: '2026-10-01T01:00:00Z'",
        "finished_at: soon",
        "status: Loading",
        "status: null",
        "status: running",
        "created_at: null",
        "created_at: '2036-01-01T00:00:00Z'",
        "rows_synced: '12'",
        "workflow_run_id: null",
        "workflow_run_id: ''",
        "billable: 'no'",
        "destination_ids: [a, b]",
        "destination_ids: several",
        "cdc_write_mode: 7",
        "schema: null",
    ] {
        let run = format!("{}, job_raw: {{{row}}}", dies());
        let mut world = world(&tables(&[&run]), ENFORCE);
        world.run_for(hours(20));
        assert_eq!(
            (world.count("cancel"), world.count("reload")),
            (0, 0),
            "{row}"
        );
    }
}

#[test]
fn a_null_that_posthog_writes_in_rows_of_ordinary_runs_does_not_spare_a_dead_one() {
    for row in [
        "latest_error: null",
        "billable: null",
        "destination_ids: null",
        "created_by: null",
    ] {
        let run = format!("{}, job_raw: {{{row}}}", dies());
        let mut world = world(&tables(&[&run]), ENFORCE);
        world.run_for(hours(16));
        assert_eq!(world.count("cancel"), 1, "{row}");
    }
}

// --- Cancels --------------------------------------------------------------------------------------------------------

#[test]
fn a_cancel_is_sent_once_whatever_posthog_answers() {
    for kind in [
        "{status: {status: 400}}",
        "{status: {status: 404}}",
        "{status: {status: 409}}",
        "{status: {status: 500}}",
        "{status: {status: 502, after_effect: true}}",
        "{handled_late: {by: 40s}}",
        "cut_before",
        "cut_after_effect",
        "html200",
    ] {
        let mut world = world(&tables(&[&dies()]), ENFORCE);
        let fault = format!(
            "{{matches: {{method: POST, path_contains: /cancel/}}, times: forever, kind: {kind}}}"
        );
        let fault = serde_saphyr::from_str(&fault).unwrap();
        simulator(&world, |posthog| posthog.add_fault(fault));
        world.run_for(hours(20));
        world.restart();
        world.run_for(hours(20));
        assert_eq!(
            world.count("cancel"),
            1,
            "{kind}: {:#?}",
            world.status().incidents
        );
    }
}

#[test]
fn a_canary_that_was_renamed_does_not_keep_a_dead_run_from_being_cancelled() {
    let mut world = world(&tables(&[&dies()]), ENFORCE);
    world.run_for(hours(13));
    let id = world.schema_id("canary");
    simulator(&world, |posthog| {
        posthog
            .change_schema(&id, |spec| "bird".clone_into(&mut spec.name))
            .unwrap();
    });
    world.run_for(hours(6));
    assert_eq!(world.count("cancel"), 1, "{}", messages(&world));
}

#[test]
fn healthy_runs_of_posthogs_own_queue_that_wait_for_the_loader_are_left_alone() {
    let mut world = world(&posthog("queue_runs: true", WAITS), ENFORCE);
    run_with_restarts(&mut world, 2);
    assert_eq!((world.count("cancel"), world.count("reload")), (0, 0));
}
