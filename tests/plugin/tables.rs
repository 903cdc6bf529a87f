//! `tables`: read from a simulated `PostHog` with the policy's API key.

use posthog_simulator::{Clock, Scenario, Server, Simulator};
use serde_json::{Value, json};

use super::support::Env;

const SCENARIO: &str = "
keys: [{token: phx_demo}]
sources:
  - {type: Postgres, prefix: prod, schemas: [
      {name: fine, last_synced_ago: 1h, rows: 5},
      {name: 'odd\\e[2J<b>', last_synced_ago: 1h, rows: 7},
      {name: broken, status: Failed, last_synced_ago: 40h, last_run_ago: 2h, latest_error: 'relation \"broken\" does not exist'}]}
  - {type: Stripe, schemas: [{name: charge, last_synced_ago: 2h, rows: 9}]}
";

/// A policy `local` for the simulator, and its Secret with this label.
fn local(env: &Env, server: &Server, label: &str) {
    let mut policy: Value = serde_json::from_str(&env.policy("local")).unwrap();
    policy["spec"]["posthog"]["host"] = json!(server.url());
    env.apply(&policy.to_string());
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "posthog", "namespace": env.namespace,
            "labels": {"warehousesync.dev/use": label}},
        "stringData": {"api-key": "phx_demo"},
    });
    env.apply(&secret.to_string());
}

fn posthog() -> Server {
    let scenario = Scenario::from_yaml(SCENARIO).unwrap();
    Server::start(Simulator::from_scenario(&scenario, Clock::real()).unwrap()).unwrap()
}

#[test]
fn tables_lists_every_table_by_cause_and_source() {
    let (env, server) = (Env::new(), posthog());
    local(&env, &server, "posthog-api-key");
    let all = ["tables", "local", "--allow-http-loopback"];
    let of = |more: &[&str]| {
        let ran = env.plugin(&[&all, more, &["-o", "json"]].concat()).fine();
        let rows: Value = serde_json::from_str(&ran.out).unwrap();
        let rows = rows.as_array().unwrap().iter();
        let mut names: Vec<String> = rows
            .map(|row| row["table"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(of(&[]).len(), 4);
    assert_eq!(of(&["--cause", "TableMissing"]), ["broken"]);
    assert_eq!(of(&["--source", "type=Stripe"]), ["charge"]);
    assert_eq!(
        of(&["--source", "postgres PROD", "--cause", "TableMissing"]),
        ["broken"]
    );
    let ran = env.plugin(&all).fine();
    assert!(!ran.out.contains('\u{1b}'), "{}", ran.out);
    let broken = ran
        .out
        .lines()
        .find(|line| line.contains("broken"))
        .unwrap();
    assert!(
        broken.contains("failing") && broken.contains("TableMissing"),
        "{broken}"
    );
    assert_eq!(
        env.plugin(&[&all[..], &["--cause", "Nothing"]].concat())
            .code,
        2
    );
}

#[test]
fn the_key_goes_only_where_the_caller_allows_it_and_only_if_its_secret_is_labelled() {
    let (env, server) = (Env::new(), posthog());
    local(&env, &server, "something-else");
    env.plugin(&["tables", "local"])
        .refused("add --allow-http-loopback if you trust it. Nothing was sent");
    env.plugin(&["tables", "local", "--allow-http-loopback"])
        .refused("does not have the label");
    let mut elsewhere: Value = serde_json::from_str(&env.policy("elsewhere")).unwrap();
    elsewhere["spec"]["posthog"]["host"] = json!("https://posthog.evil.example");
    env.apply(&elsewhere.to_string());
    env.plugin(&["tables", "elsewhere"])
        .refused("--allowed-host=posthog.evil.example");
    let reader = env.user("bob", "watch");
    env.plugin_as(&reader, &["tables", "local", "--allow-http-loopback"])
        .refused("cannot read the Secret posthog");
    assert!(server.simulator().requests().is_empty());
}
