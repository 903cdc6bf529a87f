//! The calls that write, against the simulated PostHog: what each sends, what comes back, and what a permit lets through.

use std::sync::Arc;

use posthog_simulator::{Clock, EffectKind, Scenario, Server, Simulator};
use secrecy::SecretString;
use serde_json::{Value, json};
use warehouse_sync_operator::{
    api::{host::Host, status::Fate},
    decide::safety::{Evidence, NextRun, Permit, Webhook, permit},
    execute::calls,
    posthog::{
        ApiKey, Transport,
        answer::{Answer, Refreshed},
        authorities::Authorities,
        bounds::Bounds,
        guard::HostList,
        http::HttpTransport,
        inputs::Inputs,
        lax::Lax,
        transport::Response,
        wire::{ErrorBody, SchemaStatus},
        write::{FieldType, IncrementalField, NewSyncType, SchemaPatch, Write},
    },
};

use crate::{
    client::{Posthog, now, posthog},
    faults::Faults,
    transport::SimTransport,
    world::{far, start},
};

const PROJECT: &str = "
sources:
  - type: Postgres
    prefix: prod
    id: s1
    cdc: {slot_exists: false}
    job_inputs: {host: db.example.com, user: posthog, password: old}
    accepts_inputs: {password: new}
    new_tables: [public.fresh]
    schemas:
      - {id: t1, name: public.orders, last_synced_ago: 2h, rows: 9}
      - {id: t2, name: public.off, should_sync: false, status: Failed, latest_error: boom, last_synced_ago: 9h, rows: 5}
      - {id: t3, name: public.gone, table_gone: true, last_synced_ago: 9h, rows: 5}
      - {id: t4, name: public.captured, sync_type: cdc, last_synced_ago: 9h, rows: 5}
      - {id: t5, name: public.keyless, primary_key_columns: null, last_synced_ago: 9h, rows: 5}
      - {id: t6, name: public.hangs, rows: 5, run: {started_ago: 9h, rows: 5, hangs: {}}}
  - type: Stripe
    prefix: pay
    id: s2
    webhook: {supports_webhooks: true}
    schemas: [{id: c1, name: Charge, sync_type: webhook, last_synced_ago: 1h, rows: 3}]
  - type: Stripe
    prefix: idle
    id: s3
    webhook: {supports_webhooks: true, exists: true}
    schemas: [{id: d1, name: Dispute, last_synced_ago: 1h, rows: 3}]
";

fn inputs(name: &str, value: &str) -> Inputs {
    let value = SecretString::from(value.to_owned());
    [(name.to_owned(), value)].into_iter().collect()
}

fn patch(schema_id: &str) -> SchemaPatch {
    SchemaPatch {
        schema_id: schema_id.into(),
        ..SchemaPatch::default()
    }
}

fn switch_on(schema_id: &str) -> SchemaPatch {
    SchemaPatch {
        switch_on: true,
        ..patch(schema_id)
    }
}

/// A call, what it sends (after the project's path), and what comes back: the status, and a sign of the answer.
type Exchange = (Write, &'static str, Value, fn(&Answer) -> bool);

fn taken(answer: &Answer) -> bool {
    matches!(answer, Answer::Taken(said) if said.detail == Lax::Missing)
}

fn done(answer: &Answer) -> bool {
    matches!(answer, Answer::Done(done) if done.success == Lax::Is(true))
}

/// In an order in which each finds what it needs.
fn exchanges() -> Vec<Exchange> {
    let all = [
        on_runs_and_data(),
        of_settings(),
        on_sources(),
        on_webhooks(),
    ];
    all.into_iter().flatten().collect()
}

fn schema(id: &str) -> String {
    id.to_owned()
}

fn source(id: &str) -> String {
    id.to_owned()
}

fn on_runs_and_data() -> Vec<Exchange> {
    vec![
        (
            Write::Cancel {
                schema_id: schema("t6"),
            },
            "POST external_data_schemas/t6/cancel/",
            Value::Null,
            taken,
        ),
        (
            Write::Reload {
                schema_id: schema("t1"),
            },
            "POST external_data_schemas/t1/reload/",
            Value::Null,
            taken,
        ),
        (
            Write::Resync {
                schema_id: schema("t1"),
            },
            "POST external_data_schemas/t1/resync/",
            Value::Null,
            taken,
        ),
        (
            Write::DeleteData {
                schema_id: schema("t1"),
            },
            "DELETE external_data_schemas/t1/delete_data/",
            Value::Null,
            taken,
        ),
    ]
}

fn of_settings() -> Vec<Exchange> {
    let field = IncrementalField {
        name: "id".into(),
        kind: FieldType::Integer,
    };
    vec![
        (
            Write::PatchSchema(switch_on("t2")),
            "PATCH external_data_schemas/t2/",
            json!({"should_sync": true}),
            |answer| matches!(answer, Answer::Schema(row) if row.row.should_sync == Lax::Is(true)),
        ),
        (
            Write::PatchSchema(SchemaPatch {
                primary_key_columns: Some(vec!["id".into()]),
                ..patch("t5")
            }),
            "PATCH external_data_schemas/t5/",
            json!({"primary_key_columns": ["id"]}),
            |answer| matches!(answer, Answer::Schema(row) if row.primary_key_columns == Some(vec!["id".to_owned()])),
        ),
        (
            Write::PatchSchema(SchemaPatch {
                incremental_field: Some(field),
                ..patch("t5")
            }),
            "PATCH external_data_schemas/t5/",
            json!({"incremental_field": "id", "incremental_field_type": "integer"}),
            |answer| matches!(answer, Answer::Schema(row) if row.incremental_field == Lax::Is("id".into())),
        ),
        (
            Write::BulkUpdateSchemas {
                source_id: source("s1"),
                patches: vec![switch_on("t1"), switch_on("t2")],
            },
            "PATCH external_data_sources/s1/bulk_update_schemas/",
            json!({"schemas": [{"id": "t1", "should_sync": true}, {"id": "t2", "should_sync": true}]}),
            |answer| matches!(answer, Answer::Schemas(rows) if rows.len() == 2),
        ),
        (
            Write::PatchSource {
                source_id: source("s1"),
                job_inputs: inputs("password", "new"),
            },
            "PATCH external_data_sources/s1/",
            json!({"job_inputs": {"password": "new"}}),
            |answer| matches!(answer, Answer::Source(row) if row.id == "s1"),
        ),
    ]
}

fn on_sources() -> Vec<Exchange> {
    vec![
        (
            Write::RefreshSchemas {
                source_id: source("s1"),
            },
            "POST external_data_sources/s1/refresh_schemas/",
            Value::Null,
            |answer| {
                matches!(
                    answer,
                    Answer::Refreshed(Refreshed {
                        added: Lax::Is(1),
                        deleted: Lax::Is(0)
                    })
                )
            },
        ),
        (
            Write::RepairCdc {
                source_id: source("s1"),
            },
            "POST external_data_sources/s1/repair_cdc/",
            Value::Null,
            done,
        ),
    ]
}

fn on_webhooks() -> Vec<Exchange> {
    vec![
        (
            Write::CreateWebhook {
                source_id: source("s2"),
            },
            "POST external_data_sources/s2/create_webhook/",
            json!({}),
            done,
        ),
        (
            Write::UpdateWebhookInputs {
                source_id: source("s2"),
                inputs: inputs("signing_secret", "whsec_new"),
            },
            "POST external_data_sources/s2/update_webhook_inputs/",
            json!({"inputs": {"signing_secret": "whsec_new"}}),
            done,
        ),
        (
            Write::DeleteWebhook {
                source_id: source("s3"),
            },
            "POST external_data_sources/s3/delete_webhook/",
            Value::Null,
            done,
        ),
        (
            Write::PatchSchema(SchemaPatch {
                sync_type: Some(NewSyncType::Webhook),
                ..patch("d1")
            }),
            "PATCH external_data_schemas/d1/",
            json!({"sync_type": "webhook"}),
            |answer| matches!(answer, Answer::Schema(row) if row.row.syncs_by("webhook")),
        ),
        (
            Write::PatchSchema(SchemaPatch {
                sync_type: Some(NewSyncType::FullRefresh),
                ..patch("d1")
            }),
            "PATCH external_data_schemas/d1/",
            json!({"sync_type": "full_refresh"}),
            |answer| matches!(answer, Answer::Schema(row) if row.row.syncs_by("full_refresh")),
        ),
    ]
}

fn simulator(scenario: &str) -> Simulator {
    let scenario = Scenario::from_yaml(scenario).unwrap();
    Simulator::from_scenario(&scenario, Clock::Manual(start())).unwrap()
}

/// Real HTTP: methods, bodies and empty answers are reqwest's and hyper's.
#[tokio::test]
async fn each_call_sends_what_it_says_over_http_and_reads_the_answer() {
    let server = Server::start(simulator(PROJECT)).unwrap();
    let host = Host::parse(&server.url()).unwrap();
    let transport = HttpTransport::new(
        HostList::new(&[], true),
        &Authorities::default(),
        Arc::new(start),
    )
    .unwrap();
    let key = ApiKey::new(b"phx_demo").unwrap();
    for (call, request_line, body, fits) in exchanges() {
        let request = call.request(|rest| format!("/api/projects/12345/{rest}"));
        let response = transport.send(&host, &key, request).await.unwrap();
        let said = String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!(response.status, 200, "{call:?}: {said}");
        assert!(
            fits(&Answer::read(&call, &response).unwrap()),
            "{call:?}: {said}"
        );
        let simulator = server.simulator();
        let logged = simulator.requests().last().unwrap();
        let path = logged.path.replace("/api/projects/12345/", "");
        assert_eq!(format!("{} {path}", logged.method), request_line);
        let sent = serde_json::from_slice(&logged.body).unwrap_or(Value::Null);
        assert_eq!(sent, body, "{call:?}");
    }
}

/// What comes back to a call for which no permit is made: it goes past the client.
pub fn unpermitted(posthog: &Posthog, call: &Write) -> Response {
    let transport = SimTransport {
        simulator: posthog.simulator.clone(),
        faults: Faults::default(),
    };
    let request = call.request(|rest| format!("/api/projects/12345/{rest}"));
    transport
        .ask(&ApiKey::new(b"phx_demo").unwrap(), &request)
        .unwrap()
}

fn refusal(posthog: &Posthog, call: &Write) -> (u16, String) {
    let response = unpermitted(posthog, call);
    let body: ErrorBody = serde_json::from_slice(&response.body).unwrap();
    (response.status, body.text().unwrap_or_default())
}

/// Every call is refused here, for one reason or another.
const REFUSING: &str = "
sources:
  - {type: Postgres, prefix: prod, id: s1, probe_error: 'Could not authenticate with the source.', schemas: [
      {id: t1, name: a, rows: 5, last_synced_ago: 1h}, {id: t2, name: b, status: Paused}, {id: t3, name: c, sync_type: null, should_sync: false}]}
  - {type: Stripe, id: s2, webhook: {supports_webhooks: true}, schemas: [{id: c1, name: Charge, sync_type: webhook}]}
  - {type: Zendesk, id: s3, schemas: [{id: z1, name: tickets}]}
";

const LIMIT: &str =
    "Monthly sync limit reached. Please increase your billing limit to resume syncing.";
const NOT_SET_UP: &str = "Sync type must be set up first before enabling schema";

fn check_refusals(rows: Vec<(Write, u16, &str)>) {
    let posthog = posthog(REFUSING);
    for (call, status, says) in rows {
        assert_eq!(
            refusal(&posthog, &call),
            (status, says.to_owned()),
            "{call:?}"
        );
    }
}

#[test]
fn the_refusals_of_calls_on_tables_are_read() {
    let keys = SchemaPatch {
        primary_key_columns: Some(vec!["other".into()]),
        ..patch("t1")
    };
    let both = vec![switch_on("t1"), switch_on("t3")];
    check_refusals(vec![
        (
            Write::Cancel {
                schema_id: schema("t1"),
            },
            400,
            "No running sync to cancel.",
        ),
        (
            Write::Reload {
                schema_id: schema("t1"),
            },
            400,
            LIMIT,
        ),
        (
            Write::Resync {
                schema_id: schema("t1"),
            },
            400,
            LIMIT,
        ),
        (
            Write::PatchSchema(keys),
            400,
            "Primary key cannot be changed after data has been synced. Delete the synced data first, then change the primary key.",
        ),
        (Write::PatchSchema(switch_on("t3")), 400, NOT_SET_UP),
        (
            Write::BulkUpdateSchemas {
                source_id: source("s1"),
                patches: both,
            },
            400,
            NOT_SET_UP,
        ),
        (
            Write::DeleteData {
                schema_id: schema("t9"),
            },
            404,
            "Not found.",
        ),
    ]);
}

#[test]
fn the_refusals_of_calls_on_sources_are_read() {
    let (s1, s2) = (|| source("s1"), || source("s2"));
    let cannot = "Could not authenticate with the source.";
    check_refusals(vec![
        (
            Write::PatchSource {
                source_id: s1(),
                job_inputs: inputs("password", "guess"),
            },
            400,
            cannot,
        ),
        (Write::RefreshSchemas { source_id: s1() }, 400, cannot),
        (
            Write::CreateWebhook {
                source_id: source("s3"),
            },
            400,
            "This source type does not support webhooks",
        ),
        (
            Write::UpdateWebhookInputs {
                source_id: s2(),
                inputs: inputs("signing_secret", "x"),
            },
            400,
            "No webhook function found for this source. Create a webhook first.",
        ),
        (
            Write::UpdateWebhookInputs {
                source_id: s2(),
                inputs: Inputs::default(),
            },
            400,
            "No inputs provided",
        ),
        (
            Write::DeleteWebhook { source_id: s2() },
            400,
            "Cannot delete webhook while tables are using webhook sync: Charge. Switch them to another sync method first.",
        ),
        (
            Write::RepairCdc { source_id: s1() },
            400,
            "CDC is not enabled on this source.",
        ),
        (
            Write::RepairCdc { source_id: s2() },
            400,
            "CDC is not supported for source type: Stripe",
        ),
    ]);
}

/// What is known of a source as it is listed, without doubts about what a list does not show.
fn known(posthog: &Posthog, source_id: &str) -> Evidence {
    let sources = now(posthog.client.sources(Bounds::default())).unwrap();
    let source = sources
        .iter()
        .find(|source| source.id == source_id)
        .unwrap();
    let mut known = Evidence::source(source).unwrap();
    for schema in &source.schemas {
        let table = known.table_mut(&schema.id).unwrap();
        table.disabled_by_posthog = true;
        table.next_run = NextRun::Ordinary;
    }
    known
}

fn allowed(posthog: &Posthog, source_id: &str, call: Write) -> Permit {
    permit(call, known(posthog, source_id)).unwrap()
}

#[test]
fn a_permit_is_used_up_for_exactly_the_call_it_was_made_for() {
    let posthog = posthog(PROJECT);
    let permit = allowed(&posthog, "s1", Write::PatchSchema(switch_on("t2")));
    let outcome = now(calls::send(&posthog.client, permit, far()));
    assert_eq!(
        (outcome.fate, outcome.http_status),
        (Fate::Accepted, Some(200))
    );
    let simulator = posthog.simulator.lock().unwrap();
    let written: Vec<_> = simulator
        .requests()
        .iter()
        .filter(|request| request.method != "GET")
        .collect();
    assert_eq!(written.len(), 1);
    assert_eq!(
        written[0].path,
        "/api/projects/12345/external_data_schemas/t2/"
    );
    assert_eq!(simulator.should_sync("t2"), Some(true));
}

#[test]
fn new_credentials_are_answered_with_the_source_and_never_shown() {
    let posthog = posthog(PROJECT);
    let call = Write::PatchSource {
        source_id: "s1".into(),
        job_inputs: inputs("password", "new"),
    };
    assert!(!format!("{call:?}").contains("new\""), "{call:?}");
    let (status, answer) = now(calls::execute(
        &posthog.client,
        allowed(&posthog, "s1", call),
        far(),
    ))
    .unwrap();
    let Answer::Source(source) = &answer else {
        panic!("{answer:?}")
    };
    assert_eq!((status, source.schemas.len()), (200, 6));
    assert!(!format!("{answer:?}").contains("new\""));
    let off = source
        .schemas
        .iter()
        .find(|schema| schema.id == "t2")
        .unwrap();
    assert_eq!(
        (&off.should_sync, off.status()),
        (&Lax::Is(false), SchemaStatus::Failed),
        "nothing is switched on by it"
    );
}

#[test]
fn a_failure_that_is_answered_200_is_no_success() {
    let scenario = "sources: [{type: Stripe, id: s2, webhook: {supports_webhooks: true}, probe_error: no permission to write webhooks, schemas: [{id: c1, name: Charge, sync_type: webhook}]}]";
    let posthog = posthog(scenario);
    let mut known = known(&posthog, "s2");
    known.webhook = Webhook::of(&now(posthog.client.webhook_info("s2")).unwrap());
    let permit = permit(
        Write::CreateWebhook {
            source_id: "s2".into(),
        },
        known,
    )
    .unwrap();
    let outcome = now(calls::send(&posthog.client, permit, far()));
    assert_eq!(
        (outcome.fate, outcome.http_status),
        (Fate::Unknown, Some(200))
    );
    assert_eq!(outcome.detail, "no permission to write webhooks");
    assert!(
        posthog
            .simulator
            .lock()
            .unwrap()
            .effects_of(EffectKind::WebhookCreated)
            .is_empty()
    );
}

#[test]
fn webhook_inputs_that_are_answered_400_may_still_be_stored() {
    let scenario = "sources: [{type: Stripe, id: s2, webhook: {supports_webhooks: true, exists: true}, probe_error: away, schemas: [{id: c1, name: Charge, sync_type: webhook}]}]";
    let posthog = posthog(scenario);
    let mut known = known(&posthog, "s2");
    known.webhook = Webhook::of(&now(posthog.client.webhook_info("s2")).unwrap());
    let call = Write::UpdateWebhookInputs {
        source_id: "s2".into(),
        inputs: inputs("signing_secret", "x"),
    };
    let outcome = now(calls::send(
        &posthog.client,
        permit(call, known).unwrap(),
        far(),
    ));
    assert_eq!(
        (outcome.fate, outcome.http_status),
        (Fate::Unknown, Some(400))
    );
    assert_eq!(
        posthog
            .simulator
            .lock()
            .unwrap()
            .effects_of(EffectKind::WebhookInputsChanged)
            .len(),
        1
    );
}

#[test]
fn a_bulk_update_that_is_answered_400_may_be_half_done() {
    let posthog = posthog(
        "sources: [{type: Postgres, id: s1, schemas: [{id: t2, name: b, should_sync: false, status: Failed, rows: 1}]}]",
    );
    let simulated = posthog.simulator.clone();
    // A table whose schedule has to be made is started at once, which fails.
    let fails =
        json!({"id": "t1", "name": "a", "should_sync": false, "trigger_fails": true, "jobs": []});
    let fails = serde_json::from_value(fails).unwrap();
    let failed = Some(posthog_simulator::Status::Failed);
    simulated.lock().unwrap().add_schema("s1", fails).unwrap();
    simulated
        .lock()
        .unwrap()
        .set_status("t1", failed, Some("boom"))
        .unwrap();
    let patches = vec![switch_on("t1"), switch_on("t2")];
    let call = Write::BulkUpdateSchemas {
        source_id: source("s1"),
        patches,
    };
    let outcome = now(calls::send(
        &posthog.client,
        allowed(&posthog, "s1", call),
        far(),
    ));
    assert_eq!(
        (outcome.fate, outcome.http_status),
        (Fate::Unknown, Some(400))
    );
    assert_eq!(simulated.lock().unwrap().should_sync("t2"), Some(true));
}
