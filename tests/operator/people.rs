//! An API server with the admission policies, and real users with the shipped roles.

use std::{
    io::Write,
    path::PathBuf,
    process::Stdio,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use control_plane::ControlPlane;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use warehouse_sync_operator::api::WarehouseSyncPolicy;

use crate::support::{install_crd, wait_until};

pub const ADMISSION: &str = include_str!("../../deploy/admission.yaml");
pub const RBAC: &str = concat!(
    include_str!("../../deploy/namespace.yaml"),
    "---\n",
    include_str!("../../deploy/rbac.yaml")
);
pub const HOME: &str = "warehouse-sync-operator";

/// A separate control plane: the admission policies are cluster-wide, and other tests run operators under other
/// accounts. One test at a time, because some of them remove the admission policies.
static GUARDED: LazyLock<Mutex<ControlPlane>> = LazyLock::new(|| Mutex::new(guarded_plane()));

/// A control plane with the shipped roles and admission policies.
pub fn guarded_plane() -> ControlPlane {
    let plane = ControlPlane::start().unwrap_or_else(|error| panic!("{error}"));
    install_crd(&plane);
    plane.apply(RBAC).unwrap();
    plane.apply(ADMISSION).unwrap();
    takes_effect(&plane);
    plane
}

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

pub fn guarded() -> MutexGuard<'static, ControlPlane> {
    GUARDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A user or an account, with kubectl.
pub struct User<'a> {
    plane: &'a ControlPlane,
    pub namespace: String,
    pub kubeconfig: PathBuf,
}

impl<'a> User<'a> {
    /// A user with a shipped role in the namespace.
    pub fn with_role(plane: &'a ControlPlane, namespace: &str, name: &str, role: &str) -> Self {
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

    /// A `ServiceAccount` of the namespace that has a `ClusterRole` in it.
    pub fn service_account(
        plane: &'a ControlPlane,
        namespace: &str,
        name: &str,
        role: &str,
    ) -> Self {
        let kubeconfig = plane.service_account_kubeconfig(namespace, name).unwrap();
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": format!("account-{name}"), "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        });
        plane.apply(&binding.to_string()).unwrap();
        let user = Self {
            plane,
            namespace: namespace.to_owned(),
            kubeconfig,
        };
        wait_until("the role to count", || user.kubectl(&["get", "wsp"]));
        user
    }

    /// Writes the status of `p`, as the operator does; kubectl would read it first, which the operator may not.
    pub fn writes_status(&self, status: &Value) {
        self.try_to_write_status(status).unwrap();
    }

    /// The same; the error is the API server's.
    pub fn try_to_write_status(&self, status: &Value) -> Result<(), kube::Error> {
        let patch = Patch::Merge(json!({ "status": status }));
        let write = async {
            let policies: Api<WarehouseSyncPolicy> =
                Api::namespaced(self.client().await, &self.namespace);
            policies
                .patch_status("p", &PatchParams::default(), &patch)
                .await
        };
        Runtime::new().unwrap().block_on(write).map(|_| ())
    }

    pub fn admin(plane: &'a ControlPlane, namespace: &str) -> Self {
        Self {
            plane,
            namespace: namespace.to_owned(),
            kubeconfig: plane.admin_kubeconfig().to_owned(),
        }
    }

    /// The same user in another namespace.
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self {
            plane: self.plane,
            namespace: namespace.to_owned(),
            kubeconfig: self.kubeconfig.clone(),
        }
    }

    /// A client with its rights.
    pub async fn client(&self) -> Client {
        self.plane.client_for(&self.kubeconfig).await.unwrap()
    }

    /// Its output including warnings; the error is its output, too.
    pub fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        self.kubectl_with(args, "")
    }

    pub fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String, String> {
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

    pub fn annotate(&self, annotation: &str) -> Result<String, String> {
        self.kubectl(&["annotate", "wsp", "p", "--overwrite", annotation])
    }

    pub fn refused(&self, annotation: &str, why: &str) {
        let said = self.annotate(annotation).unwrap_err();
        assert!(said.contains(why), "{annotation}: {said}");
    }

    pub fn allowed(&self, args: &[&str]) {
        self.kubectl(args)
            .unwrap_or_else(|said| panic!("{args:?}: {said}"));
    }

    pub fn may_not(&self, args: &[&str], why: &str) {
        let said = self.kubectl(args).unwrap_err();
        assert!(said.contains(why), "{args:?}: {said}");
    }
}

pub fn policy(annotations: &str) -> String {
    format!(
        "{{apiVersion: warehousesync.dev/v1alpha1, kind: WarehouseSyncPolicy, metadata: {{name: p, annotations: {{{annotations}}}}}, \
         spec: {{posthog: {{host: 'https://us.posthog.com', projectId: 1, apiKeySecretRef: {{name: s, key: k}}}}}}}}"
    )
}

/// A namespace with a policy `p` in it.
pub fn namespace(plane: &ControlPlane, name: &str) -> String {
    plane.kubectl(["create", "namespace", name]).unwrap();
    let admin = User::admin(plane, name);
    let said = admin.kubectl_with(&["apply", "-f", "-"], &policy(""));
    said.unwrap_or_else(|said| panic!("{said}"));
    name.to_owned()
}

/// The shipped account, with the shipped Role in this namespace too.
pub fn operator_account<'a>(plane: &'a ControlPlane, namespace: &str) -> User<'a> {
    for mut object in shipped_for_its_home() {
        object["metadata"]["namespace"] = namespace.into();
        plane.apply(&object.to_string()).unwrap();
    }
    let user = User {
        plane,
        namespace: namespace.to_owned(),
        kubeconfig: plane.service_account_kubeconfig(HOME, HOME).unwrap(),
    };
    wait_until("the role to count", || user.kubectl(&["get", "wsp"]));
    user
}

/// The Role with the rights on policies, and its binding, which a release has for each of its namespaces.
fn shipped_for_its_home() -> Vec<Value> {
    let all: Vec<Map<String, Value>> = serde_saphyr::from_multiple(RBAC).unwrap();
    let all = all.into_iter().map(Value::Object);
    let found: Vec<Value> = all
        .filter(|object| {
            let is_role = object["kind"] == "Role" || object["kind"] == "RoleBinding";
            is_role && object["metadata"]["name"] == HOME
        })
        .collect();
    assert_eq!(found.len(), 2);
    found
}
