//! Answers where the shipped admission policies and roles are in force.

use std::sync::LazyLock;

use control_plane::ControlPlane;
use serde_json::json;
use warehouse_sync_operator::api::proposal::ProposedAction;

use super::support::{Env, install_crd, plugin, run, wait_until};

const ADMISSION: &str = include_str!("../../deploy/admission.yaml");
const RBAC: &str = concat!(
    include_str!("../../deploy/namespace.yaml"),
    "---\n",
    include_str!("../../deploy/rbac.yaml")
);

/// A separate control plane, because the admission policies are cluster-wide.
static PLANE: LazyLock<ControlPlane> = LazyLock::new(|| {
    let plane = ControlPlane::start().unwrap_or_else(|error| panic!("{error}"));
    install_crd(&plane);
    plane
});

/// A user with a shipped role in the namespace runs the plugin.
fn run_with_role(env: &Env, role: &str, args: &[&str]) -> super::support::Ran {
    let name = format!("{role}@example.com");
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": env.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("warehousesync-{role}")},
        "subjects": [{"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}],
    });
    env.apply(&binding.to_string());
    let kubeconfig = env.plane.user_kubeconfig(&name, &[]).unwrap();
    // RBAC is read from a cache.
    wait_until("the role to count", || {
        let mut get = plugin();
        get.env("KUBECONFIG", &kubeconfig);
        let ran = run(get.args(["get", "--namespace", &env.namespace]));
        if ran.code == 0 { Ok(()) } else { Err(ran.err) }
    });
    env.plugin_as(&kubeconfig, args)
}

#[test]
fn an_approver_approves_and_an_editor_is_refused_by_the_api_server() {
    let env = Env::on(&PLANE);
    let one = env.proposal(ProposedAction::RefreshSchemas, "orders");
    let other = env.proposal(ProposedAction::RefreshSchemas, "users");
    // Before the admission policies are in effect: after that only the operator writes status.
    env.propose([&one, &other]);
    env.kubectl(&["create", "namespace", "warehouse-sync-operator"]);
    env.apply(RBAC);
    env.apply(ADMISSION);
    // The API server reads admission policies through a cache.
    wait_until("the guard to take effect", || {
        let forged = env.plane.kubectl([
            "patch",
            "wsp",
            "prod",
            "--namespace",
            &env.namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            r#"{"status":{"observedGeneration":1}}"#,
        ]);
        if forged.is_ok() {
            Err("a status can be forged".to_owned())
        } else {
            Ok(())
        }
    });

    run_with_role(&env, "editor", &["approve", "prod", &one.id])
        .refused("cannot annotate the policy prod");
    let key = format!("approve.warehousesync.dev/{}", one.id);
    assert_eq!(env.annotation(&key), None);

    run_with_role(&env, "approver", &["approve", "prod", &one.id]).fine();
    assert_eq!(
        env.annotation(&key).as_deref(),
        Some("approver@example.com")
    );
    run_with_role(
        &env,
        "approver",
        &["deny", "prod", &other.id, "--reason", "no"],
    )
    .fine();

    let words = env.plugin(&["doctor", "prod"]).words();
    let there = "ok: the admission policies for approvals exist";
    assert!(words.contains(there), "{words}");
}
