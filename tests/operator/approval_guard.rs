//! The operator's look at the guard: whatever would weaken it is seen, and is mended as the operator says.

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

/// What somebody may do to the guard: to which object, and with which patch.
const WEAKER: [(&str, &str, &str); 11] = [
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

/// An API server of its own, and the operator's account there.
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

    /// What the operator sees now. It remembers that for some seconds; one that just started does not.
    fn look(&self) -> ApprovalGuard {
        self.look_as(&self.account)
    }

    fn look_as(&self, kubeconfig: &Path) -> ApprovalGuard {
        let watch = self.watch(kubeconfig);
        self.runtime.block_on(watch.look()).unwrap()
    }

    fn watch(&self, kubeconfig: &Path) -> GuardWatch {
        let client = self.runtime.block_on(self.plane.client_for(kubeconfig));
        GuardWatch::new(client.unwrap(), Metrics::default(), &[])
    }

    /// Waits until it sees one that stands.
    fn stands(&self) -> ApprovalGuard {
        wait_until("a guard that stands", || {
            let guard = self.look();
            guard.broken.clone().map_or(Ok(guard), Err)
        })
    }

    /// Waits until it complains of this.
    fn complains(&self, of: &str) -> String {
        wait_until(of, || {
            let why = self.look().broken.unwrap_or_default();
            if why.contains(of) { Ok(why) } else { Err(why) }
        })
    }

    /// kubectl with the shipped file, as the operator's sentences say.
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
fn every_way_to_weaken_the_admission_policies_is_noticed_and_can_be_undone() {
    let at = Guarded::new();
    // The sentences say in which order things are to be done.
    at.complains("may not read ValidatingAdmissionPolicy warehousesync-approvals: kubectl apply -f deploy/rbac.yaml");
    at.plane.apply(RBAC).unwrap();
    at.complains("ValidatingAdmissionPolicy warehousesync-approvals is missing: kubectl apply -f deploy/admission.yaml");
    at.kubectl("apply");
    let first = at.stands();
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
        let why = at.look().broken.expect(patch);
        assert!(
            why.contains(&format!("warehousesync-{name} is not what")),
            "{patch}: {why}"
        );
        assert!(
            why.contains("kubectl replace -f deploy/admission.yaml"),
            "{why}"
        );
        at.kubectl("replace");
        let why = at.look().broken.unwrap_or_default();
        assert!(!why.contains("is not what"), "{patch}: {why}");
    }
    let second = at.stands();
    assert_ne!(first.parts, second.parts, "it was away in between");
    assert_eq!(at.stands(), second, "nothing was");
}

/// The API server writes no time when an addition is taken away: the operator has to see for itself that something changed.
#[test]
fn admission_policies_that_were_weaker_a_moment_ago_are_not_trusted_yet() {
    let at = Guarded::new();
    at.plane.apply(RBAC).unwrap();
    at.kubectl("apply");
    let first = at.stands();
    let (watch, runtime) = (at.watch(&at.account), &at.runtime);
    let look = || runtime.block_on(watch.look()).unwrap();
    assert_eq!(look(), first);
    let added = r#"[{"op": "add", "path": "/spec/matchConditions", "value": [{"name": "never", "expression": "false"}]}]"#;
    at.patch("policy", "approvals", added);
    at.kubectl("replace");
    let next = wait_until("another answer", || {
        let guard = look();
        if guard == first {
            Err("the same".to_owned())
        } else {
            Ok(guard)
        }
    });
    let why = next.broken.unwrap_or_default();
    assert!(why.contains("changed a moment ago"), "{why}");
    let later = wait_until("a guard that stands", || {
        let guard = look();
        guard.broken.clone().map_or(Ok(guard), Err)
    });
    assert_ne!(later.parts, first.parts);
}

#[test]
fn admission_policies_that_are_deleted_or_for_another_account_are_refused() {
    let at = Guarded::new();
    at.plane.apply(RBAC).unwrap();
    at.kubectl("apply");
    at.stands();
    let other = at.look_as(at.plane.admin_kubeconfig());
    let why = other.broken.unwrap();
    assert!(why.contains("warehousesync-status is not what"), "{why}");
    assert!(why.contains("for its own account (admin)"), "{why}");

    let finalizers: Value =
        json!([{"op": "add", "path": "/metadata/finalizers", "value": ["example.com/x"]}]);
    at.patch("policybinding", "status", &finalizers.to_string());
    let binding = "validatingadmissionpolicybinding/warehousesync-status";
    at.plane
        .kubectl(["delete", binding, "--wait=false"])
        .unwrap();
    at.complains("warehousesync-status is being deleted");
    at.patch(
        "policybinding",
        "status",
        r#"[{"op": "remove", "path": "/metadata/finalizers"}]"#,
    );
    at.complains("ValidatingAdmissionPolicyBinding warehousesync-status is missing");
}

/// The guard that the version before this one shipped.
const OF_BEFORE: &str = include_str!("admission-revision-1.yaml");

#[test]
fn admission_policies_of_the_previous_version_are_reported_as_such_and_can_be_upgraded() {
    let at = Guarded::new();
    at.plane.apply(RBAC).unwrap();
    put(&at.plane, &["apply", "-f", "-"], OF_BEFORE).unwrap();
    let why = at.complains("that of an older version of the operator");
    for part in [
        "ValidatingAdmissionPolicy warehousesync-approvals",
        "warehousesync.dev/guard-revision: 1, this version ships 3",
        "no approval counts: kubectl apply -f deploy/admission.yaml of the operator's own version",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    at.kubectl("apply");
    at.stands();
}

#[test]
fn admission_policies_that_list_the_operators_accounts_of_people_are_accepted() {
    const PERSON: &str = "system:serviceaccount:people:anna";
    let at = Guarded::new();
    at.plane.apply(RBAC).unwrap();
    let listed = ADMISSION.replace(
        "expression: '[]'",
        &format!(r#"expression: '["{PERSON}"]'"#),
    );
    put(&at.plane, &["apply", "-f", "-"], &listed).unwrap();
    // One that was given none believes no such guard.
    at.complains("warehousesync-approvals is not what");
    let client = at
        .runtime
        .block_on(at.plane.client_for(&at.account))
        .unwrap();
    let people: &'static [String] = vec![PERSON.to_owned()].leak();
    wait_until("a guard that stands", || {
        let watch = GuardWatch::new(client.clone(), Metrics::default(), people);
        let guard = at.runtime.block_on(watch.look()).unwrap();
        guard.broken.map_or(Ok(()), Err)
    });
    at.kubectl("replace");
    let watch = GuardWatch::new(client, Metrics::default(), people);
    let why = at.runtime.block_on(watch.look()).unwrap().broken.unwrap();
    assert!(why.contains(PERSON), "{why}");
}

/// Every cluster lets every account ask who it is; one that does not is no reason to stop looking after syncs.
#[test]
fn an_operator_that_may_not_query_its_own_name_reports_that() {
    let at = Guarded::new();
    at.plane.apply(RBAC).unwrap();
    at.kubectl("apply");
    at.plane
        .kubectl(["delete", "clusterrolebinding", "system:basic-user"])
        .unwrap();
    at.complains("may not ask for its own name");
}
