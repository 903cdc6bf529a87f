//! Healthy runs that look dead because something beside them is not what it seems: a completed run that shows less than it seems to, the clock of
//! the log, workers that are down, silent tables that nobody selected.

use posthog_simulator::Behaviour;
use posthog_simulator::RunPlan;

use crate::{
    alive::{hours, run_with_restarts, simulator, world},
    scenarios::ENFORCE,
    world::World,
};

/// A run that reads a slow page after an hour and a half, for longer than a run may be silent.
const SLOW: &str = "run: {pipeline: v3, started_ago: 0s, extract: 4h, rows: 4000, batches: 4, slow_page: {after: 90m, for: 20h}}";

/// A run that has read everything after an hour and then waits for the loader, without a line.
const WAITS: &str =
    "run: {pipeline: v3, started_ago: 0s, extract: 1h, rows: 4000, batches: 4, queue: 60h}";

/// A table that completes a run each hour.
const CANARY: &str = "{name: canary, frequency: 1hour, schedule: true, last_synced_ago: 30m, then: {pipeline: v3, extract: 2m, rows: 20}}";

/// An hourly table of which every fourth run finds rows.
fn sparse() -> String {
    let full = "{pipeline: v3, extract: 2m, rows: 20}";
    let empty = "{pipeline: v3, extract: 2m, rows: 0, batches: 0}";
    let runs = [full, empty, empty, empty].repeat(20).join(", ");
    format!(
        "{{name: canary, frequency: 1hour, schedule: true, last_synced_ago: 30m, next_runs: [{runs}]}}"
    )
}

/// A table `a` that runs like this beside others, in a PostHog that never gives up a run.
fn posthog(instance: &str, run: &str, others: &str) -> String {
    format!(
        "{{instance: {{stale_after: null, {instance}}}, sources: [{{type: Postgres, prefix: prod, schemas: [\
         {{name: a, frequency: 30day, last_synced_ago: 40h, rows: 4000, {run}}}, {others}]}}]}}"
    )
}

fn is_spared(what: &str, world: &World) {
    let findings = world.status().findings;
    assert_eq!(
        (world.count("cancel"), world.count("reload")),
        (0, 0),
        "{what}: {findings:#?}"
    );
}

fn says(world: &World, text: &str) -> bool {
    let findings = world.status().findings;
    findings
        .iter()
        .any(|finding| finding.message.contains(text))
}

// --- Words ----------------------------------------------------------------------------------------------------------

#[test]
fn a_run_without_rows_does_not_show_how_the_extraction_of_one_with_rows_ends() {
    let no_end = "'V3 Pipeline: Finalizing': '', 'V3 Pipeline: Extraction complete': '', 'V3 Pipeline: Cleaning': ''";
    let scenario = posthog(&format!("words: {{{no_end}}}"), WAITS, &sparse());
    let mut world = world(&scenario, ENFORCE);
    run_with_restarts(&mut world, 1);
    is_spared("no line for the end", &world);
    assert!(says(&world, "how this PostHog marks the end"));
}

#[test]
fn an_attempt_that_ended_in_the_words_of_the_extractions_end_does_not_explain_them() {
    let words = "'V3 Pipeline: Extraction failed': attempt_over, 'V3 Pipeline: Finalizing': '', 'V3 Pipeline: Extraction complete': attempt_over, \
         'V3 Pipeline: Cleaning': ''";
    let run = "run: {pipeline: v3, started_ago: 0s, start: 0s, attempts: [{takes: 1h, batches: 2, wait: 1m, resumes: true}], extract: 1h, \
         rows: 4000, batches: 4, queue: 60h}";
    let scenario = posthog(&format!("words: {{{words}}}"), run, &sparse());
    let mut world = world(&scenario, ENFORCE);
    run_with_restarts(&mut world, 1);
    is_spared("attempts", &world);
}

#[test]
fn the_numbered_stages_of_a_run_do_not_explain_each_other() {
    let words = "'V3 Pipeline: Finalizing': '', 'V3 Pipeline: Extraction complete': 'Stage 2 of 3', 'V3 Pipeline: Cleaning': ''";
    let scenario = posthog(&format!("words: {{{words}}}"), WAITS, &sparse());
    let mut world = world(&scenario, ENFORCE);
    world.run_for(hours(1) / 6);
    let id = world.schema_id("a");
    simulator(&world, |posthog| {
        posthog.write_log(&id, "Stage 1 of 3").unwrap();
    });
    run_with_restarts(&mut world, 1);
    is_spared("stages", &world);
}

// --- Clocks ---------------------------------------------------------------------------------------------------------

/// A service of logs that takes local times for UTC: each line seems five hours older than it is.
#[test]
fn a_log_whose_clock_is_hours_behind_makes_no_silence_longer() {
    let v3 = (
        "run: {pipeline: v3, started_ago: 0s, start: 0s, attempts: [{takes: 6h, batches: 5, wait: 1m, resumes: true}], extract: 10h, rows: 4000, \
         batches: 10, slow_page: {after: 130m, for: 10h}}",
        "{pipeline: v3, extract: 7h, rows: 20000, batches: 100}",
    );
    let v2 = (
        "run: {started_ago: 0s, rows: 90000, progresses: {rows_per_second: 0, log_every: 30d, finishes_after: 17h}}",
        "{progresses: {rows_per_second: 1, log_every: 10m, finishes_after: 7h}}",
    );
    for (run, then) in [v3, v2] {
        let long = format!(
            "{{name: long, frequency: 12hour, schedule: true, last_synced_ago: 7h, then: {then}}}"
        );
        let mut world = world(&posthog("log_clock_ahead: -5h", run, &long), ENFORCE);
        for hour in 0..22 {
            world.run_for(hours(1));
            if run == v2.0 && hour < 6 {
                let id = world.schema_id("a");
                let moved = "Updating rows_synced with +5";
                simulator(&world, |posthog| posthog.write_log(&id, moved).unwrap());
            }
        }
        is_spared(run, &world);
    }
}

// --- Outages --------------------------------------------------------------------------------------------------------

#[test]
fn no_run_is_cancelled_while_tables_that_sync_by_default_have_missed_their_run() {
    let canary = CANARY.replace("1hour", "6hour");
    let mut world = world(&posthog("", SLOW, &canary), ENFORCE);
    // A run of the canary completes after the run has fallen silent; then no worker is left.
    world.run_for(hours(7));
    let id = world.schema_id("canary");
    simulator(&world, |posthog| {
        let hangs = Behaviour::Hangs {
            after: jiff::SignedDuration::ZERO,
            rows: 1,
            swept_after: None,
        };
        posthog.set_next_runs(&id, [RunPlan::from(hangs)]).unwrap();
    });
    world.run_for(hours(11));
    is_spared("six hours", &world);
    assert!(says(&world, "workers may be down"));
}

#[test]
fn tables_that_are_silent_beside_a_selected_one_are_an_outage_though_nobody_selected_them() {
    let silent = |name| {
        format!("{{name: {name}, frequency: 30day, last_synced_ago: 40h, rows: 4000, {SLOW}}}")
    };
    let others = format!("{}, {}, {CANARY}", silent("b"), silent("c"));
    let spec = format!("{ENFORCE}, selector: {{schemas: {{include: [a]}}}}");
    for restarts in [false, true] {
        let mut world = world(&posthog("", SLOW, &others), &spec);
        world.run_for(hours(8));
        if restarts {
            world.restart();
        }
        world.run_for(hours(8));
        is_spared("not selected", &world);
        assert!(says(&world, "The runs of 3 tables are silent"));
    }
}
