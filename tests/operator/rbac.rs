//! What the shipped roles grant, and what not: asked of a real API server, verb by verb.

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
const STATUS: [&str; 2] = ["warehousesyncpolicies", "--subresource=status"];
const READ: [&str; 3] = ["get", "list", "watch"];

/// Asserts that somebody may do exactly this with a resource (or one object of it: `resource/name`).
fn may_exactly(user: &User, resource: &str, expected: &[&str]) {
    may_exactly_with(user, &[resource], expected);
}

fn may_exactly_with(user: &User, resource: &[&str], expected: &[&str]) {
    let may = |verb: &str| {
        let asked = [&["auth", "can-i", verb], resource].concat();
        user.kubectl(&asked).is_ok()
    };
    let granted: Vec<&str> = VERBS.into_iter().filter(|verb| may(verb)).collect();
    assert_eq!(granted, expected, "{resource:?}");
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
        may_exactly(&user, "warehousesyncpolicies", &verbs);
        may_exactly_with(&user, &STATUS, &[]);
        may_exactly(&user, "secrets", &[]);
        may_exactly(&user, "validatingadmissionpolicies", &[]);
    }
}

#[test]
fn nobody_hands_on_a_right_to_approve_that_they_lack() {
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
    may_exactly(&operator, "warehousesyncpolicies", &READ);
    may_exactly_with(&operator, &STATUS, &["patch"]);
    may_exactly(&operator, "secrets", &READ);
    may_exactly(&operator, "events.events.k8s.io", &["create", "patch"]);
    // The Lease is where the operator is, not where policies are.
    may_exactly(&operator, "leases.coordination.k8s.io", &[]);
    let at_home = operator.in_namespace(HOME);
    may_exactly(&at_home, "leases.coordination.k8s.io", &["create"]);
    let lease = "leases.coordination.k8s.io/warehouse-sync-operator";
    may_exactly(&at_home, lease, &["get", "create", "update"]);
    // Its home has no Secrets for it.
    may_exactly(&at_home, "secrets", &[]);
    may_exactly(&at_home, "warehousesyncpolicies", &[]);
    // It looks at the guard, and at no other admission policy; it changes none.
    let policies = "validatingadmissionpolicies.admissionregistration.k8s.io";
    may_exactly(&operator, policies, &[]);
    may_exactly(
        &operator,
        &format!("{policies}/warehousesync-status"),
        &["get"],
    );
}
