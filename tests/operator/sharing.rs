//! Several policies on one project: one poll, one owner of each table.

use std::net::TcpListener;

use jiff::{SignedDuration, Timestamp};
use posthog_simulator::SchemaSpec;
use serde_json::json;
use warehouse_sync_operator::api::status::Step;

use crate::{
    main_job::STUCK,
    support::{Env, put, wait_until},
};

const QUIET: &str = "
keys: [{token: phx_demo, label: first}, {token: phx_other, label: second}]
sources:
  - {type: Postgres, prefix: prod, schemas: [{name: public.users, last_synced_ago: 1h, rows: 10}]}
";

fn put_key(env: &Env, secret: &str, token: &str) {
    let labels = json!({"warehousesync.dev/use": "posthog-api-key"});
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": secret, "labels": labels}, "stringData": {"api-key": token},
    });
    env.apply(&secret.to_string()).unwrap();
}

fn with_key(env: &Env, name: &str, secret: &str) -> String {
    env.policy(name, "")
        .replace("{name: posthog,", &format!("{{name: {secret},"))
}

/// When lists of sources were read, and the label of the key.
fn lists(env: &Env) -> Vec<(Timestamp, String)> {
    let simulator = env.posthog.simulator();
    let lists = simulator
        .requests()
        .iter()
        .filter(|r| r.method == "GET" && r.path.ends_with("/external_data_sources/"));
    lists
        .map(|r| (r.at, r.key.clone().unwrap_or_default()))
        .collect()
}

fn shows(env: &Env, name: &str, what: &str) {
    env.wait_for(name, what, |status| {
        status
            .findings
            .iter()
            .any(|finding| finding.next_action.contains(what))
    });
}

fn set(env: &Env, name: &str, spec: &serde_json::Value) {
    let patch = json!({"spec": spec}).to_string();
    env.kubectl(&["patch", "wsp", name, "--type=merge", "-p", &patch]);
}

fn wait_until_repaired(env: &Env, name: &str) {
    env.wait_for(name, "the repair", |status| {
        let all_well = status
            .summary
            .as_ref()
            .is_some_and(|s| s.healthy_of == "3/3");
        all_well && status.incidents.is_empty() && !status.history.is_empty()
    });
    assert_eq!(env.count("POST", "/cancel/"), 1);
    assert_eq!(env.count("POST", "/reload/"), 1);
}

/// Two policies, `older` with this spec and `younger` in Enforce, of which the API server knows the order.
fn apply_in_order(env: &Env, older: &str) {
    let created = |name| {
        env.apply(&env.policy(
            name,
            if name == "older" {
                older
            } else {
                "mode: Enforce"
            },
        ))
        .unwrap();
        env.kubectl(&[
            "get",
            "wsp",
            name,
            "-o",
            "jsonpath={.metadata.creationTimestamp}",
        ])
    };
    let first = created("older");
    let first: Timestamp = first.parse().unwrap();
    // Creation times have whole seconds.
    wait_until("the next second", || {
        let passed = Timestamp::now().duration_since(first);
        if passed > SignedDuration::from_millis(1100) {
            Ok(())
        } else {
            Err(passed.to_string())
        }
    });
    assert!(created("younger").parse::<Timestamp>().unwrap() > first);
}

#[test]
fn policies_of_one_project_and_key_share_their_polls() {
    let env = Env::new(QUIET);
    put_key(&env, "copy", "phx_demo\n");
    env.apply(&env.policy("a", "")).unwrap();
    env.apply(&env.policy("b", "")).unwrap();
    env.apply(&with_key(&env, "c", "copy")).unwrap();
    let _operator = env.operator();
    for name in ["a", "b", "c"] {
        env.wait_for_reason(name, "Ready", "Polled");
    }
    env.posthog.simulator().forget_requests();
    let five = wait_until("five polls", || {
        let lists = lists(&env);
        if lists.len() >= 5 {
            Ok(lists[..5].to_vec())
        } else {
            Err(format!("{lists:?}"))
        }
    });
    // Three separate polls every 5 s would need 7 s.
    let span = five[4].0.duration_since(five[0].0);
    assert!(span >= SignedDuration::from_secs(14), "{five:?}");

    // All policies get the list, regardless of which one fetched it.
    let source = env.posthog.simulator().source_id("prod").unwrap();
    let table = SchemaSpec {
        name: "public.new".to_owned(),
        ..SchemaSpec::default()
    };
    env.posthog.simulator().add_schema(&source, table).unwrap();
    for name in ["a", "b", "c"] {
        env.wait_for(name, "the new table", |status| {
            status
                .summary
                .as_ref()
                .is_some_and(|s| s.schemas.total == 2)
        });
    }
}

const ELEVEN: &str = "
keys: [{token: phx_demo, label: first}, {token: phx_other, label: second}]
sources: [{type: Postgres, prefix: prod, schemas: [{name: t, copies: 11, last_synced_ago: 1h}]}]
";

fn is_too_large(env: &Env, name: &str, figures: &[&str]) {
    let status = env.wait_for_reason(name, "Ready", "ProjectTooLarge");
    let message = &status.condition("Ready").unwrap().message;
    for figure in figures {
        assert!(message.contains(figure), "{message}");
    }
    assert_eq!(status.condition("Stalled").unwrap().status, "True");
}

#[test]
fn a_project_with_too_many_tables_says_how_many_and_is_not_read() {
    let env = Env::new(ELEVEN);
    let _operator = env.operator_with(&["--allow-http-loopback", "--max-tables-per-project", "10"]);
    env.apply(&env.policy("p", "")).unwrap();
    is_too_large(&env, "p", &["11 tables", "10 (--max-tables-per-project)"]);
}

#[test]
fn if_there_are_too_many_tables_in_total_the_project_above_its_share_is_not_read() {
    let small = "{token: phx_small, label: small, projects: [777]}";
    let scenario = ELEVEN
        .replace("label: second}", &format!("label: second}}, {small}"))
        .replace("sources: [", "other_projects: [777]\nsources: [{type: Stripe, project: 777, prefix: x, schemas: [{name: s, last_synced_ago: 1h}]}, ");
    let env = Env::new(&scenario);
    let _operator = env.operator_with(&["--allow-http-loopback", "--max-tables", "21"]);
    put_key(&env, "other", "phx_other");
    env.apply(&env.policy("first", "")).unwrap();
    env.wait_for_reason("first", "Ready", "Polled");
    env.apply(&with_key(&env, "second", "other")).unwrap();
    let figures = [
        "has 11 tables",
        "other projects have 11",
        "limit for all is 21 (--max-tables)",
        "10 for each",
    ];
    is_too_large(&env, "second", &figures);
    // A small project is read, regardless of the projects before it.
    put_key(&env, "small", "phx_small");
    let third = with_key(&env, "third", "small").replace("12345", "777");
    env.apply(&third).unwrap();
    env.wait_for_reason("third", "Ready", "Polled");
    env.wait_for_reason("first", "Ready", "Polled");
    env.kubectl(&["delete", "wsp", "first"]);
    env.wait_for_reason("second", "Ready", "Polled");
}

#[test]
fn data_of_one_key_is_not_shown_to_another() {
    let env = Env::new(QUIET);
    put_key(&env, "other", "phx_other");
    put_key(&env, "wrong", "phx_wrong");
    for (name, secret) in [("a", "posthog"), ("b", "other"), ("c", "wrong")] {
        env.apply(&with_key(&env, name, secret)).unwrap();
    }
    let _operator = env.operator();
    env.wait_for_reason("a", "Ready", "Polled");
    env.wait_for_reason("b", "Ready", "Polled");
    let refused = env.wait_for_reason("c", "Ready", "KeyRejected");
    assert_eq!(refused.summary, None);
    let lists = lists(&env);
    for label in ["first", "second", "unknown"] {
        assert!(
            lists.iter().any(|(_, key)| key == label),
            "{label}: {lists:?}"
        );
    }
}

/// A test below shows that the other reports who blocks it: there the older one does not finish at once.
#[test]
fn a_table_that_two_policies_select_is_cancelled_by_the_older_alone() {
    let env = Env::new(STUCK);
    apply_in_order(&env, "mode: Enforce");
    let operator = env.operator();
    env.wait_for_reason("younger", "RemediationAllowed", "Enforcing");
    wait_until_repaired(&env, "older");
    let younger = env.wait_for("younger", "the repair by the other", |status| {
        status
            .summary
            .as_ref()
            .is_some_and(|s| s.healthy_of == "3/3")
    });
    assert!(
        younger.incidents.is_empty() && younger.history.is_empty(),
        "{younger:#?}"
    );
    assert_eq!(env.count("POST", "/cancel/"), 1, "{}", operator.log());
    assert_eq!(env.count("POST", "/reload/"), 1, "{}", operator.log());
}

/// The owner does nothing; after `act` it is no longer the owner.
fn tables_move_when(act: impl Fn(&Env)) {
    let env = Env::new(STUCK);
    apply_in_order(&env, "mode: Enforce, remediation: {cancelStuck: 'Off'}");
    let _operator = env.operator();
    shows(&env, "younger", "policy older owns this table");
    shows(&env, "older", "spec.remediation.cancelStuck is Off");
    assert_eq!(env.count("POST", "/cancel/"), 0);
    act(&env);
    wait_until_repaired(&env, "younger");
}

#[test]
fn deleting_the_older_policy_moves_its_tables_to_the_other() {
    tables_move_when(|env| drop(env.kubectl(&["delete", "wsp", "older"])));
}

#[test]
fn suspending_the_older_policy_moves_its_tables_to_the_other() {
    tables_move_when(|env| set(env, "older", &json!({"suspend": true})));
}

#[test]
fn setting_the_older_policy_to_observe_moves_its_tables_to_the_other() {
    tables_move_when(|env| set(env, "older", &json!({"mode": "Observe"})));
}

#[test]
fn a_policy_suspended_from_the_start_sends_nothing_until_it_is_resumed() {
    let env = Env::new(STUCK);
    let _operator = env.operator();
    env.apply(&env.policy("p", "mode: Enforce, suspend: true"))
        .unwrap();
    shows(&env, "p", "spec.suspend is true");
    let shows = env.wait_for_reason("p", "RemediationAllowed", "Suspended");
    assert!(shows.incidents.is_empty());
    assert_eq!(env.count("POST", "/"), 0);
    set(&env, "p", &json!({"suspend": false}));
    wait_until_repaired(&env, "p");
}

#[test]
fn suspending_during_an_incident_stops_the_next_call_and_resuming_sends_it() {
    let env = Env::new(STUCK);
    // The pause between cancel and reload is 18 s.
    let _operator = env.operator_with(&["--allow-http-loopback", "--time-factor", "10"]);
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    env.wait_for("p", "the pause after the cancel", |status| {
        status
            .incidents
            .first()
            .is_some_and(|i| i.step == Step::Settle)
    });
    set(&env, "p", &json!({"suspend": true}));
    env.wait_for_reason("p", "RemediationAllowed", "Suspended");
    let suspended = Timestamp::now();
    assert_eq!(
        env.count("POST", "/reload/"),
        0,
        "it was suspended too late to tell"
    );
    wait_until("a poll after the pause", || {
        let newest = lists(&env).last().unwrap().0;
        let passed = newest.duration_since(suspended);
        if passed > SignedDuration::from_secs(25) {
            Ok(())
        } else {
            Err(passed.to_string())
        }
    });
    assert_eq!(env.count("POST", "/reload/"), 0);
    set(&env, "p", &json!({"suspend": false}));
    wait_until_repaired(&env, "p");
}

/// More policies than are reconciled at a time.
const MANY: usize = 520;

#[test]
fn many_policies_on_a_host_that_does_not_answer_do_not_hold_up_those_of_another() {
    let env = Env::new(QUIET);
    // It accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let on_silent = |number: usize| {
        env.policy(&format!("silent-{number}"), "")
            .replace(&env.posthog.url(), &url)
    };
    let all: Vec<String> = (0..MANY).map(on_silent).collect();
    let create = ["create", "--namespace", &env.namespace, "-f", "-"];
    put(&env.plane, &create, &all.join("\n---\n")).unwrap();
    let _operator = env.operator();
    let _open = silent.accept().unwrap();
    env.apply(&env.policy("p", "")).unwrap();
    env.wait_for_reason("p", "Ready", "Polled");
    let reasons = r#"jsonpath={.items[*].status.conditions[?(@.type=="Ready")].reason}"#;
    let reasons = env.kubectl(&["get", "wsp", "-o", reasons]);
    assert_eq!(reasons, "Polled", "the others still wait for their list");
}
