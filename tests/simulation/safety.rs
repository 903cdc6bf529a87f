//! The safety table, row by row: call, what is known → whether it needs a human, and why.

use secrecy::SecretString;
use warehouse_sync_operator::{
    api::{
        Timings,
        status::{Incident, RootCause, Step},
    },
    decide::{
        gate::{self, StuckRun},
        safety::{
            Clearance, Evidence, LosesData, NextRun, NotWarehouse, Run, TableEvidence, Webhook,
            Why, judge, permit,
        },
    },
    observe::{Log, RunPhase, RunProbe, Words},
    posthog::{
        inputs::Inputs,
        probe::WebhookInfo,
        wire::Source,
        write::{FieldType, IncrementalField, NewSyncType, SchemaPatch, Write},
    },
};

use crate::world::start;

/// A source as PostHog lists it, with tables of these fields.
fn source(tables: &[&str]) -> Source {
    let tables: Vec<String> = tables
        .iter()
        .enumerate()
        .map(|(index, fields)| format!(r#"{{"id":"t{index}","name":"t{index}",{fields}}}"#))
        .collect();
    let json = format!(
        r#"{{"id":"s1","access_method":"warehouse","schemas":[{}]}}"#,
        tables.join(",")
    );
    serde_json::from_str(&json).unwrap()
}

const ON: &str = r#""should_sync":true,"sync_type":"incremental","status":"Completed""#;
const OFF: &str = r#""should_sync":false,"sync_type":"incremental","status":"Failed""#;

/// These tables, all with ordinary next runs.
fn known(tables: &[&str]) -> Evidence {
    let mut known = Evidence::source(&source(tables)).unwrap();
    for index in 0..tables.len() {
        let table = known.table_mut(&format!("t{index}")).unwrap();
        table.next_run = NextRun::Ordinary;
    }
    known
}

/// The same, with a change of the first table.
fn with(tables: &[&str], change: impl FnOnce(&mut TableEvidence)) -> Evidence {
    let mut known = known(tables);
    change(known.table_mut("t0").unwrap());
    known
}

/// A table that PostHog switched off, with these fields.
fn disabled(fields: &str) -> Evidence {
    with(&[fields], |table| table.disabled_by_posthog = true)
}

fn with_webhook(tables: &[&str], webhook: Webhook) -> Evidence {
    let mut known = known(tables);
    known.webhook = webhook;
    known
}

fn run_probe(schema_id: &str, status: &str) -> RunProbe {
    let job = format!(
        r#"[{{"id":"j1","created_at":"2026-09-30T01:00:00Z","status":"{status}","rows_synced":5,"schema":{{"id":"{schema_id}"}}}}]"#
    );
    let jobs = serde_json::from_str(&job).unwrap();
    RunProbe::new(start(), schema_id, Ok(jobs), Log::of_line(None))
}

fn hangs(schema_id: &str) -> Run {
    let hanging = StuckRun {
        job_id: "j1".into(),
        rows: Some(5),
        log_at: None,
        phase: RunPhase::Unknown,
        words: Words::default(),
        canary: None,
    };
    let proof = gate::still_stuck(schema_id, &hanging, &run_probe(schema_id, "Running"));
    Run::StillStuck(proof.unwrap())
}

fn no_run_in_progress(schema_id: &str) -> Run {
    let incident = Incident {
        schema_id: schema_id.into(),
        schema: "t".into(),
        source: "s".into(),
        source_id: "s1".into(),
        cause: RootCause::Transient,
        step: Step::Reloading,
        attempt: 1,
        job_id: None,
        baseline_job_id: Some("j1".into()),
        new_job_id: None,
        opened_at: start(),
        step_since: start(),
        deadline: None,
        healthy_since: None,
        sends: vec![],
        message: String::new(),
    };
    let row = format!(r#"{{"id":"{schema_id}","name":"t","should_sync":true,"status":"Failed"}}"#);
    let row = serde_json::from_str(&row).unwrap();
    let proof = gate::no_run_in_progress(
        (&incident, &Timings::PRODUCTION),
        &run_probe(schema_id, "Failed"),
        &row,
    );
    Run::Nothing(proof.unwrap())
}

fn t0() -> String {
    "t0".to_owned()
}

fn s1() -> String {
    "s1".to_owned()
}

fn patch() -> SchemaPatch {
    SchemaPatch {
        schema_id: t0(),
        ..SchemaPatch::default()
    }
}

fn switch_on() -> Write {
    Write::PatchSchema(SchemaPatch {
        switch_on: true,
        ..patch()
    })
}

fn cancel() -> Write {
    Write::Cancel { schema_id: t0() }
}

fn reload() -> Write {
    Write::Reload { schema_id: t0() }
}

fn inputs(names: &[&str]) -> Inputs {
    let names = names.iter();
    names
        .map(|name| ((*name).to_owned(), SecretString::from("x".to_owned())))
        .collect()
}

fn patch_source(names: &[&str]) -> Write {
    Write::PatchSource {
        source_id: s1(),
        job_inputs: inputs(names),
    }
}

/// What the row is about, the call, what is known, and why it needs approval, if it does.
type Row = (&'static str, Write, Evidence, Option<Why>);

fn check(rows: Vec<Row>) {
    for (what, call, known, why) in rows {
        let expected = why.map_or(Clearance::Safe, Clearance::NeedsApproval);
        assert_eq!(judge(&call, &known), expected, "{what}: {call:?}");
        // A permit is made of nothing but a safe call, and is for that call.
        let name = call.name();
        match permit(call, known) {
            Ok(permit) => assert_eq!((why, permit.into_call().name()), (None, name), "{what}"),
            Err(refused) => assert_eq!(Some(refused), why, "{what}"),
        }
    }
}

#[test]
fn a_cancel_is_safe_only_with_the_proof_that_this_run_still_hangs() {
    let run = |run| with(&[ON], |table| table.run = run);
    check(vec![
        ("proved", cancel(), run(hangs("t0")), None),
        (
            "of another table",
            cancel(),
            run(hangs("t1")),
            Some(Why::RunMayBeAlive),
        ),
        (
            "nothing runs",
            cancel(),
            run(no_run_in_progress("t0")),
            Some(Why::RunMayBeAlive),
        ),
        (
            "not looked",
            cancel(),
            known(&[ON]),
            Some(Why::RunMayBeAlive),
        ),
        (
            "no such table",
            cancel(),
            known(&[]),
            Some(Why::TableUnknown),
        ),
    ]);
}

#[test]
fn a_reload_is_safe_with_the_proof_that_nothing_runs_and_if_the_next_run_wipes_nothing() {
    let table = |run, next_run| {
        with(&[ON], |table| {
            table.run = run;
            table.next_run = next_run;
        })
    };
    let proved = || no_run_in_progress("t0");
    check(vec![
        ("proved", reload(), table(proved(), NextRun::Ordinary), None),
        (
            "reset pending",
            reload(),
            table(proved(), NextRun::MayWipe),
            Some(Why::NextRunMayWipe),
        ),
        (
            "not known",
            reload(),
            table(proved(), NextRun::Unknown),
            Some(Why::NextRunUnknown),
        ),
        (
            "of another table",
            reload(),
            table(no_run_in_progress("t1"), NextRun::Ordinary),
            Some(Why::SomethingMayRun),
        ),
        (
            "it hangs",
            reload(),
            table(hangs("t0"), NextRun::Ordinary),
            Some(Why::SomethingMayRun),
        ),
        (
            "not looked",
            reload(),
            table(Run::NotProbed, NextRun::Ordinary),
            Some(Why::SomethingMayRun),
        ),
        (
            "reset pending and not probed",
            reload(),
            table(Run::NotProbed, NextRun::MayWipe),
            Some(Why::NextRunMayWipe),
        ),
        (
            "no such table",
            reload(),
            known(&[]),
            Some(Why::TableUnknown),
        ),
    ]);
}

#[test]
fn switching_on_is_safe_for_a_table_that_posthog_switched_off_and_that_is_not_wiped_by_it() {
    let off = |sync_type: &str| {
        format!(r#""should_sync":false,"sync_type":{sync_type},"status":"Failed""#)
    };
    let row = |what, sync_type: &str, why| (what, switch_on(), disabled(&off(sync_type)), why);
    check(vec![
        row("full refresh", r#""full_refresh""#, None),
        row("incremental", r#""incremental""#, None),
        row("append", r#""append""#, None),
        row("xmin", r#""xmin""#, None),
        row("webhook", r#""webhook""#, Some(Why::SwitchingOnWipes)),
        row(
            "change data capture",
            r#""cdc""#,
            Some(Why::SwitchingOnWipes),
        ),
        row("not set up", "null", Some(Why::SyncTypeUnknown)),
        row("new sync type", r#""teleport""#, Some(Why::SyncTypeUnknown)),
        row("odd sync type", "7", Some(Why::SyncTypeUnknown)),
        (
            "unknown who",
            switch_on(),
            known(&[OFF]),
            Some(Why::NotDisabledByPostHog),
        ),
        (
            "it is on",
            switch_on(),
            disabled(ON),
            Some(Why::NotDisabledByPostHog),
        ),
        (
            "it has not failed",
            switch_on(),
            disabled(&OFF.replace("Failed", "Completed")),
            Some(Why::NotDisabledByPostHog),
        ),
        (
            "odd status",
            switch_on(),
            disabled(&OFF.replace("Failed", "failed")),
            Some(Why::NotDisabledByPostHog),
        ),
        (
            "on or off: odd",
            switch_on(),
            disabled(&OFF.replace("false", "7")),
            Some(Why::NotDisabledByPostHog),
        ),
        (
            "no such table",
            switch_on(),
            known(&[]),
            Some(Why::TableUnknown),
        ),
        (
            "reset pending",
            switch_on(),
            with(&[OFF], |table| {
                table.disabled_by_posthog = true;
                table.next_run = NextRun::MayWipe;
            }),
            Some(Why::NextRunMayWipe),
        ),
    ]);
}

#[test]
fn every_other_change_of_a_table_needs_approval() {
    let sync_type = |to| {
        Write::PatchSchema(SchemaPatch {
            sync_type: Some(to),
            ..patch()
        })
    };
    let field = || IncrementalField {
        name: "updated_at".into(),
        kind: FieldType::Timestamp,
    };
    let by_field = Write::PatchSchema(SchemaPatch {
        incremental_field: Some(field()),
        ..patch()
    });
    let keys = Write::PatchSchema(SchemaPatch {
        primary_key_columns: Some(vec!["id".into()]),
        ..patch()
    });
    let keys_and_on = || SchemaPatch {
        primary_key_columns: Some(vec!["id".into()]),
        switch_on: true,
        ..patch()
    };
    let elsewhere = Write::PatchSchema(SchemaPatch {
        schema_id: "t7".into(),
        ..SchemaPatch::default()
    });
    let webhook = OFF.replace("incremental", "webhook");
    check(vec![
        (
            "to webhook",
            sync_type(NewSyncType::Webhook),
            known(&[ON]),
            Some(Why::ChangesSyncType),
        ),
        (
            "to full refresh",
            sync_type(NewSyncType::FullRefresh),
            known(&[ON]),
            Some(Why::ChangesSyncType),
        ),
        (
            "field",
            by_field,
            known(&[ON]),
            Some(Why::ChangesIncrementalField),
        ),
        ("keys", keys, known(&[ON]), Some(Why::ChangesPrimaryKey)),
        (
            "keys, and on",
            Write::PatchSchema(keys_and_on()),
            disabled(OFF),
            Some(Why::ChangesPrimaryKey),
        ),
        (
            "keys, and on: the worse of two",
            Write::PatchSchema(keys_and_on()),
            disabled(&webhook),
            Some(Why::SwitchingOnWipes),
        ),
        (
            "nothing, of a table not known",
            elsewhere,
            known(&[ON]),
            Some(Why::TableUnknown),
        ),
    ]);
}

#[test]
fn a_bulk_update_is_as_safe_as_its_worst_part() {
    let on = |id: &str| SchemaPatch {
        schema_id: id.into(),
        switch_on: true,
        ..SchemaPatch::default()
    };
    let bulk = |source_id: &str, patches| Write::BulkUpdateSchemas {
        source_id: source_id.into(),
        patches,
    };
    let webhook = OFF.replace("incremental", "webhook");
    let off = |tables: &[&str]| {
        let mut known = known(tables);
        for index in 0..tables.len() {
            known
                .table_mut(&format!("t{index}"))
                .unwrap()
                .disabled_by_posthog = true;
        }
        known
    };
    check(vec![
        (
            "both safe",
            bulk("s1", vec![on("t0"), on("t1")]),
            off(&[OFF, OFF]),
            None,
        ),
        (
            "one is not",
            bulk("s1", vec![on("t0"), on("t1")]),
            off(&[OFF, &webhook]),
            Some(Why::SwitchingOnWipes),
        ),
        (
            "one is unknown",
            bulk("s1", vec![on("t0"), on("t9")]),
            off(&[OFF]),
            Some(Why::TableUnknown),
        ),
        (
            "another source",
            bulk("s2", vec![on("t0")]),
            off(&[OFF]),
            Some(Why::SourceUnknown),
        ),
    ]);
}

#[test]
fn a_source_is_sent_nothing_but_credentials() {
    let row = |what, names: &[&str], why| (what, patch_source(names), known(&[ON]), why);
    let more = Some(Why::MoreThanCredentials);
    check(vec![
        row("password", &["password"], None),
        row("user and password", &["user", "password"], more),
        row("in a container", &["auth_method.stripe_secret_key"], None),
        row(
            "key of an account",
            &["private_key", "ssh_tunnel.auth.passphrase"],
            None,
        ),
        row("host", &["password", "host"], more),
        row("port", &["port"], more),
        row("database", &["database"], more),
        row("schema", &["schema"], more),
        row("tunnel host", &["ssh_tunnel.host"], more),
        row("slot", &["cdc_slot_name"], more),
        row("selection", &["auth_method.selection"], more),
        row("where a token comes from", &["token_url"], more),
        row("a new one", &["brand_new"], more),
        (
            "another source",
            Write::PatchSource {
                source_id: "s2".into(),
                job_inputs: inputs(&["password"]),
            },
            known(&[ON]),
            Some(Why::SourceUnknown),
        ),
    ]);
}

#[test]
fn a_webhook_is_made_only_where_one_is_needed_and_certainly_missing() {
    let create = || Write::CreateWebhook { source_id: s1() };
    let update = || Write::UpdateWebhookInputs {
        source_id: s1(),
        inputs: inputs(&["signing_secret"]),
    };
    let pushed = ON.replace("incremental", "webhook");
    let row = |what, call, webhook, why| (what, call, with_webhook(&[&pushed], webhook), why);
    let one = Evidence::one_table("s1", true, TableEvidence::unknown("t0")).unwrap();
    check(vec![
        row("missing here", create(), Webhook::NotRegistered, None),
        row("missing there", create(), Webhook::GoneAtVendor, None),
        row(
            "there is one",
            create(),
            Webhook::Registered,
            Some(Why::WebhookMayExist),
        ),
        row(
            "not known",
            create(),
            Webhook::Unknown,
            Some(Why::WebhookMayExist),
        ),
        (
            "nobody needs it",
            create(),
            with_webhook(&[ON], Webhook::NotRegistered),
            Some(Why::NoTableUsesWebhook),
        ),
        (
            "not all tables known",
            create(),
            one,
            Some(Why::TableUnknown),
        ),
        row("inputs of one", update(), Webhook::Registered, None),
        row(
            "inputs of one gone there",
            update(),
            Webhook::GoneAtVendor,
            None,
        ),
        row(
            "inputs of none",
            update(),
            Webhook::NotRegistered,
            Some(Why::WebhookMayNotExist),
        ),
        row(
            "inputs, not known",
            update(),
            Webhook::Unknown,
            Some(Why::WebhookMayNotExist),
        ),
    ]);
}

#[test]
fn what_destroys_is_never_safe_for_any_evidence() {
    let best = || {
        with(&[ON], |table| {
            table.disabled_by_posthog = true;
            table.run = no_run_in_progress("t0");
        })
    };
    check(vec![
        (
            "resync",
            Write::Resync { schema_id: t0() },
            best(),
            Some(Why::WipesTable),
        ),
        (
            "delete data",
            Write::DeleteData { schema_id: t0() },
            best(),
            Some(Why::DeletesData),
        ),
        (
            "refresh",
            Write::RefreshSchemas { source_id: s1() },
            best(),
            Some(Why::SwitchesOffWhatIsHidden),
        ),
        (
            "delete webhook",
            Write::DeleteWebhook { source_id: s1() },
            best(),
            Some(Why::StopsWebhook),
        ),
        (
            "repair",
            Write::RepairCdc { source_id: s1() },
            best(),
            Some(Why::ImportsCapturedTablesAnew),
        ),
    ]);
}

#[test]
fn of_a_source_that_is_not_certainly_a_warehouse_source_nothing_can_be_known() {
    let listed = |access: &str| {
        let json = format!(r#"{{"id":"s1",{access}"schemas":[]}}"#);
        Evidence::source(&serde_json::from_str(&json).unwrap()).map(|_| ())
    };
    for access in [
        "",
        r#""access_method":"direct","#,
        r#""access_method":7,"#,
        r#""access_method":null,"#,
    ] {
        assert_eq!(listed(access), Err(NotWarehouse), "{access}");
    }
    assert_eq!(listed(r#""access_method":"warehouse","#), Ok(()));
    assert!(Evidence::one_table("s1", false, TableEvidence::unknown("t0")).is_err());
}

#[test]
fn a_webhook_is_missing_at_the_vendor_only_if_the_vendor_could_be_read() {
    let read = |json: &str| Webhook::of(&serde_json::from_str::<WebhookInfo>(json).unwrap());
    for (json, webhook) in [
        ("{}", Webhook::Unknown),
        (r#"{"exists":"yes"}"#, Webhook::Unknown),
        (r#"{"exists":null}"#, Webhook::Unknown),
        (r#"{"exists":false}"#, Webhook::NotRegistered),
        (
            r#"{"exists":false,"auto_creation_blocked_reason":"no"}"#,
            Webhook::Unknown,
        ),
        (
            r#"{"exists":true,"auto_creation_blocked_reason":"no"}"#,
            Webhook::Registered,
        ),
        (
            r#"{"exists":true,"auto_creation_blocked_reason":"no","external_status":{"exists":false,"error":null}}"#,
            Webhook::Unknown,
        ),
        (
            r#"{"exists":true,"external_status":null}"#,
            Webhook::Registered,
        ),
        (
            r#"{"exists":true,"external_status":{"exists":false,"error":null}}"#,
            Webhook::GoneAtVendor,
        ),
        (
            r#"{"exists":true,"external_status":{"exists":false}}"#,
            Webhook::Registered,
        ),
        (
            r#"{"exists":true,"external_status":{"exists":false,"error":"no permission"}}"#,
            Webhook::Registered,
        ),
        (
            r#"{"exists":true,"external_status":{"exists":true,"error":null}}"#,
            Webhook::Registered,
        ),
    ] {
        assert_eq!(read(json), webhook, "{json}");
    }
}

#[test]
fn what_can_lose_data_says_so_and_what_is_not_known_says_maybe() {
    assert!(LosesData::No < LosesData::Maybe && LosesData::Maybe < LosesData::Yes);
    for why in [
        Why::WipesTable,
        Why::DeletesData,
        Why::SwitchingOnWipes,
        Why::ImportsCapturedTablesAnew,
    ] {
        assert_eq!(why.loses_data(), LosesData::Yes, "{why}");
    }
    for why in [Why::TableUnknown, Why::NextRunUnknown, Why::NextRunMayWipe] {
        assert_eq!(why.loses_data(), LosesData::Maybe, "{why}");
    }
    assert_eq!(Why::SwitchesOffWhatIsHidden.loses_data(), LosesData::No);
    let missing =
        TableEvidence::listed(&serde_json::from_str(r#"{"id":"t0","name":"t"}"#).unwrap());
    assert_eq!(
        (missing.should_sync, missing.next_run),
        (None, NextRun::Unknown)
    );
}
