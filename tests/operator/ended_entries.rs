//! A user who may annotate a policy may also remove the operator's managed fields: ended entries must disappear from
//! status anyway, because each apply replaces the whole status.

use warehouse_sync_operator::api::WarehouseSyncPolicyStatus;

use crate::support::Env;

const FAILED: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: public.orders, status: Failed, frequency: 24hour, last_synced_ago: 30h, last_run_ago: 1h, latest_error: 'server closed the connection unexpectedly', then: {completes: {after: 2s, rows: 100}}}
";

fn is_over(status: &WarehouseSyncPolicyStatus) -> bool {
    status.incidents.is_empty() && status.findings.is_empty() && !status.history.is_empty()
}

#[test]
fn ended_entries_are_removed_from_status_even_without_the_operators_managed_fields() {
    let env = Env::new(FAILED);
    let _operator = env.operator();
    // Nothing is reloaded yet, to have time.
    let suspended = env.policy("p", "mode: Enforce, remediation: {reloadTransient: 'Off'}");
    env.apply(&suspended).unwrap();
    env.wait_for("p", "the finding", |status| !status.findings.is_empty());
    for forgotten in [
        r#"{"metadata":{"managedFields":[{}]}}"#,
        r#"{"metadata":{"managedFields":[{"manager":"m","operation":"Update","apiVersion":"warehousesync.dev/v1alpha1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{}}}]}}"#,
    ] {
        env.kubectl(&["patch", "wsp", "p", "--type=merge", "-p", forgotten]);
    }
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    let status = env.wait_for("p", "its recovery", is_over);
    assert!(status.condition("Healthy").is_some());
    assert_eq!(env.posthog.simulator().count("POST", "/reload/"), 1);
}
