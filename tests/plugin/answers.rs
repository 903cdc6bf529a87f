//! `approve` and `deny` in the cluster.

use serde_json::Value;
use warehouse_sync_operator::api::proposal::{Phase, ProposedAction};

use super::support::Env;

#[test]
fn an_approval_is_the_users_own_name_and_survives_flux() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::Resync, "orders");
    env.propose([&proposal]);
    let alice = env.user("alice@example.com", "patch");

    let ran = env
        .plugin_as(&alice, &["approve", "prod", &proposal.id, "--yes"])
        .fine();

    let key = format!("approve.warehousesync.dev/{}", proposal.id);
    assert_eq!(env.annotation(&key).as_deref(), Some("alice@example.com"));
    for shown in [
        "wipe orders and import it again",
        "deletes all 1200 rows",
        "Postgres prod orders",
    ] {
        assert!(ran.words().contains(shown), "{shown}: {}", ran.err);
    }
    // Flux removes fields of managers whose names begin with `kubectl`.
    let policy = env.get("prod");
    let managers = policy["metadata"]["managedFields"].as_array().unwrap();
    let writes = |manager: &&Value| manager["fieldsV1"].to_string().contains(&key);
    let managers: Vec<&Value> = managers
        .iter()
        .filter(writes)
        .map(|m| &m["manager"])
        .collect();
    assert_eq!(managers, ["wsp-approve"]);
}

#[test]
fn approving_twice_changes_nothing_and_another_approval_is_not_replaced() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::RefreshSchemas, "orders");
    env.propose([&proposal]);
    env.plugin(&["approve", "prod", &proposal.id]).fine();
    let before = env.get("prod");
    let again = env.plugin(&["approve", "prod", &proposal.id]).fine();
    assert!(again.out.contains("unchanged"), "{}", again.out);
    let bob = env.user("bob", "patch");
    env.plugin_as(&bob, &["approve", "prod", &proposal.id])
        .refused("already exists with the value \"admin\"");
    assert_eq!(env.get("prod"), before);
}

#[test]
fn the_beginning_of_an_id_is_enough_if_it_is_unique() {
    let env = Env::new();
    let (orders, users) = (
        env.proposal(ProposedAction::RefreshSchemas, "orders"),
        env.proposal(ProposedAction::RefreshSchemas, "users"),
    );
    env.propose([&orders, &users]);
    env.plugin(&["approve", "prod", "rf-"]).refused("too short");
    env.plugin(&["approve", "prod", &orders.id[..8]]).fine();
    let key = format!("approve.warehousesync.dev/{}", orders.id);
    assert_eq!(env.annotation(&key).as_deref(), Some("admin"));
}

#[test]
fn the_beginning_of_several_ids_is_refused() {
    let env = Env::new();
    let one = env.proposal(ProposedAction::RefreshSchemas, "orders");
    // Another id that differs in the last character: it cannot be created, but a status can contain it.
    let mut other = one.clone();
    let last = if one.id.ends_with('a') { 'b' } else { 'a' };
    other.id.pop();
    other.id.push(last);
    env.propose([&one, &other]);
    env.plugin(&["approve", "prod", &one.id[..10]])
        .refused("several proposals");
}

#[test]
fn a_proposal_that_does_not_wait_is_not_approved() {
    let env = Env::new();
    for phase in [
        Phase::Approved,
        Phase::Executed,
        Phase::Superseded,
        Phase::Expired,
        Phase::Denied,
    ] {
        let mut proposal = env.proposal(ProposedAction::RefreshSchemas, "orders");
        proposal.phase = phase;
        env.propose([&proposal]);
        env.plugin(&["approve", "prod", &proposal.id])
            .refused(&format!("it is {phase:?}"));
    }
    let unknown = "rf-aaaaaaaaaaaaaaaaaaaaaaaaaa";
    env.plugin(&["approve", "prod", unknown])
        .refused("has no proposal");
    env.plugin(&["approve", "staging", unknown])
        .refused("there is no policy staging");
    let annotations = env.get("prod")["metadata"]["annotations"].to_string();
    assert!(!annotations.contains("approve."), "{annotations}");
}

#[test]
fn deleting_data_needs_the_flag_yes_without_a_terminal() {
    let env = Env::new();
    for action in [ProposedAction::Resync, ProposedAction::DeleteData] {
        let proposal = env.proposal(action, "orders");
        env.propose([&proposal]);
        env.plugin(&["approve", "prod", &proposal.id])
            .refused("add --yes");
        assert_eq!(
            env.annotation(&format!("approve.warehousesync.dev/{}", proposal.id)),
            None
        );
    }
}

#[test]
fn a_proposal_whose_id_does_not_match_its_status_is_not_approved() {
    let env = Env::new();
    let mut proposal = env.proposal(ProposedAction::DeleteData, "orders");
    proposal.steps = vec!["reload orders".to_owned()];
    env.propose([&proposal]);
    env.plugin(&["approve", "prod", &proposal.id, "--yes"])
        .refused("does not match what status shows (steps differs)");
    let ran = env.plugin(&["verify", "prod", &proposal.id]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.words()
            .contains("steps NO reload orders delete the data of orders"),
        "{}",
        ran.out
    );
    assert!(ran.words().contains("id yes"), "{}", ran.out);

    let mut proposal = env.proposal(ProposedAction::DeleteData, "orders");
    proposal.material.schema_id = Some("another".to_owned());
    env.propose([&proposal]);
    env.plugin(&["approve", "prod", &proposal.id, "--yes"])
        .refused("does not match what status shows (id differs)");
}

#[test]
fn a_proposal_of_another_policy_is_not_approved() {
    let env = Env::new();
    let proposal =
        super::support::proposal("another-uid", ProposedAction::RefreshSchemas, "orders");
    env.propose([&proposal]);
    env.plugin(&["approve", "prod", &proposal.id])
        .refused("(uid of the policy differs)");
}

#[test]
fn a_denial_has_its_reason_as_value_and_takes_precedence() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::RefreshSchemas, "orders");
    env.propose([&proposal]);
    let ran = env
        .plugin(&["deny", "prod", &proposal.id, "--reason", "not \"now\""])
        .fine();
    assert!(ran.out.contains("not \"now\""), "{}", ran.out);
    let key = format!("deny.warehousesync.dev/{}", proposal.id);
    assert_eq!(env.annotation(&key).as_deref(), Some("not \"now\""));
    env.plugin(&["approve", "prod", &proposal.id])
        .refused("a denial takes precedence");
}

#[test]
fn a_proposal_that_has_ended_is_not_denied() {
    let env = Env::new();
    let mut proposal = env.proposal(ProposedAction::RefreshSchemas, "orders");
    proposal.phase = Phase::Executing;
    env.propose([&proposal]);
    env.plugin(&["deny", "prod", &proposal.id, "--reason", "no"])
        .refused("can no longer be denied");
    proposal.phase = Phase::Approved;
    env.propose([&proposal]);
    env.plugin(&["deny", "prod", &proposal.id, "--reason", "no"])
        .fine();
}

#[test]
fn a_user_who_may_not_annotate_gets_the_api_servers_message() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::RefreshSchemas, "orders");
    env.propose([&proposal]);
    let eve = env.user("eve", "watch");
    env.plugin_as(&eve, &["approve", "prod", &proposal.id])
        .refused("cannot patch resource");
}
