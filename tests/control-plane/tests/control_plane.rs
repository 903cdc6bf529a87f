//! What a test may rely on when it uses the control plane.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking
#![allow(clippy::print_stdout)] // a child process reports to its parent

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use control_plane::{ControlPlane, Error};
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};

/// Set for a process that this file starts from itself, to observe how it ends.
const CHILD: &str = "CONTROL_PLANE_TEST_CHILD";

fn shared() -> &'static ControlPlane {
    ControlPlane::shared().unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn the_api_server_is_ready_and_has_the_version_of_go_mod() {
    let control_plane = shared();
    let client = control_plane.client().await.unwrap();
    let version = client.apiserver_version().await.unwrap().git_version;
    let namespaces = control_plane
        .kubectl(["get", "namespaces", "-o", "name"])
        .unwrap();

    assert!(namespaces.contains("namespace/default"), "{namespaces}");
    if env::var_os("KUBEBUILDER_ASSETS").is_none() {
        let line = format!("\tk8s.io/kubernetes {version} ");
        assert!(include_str!("../go.mod").contains(&line), "{version}");
    }
}

#[tokio::test]
async fn each_call_makes_a_namespace_of_its_own() {
    let one = shared().namespace("same").await.unwrap();
    let two = shared().namespace("same").await.unwrap();

    assert!(one.starts_with("same-") && two.starts_with("same-"));
    assert_ne!(one, two);
}

#[tokio::test]
async fn a_user_has_the_requested_name_and_all_requested_groups() {
    let kubeconfig = shared()
        .user_kubeconfig("Zoë (on call)", &["data", "on-call", "data:leads"])
        .unwrap();

    let user = who_is(&kubeconfig).await;

    assert_eq!(user.username.as_deref(), Some("Zoë (on call)"));
    assert_eq!(
        user.groups.unwrap(),
        ["data", "on-call", "data:leads", "system:authenticated"]
    );
}

#[tokio::test]
async fn a_user_may_do_nothing_until_rbac_says_so() {
    let control_plane = shared();
    let namespace = control_plane.namespace("rbac").await.unwrap();
    let kubeconfig = control_plane
        .user_kubeconfig("ada", &["readers", "writers"])
        .unwrap();
    let client = control_plane.client_for(&kubeconfig).await.unwrap();
    let config_maps: Api<ConfigMap> = Api::namespaced(client, &namespace);

    let before = config_maps.list(&ListParams::default()).await;
    allow(&["--group=readers"], &namespace);
    let after = until(|| async { config_maps.list(&ListParams::default()).await.ok() }).await;

    let kube::Error::Api(refusal) = before.unwrap_err() else {
        panic!("not refused by the API server");
    };
    assert_eq!(refusal.code, 403);
    assert!(refusal.message.contains(r#"User "ada""#), "{refusal:?}");
    assert!(after.items.is_empty());
}

#[tokio::test]
async fn the_token_of_a_service_account_is_real() {
    let control_plane = shared();
    let namespace = control_plane.namespace("tokens").await.unwrap();
    let kubeconfig = control_plane
        .service_account_kubeconfig(&namespace, "operator")
        .unwrap();
    // It already exists, which must not matter.
    control_plane
        .service_account_kubeconfig(&namespace, "operator")
        .unwrap();
    let client = control_plane.client_for(&kubeconfig).await.unwrap();
    let config_maps: Api<ConfigMap> = Api::namespaced(client, &namespace);

    let user = who_is(&kubeconfig).await;
    assert_eq!(
        user.username.unwrap(),
        format!("system:serviceaccount:{namespace}:operator")
    );
    assert!(config_maps.list(&ListParams::default()).await.is_err());
    allow(
        &[&format!("--serviceaccount={namespace}:operator")],
        &namespace,
    );
    until(|| async { config_maps.list(&ListParams::default()).await.ok() }).await;
}

#[tokio::test]
async fn kubectl_applies_documents_and_reports_what_the_api_server_refuses() {
    let control_plane = shared();
    let namespace = control_plane.namespace("apply").await.unwrap();
    let config_map = |name: &str| {
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: {namespace}}}}}"
        )
    };

    let two = format!("{}\n---\n{}\n", config_map("one"), config_map("two"));
    let output = control_plane.apply(&two).unwrap();
    let refusal = control_plane.apply(&config_map("Not-A-Name")).unwrap_err();

    assert_eq!(output, "configmap/one created\nconfigmap/two created\n");
    let stderr = refusal.stderr().expect("a failure of kubectl");
    assert!(stderr.contains("metadata.name: Invalid value"), "{stderr}");
}

#[tokio::test]
async fn admission_policies_are_enforced() {
    let control_plane = shared();
    let namespace = control_plane.namespace("admission").await.unwrap();
    control_plane
        .apply(&POLICY.replace("NAMESPACE", &namespace))
        .unwrap();
    let client = control_plane.client().await.unwrap();
    let config_maps: Api<ConfigMap> = Api::namespaced(client, &namespace);

    // A policy takes effect a little after it was made.
    let refusal = until(|| async {
        let mut config_map = ConfigMap::default();
        config_map.metadata.generate_name = Some("refused-".to_owned());
        config_maps
            .create(&PostParams::default(), &config_map)
            .await
            .err()
    });

    let refusal = refusal.await.to_string();
    assert!(refusal.contains("not in this namespace"), "{refusal}");
}

#[tokio::test]
async fn the_api_server_keeps_its_address_users_and_data_when_it_restarts() {
    let control_plane = ControlPlane::start().unwrap();
    let namespace = control_plane.namespace("kept").await.unwrap();
    let client = control_plane.client().await.unwrap();
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let mut config_map = ConfigMap::default();
    config_map.metadata.name = Some("kept".to_owned());
    config_map.data = Some(BTreeMap::from([("key".to_owned(), "value".to_owned())]));
    config_maps
        .create(&PostParams::default(), &config_map)
        .await
        .unwrap();
    let token = control_plane
        .service_account_kubeconfig(&namespace, "kept")
        .unwrap();
    let pids = control_plane.server_pids();

    control_plane.stop_apiserver();
    assert!(config_maps.get("kept").await.is_err());
    control_plane.start_apiserver().unwrap();

    let kept = config_maps.get("kept").await.unwrap();
    assert_eq!(kept.data, config_map.data);
    let user = who_is_at(&control_plane, &token).await;
    assert!(user.username.unwrap().ends_with(":kept"));
    assert_ne!(control_plane.server_pids(), pids);
}

#[tokio::test]
async fn a_paused_api_server_hangs_and_then_continues() {
    let control_plane = ControlPlane::start().unwrap();
    let client = control_plane.client().await.unwrap();

    control_plane.pause_apiserver().unwrap();
    let hangs = tokio::time::timeout(Duration::from_millis(300), client.apiserver_version()).await;
    control_plane.resume_apiserver().unwrap();

    assert!(hangs.is_err(), "it answered");
    client.apiserver_version().await.unwrap();
}

#[test]
fn a_dropped_control_plane_leaves_no_process_and_no_folder() {
    let control_plane = ControlPlane::start().unwrap();
    let folder = control_plane.folder().to_owned();
    let pids = control_plane.server_pids();
    assert!(folder.exists() && pids.len() == 2 && pids.iter().all(|pid| lives(*pid)));
    assert!(control_plane.logs_tail().contains("--- kube-apiserver"));

    drop(control_plane);

    assert!(!folder.exists());
    assert!(!pids.iter().any(|pid| lives(*pid)));
}

#[test]
fn a_killed_owner_leaves_no_process_and_no_folder() {
    killed_owner_leaves_nothing("running");
}

#[test]
fn a_killed_owner_leaves_no_process_even_if_the_api_server_is_paused() {
    killed_owner_leaves_nothing("paused");
}

#[test]
fn an_owner_that_exits_without_dropping_leaves_no_process_and_no_folder() {
    let mut owner = child("owner", "exits");
    let output = owner.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();

    assert!(output.status.success(), "{stdout}");
    gone(&stdout);
}

#[test]
fn an_incomplete_assets_folder_is_an_error_that_names_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("etcd"), "").unwrap();

    let output = child("failing_start", "yes")
        .env("KUBEBUILDER_ASSETS", folder.path())
        .output()
        .unwrap();

    let folder = folder.path().display();
    assert_says(
        &output,
        &format!("KUBEBUILDER_ASSETS is {folder}, but it lacks kube-apiserver, kubectl:"),
    );
}

#[test]
fn a_missing_go_is_an_error_that_says_what_to_install() {
    let empty = tempfile::tempdir().unwrap();

    let output = child("failing_start", "yes")
        .env_remove("KUBEBUILDER_ASSETS")
        .env("XDG_CACHE_HOME", empty.path())
        .env("PATH", empty.path())
        .output()
        .unwrap();

    assert_says(
        &output,
        "`go` is not in PATH. Install Go 1.26 or newer, or set KUBEBUILDER_ASSETS",
    );
}

/// Runs in a process of its own, and ends as the test requests.
#[test]
#[ignore = "started by other tests"]
fn owner() {
    let Ok(end) = env::var(CHILD) else { return };
    let control_plane = shared();
    if end == "paused" {
        control_plane.pause_apiserver().unwrap();
    }
    let pids: Vec<_> = control_plane.server_pids();
    println!("\nOWNER {} {pids:?}", control_plane.folder().display());
    if end == "exits" {
        return;
    }
    // Until it is killed, or, should the other test fail, until that one ends.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Runs in a process of its own, because it needs other environment variables.
#[test]
#[ignore = "started by other tests"]
fn failing_start() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let error: Error = ControlPlane::start().err().expect("it cannot start");
    println!("\n{error}");
}

/// One test of this file in a process of its own.
fn child(test: &str, role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(CHILD, role)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

fn killed_owner_leaves_nothing(role: &str) {
    let mut owner = child("owner", role).stdin(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(owner.stdout.take().unwrap());
    let report = stdout
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("OWNER"))
        .expect("the owner starts");
    assert!(report_of(&report).1.iter().all(|pid| lives(*pid)));

    owner.kill().unwrap(); // SIGKILL
    owner.wait().unwrap();

    gone(&report);
}

/// Waits until everything that the owner reported has ended.
fn gone(report: &str) {
    let (folder, pids) = report_of(report);
    assert_eq!(pids.len(), 2);
    let deadline = Instant::now() + Duration::from_secs(10);
    while folder.exists() || pids.iter().any(|pid| lives(*pid)) {
        assert!(Instant::now() < deadline, "still there: {report}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The folder and the process ids from the line that an owner writes.
fn report_of(stdout: &str) -> (PathBuf, Vec<u32>) {
    let line = stdout.lines().find_map(|line| line.strip_prefix("OWNER "));
    let (folder, pids) = line.expect(stdout).split_once(" [").expect(stdout);
    let pids = pids.trim_end_matches(']').split(", ");
    (
        folder.into(),
        pids.map(|pid| pid.parse().unwrap()).collect(),
    )
}

fn lives(pid: u32) -> bool {
    let status = Command::new("sh")
        .args(["-c", r#"kill -0 "$1" 2>/dev/null"#, "lives"])
        .arg(pid.to_string())
        .status();
    status.unwrap().success()
}

fn assert_says(output: &Output, expected: &str) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains(expected),
        "{stdout}"
    );
}

/// Lets a user or group read config maps in the namespace.
fn allow(subject: &[&str], namespace: &str) {
    let in_namespace = ["--namespace", namespace];
    let role = [
        "create",
        "role",
        "read",
        "--verb=list",
        "--resource=configmaps",
    ];
    let binding = ["create", "rolebinding", "read", "--role=read"];
    shared().kubectl(role.iter().chain(&in_namespace)).unwrap();
    shared()
        .kubectl(binding.iter().chain(&in_namespace).chain(subject))
        .unwrap();
}

async fn who_is(kubeconfig: &Path) -> UserInfo {
    who_is_at(shared(), kubeconfig).await
}

/// What the API server makes of the credentials.
async fn who_is_at(control_plane: &ControlPlane, kubeconfig: &Path) -> UserInfo {
    let client = control_plane.client_for(kubeconfig).await.unwrap();
    let review = Api::<SelfSubjectReview>::all(client)
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .unwrap();
    review.status.unwrap().user_info.unwrap()
}

/// Asks again until there is an answer: the API server acts on a new rule a little later.
async fn until<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "no answer in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const POLICY: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: NAMESPACE
spec:
  matchConstraints:
    resourceRules:
      - { apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps] }
  validations:
    - { expression: "false", message: not in this namespace }
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: NAMESPACE
spec:
  policyName: NAMESPACE
  validationActions: [Deny]
  matchResources:
    namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: NAMESPACE } }
"#;
