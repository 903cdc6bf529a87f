//! A run that is silent while it is being loaded: a person decides, by an annotation.

use warehouse_sync_operator::api::proposal::{Phase, Proposal, ProposedAction};

use crate::support::{Env, Operator, wait_until};

/// A run that died while it was being loaded, and a table that completes a run every two seconds. The next run needs no
/// loader, whose sweeps take minutes here.
const LOADING: &str = "
instance: {stale_after: null, lock: false}
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, frequency: 1hour, last_synced_ago: 33h, rows: 4000, run: {pipeline: v3, started_ago: 9h, start: 0s, extract: 1h, rows: 4000, batches: 4, queue: 0s, load_per_batch: 30m, dies: {phase: loading, after: 45m}}, then: {completes: {after: 1s, rows: 100}}}
      - {name: public.users, last_synced_ago: 1h, rows: 10, starts_every: 2s, then: {pipeline: v3, start: 0s, extract: 100ms, rows: 1, queue: 0s, load_per_batch: 100ms, post_load: 100ms}}
";

/// An operator that has proposed to cancel the run.
fn proposed(env: &Env) -> (Operator, Proposal) {
    let operator = env.operator_with(&[
        "--allow-http-loopback",
        "--time-factor",
        "600",
        "--allow-unguarded-approvals",
    ]);
    env.apply(&env.policy("p", "mode: Enforce, remediation: {reloadStale: 'Off'}"))
        .unwrap();
    let status = env.wait_for("p", "a proposal", |status| !status.proposals.is_empty());
    let proposal = status.proposals[0].clone();
    assert_eq!(proposal.action, ProposedAction::Cancel);
    assert!(proposal.id.starts_with("ca-"), "{}", proposal.id);
    let evidence = proposal.evidence.join("\n");
    assert!(evidence.contains("phase of the run: loading"), "{evidence}");
    assert_eq!(env.count("POST", "/cancel/"), 0);
    (operator, proposal)
}

fn answer(env: &Env, verb: &str, proposal: &Proposal, text: &str) {
    let annotation = format!("{verb}.warehousesync.dev/{}={text}", proposal.id);
    env.kubectl(&["annotate", "wsp", "p", &annotation]);
}

fn ends_as(env: &Env, proposal: &Proposal, phase: Phase) {
    env.wait_for("p", "the end of the proposal", |status| {
        let mut proposals = status.proposals.iter();
        proposals.any(|row| row.id == proposal.id && row.phase == phase)
    });
}

#[test]
fn an_approved_cancel_of_a_silent_run_is_sent_once_then_reloaded_and_proved_by_a_new_job() {
    let env = Env::new(LOADING);
    let (_operator, proposal) = proposed(&env);
    answer(&env, "approve", &proposal, "anna");
    ends_as(&env, &proposal, Phase::Executed);
    assert_eq!(
        (env.count("POST", "/cancel/"), env.count("POST", "/reload/")),
        (1, 1)
    );
    let status = env.status("p");
    let executed = status.proposals.iter().find(|row| row.id == proposal.id);
    let execution = executed.unwrap().execution.as_ref().unwrap();
    assert_ne!(execution.observed_job, execution.job_before);
    let id = env.posthog.simulator().schema_id("public.orders").unwrap();
    assert_eq!(
        env.posthog.simulator().newest_job(&id),
        execution.observed_job
    );
}

#[test]
fn a_denied_cancel_of_a_silent_run_sends_nothing() {
    let env = Env::new(LOADING);
    let (_operator, proposal) = proposed(&env);
    answer(&env, "deny", &proposal, "it is a long load");
    ends_as(&env, &proposal, Phase::Denied);
    let polls = || env.count("GET", "/external_data_sources/");
    let before = polls();
    wait_until("another poll", || {
        let more = polls() > before + 1;
        more.then_some(()).ok_or_else(|| "no poll".to_owned())
    });
    assert_eq!(
        (env.count("POST", "/cancel/"), env.count("POST", "/reload/")),
        (0, 0)
    );
}
