//! Installed, upgraded, repaired and uninstalled on a real API server; and the same from `deploy/` with kubectl alone.

use std::fs;

use control_plane::ControlPlane;
use serde_json::Value;
use warehouse_sync_operator::cli::crd_yaml;

use crate::{
    helm::{HOME, NAME, Release, copy},
    render::root,
    support::{put, wait_until},
};

fn start() -> ControlPlane {
    ControlPlane::start().unwrap_or_else(|error| panic!("{error}"))
}

/// The names of all objects of a kind, in all namespaces.
fn names(plane: &ControlPlane, kind: &str) -> Vec<String> {
    let args = [
        "get",
        kind,
        "-A",
        "-o",
        "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}",
    ];
    let names = plane.kubectl(args).unwrap();
    names.lines().map(str::to_owned).collect()
}

/// The operator's own ones.
fn ours(plane: &ControlPlane, kind: &str) -> Vec<String> {
    let names = names(plane, kind).into_iter();
    names.filter(|name| name.contains("warehouse")).collect()
}

const POLICY: &str = "{apiVersion: warehousesync.dev/v1alpha1, kind: WarehouseSyncPolicy, metadata: {name: p, namespace: data}, \
                      spec: {posthog: {host: 'https://us.posthog.com', projectId: 1, apiKeySecretRef: {name: s, key: k}}}}";

/// Applies a policy as soon as the CRD is served.
fn put_policy(plane: &ControlPlane) {
    wait_until("the CRD to be served", || {
        plane.apply(POLICY).map_err(|error| error.to_string())
    });
}

#[test]
fn a_release_is_installed_upgraded_and_uninstalled_and_leaves_crd_and_policies() {
    let plane = start();
    let release = Release::new(&plane);
    for namespace in ["data", "more"] {
        plane.kubectl(["create", "namespace", namespace]).unwrap();
    }
    let notes = release.install(&["namespaces={data,more}", "networkPolicy.enabled=true"]);
    assert!(
        notes.contains(&format!(
            "kubectl rollout status deployment/{NAME} -n {HOME}"
        )),
        "{notes}"
    );
    assert!(notes.contains("policies in data, more"), "{notes}");
    assert!(!notes.contains("act as the operator"), "{notes}");
    assert_eq!(
        ours(&plane, "roles"),
        [
            format!("data/{NAME}"),
            format!("more/{NAME}"),
            format!("{HOME}/{NAME}-lease")
        ]
    );
    put_policy(&plane);

    let notes = release.upgrade(&["clusterWide=true", "replicas=2", "log.format=json"]);
    assert!(notes.contains("policies in all namespaces"), "{notes}");
    assert_eq!(ours(&plane, "roles"), [format!("{HOME}/{NAME}-lease")]);
    assert!(ours(&plane, "clusterrolebindings").contains(&format!("/{NAME}")));
    assert_eq!(
        ours(&plane, "poddisruptionbudgets"),
        [format!("{HOME}/{NAME}")]
    );
    assert_eq!(ours(&plane, "networkpolicies"), Vec::<String>::new());
    let args = [
        "get",
        "deployment",
        "-n",
        HOME,
        NAME,
        "-o",
        "jsonpath={.spec.template.spec.containers[0].args}",
    ];
    let args = plane.kubectl(args).unwrap();
    assert!(
        args.contains("--log-format=json") && !args.contains("--namespace"),
        "{args}"
    );

    // As the operator leaves it, whose rights end before it does.
    let lease = format!(
        "{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: {NAME}, namespace: {HOME}}}, spec: {{holderIdentity: pod_1, leaseDurationSeconds: 180}}}}"
    );
    plane.apply(&lease).unwrap();
    release.uninstall();
    assert_eq!(
        ours(&plane, "leases"),
        Vec::<String>::new(),
        "the next installation would wait for the claim to expire"
    );
    for kind in [
        "deployments",
        "services",
        "serviceaccounts",
        "clusterroles",
        "clusterrolebindings",
        "roles",
        "validatingadmissionpolicies",
    ] {
        assert_eq!(ours(&plane, kind), Vec::<String>::new(), "{kind}");
    }
    assert_eq!(
        names(&plane, "crd"),
        ["/warehousesyncpolicies.warehousesync.dev"]
    );
    assert_eq!(names(&plane, "wsp"), ["data/p"]);
    // And a release of the same name adopts what remained.
    release.install(&["namespaces={data}"]);
    assert_eq!(names(&plane, "wsp"), ["data/p"]);
}

#[test]
fn an_upgrade_leaves_out_a_listed_namespace_that_was_deleted() {
    let plane = start();
    let release = Release::new(&plane);
    for namespace in ["data", "gone"] {
        plane.kubectl(["create", "namespace", namespace]).unwrap();
    }
    release.install(&["namespaces={data,gone}"]);
    // Namespaces end by a controller that is missing here.
    for kind in ["rolebindings", "roles"] {
        plane
            .kubectl(["delete", kind, "--all", "-n", "gone"])
            .unwrap();
    }
    plane
        .kubectl(["delete", "namespace", "gone", "--wait=false"])
        .unwrap();
    let emptied = r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gone"}, "spec": {"finalizers": []}}"#;
    let finalize = [
        "replace",
        "--raw",
        "/api/v1/namespaces/gone/finalize",
        "-f",
        "-",
    ];
    put(&plane, &finalize, emptied).unwrap();

    let notes = release.upgrade(&["namespaces={data,gone}"]);
    assert!(
        notes.contains("do not exist and get no Role: gone"),
        "{notes}"
    );
    let roles = [format!("data/{NAME}"), format!("{HOME}/{NAME}-lease")];
    assert_eq!(ours(&plane, "roles"), roles);
    plane.kubectl(["create", "namespace", "gone"]).unwrap();
    release.upgrade(&["namespaces={data,gone}"]);
    assert!(ours(&plane, "roles").contains(&format!("gone/{NAME}")));
}

/// Texts in the CRD, the admission policies and the rules of the Roles, and what they were in an earlier version.
const CHANGES: [(&str, &str, &str); 3] = [
    ("files/crd.yaml", "at the last poll", "of late"),
    (
        "templates/admission-status.yaml",
        "only the operator's ServiceAccount may write",
        "there is no other writer",
    ),
    (
        "templates/rbac-policies.yaml",
        "[get, list, watch]",
        "[get]",
    ),
];

#[test]
fn an_upgrade_installs_the_crd_the_admission_policies_and_the_rights_of_the_new_version() {
    let plane = start();
    plane.kubectl(["create", "namespace", "data"]).unwrap();
    let older = tempfile::tempdir().unwrap();
    copy(older.path());
    let version = format!("version: {}", env!("CARGO_PKG_VERSION"));
    let changes = CHANGES
        .into_iter()
        .chain([("Chart.yaml", &*version, "version: 0.0.1")]);
    for (file, now, before) in changes {
        let path = older.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(now), "{file}");
        fs::write(path, text.replace(now, before)).unwrap();
    }
    Release::of(&plane, older.path()).install(&["namespaces={data}"]);
    put_policy(&plane);
    let installed = || {
        let kinds = "crd,validatingadmissionpolicies,roles,deployments";
        let args = [
            "get",
            kinds,
            "-A",
            "-o",
            "yaml",
            "--show-managed-fields=false",
        ];
        plane.kubectl(args).unwrap()
    };
    for (file, _, before) in &CHANGES[..2] {
        assert!(installed().contains(before), "{file}");
    }
    let role = [
        "get",
        "role",
        NAME,
        "-n",
        "data",
        "-o",
        "jsonpath={.rules[0].verbs}",
    ];
    assert_eq!(plane.kubectl(role).unwrap(), r#"["get"]"#);

    Release::new(&plane).upgrade(&["namespaces={data}"]);
    for (file, now, before) in &CHANGES[..2] {
        let installed = installed();
        assert!(
            installed.contains(now) && !installed.contains(before),
            "{file}"
        );
    }
    assert_eq!(plane.kubectl(role).unwrap(), r#"["get","list","watch"]"#);
    assert_eq!(names(&plane, "wsp"), ["data/p"]);

    // Back to the older operator, with the newer CRD.
    Release::of(&plane, older.path()).upgrade(&["namespaces={data}", "crds.install=false"]);
    assert!(
        installed().contains("at the last poll")
            && installed().contains("there is no other writer")
    );
    assert_eq!(names(&plane, "wsp"), ["data/p"]);

    // And upgraded again: the CRD, which was kept, belongs to the release again.
    let forward = Release::new(&plane);
    assert!(!forward.manifest().contains("CustomResourceDefinition"));
    forward.upgrade(&["namespaces={data}", "crds.install=true"]);
    assert!(forward.manifest().contains("CustomResourceDefinition"));
    assert_eq!(names(&plane, "wsp"), ["data/p"]);
}

/// As in installations that are older than `admissionPolicies.otherOperators`.
#[test]
fn a_second_release_may_share_the_account() {
    let plane = start();
    for namespace in ["data", "more"] {
        plane.kubectl(["create", "namespace", namespace]).unwrap();
    }
    Release::new(&plane).install(&["namespaces={data}"]);
    let other = Release::named(&plane, "other");
    let said = other.try_install(&[], &["namespaces={more}"]).unwrap_err();
    assert!(
        said.contains("belongs") || said.contains("cannot be imported"),
        "{said}"
    );
    other.install(&[
        "namespaces={more}",
        "crds.install=false,admissionPolicies.install=false,roles.install=false",
        &format!("serviceAccount.create=false,serviceAccount.name={NAME}"),
    ]);
    assert_eq!(
        ours(&plane, "deployments"),
        [
            format!("{HOME}/other-warehouse-sync-operator"),
            format!("{HOME}/{NAME}")
        ]
    );
    assert_eq!(ours(&plane, "serviceaccounts"), [format!("{HOME}/{NAME}")]);
    other.uninstall();
    assert_eq!(ours(&plane, "validatingadmissionpolicies").len(), 3);
}

#[test]
fn a_crd_installed_by_someone_else_is_adopted_only_with_a_flag_of_helm() {
    let plane = start();
    let older = crd_yaml().unwrap().replace("at the last poll", "of late");
    plane.apply(&older).unwrap();
    let release = Release::new(&plane);
    let said = release.try_install(&[], &[]).unwrap_err();
    assert!(
        said.contains("warehousesyncpolicies.warehousesync.dev"),
        "{said}"
    );
    let flags = ["--take-ownership", "--force-conflicts"];
    release.try_install(&flags, &[]).unwrap();
    let args = ["get", "crd", "-o", "jsonpath={.items[0].spec}"];
    let crd = plane.kubectl(args).unwrap();
    assert!(!crd.contains("of late"), "{crd}");
}

/// As the operator's message says when an admission policy has an addition.
#[test]
fn additions_to_a_release_are_removed_when_its_manifest_replaces_it() {
    let plane = start();
    let release = Release::new(&plane);
    let notes = release.install(&[]);
    assert!(notes.contains("act as the operator"), "{notes}");
    let policy = "validatingadmissionpolicy/warehousesync-approvals";
    let added = r#"[{"op": "add", "path": "/spec/matchConditions", "value": [{"name": "never", "expression": "false"}]}]"#;
    plane
        .kubectl(["patch", policy, "--type=json", "-p", added])
        .unwrap();
    let conditions = || {
        plane
            .kubectl(["get", policy, "-o", "jsonpath={.spec.matchConditions}"])
            .unwrap()
    };
    assert!(conditions().contains("never"));
    put(&plane, &["replace", "-f", "-"], &release.manifest()).unwrap();
    assert_eq!(conditions(), "");
    release.upgrade(&["replicas=2"]);
}

#[test]
fn kubectl_alone_installs_deploy_in_both_ways() {
    let folder = root().join("deploy").display().to_string();
    for how in [&["apply", "-k"][..], &["apply", "--server-side", "-k"]] {
        let plane = start();
        let args: Vec<&str> = how.iter().copied().chain([&*folder]).collect();
        plane.kubectl(&args).unwrap();
        // As after an upgrade.
        plane.kubectl(&args).unwrap();
        assert_eq!(
            ours(&plane, "deployments"),
            ["warehouse-sync-operator/warehouse-sync-operator"]
        );
        plane.kubectl(["create", "namespace", "data"]).unwrap();
        put_policy(&plane);
        let guard = ours(&plane, "validatingadmissionpolicybindings");
        assert_eq!(
            guard,
            ["approvals", "inert-answers", "status"].map(|name| format!("/warehousesync-{name}"))
        );
    }
}

#[test]
fn the_api_server_knows_every_field_that_the_chart_renders() {
    let plane = start();
    let objects = crate::helm::render(&[
        "replicas=2",
        "networkPolicy.enabled=true",
        "dashboard.enabled=true",
        "ca.configMap=authority",
        "namespaces={ops}",
        "priorityClassName=system-cluster-critical",
        "podAnnotations.a=b",
        "podLabels.a=b",
        "nodeSelector.a=b",
        "tolerations[0].key=a",
        "extraEnv[0].name=NO_PROXY,extraEnv[0].value=10.0.0.1",
    ]);
    plane.kubectl(["create", "namespace", HOME]).unwrap();
    for object in &objects {
        let args = ["create", "--validate=strict", "-o", "json", "-f", "-"];
        let kept: Value =
            serde_json::from_str(&put(&plane, &args, &object.to_string()).unwrap()).unwrap();
        assert_eq!(kept["metadata"]["name"], object["metadata"]["name"]);
    }
}
