//! What PostHog looks like at the start.

/// A healthy table whose runs go on completing: the proof that PostHog works, without which no silent run is dead.
macro_rules! heartbeat {
    () => {
        "{name: public.heartbeat, frequency: 1hour, last_synced_ago: 31m47s, rows: 5, schedule: true, then: {completes: {after: 1s, rows: 5}}}"
    };
}

/// The same, beside the tables of another scenario.
pub const HEARTBEAT: &str = heartbeat!();

/// A hung run among healthy tables, of which one goes on completing; the run after it completes.
pub const STUCK: &str = concat!(
    "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, last_synced_ago: 33h, rows: 1000, run: {started_ago: 9h, rows: 500, hangs: {}}}
      - {name: public.users, frequency: 30day, last_synced_ago: 1h, rows: 10}
  - type: Stripe
    schemas:
      - {name: charge, frequency: 30day, last_synced_ago: 2h, rows: 10}
      - ",
    heartbeat!(),
    "\n",
);

/// A table that says Running without a run; a reload starts one.
pub const PHANTOM: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, last_synced_ago: 9h, rows: 1000, phantom: true}
";

/// A hung run whose workflow survives its cancel: reloads are swallowed forever.
pub const WORKFLOW_SURVIVES: &str = concat!(
    "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, last_synced_ago: 33h, rows: 1000, run: {started_ago: 9h, rows: 500, hangs: {}, on_cancel: workflow_survives}}
      - ",
    heartbeat!(),
    "\n",
);

/// A hung run on which a cancel has no effect.
pub const JOB_SURVIVES: &str = concat!(
    "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, last_synced_ago: 33h, rows: 1000, run: {started_ago: 9h, rows: 500, hangs: {}, on_cancel: job_survives}}
      - ",
    heartbeat!(),
    "\n",
);

/// A table whose run failed for a transient reason; the next run completes.
pub const FAILED: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, status: Failed, frequency: 30day, last_synced_ago: 9h, last_run_ago: 2h, latest_error: 'server closed the connection unexpectedly', rows: 1000}
";

/// A table whose schedule has silently stopped.
pub const STALE: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, frequency: 12hour, last_synced_ago: 60h, rows: 1000}
";

/// Enforce, and the defaults.
pub const ENFORCE: &str = "mode: Enforce, interval: 5m";
