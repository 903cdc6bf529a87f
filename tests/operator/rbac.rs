//! What the shipped roles grant and what not, checked on a real API server verb by verb, as with `kubectl auth can-i`.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};
use tokio::runtime::Runtime;

use crate::people::{HOME, User, guarded, namespace, operator_account};

const VERBS: [&str; 10] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "approve",
    "approve-on-behalf",
];
const READ: [&str; 3] = ["get", "list", "watch"];
const NONE: [&str; 0] = [];

const OURS: &str = "warehousesync.dev";
const ADMISSION: &str = "admissionregistration.k8s.io";

/// A resource or a subresource: `resource`, `resource/subresource`.
fn of(group: &str, resource: &str) -> ResourceAttributes {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    ResourceAttributes {
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        ..ResourceAttributes::default()
    }
}

/// One object of a resource.
fn named(name: &str, attributes: ResourceAttributes) -> ResourceAttributes {
    let name = Some(name.to_owned());
    ResourceAttributes { name, ..attributes }
}

/// Asserts that a user has exactly these verbs.
fn may_exactly(user: &User, with: &ResourceAttributes, expected: &[&str]) {
    let granted = Runtime::new().unwrap().block_on(async {
        let client = user.client().await;
        let mut granted = Vec::new();
        for verb in VERBS {
            let attributes = ResourceAttributes {
                verb: Some(verb.to_owned()),
                namespace: Some(user.namespace.clone()),
                ..with.clone()
            };
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(attributes),
                    ..SelfSubjectAccessReviewSpec::default()
                },
                ..SelfSubjectAccessReview::default()
            };
            let reviews = Api::all(client.clone());
            let answer = reviews.create(&PostParams::default(), &review).await;
            if answer.unwrap().status.unwrap().allowed {
                granted.push(verb);
            }
        }
        granted
    });
    assert_eq!(granted, expected, "{with:?}");
}

#[test]
fn each_role_of_people_has_its_verbs_on_policies_and_nothing_else() {
    let plane = guarded();
    let at = namespace(&plane, "roles");
    let write = [
        "get", "list", "watch", "create", "update", "patch", "delete",
    ];
    for (role, verbs) in [
        ("viewer", READ.to_vec()),
        ("editor", write.to_vec()),
        ("approver", [&READ[..], &["patch", "approve"]].concat()),
        ("gitops", [&write[..], &["approve-on-behalf"]].concat()),
    ] {
        let user = User::with_role(&plane, &at, &format!("some-{role}"), role);
        may_exactly(&user, &of(OURS, "warehousesyncpolicies"), &verbs);
        may_exactly(&user, &of(OURS, "warehousesyncpolicies/status"), &NONE);
        may_exactly(&user, &of("", "secrets"), &NONE);
        may_exactly(&user, &of(ADMISSION, "validatingadmissionpolicies"), &NONE);
    }
}

#[test]
fn a_right_to_approve_cannot_be_granted_by_someone_without_it() {
    let plane = guarded();
    let at = namespace(&plane, "binders");
    // As the built-in role `admin`: it creates role bindings, but has no verb `bind`.
    let args = [
        "create",
        "role",
        "binder",
        "--verb=create",
        "--resource=rolebindings.rbac.authorization.k8s.io",
    ];
    let admin = User::admin(&plane, &at);
    admin.allowed(&args);
    admin.allowed(&[
        "create",
        "rolebinding",
        "binder",
        "--role=binder",
        "--user=author-b",
    ]);
    let author = User::with_role(&plane, &at, "author-b", "editor");
    let bind = |role: &str| format!("--clusterrole=warehousesync-{role}");
    let to = ["create", "rolebinding", "more", "--user=author-b"];
    for role in ["approver", "gitops"] {
        let role = bind(role);
        let args = [&to[..], &[&role]].concat();
        author.may_not(
            &args,
            "attempting to grant RBAC permissions not currently held",
        );
    }
    author.allowed(&[&to[..], &[&bind("viewer")]].concat());
}

#[test]
fn the_operator_writes_status_and_its_lease_and_reads_the_rest() {
    let plane = guarded();
    let at = namespace(&plane, "operators");
    let operator = operator_account(&plane, &at);
    may_exactly(&operator, &of(OURS, "warehousesyncpolicies"), &READ);
    let status = of(OURS, "warehousesyncpolicies/status");
    may_exactly(&operator, &status, &["patch"]);
    may_exactly(&operator, &of("", "secrets"), &READ);
    let events = of("events.k8s.io", "events");
    may_exactly(&operator, &events, &["create", "patch"]);
    // The Lease is in the operator's namespace, not in those of policies.
    let leases = of("coordination.k8s.io", "leases");
    may_exactly(&operator, &leases, &NONE);
    let at_home = operator.in_namespace(HOME);
    may_exactly(&at_home, &leases, &["create"]);
    let lease = named("warehouse-sync-operator", leases);
    may_exactly(&at_home, &lease, &["get", "create", "update"]);
    // It has no rights in a namespace that is not listed.
    let elsewhere = operator.in_namespace("default");
    for nothing in [
        of("", "secrets"),
        of("coordination.k8s.io", "leases"),
        of("events.k8s.io", "events"),
        of(OURS, "warehousesyncpolicies"),
        of(OURS, "warehousesyncpolicies/status"),
    ] {
        may_exactly(&elsewhere, &nothing, &NONE);
    }
    // It reads its own admission policies and no others, and changes none.
    for kind in [
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    ] {
        may_exactly(&operator, &of(ADMISSION, kind), &NONE);
        let guard = named("warehousesync-status", of(ADMISSION, kind));
        may_exactly(&operator, &guard, &["get"]);
    }
}
