//! What changes a policy or asks the operator for something: `suspend`, `resume`, `reconcile`, `reset`. The operator itself is
//! tested in `tests/operator`; here the test writes its status.

use std::process::{Child, Output, Stdio};

use serde_json::json;

use super::support::{Env, plugin, wait_until};

#[test]
fn suspend_and_resume_change_one_field_and_say_if_it_was_so_already() {
    let env = Env::new();
    let before = env.get("prod")["spec"].clone();
    let words = env.plugin(&["suspend", "prod"]).fine().words();
    assert!(words.contains("is suspended: no call"), "{words}");
    let mut suspended = before.clone();
    suspended["suspend"] = json!(true);
    assert_eq!(env.get("prod")["spec"], suspended);
    let words = env.plugin(&["suspend", "prod"]).fine().words();
    assert!(words.contains("is already suspended"), "{words}");
    env.plugin(&["resume", "prod"]).fine();
    assert_eq!(env.get("prod")["spec"]["suspend"], json!(false));
    env.plugin(&["suspend", "nothing"])
        .refused("there is no policy nothing");
}

#[test]
fn suspend_names_who_may_set_it_back() {
    let env = Env::new();
    let mut policy: serde_json::Value = serde_json::from_str(&env.policy("prod")).unwrap();
    policy["spec"]["suspend"] = json!(false);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), policy.to_string()).unwrap();
    let path = file.path().display().to_string();
    let manager = "--field-manager=kustomize-controller";
    env.kubectl(&[
        "apply",
        "--server-side",
        "--force-conflicts",
        manager,
        "-f",
        &path,
    ]);
    let ran = env.plugin(&["suspend", "prod"]).fine();
    assert!(
        ran.err
            .contains("kustomize-controller also sets spec.suspend"),
        "{}",
        ran.err
    );
}

#[test]
fn who_may_only_read_can_neither_suspend_nor_reconcile() {
    let env = Env::new();
    let reader = env.user("ann", "watch");
    env.plugin_as(&reader, &["suspend", "prod"])
        .refused("forbidden");
    env.plugin_as(&reader, &["reconcile", "prod"])
        .refused("forbidden");
    assert_eq!(env.get("prod")["spec"]["suspend"], json!(false));
}

/// The plugin, which waits for the operator.
fn waiting(env: &Env, args: &[&str]) -> Child {
    plugin()
        .env("KUBECONFIG", env.plane.admin_kubeconfig())
        .args(["--namespace", &env.namespace])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn reconcile_and_reset_wait_until_the_operator_has_handled_them() {
    let env = Env::new();
    for (command, key, handled) in [
        (
            "reconcile",
            "reconcile.warehousesync.dev/requestedAt",
            "pollHandled",
        ),
        (
            "reset",
            "reconcile.warehousesync.dev/resetAt",
            "resetHandled",
        ),
    ] {
        // An earlier request was handled.
        env.put_status(&json!({"state": {handled: "earlier"}}));
        let child = waiting(&env, &[command, "prod"]);
        let token = wait_until("the annotation", || {
            env.annotation(key).ok_or_else(String::new)
        });
        env.put_status(&json!({"observedGeneration": 1, "state": {handled: token}, "history": [], "conditions": [{
            "type": "Stalled", "status": "True", "reason": "KeyRejected", "message": "that was read after it",
            "lastTransitionTime": "2026-11-23T06:00:00Z",
        }]}));
        let output = child.wait_with_output().unwrap();
        let text = text(&output);
        assert!(
            output.status.success() && text.contains("that was read after it"),
            "{command}: {text}"
        );
    }
}

#[test]
fn reconcile_gives_up_with_what_prevents_the_poll() {
    let env = Env::new();
    env.plugin(&["reconcile", "prod", "--timeout", "1s"])
        .refused("PostHog was not polled within 1s; the request remains. The operator may not be running");
    env.put_status(&json!({"observedGeneration": 1, "conditions": [{
        "type": "Ready", "status": "False", "reason": "HostUnreachable", "message": "no route to the host",
        "lastTransitionTime": "2026-11-23T06:00:00Z",
    }]}));
    env.plugin(&["reconcile", "prod", "--timeout", "1s"])
        .refused("Ready is False: no route to the host");
    let words = env
        .plugin(&["reconcile", "prod", "--timeout", "0s"])
        .fine()
        .words();
    assert!(words.contains("no route to the host"), "{words}");
    assert_eq!(
        env.plugin(&["reconcile", "prod", "--timeout", "soon"]).code,
        2
    );
}
