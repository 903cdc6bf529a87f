//! Completion by the real kubectl, of subcommands, flags, names and ids.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::json;
use warehouse_sync_operator::api::proposal::{Phase, ProposedAction};

use super::support::{Env, plugin, run};

/// What kubectl offers after these words.
fn offered(env: &Env, words: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("kubectl_complete-wsp");
    // As docs/on-call.md says.
    fs::write(&script, "#!/bin/sh\nexec kubectl-wsp __complete \"$@\"\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_kubectl-wsp"));
    let path = [
        folder.path(),
        binary.parent().unwrap(),
        Path::new("/usr/bin"),
        Path::new("/bin"),
    ];
    let mut kubectl = env.plane.kubectl_command();
    kubectl.env("PATH", std::env::join_paths(path).unwrap());
    let ran = run(kubectl.args(["__complete", "wsp"]).args(words)).fine();
    let lines = ran.out.lines().filter(|line| !line.starts_with(':'));
    lines
        .map(|line| line.split('\t').next().unwrap().to_owned())
        .collect()
}

#[test]
fn kubectl_completes_subcommands_flags_names_and_ids() {
    let env = Env::new();
    let waits = env.proposal(ProposedAction::Resync, "orders");
    let mut over = env.proposal(ProposedAction::DeleteData, "users");
    over.phase = Phase::Expired;
    env.propose([&waits, &over]);
    let namespace = ["-n", env.namespace.as_str()];
    let of = |words: &[&str]| offered(&env, &[&namespace[..], words].concat());

    assert_eq!(of(&["sta"]), ["status"]);
    let all = of(&[""]);
    assert!(
        all.contains(&"reconcile".to_owned()) && !all.contains(&"__complete".to_owned()),
        "{all:?}"
    );
    assert_eq!(of(&["status", ""]), ["prod"]);
    assert_eq!(of(&["status", "x"]), [""; 0]);
    assert_eq!(
        of(&["approve", "prod", ""]),
        std::slice::from_ref(&waits.id)
    );
    assert_eq!(
        of(&["show", "prod", ""]),
        [waits.id.clone(), over.id.clone()]
    );
    assert_eq!(of(&["explain", "prod", ""]), ["orders", "users"]);
    assert_eq!(
        of(&["request", "prod", ""]),
        ["id-of-orders", "id-of-users"]
    );
    assert_eq!(
        of(&["request", "prod", "id-of-orders", ""]),
        ["Resync", "DeleteData"]
    );
    assert_eq!(of(&["status", "--wat"]), ["--watch"]);
    assert_eq!(of(&["status", "-o", "y"]), ["yaml"]);
    // Every name that is already there is not offered again.
    assert_eq!(of(&["suspend", "prod", ""]), [""; 0]);
    env.apply(&env.policy("staging"));
    assert_eq!(of(&["suspend", "prod", ""]), ["staging"]);
}

#[test]
fn completion_is_silent_about_errors_and_offers_no_names_that_need_quotes() {
    let ran = run(plugin().args(["__complete", "status", ""])).fine();
    assert_eq!((ran.out.as_str(), ran.err.as_str()), (":4\n", ""));
    let env = Env::new();
    env.put_status(&json!({"findings": [{
        "source": "S", "sourceId": "s1", "schema": "$(rm -rf) \u{1b}x", "schemaId": "t1", "cause": "Stuck",
        "severity": "Error", "confidence": "High", "message": "m", "nextAction": "n",
    }]}));
    let offered = offered(&env, &["-n", &env.namespace, "explain", "prod", ""]);
    assert_eq!(offered, ["t1"]);
}
