//! Who may approve, on a real API server with the shipped admission policies and roles, and real users.

use std::{
    io::Write,
    path::PathBuf,
    process::Stdio,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use control_plane::ControlPlane;
use serde_json::json;
use warehouse_sync_operator::api::{
    WarehouseSyncPolicyStatus,
    proposal::{Phase, Proposal},
};

use crate::support::{Env, Operator, Plane, install_crd, wait_until};

const ADMISSION: &str = include_str!("../../deploy/admission.yaml");
const RBAC: &str = include_str!("../../deploy/rbac.yaml");
const HOME: &str = "warehouse-sync-operator";

/// A control plane of its own: the policies are cluster-wide, and other tests run operators under other accounts. One test at a
/// time, because some of them take the guard away.
static GUARDED: LazyLock<Mutex<ControlPlane>> = LazyLock::new(|| {
    let plane = ControlPlane::start().unwrap_or_else(|error| panic!("{error}"));
    install_crd(&plane);
    plane.kubectl(["create", "namespace", HOME]).unwrap();
    plane.apply(RBAC).unwrap();
    plane.apply(ADMISSION).unwrap();
    takes_effect(&plane);
    Mutex::new(plane)
});

/// The API server reads admission policies through a cache.
fn takes_effect(plane: &ControlPlane) {
    let at = namespace(plane, "first");
    let admin = User::admin(plane, &at);
    let forge = [
        "patch",
        "wsp",
        "p",
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"observedGeneration":1}}"#,
    ];
    wait_until("the guard to take effect", || match admin.kubectl(&forge) {
        Ok(said) => Err(said),
        Err(_) => Ok(()),
    });
}

fn guarded() -> MutexGuard<'static, ControlPlane> {
    GUARDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A person or an account, and what kubectl answers to them.
struct User<'a> {
    plane: &'a ControlPlane,
    namespace: String,
    kubeconfig: PathBuf,
}

impl<'a> User<'a> {
    /// Somebody with a shipped role in the namespace.
    fn with_role(plane: &'a ControlPlane, namespace: &str, name: &str, role: &str) -> Self {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("warehousesync-{role}")},
            "subjects": [{"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}],
        });
        plane.apply(&binding.to_string()).unwrap();
        let user = Self {
            plane,
            namespace: namespace.to_owned(),
            kubeconfig: plane.user_kubeconfig(name, &[]).unwrap(),
        };
        // RBAC is read from a cache.
        wait_until("the role to count", || user.kubectl(&["get", "wsp"]));
        user
    }

    fn admin(plane: &'a ControlPlane, namespace: &str) -> Self {
        Self {
            plane,
            namespace: namespace.to_owned(),
            kubeconfig: plane.admin_kubeconfig().to_owned(),
        }
    }

    /// What it says, warnings included; the error is what it says, too.
    fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        self.kubectl_with(args, "")
    }

    fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String, String> {
        let mut kubectl = self.plane.kubectl_command();
        kubectl.arg("--kubeconfig").arg(&self.kubeconfig);
        kubectl.args(["--namespace", &self.namespace]).args(args);
        let mut child = kubectl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        if output.status.success() {
            Ok(said)
        } else {
            Err(said)
        }
    }

    fn annotate(&self, annotation: &str) -> Result<String, String> {
        self.kubectl(&["annotate", "wsp", "p", "--overwrite", annotation])
    }

    fn refused(&self, annotation: &str, why: &str) {
        let said = self.annotate(annotation).unwrap_err();
        assert!(said.contains(why), "{annotation}: {said}");
    }

    fn allowed(&self, args: &[&str]) {
        self.kubectl(args)
            .unwrap_or_else(|said| panic!("{args:?}: {said}"));
    }

    fn may_not(&self, args: &[&str], why: &str) {
        let said = self.kubectl(args).unwrap_err();
        assert!(said.contains(why), "{args:?}: {said}");
    }
}

fn policy(annotations: &str) -> String {
    format!(
        "{{apiVersion: warehousesync.dev/v1alpha1, kind: WarehouseSyncPolicy, metadata: {{name: p, annotations: {{{annotations}}}}}, \
         spec: {{posthog: {{host: 'https://us.posthog.com', projectId: 1, apiKeySecretRef: {{name: s, key: k}}}}}}}}"
    )
}

/// A namespace with a policy `p` in it.
fn namespace(plane: &ControlPlane, name: &str) -> String {
    plane.kubectl(["create", "namespace", name]).unwrap();
    let admin = User::admin(plane, name);
    let said = admin.kubectl_with(&["apply", "-f", "-"], &policy(""));
    said.unwrap_or_else(|said| panic!("{said}"));
    name.to_owned()
}

const ID: &str = "rs-abcdefghijklmnopqrstuvwxyz";

fn approve(by: &str) -> String {
    format!("approve.warehousesync.dev/{ID}={by}")
}

fn deny(why: &str) -> String {
    format!("deny.warehousesync.dev/{ID}={why}")
}

// --- Who may answer -------------------------------------------------------------------------------------------------

#[test]
fn an_author_may_write_policies_and_not_answer_proposals() {
    let plane = guarded();
    let at = namespace(&plane, "authors");
    let author = User::with_role(&plane, &at, "author", "editor");
    author.refused(&approve("author"), "warehousesync-approver");
    author.refused(&approve("on-behalf:anna"), "warehousesync-gitops");
    author.refused(&deny("no"), "may not deny");
    // Nothing else is in the way.
    author.allowed(&["label", "wsp", "p", "team=a"]);
    author.allowed(&["annotate", "wsp", "p", "example.com/note=x"]);
    author.allowed(&[
        "annotate",
        "wsp",
        "p",
        "request.warehousesync.dev/a1=Resync",
    ]);
    author.allowed(&[
        "patch",
        "wsp",
        "p",
        "--type=merge",
        "-p",
        r#"{"spec":{"suspend":true}}"#,
    ]);
    // Not at creation either.
    author.allowed(&["delete", "wsp", "p"]);
    let preset = policy(&format!("approve.warehousesync.dev/{ID}: author"));
    let said = author.kubectl_with(&["create", "-f", "-"], &preset);
    assert!(said.unwrap_err().contains("warehousesync-approver"));
}

#[test]
fn an_approver_answers_in_the_own_name_and_changes_nothing_else() {
    let plane = guarded();
    let at = namespace(&plane, "approvers");
    let approver = User::with_role(&plane, &at, "anna", "approver");
    approver.refused(&approve("bob"), "your own user name, anna");
    approver.refused(&approve("on-behalf:anna"), "warehousesync-gitops");
    approver.annotate(&approve("anna")).unwrap();
    approver.annotate(&deny("on second thoughts")).unwrap();
    for (patch, what) in [
        (r#"{"spec":{"suspend":true}}"#, "spec"),
        (r#"{"metadata":{"labels":{"a":"b"}}}"#, "labels"),
        (
            r#"{"metadata":{"finalizers":["example.com/x"]}}"#,
            "finalizers",
        ),
    ] {
        let said = approver.kubectl(&["patch", "wsp", "p", "--type=merge", "-p", patch]);
        let said = said.expect_err(what);
        assert!(said.contains("annotations only"), "{what}: {said}");
    }
    approver.may_not(&["delete", "wsp", "p"], "cannot delete");
    approver.may_not(&["get", "secrets"], "cannot list");
}

#[test]
fn an_approval_may_be_removed_and_not_changed() {
    let plane = guarded();
    let at = namespace(&plane, "changed");
    let anna = User::with_role(&plane, &at, "anna-c", "approver");
    let bob = User::with_role(&plane, &at, "bob-c", "approver");
    let author = User::with_role(&plane, &at, "author-c", "editor");
    anna.annotate(&approve("anna-c")).unwrap();
    bob.refused(&approve("bob-c"), "removed, not changed");
    // What is there hinders nobody.
    author.allowed(&[
        "patch",
        "wsp",
        "p",
        "--type=merge",
        "-p",
        r#"{"spec":{"interval":"3m"}}"#,
    ]);
    author.allowed(&[
        "annotate",
        "wsp",
        "p",
        &format!("approve.warehousesync.dev/{ID}-"),
    ]);
    bob.annotate(&approve("bob-c")).unwrap();
}

#[test]
fn git_approves_on_behalf_of_others_only() {
    let plane = guarded();
    let at = namespace(&plane, "gitops");
    let git = User::with_role(&plane, &at, "flux", "gitops");
    git.refused(&approve("flux"), "warehousesync-approver");
    git.refused(&approve("anna"), "warehousesync-approver");
    git.annotate(&approve("on-behalf:anna")).unwrap();
    git.annotate(&deny("in git")).unwrap();
    let applied = policy(&format!("approve.warehousesync.dev/{ID}: 'on-behalf:anna'"));
    for _ in 0..2 {
        let said = git.kubectl_with(
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            &applied,
        );
        said.unwrap_or_else(|said| panic!("{said}"));
    }
}

#[test]
fn a_viewer_only_reads() {
    let plane = guarded();
    let at = namespace(&plane, "viewers");
    let viewer = User::with_role(&plane, &at, "eve", "viewer");
    viewer.allowed(&["get", "wsp", "p"]);
    viewer.may_not(&["annotate", "wsp", "p", &approve("eve")], "cannot patch");
    viewer.may_not(&["delete", "wsp", "p"], "cannot delete");
}

#[test]
fn an_answer_to_nothing_is_told_at_once() {
    let plane = guarded();
    let at = namespace(&plane, "inert");
    let anna = User::with_role(&plane, &at, "anna-i", "approver");
    let said = anna.annotate(&approve("anna-i")).unwrap();
    assert!(
        said.contains("Warning") && said.contains("no proposal waits"),
        "{said}"
    );
    // What was there before is not told again.
    let said = anna.annotate("example.com/note=x").unwrap();
    assert!(!said.contains("Warning"), "{said}");
}

#[test]
fn nobody_but_the_operator_writes_status_and_it_writes_nothing_else() {
    let plane = guarded();
    let at = namespace(&plane, "status");
    let admin = User::admin(&plane, &at);
    let forged = r#"{"status":{"observedGeneration":7}}"#;
    let forge = [
        "patch",
        "wsp",
        "p",
        "--subresource=status",
        "--type=merge",
        "-p",
        forged,
    ];
    admin.may_not(&forge, "only the operator's own account");
    let author = User::with_role(&plane, &at, "author-s", "editor");
    author.may_not(
        &forge,
        "cannot get resource \"warehousesyncpolicies/status\"",
    );
    let operator = operator_account(&plane, &at);
    // That it writes status is seen where it runs.
    operator.may_not(&["annotate", "wsp", "p", &approve("x")], "cannot patch");
    operator.may_not(
        &[
            "patch",
            "wsp",
            "p",
            "--type=merge",
            "-p",
            r#"{"spec":{"suspend":true}}"#,
        ],
        "cannot patch",
    );
    operator.may_not(&["create", "secret", "generic", "x"], "cannot create");
}

/// The shipped account, with the shipped role in the namespace.
fn operator_account<'a>(plane: &'a ControlPlane, namespace: &str) -> User<'a> {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": HOME, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": HOME},
        "subjects": [{"kind": "ServiceAccount", "name": HOME, "namespace": HOME}],
    });
    plane.apply(&binding.to_string()).unwrap();
    let user = User {
        plane,
        namespace: namespace.to_owned(),
        kubeconfig: plane.service_account_kubeconfig(HOME, HOME).unwrap(),
    };
    wait_until("the role to count", || user.kubectl(&["get", "wsp"]));
    user
}

// --- The operator behind the guard ----------------------------------------------------------------------------------

const WRONG_TYPE: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: orders, status: Failed, rows: 70, last_synced_ago: 40h, last_run_ago: 2h, frequency: 30day,
         latest_error: 'Cannot convert value to int64', then: {completes: {after: 1s, rows: 70}}}
";

fn newest(status: &WarehouseSyncPolicyStatus) -> Option<&Proposal> {
    status.proposals.last()
}

fn waits(env: &Env, but: &str) -> Proposal {
    let status = env.wait_for("p", "a proposal that waits", |status| {
        newest(status).is_some_and(|row| row.phase == Phase::AwaitingApproval && row.id != but)
    });
    newest(&status).unwrap().clone()
}

#[test]
fn what_a_person_approves_is_done_once_and_only_while_the_guard_stands() {
    let plane = ControlPlane::start().unwrap_or_else(|error| panic!("{error}"));
    install_crd(&plane);
    plane.kubectl(["create", "namespace", HOME]).unwrap();
    plane.apply(RBAC).unwrap();
    let env = Env::on(Plane::Own(Box::new(plane)), WRONG_TYPE);
    let namespace = env.namespace.clone();
    let account = operator_account(&env.plane, &namespace).kubeconfig;
    // Its Lease is beside the policy here, so that one role is enough.
    let args = [
        "--namespace",
        &namespace,
        "--lease-namespace",
        &namespace,
        "--allow-http-loopback",
        "--time-factor",
        "600",
    ];
    let _operator = Operator::start(&account, &args);
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    let first = waits(&env, "");
    let missing = env.wait_for_reason("p", "ApprovalGuardActive", "GuardBroken");
    let message = &missing.condition("ApprovalGuardActive").unwrap().message;
    assert!(
        message.contains("is missing") && message.contains("deploy/admission.yaml"),
        "{message}"
    );

    // An approval that anybody could write does not count, and never will.
    env.kubectl(&[
        "annotate",
        "wsp",
        "p",
        &format!("approve.warehousesync.dev/{}=mallory", first.id),
    ]);
    env.wait_for("p", "the inert approval", |status| {
        newest(status).is_some_and(|row| row.message.contains("ApprovalGuardActive"))
    });
    env.plane.apply(ADMISSION).unwrap();
    let second = waits(&env, &first.id);
    env.wait_for_reason("p", "ApprovalGuardActive", "GuardStands");
    assert_eq!(env.count("POST", "/resync/"), 0);

    // Altered for a moment and put back: what was proposed meanwhile has another id.
    let weaker = ADMISSION.replace("validationActions: [Deny]", "validationActions: [Audit]");
    env.plane.apply(&weaker).unwrap();
    env.wait_for_reason("p", "ApprovalGuardActive", "GuardBroken");
    env.plane.apply(ADMISSION).unwrap();
    let third = waits(&env, &second.id);

    let anna = User::with_role(&env.plane, &namespace, "anna-e", "approver");
    anna.annotate(&format!("approve.warehousesync.dev/{}=anna-e", third.id))
        .unwrap();
    let status = env.wait_for("p", "the execution", |status| {
        newest(status).is_some_and(|row| row.phase == Phase::Executed)
    });
    let done = newest(&status).unwrap();
    let seen = done.approval.as_ref().unwrap();
    assert_eq!((seen.by.as_str(), seen.verified), ("anna-e", true));
    assert_eq!(env.count("POST", "/resync/"), 1);
    let reasons = env.event_reasons();
    for reason in [
        "ProposalOpened",
        "ProposalSuperseded",
        "ProposalApproved",
        "ProposalExecuted",
    ] {
        assert!(
            reasons.iter().any(|known| known == reason),
            "{reason}: {reasons:?}"
        );
    }
}
