//! A namespace, a simulator, an operator process, and ways to wait.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use control_plane::ControlPlane;
use posthog_simulator::{Clock, Scenario, Server, Simulator, Watchdog};
use warehouse_sync_operator::{api::WarehouseSyncPolicyStatus, cli::crd_yaml};

/// Deadline of each wait in a test. Generous, because it is not a measurement.
pub const DEADLINE: Duration = Duration::from_mins(3);

/// PostHog is a simulator on this machine, and waits are 600 times shorter.
const FAST: [&str; 3] = ["--allow-http-loopback", "--time-factor", "600"];

/// The rights that the operator needs in a namespace, and no more.
const ROLE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: operator}
rules:
  - {apiGroups: [warehousesync.dev], resources: [warehousesyncpolicies], verbs: [get, list, watch]}
  - {apiGroups: [warehousesync.dev], resources: [warehousesyncpolicies/status], verbs: [patch]}
  - {apiGroups: [''], resources: [secrets], verbs: [get, list, watch]}
  - {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
  - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: operator}
subjects: [{kind: ServiceAccount, name: operator}]
";

/// The shared control plane, with the CRD.
pub fn control_plane() -> &'static ControlPlane {
    static READY: OnceLock<()> = OnceLock::new();
    let plane = ControlPlane::shared().unwrap_or_else(|error| panic!("{error}"));
    READY.get_or_init(|| install_crd(plane));
    plane
}

/// Applies the CRD and waits until the API server serves it.
pub fn install_crd(plane: &ControlPlane) {
    plane.apply(&crd_yaml().unwrap()).unwrap();
    plane
        .wait_for_crd("warehousesyncpolicies.warehousesync.dev")
        .unwrap();
    // The schema for `kubectl explain` is published a little later.
    wait_until("the API server to explain the CRD", || {
        let explained = plane.kubectl(["explain", "wsp"]);
        explained.map_err(|error| error.to_string())
    });
}

/// The control plane of a test.
pub enum Plane {
    Shared(&'static ControlPlane),
    /// For a test that would disturb the others.
    Own(Box<ControlPlane>),
}

impl std::ops::Deref for Plane {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        match self {
            Self::Shared(plane) => plane,
            Self::Own(plane) => plane,
        }
    }
}

/// The environment of one test.
pub struct Env {
    pub plane: Plane,
    pub namespace: String,
    pub posthog: Server,
    pub kubeconfig: PathBuf,
    /// Fails the test if a live run was harmed; `Simulator::take_violations` expects it.
    _watchdog: Watchdog,
}

impl Env {
    /// A namespace with a ServiceAccount for the operator, a labelled Secret with the key of the scenario, and the
    /// simulated PostHog.
    pub fn new(scenario: &str) -> Self {
        Self::on(Plane::Shared(control_plane()), scenario)
    }

    /// The same on this control plane.
    pub fn on(plane: Plane, scenario: &str) -> Self {
        let namespace = namespace(&plane);
        let simulator =
            Simulator::from_scenario(&Scenario::from_yaml(scenario).unwrap(), Clock::real())
                .unwrap();
        let kubeconfig = plane
            .service_account_kubeconfig(&namespace, "operator")
            .unwrap();
        let posthog = Server::start(simulator).unwrap();
        let env = Self {
            plane,
            namespace,
            _watchdog: posthog.watchdog(),
            posthog,
            kubeconfig,
        };
        env.apply(ROLE).unwrap();
        env.put_key("phx_demo");
        env
    }

    /// Applies YAML in the test's namespace; the error is kubectl's message.
    pub fn apply(&self, yaml: &str) -> Result<String, String> {
        let args = ["apply", "--namespace", &self.namespace, "-f", "-"];
        put(&self.plane, &args, yaml)
    }

    /// kubectl in the test's namespace.
    pub fn kubectl(&self, args: &[&str]) -> String {
        let all = ["--namespace", &self.namespace]
            .into_iter()
            .chain(args.iter().copied());
        self.plane
            .kubectl(all)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates or changes the Secret `posthog`, with the label for its use.
    pub fn put_key(&self, token: &str) {
        self.apply(&format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: posthog, labels: {{warehousesync.dev/use: posthog-api-key}}}}, stringData: {{api-key: '{token}'}}}}"
        ))
        .unwrap();
    }

    /// A policy `wsp` on the simulator, with limits that a test can wait for.
    pub fn policy(&self, name: &str, spec: &str) -> String {
        format!(
            "{{apiVersion: warehousesync.dev/v1alpha1, kind: WarehouseSyncPolicy, metadata: {{name: {name}}}, spec: {{posthog: {{host: '{}', \
             projectId: 12345, apiKeySecretRef: {{name: posthog, key: api-key}}}}, interval: 5s, \
             health: {{stuck: {{after: 2s, noProgressFor: 2s, loadingSilentFor: 4s}}, failing: {{for: 0s}}, healthyFor: 1s}}{}{spec}}}}}",
            self.posthog.url(),
            if spec.is_empty() { "" } else { ", " }
        )
    }

    /// The operator over this namespace, with the rights of its ServiceAccount.
    pub fn operator(&self) -> Operator {
        self.operator_with(&FAST)
    }

    /// The same with every line of its log, also of its libraries.
    pub fn operator_that_logs_all(&self) -> Operator {
        let mut all = vec!["--namespace", &self.namespace];
        all.extend(FAST);
        Operator::start_with(&self.kubeconfig, &all, &[("RUST_LOG", "trace")])
    }

    /// The same with these flags in addition to the namespace.
    pub fn operator_with(&self, args: &[&str]) -> Operator {
        let mut all = vec!["--namespace", &self.namespace];
        all.extend(args);
        Operator::start(&self.kubeconfig, &all)
    }

    /// The status of a policy.
    pub fn status(&self, name: &str) -> WarehouseSyncPolicyStatus {
        let json = self.kubectl(&["get", "wsp", name, "-o", "jsonpath={.status}"]);
        if json.is_empty() {
            WarehouseSyncPolicyStatus::default()
        } else {
            serde_json::from_str(&json).unwrap()
        }
    }

    /// Waits until the status of a policy is as wanted.
    pub fn wait_for(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&WarehouseSyncPolicyStatus) -> bool,
    ) -> WarehouseSyncPolicyStatus {
        let mut last = WarehouseSyncPolicyStatus::default();
        wait_until(what, || {
            last = self.status(name);
            wanted(&last)
                .then(|| last.clone())
                .ok_or_else(|| format!("{last:#?}"))
        })
    }

    /// Waits until a condition has this reason.
    pub fn wait_for_reason(
        &self,
        name: &str,
        condition: &str,
        reason: &str,
    ) -> WarehouseSyncPolicyStatus {
        let has = |status: &WarehouseSyncPolicyStatus| {
            status
                .condition(condition)
                .is_some_and(|c| c.reason == reason)
        };
        self.wait_for(name, &format!("{condition}: {reason}"), has)
    }

    /// Requests with this method and this text in their path that reached the simulator.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.posthog.simulator().count(method, path)
    }

    /// Reasons of the events in the namespace, in the order of creation.
    pub fn event_reasons(&self) -> Vec<String> {
        let args = [
            "get",
            "events.events.k8s.io",
            "--sort-by=.metadata.creationTimestamp",
            "-o",
            "jsonpath={range .items[*]}{.reason}{\"\\n\"}{end}",
        ];
        self.kubectl(&args).lines().map(str::to_owned).collect()
    }
}

/// kubectl as the administrator, with this standard input; the error is its message.
pub fn put(plane: &ControlPlane, args: &[&str], input: &str) -> Result<String, String> {
    use std::io::Write;
    let mut child = plane
        .kubectl_command()
        .args(args)
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
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

fn namespace(plane: &ControlPlane) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(plane.namespace("test")).unwrap()
}

/// Calls `check` until it succeeds; panics with its last error at the deadline.
pub fn wait_until<A>(what: &str, check: impl FnMut() -> Result<A, String>) -> A {
    wait_until_within(DEADLINE, what, check)
}

/// The same with another deadline.
pub fn wait_until_within<A>(
    within: Duration,
    what: &str,
    mut check: impl FnMut() -> Result<A, String>,
) -> A {
    let deadline = Instant::now() + within;
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

/// What no test may find in the log: an answer of the API server as Rust prints it, and a bug.
const PROGRAMMERS_TEXT: [&str; 3] = ["Some(Failure)", "Status {", "panicked"];

/// An operator process, killed when dropped.
pub struct Operator {
    child: Child,
    log: Arc<Mutex<String>>,
    pub url: String,
}

impl Operator {
    pub fn start(kubeconfig: &Path, args: &[&str]) -> Self {
        Self::start_with(kubeconfig, args, &[])
    }

    /// The same with these additional environment variables.
    pub fn start_with(kubeconfig: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let all: Vec<_> = ["run", "--bind", "127.0.0.1:0"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        Self::start_as(kubeconfig, &all, env)
    }

    /// With these arguments and no others.
    pub fn start_as(kubeconfig: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_warehouse-sync-operator"))
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env_remove("RUST_LOG")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, copy) = (BufReader::new(child.stderr.take().unwrap()), log.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = copy.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut operator = Self {
            child,
            log,
            url: String::new(),
        };
        operator.url = wait_until("the operator's address", || {
            let log = operator.log();
            let address = log
                .split("health and metrics on ")
                .nth(1)
                .and_then(|rest| rest.split(['"', '\n']).next());
            address.map(str::to_owned).ok_or(log)
        });
        operator
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait_until(&format!("{text:?} in the log"), || {
            let log = self.log();
            if log.contains(text) { Ok(()) } else { Err(log) }
        });
    }

    /// Status and body of a page of the operator.
    pub fn get(&self, path: &str) -> (u16, String) {
        let url = format!("{}{path}", self.url);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let answer = client.get(url).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }

    /// SIGKILL, as a crash.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGSTOP: it does nothing more, and all that it was sent waits for it.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT: it continues as if no time had passed.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// SIGTERM; how it ended and how long that took.
    pub fn terminate(mut self) -> (std::process::ExitStatus, Duration) {
        let started = Instant::now();
        self.signal("-TERM");
        let status = wait_until("the operator's end", || {
            self.child.try_wait().unwrap().ok_or_else(|| self.log())
        });
        (status, started.elapsed())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // Nothing to kill if the test ended it before.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("--- log of the operator\n{log}");
            return;
        }
        // What libraries log for programmers is not for users.
        let is_for_users = |line: &&str| !line.contains(" DEBUG ") && !line.contains(" TRACE ");
        for line in log.lines().filter(is_for_users) {
            let found = PROGRAMMERS_TEXT.iter().find(|never| line.contains(**never));
            assert_eq!(found, None, "{line}\nof the log\n{log}");
        }
    }
}
