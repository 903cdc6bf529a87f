//! What the shipped roles grant, and what not: asked of a real API server, verb by verb, as `kubectl auth can-i` does.

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

/// What may be done something with: `resource`, `resource/subresource`.
fn of(group: &str, resource: &str) -> ResourceAttributes {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    ResourceAttributes {
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        ..ResourceAttributes::default()
    }
}

/// One object of it.
fn named(name: &str, attributes: ResourceAttributes) -> ResourceAttributes {
    let name = Some(name.to_owned());
    ResourceAttributes { name, ..attributes }
}

/// Asserts that somebody may do exactly this with it.
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
fn no_one_can_grant_a_right_to_approve_that_they_lack() {
    let plane = guarded();
    let at = namespace(&plane, "binders");
    // As the built-in role `admin` may: it makes role bindings, but has no verb `bind`.
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
    // The Lease is where the operator is, not where policies are.
    let leases = of("coordination.k8s.io", "leases");
    may_exactly(&operator, &leases, &NONE);
    let at_home = operator.in_namespace(HOME);
    may_exactly(&at_home, &leases, &["create"]);
    let lease = named("warehouse-sync-operator", leases);
    may_exactly(&at_home, &lease, &["get", "create", "update"]);
    // A namespace that is not listed has nothing for it.
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
    // It looks at the guard, and at no other admission policy; it changes none.
    for kind in [
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    ] {
        may_exactly(&operator, &of(ADMISSION, kind), &NONE);
        let guard = named("warehousesync-status", of(ADMISSION, kind));
        may_exactly(&operator, &guard, &["get"]);
    }
}
