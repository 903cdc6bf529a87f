//! `request`.

use warehouse_sync_operator::api::proposal::ProposedAction;

use super::support::Env;

const KEY: &str = "request.warehousesync.dev/table-1";

#[test]
fn each_request_has_another_value() {
    let env = Env::new();
    for value in ["Resync", "Resync@2", "Resync@3"] {
        env.plugin(&["request", "prod", "table-1", "Resync", "--yes"])
            .fine();
        assert_eq!(env.annotation(KEY).as_deref(), Some(value));
    }
    env.plugin(&["request", "prod", "table-1", "DeleteData", "--yes"])
        .fine();
    assert_eq!(env.annotation(KEY).as_deref(), Some("DeleteData"));
}

#[test]
fn a_handled_request_is_not_repeated_with_the_same_value() {
    let env = Env::new();
    env.put_status(&serde_json::json!({
        "state": {"schemas": [{"id": "table-1", "requestHandled": "Resync@4"}]},
    }));
    env.plugin(&["request", "prod", "table-1", "Resync", "--yes"])
        .fine();
    assert_eq!(env.annotation(KEY).as_deref(), Some("Resync@5"));
}

#[test]
fn a_request_needs_the_tables_name_or_the_flag_yes() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::RefreshSchemas, "orders");
    env.propose([&proposal]);
    env.plugin(&["request", "prod", "id-of-orders", "Resync"])
        .refused("type \"orders\" at a terminal, or add --yes");
    env.plugin(&["request", "prod", "not/an/id", "Resync", "--yes"])
        .refused("is not the id of a table");
    assert_eq!(env.annotation(KEY), None);
}
