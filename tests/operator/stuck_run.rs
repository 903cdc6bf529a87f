//! A stuck run, and its expected end.

use posthog_simulator::Trigger;

use crate::support::Env;

/// A stuck run among healthy tables, one of which completes a run every two seconds: without a run that completed
/// since, the silence of another is no evidence. The run after the stuck one completes.
pub const STUCK: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, last_synced_ago: 33h, rows: 1000, run: {started_ago: 9h, rows: 500, hangs: {}, cancel_takes: 100ms}, then: {completes: {after: 2s, rows: 100}}}
      - {name: public.users, last_synced_ago: 1h, rows: 10, starts_every: 2s, then: {starts_after: 100ms, completes: {after: 200ms, rows: 1}}}
  - type: Stripe
    schemas:
      - {name: charge, last_synced_ago: 2h, rows: 10}
";

/// What must have happened in the end.
pub fn assert_one_cancel_and_one_reload(env: &Env) {
    let simulator = env.posthog.simulator();
    let id = simulator.schema_id("public.orders").unwrap();
    let cancels: Vec<_> = simulator
        .requests()
        .iter()
        // A GET asks whether runs can be cancelled.
        .filter(|r| r.method == "POST" && r.path.ends_with("/cancel/") && r.status.is_some())
        .collect();
    assert_eq!(cancels.len(), 1, "{cancels:?}");
    let started = simulator.reloads_that_started(&id);
    assert_eq!(
        started
            .iter()
            .filter(|effect| effect.trigger == Some(Trigger::Reload))
            .count(),
        1
    );
}

pub fn wait_until_recovered(env: &Env) {
    env.wait_for("p", "the end of the incident", |status| {
        status.incidents.is_empty()
            && status
                .summary
                .as_ref()
                .is_some_and(|s| s.healthy_of == "3/3")
            && !status.history.is_empty()
    });
}
