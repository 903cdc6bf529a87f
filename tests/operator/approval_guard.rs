//! The operator's check of the admission policies: each weakening is detected, and fixed as the operator's message
//! says.

use std::path::{Path, PathBuf};

use control_plane::ControlPlane;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use warehouse_sync_operator::{
    controller::approval_guard::GuardWatch, observe::ApprovalGuard, report::Metrics,
};

use crate::{
    people::{ADMISSION, HOME, RBAC},
    support::{put, wait_until},
};

/// A weakening of the admission policies: the object and the patch.
const WEAKER: [(&str, &str, &str); 13] = [
    (
        "policybinding",
        "status",
        r#"[{"op": "add", "path": "/spec/matchResources", "value": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}]"#,
    ),
    (
        "policybinding",
        "approvals",
        r#"[{"op": "replace", "path": "/spec/policyName", "value": "warehousesync-inert-answers"}]"#,
    ),
    (
        "policybinding",
        "approvals",
        r#"[{"op": "replace", "path": "/spec/validationActions", "value": ["Audit"]}]"#,
    ),
    (
        "policy",
        "status",
        r#"[{"op": "replace", "path": "/spec/validations/0/expression", "value": "request.userInfo.username == 'mallory'"}]"#,
    ),
    (
        "policy",
        "status",
        r#"[{"op": "replace", "path": "/spec/variables/0/expression", "value": "{\"*\":request.userInfo.username}"}]"#,
    ),
    (
        "policy",
        "status",
        r#"[{"op": "replace", "path": "/spec/variables/1/expression", "value": "request.userInfo.username"}]"#,
    ),
    (
        "policy",
        "approvals",
        r#"[{"op": "add", "path": "/spec/matchConditions", "value": [{"name": "never", "expression": "false"}]}]"#,
    ),
    (
        "policy",
        "approvals",
        r#"[{"op": "add", "path": "/spec/matchConstraints/excludeResourceRules", "value": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]}]"#,
    ),
    (
        "policy",
        "approvals",
        r#"[{"op": "replace", "path": "/spec/matchConstraints/resourceRules/0/operations", "value": ["CREATE"]}]"#,
    ),
    (
        "policy",
        "approvals",
        r#"[{"op": "replace", "path": "/spec/failurePolicy", "value": "Ignore"}]"#,
    ),
    (
        "policy",
        "approvals",
        r#"[{"op": "replace", "path": "/spec/variables/2/expression", "value": "[]"}]"#,
    ),
    (
        "policy",
        "approvals",
        r#"[{"op": "replace", "path": "/spec/validations/0/expression", "value": "true"}]"#,
    ),
    (
        "policy",
        "approvals",
        r#"[{"op": "remove", "path": "/spec/validations/3"}]"#,
    ),
];

/// A separate API server with the operator's account.
struct Guarded {
    plane: ControlPlane,
    runtime: Runtime,
    account: PathBuf,
}

impl Guarded {
    fn new() -> Self {
        let plane = ControlPlane::start().unwrap_or_else(|error| panic!("{error}"));
        plane.kubectl(["create", "namespace", HOME]).unwrap();
        let account = plane.service_account_kubeconfig(HOME, HOME).unwrap();
        let runtime = Runtime::new().unwrap();
        Self {
            plane,
            runtime,
            account,
        }
    }

    /// What a new operator sees now. A running one caches it for some seconds.
    fn current(&self) -> ApprovalGuard {
        self.seen_with(&self.account)
    }

    fn seen_with(&self, kubeconfig: &Path) -> ApprovalGuard {
        let watch = self.watch(kubeconfig);
        self.runtime.block_on(watch.current()).unwrap()
    }

    fn watch(&self, kubeconfig: &Path) -> GuardWatch {
        let client = self.runtime.block_on(self.plane.client_for(kubeconfig));
        GuardWatch::new(client.unwrap(), Metrics::default(), &[])
    }

    /// Waits until the admission policies are in effect.
    fn in_effect(&self) -> ApprovalGuard {
        wait_until("admission policies in effect", || {
            let guard = self.current();
            guard.broken.clone().map_or(Ok(guard), Err)
        })
    }

    /// Waits until it reports this.
    fn reports(&self, of: &str) -> String {
        wait_until(of, || {
            let why = self.current().broken.unwrap_or_default();
            if why.contains(of) { Ok(why) } else { Err(why) }
        })
    }

    /// kubectl with the shipped file, as in the operator's messages.
    fn kubectl(&self, verb: &str) {
        put(&self.plane, &[verb, "-f", "-"], ADMISSION).unwrap();
    }

    fn patch(&self, kind: &str, name: &str, patch: &str) {
        let kind = format!("validatingadmission{kind}");
        let name = format!("warehousesync-{name}");
        let args = ["patch", &kind, &name, "--type=json", "-p", patch];
        self.plane.kubectl(args).unwrap();
    }
}

#[test]
fn every_weakening_of_the_admission_policies_is_detected_and_its_fix_works() {
    let at = Guarded::new();
    // The messages contain the order of the steps.
    at.reports("may not read ValidatingAdmissionPolicy warehousesync-approvals: kubectl apply -f deploy/rbac.yaml");
    at.plane.apply(RBAC).unwrap();
    at.reports("ValidatingAdmissionPolicy warehousesync-approvals is missing: kubectl apply -f deploy/admission.yaml");
    at.kubectl("apply");
    let first = at.in_effect();
    let names: Vec<&str> = first.parts.iter().map(|part| &*part.name).collect();
    let part =
        |kind: &str, name: &str| format!("ValidatingAdmissionPolicy{kind}/warehousesync-{name}");
    let expected: Vec<String> = ["", "Binding"]
        .iter()
        .flat_map(|kind| ["approvals", "inert-answers", "status"].map(|name| part(kind, name)))
        .collect();
    assert_eq!(names, expected);
    assert!(first.parts.iter().all(|part| !part.uid.is_empty()));
    for (kind, name, patch) in WEAKER {
        at.patch(kind, name, patch);
        let why = at.current().broken.expect(patch);
        assert!(
            why.contains(&format!("warehousesync-{name} is not what")),
            "{patch}: {why}"
        );
        assert!(
            why.contains("kubectl replace -f deploy/admission.yaml"),
            "{why}"
        );
        at.kubectl("replace");
        let why = at.current().broken.unwrap_or_default();
        assert!(!why.contains("is not what"), "{patch}: {why}");
    }
    let second = at.in_effect();
    assert_ne!(first.parts, second.parts, "it was away in between");
    assert_eq!(at.in_effect(), second, "nothing was");
}

/// The API server records no time when an addition is removed: the operator must detect the change itself.
#[test]
fn admission_policies_that_were_weaker_a_moment_ago_are_not_trusted_yet() {
    let at = Guarded::new();
    at.plane.apply(RBAC).unwrap();
    at.kubectl("apply");
    let first = at.in_effect();
    let (watch, runtime) = (at.watch(&at.account), &at.runtime);
    let current = || runtime.block_on(watch.current()).unwrap();
    assert_eq!(current(), first);
    let added = r#"[{"op": "add", "path": "/spec/matchConditions", "value": [{"name": "never", "expression": "false"}]}]"#;
    at.patch("policy", "approvals", added);
    at.kubectl("replace");
    let next = wait_until("another answer", || {
        let guard = current();
        if guard == first {
            Err("the same".to_owned())
        } else {
            Ok(guard)
        }
    });
    let why = next.broken.unwrap_or_default();
    assert!(why.contains("changed a moment ago"), "{why}");
    let later = wait_until("admission policies in effect", || {
        let guard = current();
        guard.broken.clone().map_or(Ok(guard), Err)
    });
    assert_ne!(later.parts, first.parts);
}

#[test]
fn admission_policies_that_are_deleted_are_not_in_effect() {
    let at = Guarded::new();
    at.plane.apply(RBAC).unwrap();
    at.kubectl("apply");
    at.in_effect();
    let finalizers: Value =
        json!([{"op": "add", "path": "/metadata/finalizers", "value": ["example.com/x"]}]);
    at.patch("policybinding", "status", &finalizers.to_string());
    let binding = "validatingadmissionpolicybinding/warehousesync-status";
    at.plane
        .kubectl(["delete", binding, "--wait=false"])
        .unwrap();
    at.reports("warehousesync-status is being deleted");
    at.patch(
        "policybinding",
        "status",
        r#"[{"op": "remove", "path": "/metadata/finalizers"}]"#,
    );
    at.reports("ValidatingAdmissionPolicyBinding warehousesync-status is missing");
}

/// The admission policies of the previous version.
const PREVIOUS: &str = include_str!("admission-revision-1.yaml");

#[test]
fn admission_policies_of_the_previous_version_are_reported_as_such_and_upgraded() {
    let at = Guarded::new();
    at.plane.apply(RBAC).unwrap();
    put(&at.plane, &["apply", "-f", "-"], PREVIOUS).unwrap();
    let why = at.reports("that of an older version of the operator");
    for part in [
        "ValidatingAdmissionPolicy warehousesync-approvals",
        "warehousesync.dev/guard-revision: 1, this version ships 5",
        "so approvals are ignored: kubectl apply -f deploy/admission.yaml of the operator's own version",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    at.kubectl("apply");
    at.in_effect();
}

#[test]
fn admission_policies_with_the_operators_accounts_are_in_effect() {
    const PERSON: &str = "system:serviceaccount:people:anna";
    let at = Guarded::new();
    at.plane.apply(RBAC).unwrap();
    let listed = ADMISSION.replace(
        "expression: '[]'",
        &format!(r#"expression: '["{PERSON}"]'"#),
    );
    put(&at.plane, &["apply", "-f", "-"], &listed).unwrap();
    // An operator without accounts does not trust such policies.
    at.reports("warehousesync-approvals is not what");
    let client = at
        .runtime
        .block_on(at.plane.client_for(&at.account))
        .unwrap();
    let people: &'static [String] = vec![PERSON.to_owned()].leak();
    wait_until("admission policies in effect", || {
        let watch = GuardWatch::new(client.clone(), Metrics::default(), people);
        let guard = at.runtime.block_on(watch.current()).unwrap();
        guard.broken.map_or(Ok(()), Err)
    });
    at.kubectl("replace");
    let watch = GuardWatch::new(client, Metrics::default(), people);
    let why = at
        .runtime
        .block_on(watch.current())
        .unwrap()
        .broken
        .unwrap();
    assert!(why.contains(PERSON), "{why}");
}

#[test]
fn an_operator_writes_status_only_in_the_namespaces_that_the_admission_policies_give_to_its_account()
 {
    const OTHER: &str = "system:serviceaccount:other:operator";
    let at = Guarded::new();
    at.plane.apply(RBAC).unwrap();
    let own = format!("system:serviceaccount:{HOME}:{HOME}");
    let listed = ADMISSION.replace(
        &format!(r#"{{"*":"{own}"}}"#),
        &format!(r#"{{"*":"{own}","team-b":"{OTHER}"}}"#),
    );
    assert_ne!(listed, ADMISSION);
    put(&at.plane, &["apply", "-f", "-"], &listed).unwrap();
    // Other accounts are no reason to distrust the admission policies.
    at.in_effect();
    let other_writer = |kubeconfig: &Path, namespace: &str| {
        let watch = at.watch(kubeconfig);
        at.runtime
            .block_on(watch.other_writer(namespace))
            .unwrap()
            .unwrap_or_default()
    };
    assert_eq!(other_writer(&at.account, "data"), "");
    let why = other_writer(&at.account, "team-b");
    let only = |writer: &str, namespace: &str, own: &str| {
        format!(
            "lets only {writer} write status in namespace {namespace}, and this operator is {own}"
        )
    };
    assert!(why.contains(&only(OTHER, "team-b", &own)), "{why}");
    let admin = at.plane.admin_kubeconfig();
    let why = other_writer(admin, "data");
    assert!(why.contains(&only(&own, "data", "admin")), "{why}");
}

/// In every cluster an account may ask who it is. If one forbids this, the operator continues to watch syncs.
#[test]
fn an_operator_that_may_not_read_its_own_name_reports_that() {
    let at = Guarded::new();
    at.plane.apply(RBAC).unwrap();
    at.kubectl("apply");
    at.plane
        .kubectl(["delete", "clusterrolebinding", "system:basic-user"])
        .unwrap();
    at.reports("may not query its own user name");
}
