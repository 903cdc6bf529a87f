//! What PostHog looks like at the start.

/// A hung run among healthy tables; the run after it completes.
pub const STUCK: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, last_synced_ago: 33h, rows: 1000, run: {started_ago: 9h, rows: 500, hangs: {}}}
      - {name: public.users, frequency: 30day, last_synced_ago: 1h, rows: 10}
  - type: Stripe
    schemas:
      - {name: charge, frequency: 30day, last_synced_ago: 2h, rows: 10}
";

/// A table that says Running without a run; a reload starts one.
pub const PHANTOM: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, last_synced_ago: 9h, rows: 1000, phantom: true}
";

/// A hung run whose workflow survives its cancel: reloads are swallowed for ever.
pub const WORKFLOW_SURVIVES: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, last_synced_ago: 33h, rows: 1000, run: {started_ago: 9h, rows: 500, hangs: {}, on_cancel: workflow_survives}}
";

/// A hung run on which a cancel has no effect.
pub const JOB_SURVIVES: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, last_synced_ago: 33h, rows: 1000, run: {started_ago: 9h, rows: 500, hangs: {}, on_cancel: job_survives}}
";

/// A table whose run failed for a passing reason; the next run completes.
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
