//! Answers and changes, as the caller and with the caller's rights.

use std::{path::PathBuf, sync::LazyLock};

use control_plane::ControlPlane;
use serde_json::json;
use warehouse_sync_operator::api::proposal::{LosesData, ProposedAction};

use super::{
    page::Page,
    support::{Env, install_crd, wait_until},
};

#[test]
fn a_resync_is_approved_as_oneself_once_the_name_of_the_table_is_typed() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::Resync, "public.orders");
    env.propose([&proposal]);
    let page = Page::of(&env);
    let browser = page.open();
    let path = format!("/policies/{}/prod", env.namespace);
    browser.wait_for(&path, &[&format!("id=\"title-{}\"", proposal.id)]);
    let key = format!("approve.warehousesync.dev/{}", proposal.id);
    for typed in ["", "public.order", "orders", "PUBLIC.ORDERS"] {
        let fields = [
            ("do", "approve"),
            ("id", proposal.id.as_str()),
            ("title", typed),
        ];
        let answer = browser.post(&path, &fields);
        assert_eq!(answer.status, 409, "{typed}");
        assert!(
            answer
                .body
                .contains("the typed name does not match. Nothing was changed."),
            "{}",
            answer.body
        );
        assert_eq!(env.annotation(&key), None, "{typed}");
    }
    let fields = [
        ("do", "approve"),
        ("id", proposal.id.as_str()),
        ("title", "public.orders "),
    ];
    let answer = browser.post(&path, &fields);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(
        answer
            .body
            .contains("Resync of public.orders is approved by admin."),
        "{}",
        answer.body
    );
    assert_eq!(env.annotation(&key).as_deref(), Some("admin"));
}

#[test]
fn a_name_with_hidden_characters_is_typed_as_the_page_shows_it() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::DeleteData, "ord\u{200b}ers");
    env.propose([&proposal]);
    let page = Page::of(&env);
    let browser = page.open();
    let path = format!("/policies/{}/prod", env.namespace);
    browser.wait_for(&path, &["ord\\u{200b}ers"]);
    let post = |typed: &str| {
        browser
            .post(
                &path,
                &[("do", "approve"), ("id", &proposal.id), ("title", typed)],
            )
            .status
    };
    assert_eq!(post("orders"), 409);
    assert_eq!(post("ord\\u{200b}ers"), 200);
}

#[test]
fn what_loses_no_data_is_approved_without_typing_and_denied_with_a_reason() {
    let env = Env::new();
    let mut proposals =
        ["users", "items"].map(|table| env.proposal(ProposedAction::RefreshSchemas, table));
    for proposal in &mut proposals {
        proposal.impact.loses_data = LosesData::No;
    }
    env.propose(&proposals);
    let [one, other] = proposals;
    let page = Page::of(&env);
    let browser = page.open();
    let path = format!("/policies/{}/prod", env.namespace);
    let html = browser.wait_for(&path, &[&one.id, &other.id]);
    assert!(!html.contains("To approve, type"), "{html}");
    assert_eq!(
        browser
            .post(&path, &[("do", "approve"), ("id", &one.id)])
            .status,
        200
    );
    assert_eq!(
        env.annotation(&format!("approve.warehousesync.dev/{}", one.id))
            .as_deref(),
        Some("admin")
    );

    let key = format!("deny.warehousesync.dev/{}", other.id);
    for reason in ["", "  ", "two\nlines"] {
        let answer = browser.post(
            &path,
            &[("do", "deny"), ("id", &other.id), ("reason", reason)],
        );
        assert_eq!(answer.status, 409, "{reason:?}");
        assert_eq!(env.annotation(&key), None);
    }
    let answer = browser.post(
        &path,
        &[("do", "deny"), ("id", &other.id), ("reason", "not <now>")],
    );
    assert_eq!(answer.status, 200);
    assert_eq!(env.annotation(&key).as_deref(), Some("not <now>"));
    let denied = browser.wait_for(&path, &["not &#60;now&#62;"]);
    assert!(
        denied.contains("is denied by an annotation"),
        "the button says why: {denied}"
    );
}

#[test]
fn a_proposal_whose_id_does_not_match_is_not_approved() {
    let env = Env::new();
    let mut proposal = env.proposal(ProposedAction::DeleteData, "orders");
    proposal.steps = vec!["reload orders".to_owned()];
    env.propose([&proposal]);
    let page = Page::of(&env);
    let browser = page.open();
    let path = format!("/policies/{}/prod", env.namespace);
    let html = browser.wait_for(&path, &["does not match what status shows"]);
    assert!(
        html.contains(&format!("id=\"approve-{}\" disabled", proposal.id)),
        "{html}"
    );
    let fields = [
        ("do", "approve"),
        ("id", proposal.id.as_str()),
        ("title", "orders"),
    ];
    assert_eq!(browser.post(&path, &fields).status, 409);
    assert_eq!(
        env.annotation(&format!("approve.warehousesync.dev/{}", proposal.id)),
        None
    );
}

#[test]
fn a_policy_is_suspended_resumed_and_reconciled() {
    let env = Env::new();
    let page = Page::of(&env);
    let browser = page.open();
    let path = format!("/policies/{}/prod", env.namespace);
    browser.wait_for(&path, &[">Suspend</button>"]);
    let answer = browser.post(&path, &[("do", "suspend")]);
    assert!(
        answer.body.contains("Prod is suspended: no call"),
        "{}",
        answer.body
    );
    assert_eq!(env.get("prod")["spec"]["suspend"], json!(true));
    browser.wait_for(&path, &[">Resume</button>", "Suspended</span>"]);
    assert_eq!(browser.post(&path, &[("do", "resume")]).status, 200);
    assert_eq!(env.get("prod")["spec"]["suspend"], json!(false));
    assert_eq!(browser.post(&path, &[("do", "reconcile")]).status, 200);
    assert!(
        env.annotation("reconcile.warehousesync.dev/requestedAt")
            .is_some()
    );

    let unknown = browser.post(&path, &[("do", "delete")]);
    assert_eq!(unknown.status, 409);
    let absent = browser.post(
        &format!("/policies/{}/other", env.namespace),
        &[("do", "suspend")],
    );
    assert_eq!(absent.status, 404);
}

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

/// A kubeconfig of a user with a shipped role in the namespace.
fn with_role(env: &Env, role: &str) -> PathBuf {
    let name = format!("{role}@example.com");
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": env.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("warehousesync-{role}")},
        "subjects": [{"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}],
    });
    env.apply(&binding.to_string());
    env.plane.user_kubeconfig(&name, &[]).unwrap()
}

#[test]
fn buttons_follow_the_roles_of_the_caller_and_the_api_server_decides() {
    let env = Env::on(&PLANE);
    let one = env.proposal(ProposedAction::Resync, "orders");
    env.propose([&one]);
    env.kubectl(&["create", "namespace", "warehouse-sync-operator"]);
    env.apply(RBAC);
    env.apply(ADMISSION);
    wait_until("the admission policies to take effect", || {
        let patch = r#"{"status":{"observedGeneration":1}}"#;
        let args = [
            "patch",
            "wsp",
            "prod",
            "--namespace",
            &env.namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            patch,
        ];
        if env.plane.kubectl(args).is_ok() {
            Err("a status can be forged".to_owned())
        } else {
            Ok(())
        }
    });
    let path = format!("/policies/{}/prod", env.namespace);
    let key = format!("approve.warehousesync.dev/{}", one.id);
    let approve = [
        ("do", "approve"),
        ("id", one.id.as_str()),
        ("title", "orders"),
    ];
    let missing = |role: &str| {
        format!(
            "You need the role warehousesync-{role} in namespace {}.",
            env.namespace
        )
    };
    let button =
        |id: &str, off: bool| format!("id=\"{id}\"{}", if off { " disabled" } else { ">" });
    let approves = format!("approve-{}", one.id);

    for (role, may_answer, may_change) in [
        ("viewer", false, false),
        ("editor", false, true),
        ("approver", true, false),
    ] {
        let page = Page::start(&with_role(&env, role), &["--namespace", &env.namespace]);
        let browser = page.open();
        let shown = [
            button(&approves, !may_answer),
            button("suspend", !may_change),
            button("reconcile", !may_change),
        ];
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        let html = browser.wait_for(&path, &shown);
        assert_eq!(
            html.contains(&missing("approver")),
            !may_answer,
            "{role}: {html}"
        );
        assert_eq!(
            html.contains(&missing("editor")),
            !may_change,
            "{role}: {html}"
        );
        // A request that no button sends is decided by the API server.
        if !may_answer {
            let answer = browser.post(&path, &approve);
            assert_eq!(answer.status, 409, "{role}");
            assert!(
                answer.body.contains("Cannot annotate the policy prod"),
                "{role}: {}",
                answer.body
            );
            assert_eq!(env.annotation(&key), None, "{role}");
        }
        if !may_change {
            let answer = browser.post(&path, &[("do", "suspend")]);
            assert!(
                answer.body.contains("Cannot suspend the policy prod"),
                "{role}: {}",
                answer.body
            );
            assert_eq!(env.get("prod")["spec"]["suspend"], json!(false), "{role}");
        }
        if may_answer {
            assert_eq!(browser.post(&path, &approve).status, 200, "{role}");
            assert_eq!(
                env.annotation(&key).as_deref(),
                Some("approver@example.com")
            );
        }
    }
}
