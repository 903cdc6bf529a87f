//! A namespace with a policy, proposals in its status, and ways to run the plugin.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use control_plane::ControlPlane;
use serde_json::{Value, json};
use warehouse_sync_operator::{
    api::{
        proposal::{
            Impact, LosesData, Material, Phase, Proposal, ProposedAction, ProposedCall,
            ProposedStep, Target,
        },
        status::RootCause,
    },
    cli::crd_yaml,
    decide::proposal::{material, steps},
};

/// The result of a run.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The output without the line breaks for the width.
    pub fn words(&self) -> String {
        let both = format!("{} {}", self.out, self.err);
        both.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Fails unless it succeeded.
    pub fn fine(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self
    }

    /// Fails unless it was refused with these words and nothing on standard output.
    pub fn refused(self, words: &str) -> Self {
        assert_eq!(self.code, 1, "{}\n{}", self.out, self.err);
        assert!(self.words().contains(words), "{}", self.err);
        assert_eq!(self.out, "");
        self
    }
}

/// The plugin itself, without a terminal and without a cluster.
pub fn plugin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-wsp"));
    command
        .env("KUBECONFIG", "/nonexistent")
        .stdin(Stdio::null());
    command
}

pub fn run(command: &mut Command) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let ran = Ran {
        code: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    };
    // An answer of the API server as Rust prints it, and a bug.
    for never in ["Some(Failure)", "Status {", "panicked"] {
        let said = ran.words();
        assert!(!said.contains(never), "{never} is in the output: {said}");
    }
    ran
}

/// Answers every request like this, at an address of this machine to which the API server connects: not a loopback one.
pub fn serve(answer: &'static str) -> SocketAddr {
    // Nothing is sent: this asks only for the route.
    let route = UdpSocket::bind("0.0.0.0:0").unwrap();
    route.connect("192.0.2.1:9").unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = BufReader::new(stream.try_clone().unwrap()).lines();
            while head.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    SocketAddr::new(route.local_addr().unwrap().ip(), port)
}

/// The shared control plane, with the CRD.
pub fn control_plane() -> &'static ControlPlane {
    static READY: OnceLock<()> = OnceLock::new();
    let plane = ControlPlane::shared().unwrap_or_else(|error| panic!("{error}"));
    READY.get_or_init(|| install_crd(plane));
    plane
}

/// Applies the CRD and waits until the API server serves it.
pub fn install_crd(plane: &ControlPlane) {
    // Tests with the operator apply it at the same time.
    wait_until("the CRD", || {
        let applied = plane.apply(&crd_yaml().unwrap());
        applied.map_err(|error| error.to_string())
    });
    plane
        .wait_for_crd("warehousesyncpolicies.warehousesync.dev")
        .unwrap();
    wait_until("the API server to serve policies", || {
        let listed = plane.kubectl(["get", "wsp"]);
        listed.map_err(|error| error.to_string())
    });
}

/// Calls `check` until it succeeds; panics with its last error after a minute.
pub fn wait_until<A>(what: &str, mut check: impl FnMut() -> Result<A, String>) -> A {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        match check() {
            Ok(found) => return found,
            Err(complaint) if Instant::now() > deadline => {
                panic!("waited in vain for {what}: {complaint}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The environment of one test: a namespace with the policy `prod`.
pub struct Env {
    pub plane: &'static ControlPlane,
    pub namespace: String,
    pub uid: String,
}

impl Env {
    pub fn new() -> Self {
        Self::on(control_plane())
    }

    /// The same on another control plane.
    pub fn on(plane: &'static ControlPlane) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let namespace = runtime.block_on(plane.namespace("plugin")).unwrap();
        let env = Self {
            plane,
            namespace,
            uid: String::new(),
        };
        env.apply(&env.policy("prod"));
        let uid = env.get("prod")["metadata"]["uid"]
            .as_str()
            .map(str::to_owned);
        Self {
            uid: uid.unwrap(),
            ..env
        }
    }

    /// A policy as JSON, which is YAML.
    pub fn policy(&self, name: &str) -> String {
        json!({
            "apiVersion": "warehousesync.dev/v1alpha1",
            "kind": "WarehouseSyncPolicy",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"mode": "Enforce", "posthog": {
                "host": "https://us.posthog.com", "projectId": 12345,
                "apiKeySecretRef": {"name": "posthog", "key": "api-key"},
            }},
        })
        .to_string()
    }

    pub fn apply(&self, yaml: &str) {
        self.plane.apply(yaml).unwrap();
    }

    pub fn kubectl(&self, args: &[&str]) -> String {
        let all = ["--namespace", &self.namespace].into_iter();
        self.plane.kubectl(all.chain(args.iter().copied())).unwrap()
    }

    /// A policy as stored in the API server.
    pub fn get(&self, name: &str) -> Value {
        let json = self.kubectl(&["get", "wsp", name, "-o", "json", "--show-managed-fields"]);
        serde_json::from_str(&json).unwrap()
    }

    /// An annotation of the policy `prod`.
    pub fn annotation(&self, key: &str) -> Option<String> {
        let value = &self.get("prod")["metadata"]["annotations"][key];
        value.as_str().map(str::to_owned)
    }

    /// Writes this status to the policy `prod`.
    pub fn put_status(&self, status: &Value) {
        let patch = json!({ "status": status }).to_string();
        self.kubectl(&[
            "patch",
            "wsp",
            "prod",
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ]);
    }

    /// Writes these proposals to the policy `prod`.
    pub fn propose<'a>(&self, proposals: impl IntoIterator<Item = &'a Proposal>) {
        let proposals: Vec<&Proposal> = proposals.into_iter().collect();
        self.put_status(&json!({ "proposals": proposals }));
    }

    /// A genuine proposal that waits.
    pub fn proposal(&self, action: ProposedAction, table: &str) -> Proposal {
        proposal(&self.uid, action, table)
    }

    /// The plugin as the administrator, in the test's namespace.
    pub fn plugin(&self, args: &[&str]) -> Ran {
        self.plugin_as(self.plane.admin_kubeconfig(), args)
    }

    /// The plugin as another user.
    pub fn plugin_as(&self, kubeconfig: &Path, args: &[&str]) -> Ran {
        let mut command = plugin();
        command.env("KUBECONFIG", kubeconfig);
        command.args(["--namespace", &self.namespace]);
        run(command.args(args))
    }

    /// A user with these verbs on policies of the namespace, in addition to get and list.
    pub fn user(&self, name: &str, verbs: &str) -> PathBuf {
        let namespace = &self.namespace;
        self.apply(&format!(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {name}, namespace: {namespace}}}
rules:
  - {{apiGroups: [warehousesync.dev], resources: [warehousesyncpolicies], verbs: [get, list, {verbs}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {name}, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}
subjects: [{{kind: User, name: {name}, apiGroup: rbac.authorization.k8s.io}}]
"
        ));
        let kubeconfig = self.plane.user_kubeconfig(name, &[]).unwrap();
        // Roles take effect a moment after they are written.
        wait_until("the user's rights", || {
            let mut kubectl = self.plane.kubectl_command();
            let asked = kubectl
                .env("KUBECONFIG", &kubeconfig)
                .args(["get", "wsp", "--namespace", namespace])
                .output();
            let asked = asked.unwrap();
            if asked.status.success() {
                Ok(())
            } else {
                Err(format!("{asked:?}"))
            }
        });
        kubeconfig
    }
}

/// A waiting proposal for a table of a source.
pub fn proposal(uid: &str, action: ProposedAction, table: &str) -> Proposal {
    let call = match action {
        ProposedAction::DeleteData => ProposedCall::DeleteData,
        ProposedAction::RefreshSchemas => ProposedCall::RefreshSchemas,
        _ => ProposedCall::Resync,
    };
    let step: ProposedStep = serde_json::from_value(json!({ "call": call })).unwrap();
    let material = Material {
        version: material::VERSION,
        nonce: "0f".repeat(16),
        policy_uid: uid.to_owned(),
        action,
        steps: vec![step],
        host: "https://us.posthog.com".to_owned(),
        project_id: 12345,
        source_id: "source-1".to_owned(),
        schema_id: Some(format!("id-of-{table}")),
        sync_type: Some("incremental".to_owned()),
        incremental_field: Some("updated_at".to_owned()),
        primary_keys: Some(vec!["id".to_owned()]),
        cause: RootCause::DataTypeMismatch,
        rule: "data/type".to_owned(),
        table_id: None,
    };
    Proposal {
        id: material::id(&material),
        action,
        target: Target {
            project_id: 12345,
            source: "Postgres prod".to_owned(),
            source_id: "source-1".to_owned(),
            schema: table.to_owned(),
            schema_id: format!("id-of-{table}"),
        },
        steps: steps::all_in_words(&material, table),
        reason: "The column amount changed its type".to_owned(),
        evidence: vec!["invalid input syntax for type bigint".to_owned()],
        impact: Impact {
            loses_data: LosesData::Yes,
            rows: Some(1200),
            sync_type: Some("incremental".to_owned()),
            cost: "PostHog deletes all 1200 rows when the new run begins.".to_owned(),
        },
        approve_command: "kubectl annotate wsp prod".to_owned(),
        deny_command: "kubectl annotate wsp prod".to_owned(),
        created_at: "2026-11-23T06:00:00Z".parse().unwrap(),
        expires_at: "2026-11-30T06:00:00Z".parse().unwrap(),
        phase: Phase::AwaitingApproval,
        message: String::new(),
        approval: None,
        execution: None,
        material,
    }
}
