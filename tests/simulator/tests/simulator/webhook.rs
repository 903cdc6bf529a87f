//! `webhook_info` and `create_webhook`: two sides of a webhook, of which a green status shows neither.

use posthog_simulator::{EffectKind, Simulator};
use serde_json::{Value, json};

use crate::world::{control, get, row, send, source_path, with};

fn with_webhook(webhook: &str) -> Simulator {
    with(&format!(
        "sources: [{{type: Stripe, prefix: pay, webhook: {webhook}, \
         schemas: [{{name: Charge, sync_type: webhook, last_synced_ago: 1h, rows: 9}}, {{name: Balance}}]}}]"
    ))
}

fn info(posthog: &mut Simulator) -> Value {
    let path = source_path(posthog, "pay", "webhook_info/");
    get(posthog, &path)
}

#[test]
fn a_source_without_webhooks_still_has_every_field() {
    assert_eq!(
        info(&mut with_webhook("{}")),
        json!({
            "supports_webhooks": false,
            "exists": false,
            "auto_creation_blocked_reason": null,
            "hog_function": null,
            "webhook_url": null,
            "schema_mapping": {},
            "inputs": {},
            "external_status": null,
            "missing_events": [],
        })
    );
}

#[test]
fn objects_of_the_scenario_are_made_complete() {
    let mut posthog = with_webhook(
        "{supports_webhooks: true, exists: true, external_status: {enabled_events: [charge.succeeded]}}",
    );
    let source = posthog.source_id("pay").unwrap();
    let charge = posthog.schema_id("Charge").unwrap();
    let url = format!("https://webhooks.posthog.invalid/public/webhooks/{source}");
    assert_eq!(
        info(&mut posthog),
        json!({
            "supports_webhooks": true,
            "exists": true,
            "auto_creation_blocked_reason": null,
            "hog_function": {
                "id": source,
                "name": "Stripe webhook",
                "enabled": true,
                "created_at": "2026-07-03T12:00:00Z",
                "status": {"state": 1, "tokens": 10000},
            },
            "webhook_url": url,
            "schema_mapping": {"charge": charge},
            "inputs": {"signing_secret": {"secret": true}},
            "external_status": {
                "exists": true,
                "url": url,
                "enabled_events": ["charge.succeeded"],
                "status": "enabled",
                "description": null,
                "created_at": "2026-07-03T12:00:00Z",
                "api_version": null,
                "error": null,
            },
            "missing_events": [],
        })
    );
}

#[test]
fn exists_says_nothing_of_the_vendors_side() {
    let mut posthog =
        with_webhook("{supports_webhooks: true, exists: true, external_status: {exists: false}}");
    let info = info(&mut posthog);
    assert_eq!(info["exists"], true);
    assert_eq!(
        (
            &info["external_status"]["exists"],
            &info["external_status"]["status"],
            &info["external_status"]["url"]
        ),
        (&json!(false), &json!(null), &json!(null))
    );
}

#[test]
fn what_the_vendor_has_is_unknown_unless_it_is_said() {
    let info = info(&mut with_webhook("{supports_webhooks: true, exists: true}"));
    assert_eq!(info["external_status"], json!(null));
    assert_eq!(info["hog_function"]["enabled"], true);
}

#[test]
fn a_key_that_may_not_read_the_vendors_side_leaves_a_text_there() {
    let info = info(&mut with_webhook(
        "{supports_webhooks: true, exists: true, external_status: {error: no permission to read}}",
    ));
    assert_eq!(
        (
            &info["external_status"]["exists"],
            &info["external_status"]["status"],
            &info["external_status"]["error"]
        ),
        (&json!(false), &json!(null), &json!("no permission to read"))
    );
}

#[test]
fn a_webhook_that_goes_bad_does_not_show_in_the_status_of_its_table() {
    let mut posthog = with_webhook("{supports_webhooks: true, exists: true, external_status: {}}");
    for (change, place) in [
        (
            json!({"hog_function": {"enabled": false}}),
            "/hog_function/enabled",
        ),
        (
            json!({"external_status": {"status": "disabled"}}),
            "/external_status/status",
        ),
        (
            json!({"missing_events": ["charge.refunded"]}),
            "/missing_events/0",
        ),
        (json!({"exists": false, "hog_function": null}), "/exists"),
    ] {
        let before = info(&mut posthog).pointer(place).cloned();
        let change = json!({ "webhook": change });
        assert_eq!(control(&mut posthog, "POST", "sources/pay", &change).0, 200);
        assert_ne!(
            info(&mut posthog).pointer(place).cloned(),
            before,
            "{place}"
        );
        assert_eq!(row(&mut posthog, "Charge")["status"], "Completed");
    }
}

#[test]
fn a_webhook_that_is_made_mends_both_sides_and_each_call_makes_one_more() {
    let mut posthog = with_webhook(
        "{supports_webhooks: true, exists: true, hog_function: {enabled: false}, external_status: {status: disabled}, missing_events: [charge.refunded]}",
    );
    let path = source_path(&posthog, "pay", "create_webhook/");
    for _ in 0..2 {
        assert_eq!(
            send(&mut posthog, "POST", &path).value()["success"],
            json!(true)
        );
    }
    let info = info(&mut posthog);
    assert_eq!(
        (
            &info["hog_function"]["enabled"],
            &info["external_status"]["status"],
            &info["missing_events"]
        ),
        (&json!(true), &json!("enabled"), &json!([]))
    );
    assert_eq!(posthog.effects_of(EffectKind::WebhookCreated).len(), 2);
}

#[test]
fn inputs_differ_by_type_and_show_no_value() {
    let of = |kind: &str, webhook: &str| {
        let mut posthog = with(&format!(
            "sources: [{{type: {kind}, prefix: pay, webhook: {{supports_webhooks: true, exists: true{webhook}}}, schemas: [{{name: c, sync_type: webhook}}]}}]"
        ));
        info(&mut posthog)["inputs"].clone()
    };
    let set = json!({"secret": true});
    assert_eq!(of("SparkPost", ""), json!({ "authorization_header": set }));
    assert_eq!(
        of("Pipedrive", ""),
        json!({"http_auth_user": set, "http_auth_password": set})
    );
    assert_eq!(of("Stripe", ", inputs: {}"), json!({}));
}

#[test]
fn a_webhook_that_can_never_be_made_is_not_made() {
    let mut posthog =
        with_webhook("{supports_webhooks: true, auto_creation_blocked_reason: not granted}");
    let path = source_path(&posthog, "pay", "create_webhook/");
    let answer = send(&mut posthog, "POST", &path).value();
    assert_eq!(
        (&answer["success"], &answer["error"]),
        (&json!(false), &json!("not granted"))
    );
    assert!(posthog.effects_of(EffectKind::WebhookCreated).is_empty());
}
