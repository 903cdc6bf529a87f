//! What is shown: `get`, `proposals`, `show`, `verify`, `completion`, and the flags that all have.

use serde_json::{Value, json};
use warehouse_sync_operator::{
    api::proposal::{Phase, ProposedAction},
    decide::proposal::material,
};

use super::support::{Env, Ran, plugin, run};

#[test]
fn kubectl_finds_the_plugin_and_passes_its_arguments() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::RefreshSchemas, "orders");
    env.propose([&proposal]);
    let mut kubectl = env.plane.kubectl_command();
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_kubectl-wsp"));
    kubectl.env("PATH", binary.parent().unwrap());
    let ran =
        run(kubectl.args(["wsp", "approve", "-n", &env.namespace, "prod", &proposal.id])).fine();
    assert!(
        ran.words()
            .contains(&format!("approve.warehousesync.dev/{}: admin", proposal.id)),
        "{}",
        ran.out
    );
    let key = format!("approve.warehousesync.dev/{}", proposal.id);
    assert_eq!(env.annotation(&key).as_deref(), Some("admin"));
}

#[test]
fn get_shows_the_columns_that_matter() {
    let env = Env::new();
    env.put_status(&json!({
        "summary": {"healthyOf": "118/120", "pendingApproval": 2},
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Polled", "message": "",
            "lastTransitionTime": "2026-11-23T06:00:00Z",
        }],
    }));
    let ran = env.plugin(&["get"]).fine();
    let lines: Vec<&str> = ran.out.lines().collect();
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(lines[0]),
        ["NAMESPACE", "NAME", "READY", "HEALTHY", "PENDING", "MODE"]
    );
    assert_eq!(
        words(lines[1]),
        [&env.namespace, "prod", "True", "118/120", "2", "Enforce"]
    );
    assert_eq!(lines.len(), 2);
    let json: Value = serde_json::from_str(&env.plugin(&["get", "-o", "json"]).fine().out).unwrap();
    assert_eq!(json[0]["healthy"], "118/120");
}

#[test]
fn proposals_lists_waiting_ones_unless_all_are_requested() {
    let env = Env::new();
    let waits = env.proposal(ProposedAction::Resync, "orders");
    let mut over = env.proposal(ProposedAction::DeleteData, "users");
    over.phase = Phase::Expired;
    env.propose([&waits, &over]);

    let some = env.plugin(&["proposals"]).fine().out;
    assert!(
        some.contains(&waits.id) && !some.contains(&over.id),
        "{some}"
    );
    let all = env.plugin(&["proposals", "prod", "--all"]).fine().out;
    assert!(all.contains(&waits.id) && all.contains(&over.id), "{all}");
    let everywhere = env.plugin(&["proposals", "-A", "-o", "json"]).fine().out;
    let rows: Value = serde_json::from_str(&everywhere).unwrap();
    let own = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["namespace"] == *env.namespace);
    let ids: Vec<&Value> = own.map(|row| &row["proposal"]["id"]).collect();
    assert_eq!(ids, [&json!(waits.id)]);
}

#[test]
fn show_prints_a_proposal_in_full() {
    let env = Env::new();
    let mut proposal = env.proposal(ProposedAction::Resync, "orders");
    proposal.phase = Phase::OutcomeUnknown;
    proposal.message = "no new job came".to_owned();
    let done = json!({
        "approval": {"by": "on-behalf:ann", "verified": false, "observedAt": "2026-11-23T06:10:00Z"},
        "execution": {"intentId": "i1", "jobBefore": "job-1", "rowsBefore": 1200, "steps": [{
            "call": "Resync", "startedAt": "2026-11-23T06:11:00Z", "tries": 1, "httpStatus": 502, "detail": "bad gateway",
        }]},
    });
    proposal.approval = serde_json::from_value(done["approval"].clone()).unwrap();
    proposal.execution = serde_json::from_value(done["execution"].clone()).unwrap();
    env.propose([&proposal]);

    let words = env
        .plugin(&["show", "prod", &proposal.id[..7]])
        .fine()
        .words();
    for shown in [
        "The column amount changed its type",
        "invalid input syntax for type bigint",
        "1. wipe orders and import it again",
        "Loses data Yes",
        "OutcomeUnknown Why no new job came",
        "on-behalf:ann (not verified), observed 2026-11-23 06:10 UTC (",
        "Resync at 2026-11-23 06:11 UTC (",
        " ago): HTTP 502, bad gateway",
        "Rows before 1200",
        "nonce: 0f0f",
    ] {
        assert!(words.contains(shown), "{shown}: {words}");
    }
    let json = env
        .plugin(&["show", "prod", &proposal.id, "-o", "json"])
        .fine()
        .out;
    assert_eq!(
        serde_json::from_str::<Value>(&json).unwrap(),
        json!(proposal)
    );
}

#[test]
fn verify_accepts_a_genuine_proposal() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::DeleteData, "orders");
    env.propose([&proposal]);
    let ran = env
        .plugin(&["verify", "prod", &proposal.id, "-o", "json"])
        .fine();
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["genuine"], true, "{json:#}");
}

#[test]
fn control_characters_of_a_status_do_not_reach_the_terminal() {
    let env = Env::new();
    let mut proposal = env.proposal(ProposedAction::Resync, "orders");
    proposal.reason = "fine\u{1b}[2J\u{7}".to_owned();
    proposal.material.rule = "rule\u{1b}[2J".to_owned();
    env.propose([&proposal]);
    for args in [
        vec!["show", "prod", &proposal.id],
        vec!["verify", "prod", &proposal.id],
        vec!["proposals"],
    ] {
        let ran = env.plugin(&args);
        assert!(
            !ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'),
            "{}",
            ran.out
        );
    }
}

/// As at a terminal, where colours stay.
#[test]
fn a_name_hides_nothing_and_writes_no_line_of_its_own() {
    let env = Env::new();
    let forged = "The id matches what is shown.";
    let name = format!("orders\u{1b}[8m\u{1b}]0;fine\u{7}\n{forged}");
    let mut proposal = env.proposal(ProposedAction::Resync, &name);
    proposal.material.schema_id = Some("t1".to_owned());
    proposal.target.schema_id = "t1".to_owned();
    proposal.id = material::id(&proposal.material);
    env.propose([&proposal]);
    for (args, lines) in [
        (["explain", "prod", "no-such-table"], 1),
        (["request", "prod", "t1 Resync"], 1),
        // What is approved is shown first.
        (["approve", "prod", &proposal.id], usize::MAX),
        (["show", "prod", &proposal.id], 0),
    ] {
        let mut command = plugin();
        command
            .env("KUBECONFIG", env.plane.admin_kubeconfig())
            .env("CLICOLOR_FORCE", "1")
            .args(["--namespace", &env.namespace])
            .args(args.iter().flat_map(|arg| arg.split(' ')));
        let Ran { out, err, .. } = run(&mut command);
        let both = format!("{out}{err}");
        assert!(!both.contains('\u{1b}'), "{args:?}: {both:?}");
        assert!(both.contains(r"\u{1b}"), "{args:?}: {both:?}");
        assert!(
            !both.lines().any(|line| line.starts_with(forged)),
            "{args:?}: {both}"
        );
        assert!(err.lines().count() <= lines, "{args:?}: {err}");
    }
}

#[test]
fn without_a_cluster_the_error_says_what_to_do() {
    run(plugin().args(["get", "--kubeconfig", "/nonexistent"])).refused("--kubeconfig");
    run(plugin().args(["get", "--context", "x"])).refused("--context");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, "clusters: [\n  - {name: \"x\n").unwrap();
    let ran = run(plugin().env("KUBECONFIG", &config).arg("get"));
    let ran = ran.refused("cannot find a cluster: failed to infer config");
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert!(!ran.err.contains(r"\n"), "{}", ran.err);
}

#[test]
fn there_is_a_completion_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(plugin().args(["completion", shell])).fine();
        assert!(
            ran.out.contains("kubectl-wsp") && ran.out.contains("approve"),
            "{shell}"
        );
    }
}
