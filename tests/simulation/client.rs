//! Every reading call of the client, against the simulated PostHog: what it asks, and what it makes of the answer.

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use posthog_simulator::{Clock, Scenario, Simulator};
use warehouse_sync_operator::{
    api::{host::Host, validated::Project},
    posthog::{
        ApiKey, Client, PostHogError,
        bounds::Bounds,
        client::{self, KeyGate, LogFilter},
        lax::Lax,
        probe::CdcCheck,
        wire::{JobStatus, SchemaStatus},
    },
};

use crate::{faults::Faults, transport::SimTransport, world::start};

pub struct Posthog {
    pub simulator: Arc<Mutex<Simulator>>,
    pub client: Client<SimTransport>,
}

pub fn posthog(scenario: &str) -> Posthog {
    let scenario = Scenario::from_yaml(scenario).unwrap();
    let simulator = Simulator::from_scenario(&scenario, Clock::Manual(start())).unwrap();
    let simulator = Arc::new(Mutex::new(simulator));
    let transport = SimTransport {
        simulator: simulator.clone(),
        faults: Faults::default(),
    };
    let project = Project {
        host: Host::parse("http://127.0.0.1:1").unwrap(),
        id: 12345,
    };
    let clock: client::Clock = Arc::new(start);
    let gate = Arc::new(KeyGate::default());
    let key = ApiKey::new(b"phx_demo").unwrap();
    Posthog {
        client: Client::new(Arc::new(transport), project, key, gate, clock),
        simulator,
    }
}

impl Posthog {
    pub fn source(&self, name: &str) -> String {
        self.simulator.lock().unwrap().source_id(name).unwrap()
    }

    pub fn schema(&self, name: &str) -> String {
        self.simulator.lock().unwrap().schema_id(name).unwrap()
    }

    /// Method, path and query of the last request.
    fn last_request(&self) -> String {
        let simulator = self.simulator.lock().unwrap();
        let last = simulator.requests().last().unwrap();
        format!("{} {}", last.method, last.path)
    }
}

/// Nothing waits in this world.
pub fn now<A>(call: impl Future<Output = A>) -> A {
    call.now_or_never().unwrap()
}

fn is_refused<A: std::fmt::Debug>(answer: Result<A, PostHogError>, code: u16, says: &str) {
    match answer {
        Err(PostHogError::Refused { status, detail, .. }) => {
            assert_eq!(status, code);
            assert!(detail.contains(says), "{detail}");
        }
        other => panic!("{other:?}"),
    }
}

const PROJECT: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, frequency: 1hour, last_synced_ago: 2h, rows: 9, run: {started_ago: 1h, rows: 5, last_log_ago: 10m, hangs: {}}}
      - {name: public.gone, table_gone: true, status: Failed, latest_error: 'The primary keys for this table are not unique', last_synced_ago: 9h}
  - {type: Stripe, webhook: {supports_webhooks: true, exists: true}, schemas: [{name: Charge, sync_type: webhook, last_synced_ago: 1h, rows: 3}]}
";

#[test]
fn sources_and_tables_are_listed_and_read_alone() {
    let posthog = posthog(PROJECT);
    let listed = now(posthog.client.sources(Bounds::default())).unwrap();
    assert_eq!(listed.len(), 2);
    let alone = now(posthog.client.source(&posthog.source("prod"))).unwrap();
    assert_eq!(
        (alone.title(), alone.schemas.len()),
        ("Postgres prod".to_owned(), 2)
    );
    let page = now(posthog.client.schemas(0)).unwrap();
    assert_eq!((page.count, page.results.len()), (3, 3));
    let orders = now(posthog.client.schema(&posthog.schema("public.orders"))).unwrap();
    assert_eq!(orders.row.status(), SchemaStatus::Running);
    assert_eq!(
        orders.row.frequency(),
        Some(jiff::SignedDuration::from_hours(1))
    );
    assert_eq!(orders.incremental_field, Lax::Is("updated_at".to_owned()));
    let stored = orders.stored.unwrap();
    assert_eq!(
        stored.hogql_name,
        Lax::Is("postgres.prod.orders".to_owned())
    );
    assert!(!stored.columns.is_empty());
    let gone = now(posthog.client.schema(&posthog.schema("public.gone"))).unwrap();
    assert_eq!(
        gone.incremental_sync_blocked,
        Lax::Is("duplicate_primary_key".to_owned())
    );
    is_refused(
        now(posthog.client.source("0000")).map(|_| ()),
        404,
        "Not found",
    );
}

#[test]
fn jobs_and_logs_are_read_of_one_table_and_run() {
    let posthog = posthog(PROJECT);
    let (jobs, is_dated) = now(posthog
        .client
        .jobs(&posthog.source("prod"), "public.orders"))
    .unwrap();
    assert!(is_dated);
    assert_eq!(jobs[0].status(), JobStatus::Running);
    let run = jobs[0].workflow_run_id.get().unwrap();
    let filter = LogFilter {
        run_id: Some(run),
        ..LogFilter::default()
    };
    let log = now(posthog
        .client
        .logs(&posthog.schema("public.orders"), filter))
    .unwrap();
    assert!(!log.results.is_empty());
}

#[test]
fn a_table_in_the_source_is_read_with_a_post_that_changes_nothing() {
    let posthog = posthog(PROJECT);
    let fields = now(posthog
        .client
        .incremental_fields(&posthog.schema("public.orders")))
    .unwrap();
    assert_eq!(fields.has_column("updated_at"), Some(true));
    assert!(
        posthog
            .last_request()
            .starts_with("POST /api/projects/12345/external_data_schemas/")
    );
    let gone = now(posthog
        .client
        .incremental_fields(&posthog.schema("public.gone")));
    is_refused(gone, 400, "Schema with name public.gone not found");
    assert!(posthog.simulator.lock().unwrap().effects().is_empty());
}

#[test]
fn webhook_info_is_read() {
    let posthog = posthog(PROJECT);
    let info = now(posthog.client.webhook_info(&posthog.source("Stripe"))).unwrap();
    assert_eq!((info.exists, info.external_status), (Lax::Is(true), None));
}

const CDC: &str = "
sources:
  - type: Postgres
    prefix: prod
    cdc: {enabled: true, lag_bytes: 7, publication_exists: false, errors: ['Publication does not exist']}
    schemas: [{name: t, sync_type: cdc, last_synced_ago: 1h, rows: 5}]
  - {type: Stripe, schemas: [{name: c, last_synced_ago: 1h}]}
";

#[test]
fn change_data_capture_is_read_and_its_prerequisites_are_checked() {
    let posthog = posthog(CDC);
    let status = now(posthog.client.cdc_status(&posthog.source("prod"))).unwrap();
    assert_eq!(
        (status.enabled, status.publication_exists, status.lag_bytes),
        (Lax::Is(true), Lax::Is(false), Lax::Is(7))
    );
    let body = CdcCheck::default();
    let ask = |source: &str| {
        now(posthog
            .client
            .cdc_prerequisites(&posthog.source(source), &body))
    };
    let check = ask("prod").unwrap();
    assert_eq!((check.valid, check.errors.len()), (false, 1));
    assert!(posthog.last_request().starts_with("POST "));
    let other = ask("Stripe");
    is_refused(other, 400, "CDC is not supported");
}

#[test]
fn a_query_needs_its_own_scope_and_gives_rows() {
    let scenario = |scopes: &str| {
        format!(
            "keys: [{{token: phx_demo, scopes: [{scopes}]}}]\nsources: [{{type: Postgres, prefix: prod, schemas: [{{name: t, last_synced_ago: 1h, rows: 5, columns: [{{name: at, type: datetime}}], data: {{newest: {{column: at, at_ago: 2h}}}}}}]}}]"
        )
    };
    let with = posthog(&scenario("'external_data_source:read', 'query:read'"));
    let answer = now(with
        .client
        .query("SELECT max(`at`) FROM `postgres`.`prod`.`t`"))
    .unwrap();
    assert_eq!((answer.results.len(), answer.results[0].len()), (1, 1));
    let without = posthog(&scenario("'external_data_source:read'"));
    is_refused(
        now(without.client.query("SELECT 1")).map(|_| ()),
        403,
        "query:read",
    );
}
