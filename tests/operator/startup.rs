//! Starting the operator before the cluster is ready: no answer, no rights, no CRD.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use control_plane::ControlPlane;
use serde_json::Value;

use crate::support::{Env, Operator, Plane, install_crd, put, wait_until};

const EMPTY: &str = "sources: []";

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// The text of a kubeconfig for an API server at another address.
fn kubeconfig_at(env: &Env, address: &str) -> PathBuf {
    let text = std::fs::read_to_string(&env.kubeconfig).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["clusters"][0]["cluster"]["server"] = format!("https://{address}").into();
    let path = env
        .plane
        .folder()
        .join(format!("{}.kubeconfig", env.namespace));
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// Waits until log and /readyz show what the operator waits for.
fn waits_visibly(operator: &Operator, what: &str) {
    operator.wait_for_log(what);
    wait_until("/readyz", || match operator.get("/readyz") {
        (503, body) if body.contains(what) => Ok(()),
        (status, body) => Err(format!("{status} {body}")),
    });
    assert_eq!(
        operator.get("/livez").0,
        200,
        "waiting is no reason to be killed"
    );
}

fn becomes_ready(operator: &Operator) {
    wait_until("readiness", || match operator.get("/readyz") {
        (200, _) => Ok(()),
        (status, body) => Err(format!("{status} {body}")),
    });
}

#[test]
fn every_flag_has_an_environment_variable() {
    let env = Env::new(EMPTY);
    let other = Env::new(EMPTY);
    let namespaces = format!("{},{}", env.namespace, other.namespace);
    let twins = [
        ("WAREHOUSE_SYNC_NAMESPACES", namespaces.as_str()),
        ("WAREHOUSE_SYNC_ALLOW_HTTP_LOOPBACK", "true"),
        (
            "WAREHOUSE_SYNC_ALLOWED_HOSTS",
            "localhost,ph.example.org:8443",
        ),
        ("WAREHOUSE_SYNC_LOG_FORMAT", "json"),
    ];
    // The ServiceAccount of the first has no rights in the second.
    let operator = Operator::start_with(&env.kubeconfig, &[], &twins);
    waits_visibly(&operator, &format!("in namespace {}", other.namespace));
    drop(operator);

    let operator = Operator::start_with(env.plane.admin_kubeconfig(), &[], &twins);
    becomes_ready(&operator);
    for env in [&env, &other] {
        env.apply(&env.policy("p", "")).unwrap();
        env.wait_for_reason("p", "Ready", "Polled");
    }
    let not_listed = env
        .policy("q", "")
        .replace(&env.posthog.url(), "https://q.example.org");
    let not_listed = not_listed.replace("2s, noProgressFor: 2s, loadingSilentFor: 4s", "6h");
    env.apply(&not_listed).unwrap();
    let status = env.wait_for_reason("q", "Ready", "HostNotAllowed");
    let said = &status.condition("Ready").unwrap().message;
    assert!(said.contains("localhost, ph.example.org:8443"), "{said}");
}

#[test]
fn each_line_of_a_json_log_is_an_object() {
    let env = Env::new(EMPTY);
    let operator = env.operator_with(&["--allow-http-loopback", "--log-format", "json"]);
    env.apply(&env.policy("p", "").replace("api-key}", "no-such-key}"))
        .unwrap();
    env.wait_for_reason("p", "Ready", "SecretKeyMissing");
    operator.wait_for_log("SecretKeyMissing");
    for line in operator.log().lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for field in ["timestamp", "level", "message"] {
            assert!(object[field].is_string(), "{field}: {line}");
        }
    }
}

#[test]
fn an_api_server_that_does_not_answer_is_waited_for() {
    let env = Env::new(EMPTY);
    let address = free_address();
    let kubeconfig = kubeconfig_at(&env, &address);
    let operator = Operator::start(&kubeconfig, &["--namespace", &env.namespace]);
    waits_visibly(
        &operator,
        &format!("the API server at https://{address} does not answer"),
    );
    let (ended, took) = operator.terminate();
    assert!(ended.success(), "{ended}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn without_rights_it_waits_and_continues_once_it_has_them() {
    let env = Env::new(EMPTY);
    let nobody = env
        .plane
        .service_account_kubeconfig(&env.namespace, "nobody")
        .unwrap();
    let operator = Operator::start(&nobody, &["--namespace", &env.namespace]);
    waits_visibly(&operator, "(403)");
    env.kubectl(&[
        "create",
        "rolebinding",
        "nobody",
        "--role=operator",
        &format!("--serviceaccount={}:nobody", env.namespace),
    ]);
    becomes_ready(&operator);

    let everywhere = Operator::start(&nobody, &[]);
    waits_visibly(&everywhere, "in all namespaces (403)");
}

/// The owner of a table is known only once all policies are.
#[test]
fn nothing_is_polled_before_the_policies_of_every_namespace_are_known() {
    let env = Env::new(EMPTY);
    env.apply(&env.policy("p", "")).unwrap();
    let other = Env::new(EMPTY);
    let role = |verbs: &str| {
        let rules = format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: operator}}, rules: [\
             {{apiGroups: [warehousesync.dev], resources: [warehousesyncpolicies], verbs: {verbs}}}, \
             {{apiGroups: [''], resources: [secrets], verbs: [get, list, watch]}}]}}"
        );
        other.apply(&rules).unwrap();
    };
    // Enough to check that it exists, but not for the first list of a watch.
    role("[list]");
    other.kubectl(&[
        "create",
        "rolebinding",
        "guest",
        "--role=operator",
        &format!("--serviceaccount={}:operator", env.namespace),
    ]);
    let both = ["--namespace", &other.namespace, "--allow-http-loopback"];
    let operator = env.operator_with(&both);
    let pending = format!(
        "the first list of policies in namespace {}",
        other.namespace
    );
    wait_until("the watch to be refused again and again", || {
        let metrics = operator.get("/metrics").1;
        let counter = "warehouse_sync_watch_failures_total ";
        let mut lines = metrics.lines();
        let refused = lines.find_map(|line| line.strip_prefix(counter)?.parse::<u32>().ok());
        let ready = operator.get("/readyz").1;
        (refused > Some(3) && ready.trim() == format!("pending: {pending}"))
            .then_some(())
            .ok_or(format!("{refused:?}, {ready}"))
    });
    let logged = operator.log().matches("a watch failed").count();
    assert_eq!(logged, 1, "the same failure is logged once");
    assert_eq!(env.count("GET", "external_data_sources"), 0);
    role("[get, list, watch]");
    env.wait_for_reason("p", "Ready", "Polled");
}

/// Ends a namespace with all that is in it, as the controllers of a cluster do; its roles first.
fn delete_namespace(env: &Env, namespace: &str) {
    let plane = &env.plane;
    for kind in ["rolebindings", "roles", "wsp", "secrets"] {
        plane
            .kubectl(["delete", kind, "--all", "-n", namespace])
            .unwrap();
    }
    plane
        .kubectl(["delete", "namespace", namespace, "--wait=false"])
        .unwrap();
    let path = format!("/api/v1/namespaces/{namespace}/finalize");
    let emptied = format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}, spec: {{finalizers: []}}}}"
    );
    put(
        plane,
        &["replace", "--raw", &path, "-f", "-"],
        &yaml_to_json(&emptied),
    )
    .unwrap();
}

fn yaml_to_json(yaml: &str) -> String {
    let value: Value = serde_saphyr::from_str(yaml).unwrap();
    value.to_string()
}

/// The account of `env` gets the rights in this namespace that the chart gives it in a listed one.
fn admit(env: &Env, namespace: &str) {
    let account = format!("--serviceaccount={}:operator", env.namespace);
    let plane = &env.plane;
    let bind = [
        "create",
        "rolebinding",
        "guest",
        "--role=operator",
        &account,
    ];
    plane
        .kubectl(bind.into_iter().chain(["-n", namespace]))
        .unwrap();
    let name = format!("names-{namespace}");
    let right = [
        "--verb=get",
        "--resource=namespaces",
        "--resource-name",
        namespace,
    ];
    plane
        .kubectl(["create", "clusterrole", &name].into_iter().chain(right))
        .unwrap();
    let role = format!("--clusterrole={name}");
    plane
        .kubectl(["create", "clusterrolebinding", &name, &role, &account])
        .unwrap();
}

#[test]
fn a_listed_namespace_that_is_deleted_does_not_stop_the_others() {
    let (env, other) = (Env::new(EMPTY), Env::new(EMPTY));
    let gone = &other.namespace;
    admit(&env, gone);
    env.apply(&env.policy("p", "")).unwrap();
    other.apply(&other.policy("q", "")).unwrap();
    let args = ["--namespace", gone, "--allow-http-loopback"];
    let operator = env.operator_with(&args);
    env.wait_for_reason("p", "Ready", "Polled");
    other.wait_for_reason("q", "Ready", "Polled");

    delete_namespace(&env, gone);
    let sentence = format!("namespace {gone} does not exist");
    let shows = |operator: &Operator| {
        operator.wait_for_log(&sentence);
        wait_until("/readyz to name it and to be ready", || {
            match operator.get("/readyz") {
                (200, body) if body.contains(&sentence) => Ok(()),
                (status, body) => Err(format!("{status} {body}")),
            }
        });
        let metric = format!("warehouse_sync_namespace_missing{{listed=\"{gone}\"}} 1");
        let metrics = operator.get("/metrics").1;
        assert!(metrics.contains(&metric), "{metrics}");
    };
    shows(&operator);
    let (ended, took) = operator.terminate();
    assert!(ended.success(), "{ended}");
    assert!(took < Duration::from_secs(20), "{took:?}");

    let operator = env.operator_with(&args);
    shows(&operator);
    env.apply(&env.policy("r", "")).unwrap();
    env.wait_for_reason("r", "Ready", "Polled");
    assert_eq!(operator.log().matches(&sentence).count(), 1);
    assert!(
        !operator.log().contains("a watch failed"),
        "{}",
        operator.log()
    );

    env.plane.kubectl(["create", "namespace", gone]).unwrap();
    operator.wait_for_log(&format!("namespace {gone} exists again"));
    wait_until(
        "the list of a namespace that the operator may not read",
        || match operator.get("/readyz") {
            (503, body) if body.contains(gone) => Ok(()),
            (status, body) => Err(format!("{status} {body}")),
        },
    );
    let (ended, took) = operator.terminate();
    assert!(ended.success(), "{ended}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// As templates render a missing value.
#[test]
fn an_empty_variable_is_the_same_as_none() {
    let env = Env::new(EMPTY);
    let empty = [("WAREHOUSE_SYNC_NAMESPACES", "")];
    let operator = Operator::start_with(&env.kubeconfig, &[], &empty);
    waits_visibly(&operator, "in all namespaces (403)");
}

#[test]
fn a_refused_token_is_reported() {
    let env = Env::new(EMPTY);
    let text = std::fs::read_to_string(&env.kubeconfig).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["users"][0]["user"]["token"] = "not-a-token".into();
    let path: &Path = &env.plane.folder().join(format!("{}.bad", env.namespace));
    std::fs::write(path, config.to_string()).unwrap();
    let operator = Operator::start(path, &["--namespace", &env.namespace]);
    waits_visibly(&operator, "(401)");
}

#[test]
fn a_crd_that_is_not_installed_is_waited_for() {
    // A separate control plane, because the other tests need the CRD.
    let plane = Plane::Own(Box::new(ControlPlane::start().unwrap()));
    let env = Env::on(plane, EMPTY);
    let operator = env.operator();
    waits_visibly(
        &operator,
        "warehouse-sync-operator crd | kubectl apply -f -",
    );
    install_crd(&env.plane);
    becomes_ready(&operator);
    env.apply(&env.policy("p", "")).unwrap();
    env.wait_for_reason("p", "Ready", "Polled");
}
