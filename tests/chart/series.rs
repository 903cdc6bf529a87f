//! Metrics per policy: what the real kube-state-metrics makes of the chart's configuration, with the rights that the chart gives.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use control_plane::ControlPlane;
use serde_json::{Value, json};

use crate::{
    helm::{NAME, Release},
    render::{CHART, root},
    support::{put, wait_until},
};

/// A running kube-state-metrics; it ends with this.
struct KubeStateMetrics {
    process: Child,
    port: u16,
}

impl Drop for KubeStateMetrics {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl KubeStateMetrics {
    fn start(kubeconfig: &Path, config: &Path) -> Self {
        let free = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let (port, telemetry) = (free(), free());
        let process = Command::new(control_plane::kube_state_metrics().unwrap())
            .args([
                "--custom-resource-state-only",
                "--host=127.0.0.1",
                "--telemetry-host=127.0.0.1",
            ])
            .arg(format!("--port={port}"))
            .arg(format!("--telemetry-port={telemetry}"))
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!(
                "--custom-resource-state-config-file={}",
                config.display()
            ))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, port }
    }

    /// The samples: value by name and labels, without the labels that each has.
    fn samples(&self) -> Result<BTreeMap<String, f64>, String> {
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())?;
        let request = "GET /metrics HTTP/1.0\r\n\r\n";
        let mut answer = String::new();
        stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.read_to_string(&mut answer))
            .map_err(|error| error.to_string())?;
        let (_, text) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let common = "customresource_group=\"warehousesync.dev\",customresource_kind=\"WarehouseSyncPolicy\",customresource_version=\"v1alpha1\",";
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.replace(common, ""), value.parse().unwrap())
        });
        Ok(samples.collect())
    }
}

fn policy(name: &str, namespace: &str, suspend: bool) -> String {
    json!({
        "apiVersion": "warehousesync.dev/v1alpha1", "kind": "WarehouseSyncPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"suspend": suspend, "posthog": {"host": "https://us.posthog.com", "projectId": 1, "apiKeySecretRef": {"name": "s", "key": "k"}}},
    })
    .to_string()
}

fn proposal(id: char, phase: &str, created: &str) -> Value {
    json!({
        "id": format!("rs-{}", id.to_string().repeat(26)), "action": "Resync", "phase": phase,
        "target": {"projectId": 1, "source": "s", "sourceId": "x", "schema": "t", "schemaId": "i"},
        "steps": ["wipe"], "reason": "r", "impact": {"losesData": "Yes", "cost": "c"}, "approveCommand": "c", "denyCommand": "d",
        "message": "m", "createdAt": created, "expiresAt": "2026-12-01T00:00:00Z",
        "material": {
            "version": 1, "nonce": "", "policyUid": "", "action": "Resync", "steps": [], "host": "https://us.posthog.com",
            "projectId": 1, "sourceId": "x", "cause": "Stuck", "rule": ""
        },
    })
}

/// As the operator writes it.
fn status() -> Value {
    let condition = |type_: &str, status: &str, reason: &str| json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-10-01T00:00:00Z"});
    let findings = |cause: &str, severity: &str, count: i64| json!({"cause": cause, "severity": severity, "count": count});
    json!({"status": {
        "observedGeneration": 1,
        "conditions": [condition("Ready", "True", "Polled"), condition("Healthy", "Unknown", "HealthUnknown")],
        "summary": {
            "healthyOf": "3/5", "pendingApproval": 2, "sources": {"total": 1, "healthy": 0, "failing": 1},
            "schemas": {"total": 6, "healthy": 3, "running": 0, "stuck": 1, "failing": 1, "stale": 0, "disabled": 1, "billing": 0, "unknown": 0},
            "findings": [findings("Stuck", "Error", 1), findings("RateLimited", "Error", 4), findings("RateLimited", "Warning", 2)],
        },
        "proposals": [
            proposal('2', "Executing", "2026-10-01T00:00:00Z"),
            proposal('3', "AwaitingApproval", "2026-10-02T00:00:00Z"),
            proposal('4', "AwaitingApproval", "2026-10-03T00:00:00Z"),
        ],
    }})
}

const EXPECTED: [(&str, f64); 17] = [
    (
        r#"condition_info{namespace="team-a",policy="prod",reason="Polled",status="True",type="Ready"}"#,
        1.0,
    ),
    (
        r#"condition_info{namespace="team-a",policy="prod",reason="HealthUnknown",status="Unknown",type="Healthy"}"#,
        1.0,
    ),
    (r#"suspended{namespace="team-a",policy="prod"}"#, 0.0),
    (r#"suspended{namespace="team-b",policy="new"}"#, 1.0),
    (
        r#"schemas{namespace="team-a",policy="prod",verdict="total"}"#,
        6.0,
    ),
    (
        r#"schemas{namespace="team-a",policy="prod",verdict="healthy"}"#,
        3.0,
    ),
    (
        r#"schemas{namespace="team-a",policy="prod",verdict="running"}"#,
        0.0,
    ),
    (
        r#"schemas{namespace="team-a",policy="prod",verdict="stuck"}"#,
        1.0,
    ),
    (
        r#"schemas{namespace="team-a",policy="prod",verdict="failing"}"#,
        1.0,
    ),
    (
        r#"schemas{namespace="team-a",policy="prod",verdict="stale"}"#,
        0.0,
    ),
    (
        r#"schemas{namespace="team-a",policy="prod",verdict="disabled"}"#,
        1.0,
    ),
    (
        r#"schemas{namespace="team-a",policy="prod",verdict="billing"}"#,
        0.0,
    ),
    (
        r#"schemas{namespace="team-a",policy="prod",verdict="unknown"}"#,
        0.0,
    ),
    (
        r#"findings{cause="Stuck",namespace="team-a",policy="prod",severity="Error"}"#,
        1.0,
    ),
    (
        r#"findings{cause="RateLimited",namespace="team-a",policy="prod",severity="Error"}"#,
        4.0,
    ),
    (
        r#"findings{cause="RateLimited",namespace="team-a",policy="prod",severity="Warning"}"#,
        2.0,
    ),
    (
        r#"proposals_waiting{namespace="team-a",policy="prod"}"#,
        2.0,
    ),
];

#[test]
fn kube_state_metrics_makes_metrics_per_policy_with_the_rights_of_the_chart() {
    let plane = ControlPlane::start().unwrap_or_else(|error| panic!("{error}"));
    for namespace in ["team-a", "team-b", "monitoring", "data-platform"] {
        plane.kubectl(["create", "namespace", namespace]).unwrap();
    }
    Release::new(&plane).install(&[
        "clusterWide=true",
        // Statuses are written by the test.
        "admissionPolicies.install=false",
        "kubeStateMetrics.enabled=true",
        "kubeStateMetrics.serviceAccount.name=ksm",
        "kubeStateMetrics.serviceAccount.namespace=monitoring",
    ]);
    for (name, namespace, suspend) in [("prod", "team-a", false), ("new", "team-b", true)] {
        wait_until("the CRD to be served", || {
            let applied = plane.apply(&policy(name, namespace, suspend));
            applied.map_err(|error| error.to_string())
        });
    }
    // What Artifact Hub shows as an example.
    let chart = fs::read_to_string(root().join(CHART).join("Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&chart).unwrap();
    let example = chart["annotations"]["artifacthub.io/crdsExamples"]
        .as_str()
        .unwrap();
    let example: Value = serde_saphyr::from_str(example).unwrap();
    let dry = [
        "create",
        "--dry-run=server",
        "-n",
        "data-platform",
        "-f",
        "-",
    ];
    put(&plane, &dry, &example[0].to_string()).unwrap();

    let patch = status().to_string();
    plane
        .kubectl([
            "patch",
            "wsp",
            "prod",
            "-n",
            "team-a",
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ])
        .unwrap();

    let config = plane
        .kubectl([
            "get",
            "configmap",
            &format!("{NAME}-kube-state-metrics"),
            "-n",
            "monitoring",
            "-o",
            r"jsonpath={.data.config\.yaml}",
        ])
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    fs::write(&file, config).unwrap();
    let account = plane
        .service_account_kubeconfig("monitoring", "ksm")
        .unwrap();
    let program = KubeStateMetrics::start(&account, &file);

    let mut expected: BTreeMap<String, f64> = EXPECTED
        .iter()
        .map(|(series, value)| (format!("warehouse_sync_policy_{series}"), *value))
        .collect();
    let oldest = r#"warehouse_sync_policy_oldest_proposal_timestamp_seconds{namespace="team-a",policy="prod"}"#;
    let created: jiff::Timestamp = "2026-10-02T00:00:00Z".parse().unwrap();
    expected.insert(oldest.to_owned(), created.as_duration().as_secs_f64());
    wait_until("the metrics of both policies", || {
        let samples = program.samples()?;
        if samples == expected {
            return Ok(());
        }
        Err(format!("{samples:#?}\nexpected {expected:#?}"))
    });

    plane
        .kubectl(["delete", "wsp", "prod", "-n", "team-a"])
        .unwrap();
    wait_until("the metrics of a deleted policy to end", || {
        let samples = program.samples()?;
        if samples.keys().all(|series| series.contains("team-b")) {
            return Ok(());
        }
        Err(format!("{samples:#?}"))
    });
}

/// The rows of docs/metrics.md against the configuration, as a test beside the code does with those of the operator.
#[test]
fn every_metric_per_policy_is_in_the_documentation_with_its_labels() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let config: Value = serde_saphyr::from_str(&read(
        "charts/warehouse-sync-operator/files/kube-state-metrics.yaml",
    ))
    .unwrap();
    let resource = &config["spec"]["resources"][0];
    let names = |value: &Value| -> BTreeSet<String> {
        value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect()
    };
    let metrics = resource["metrics"].as_array().unwrap();
    let configured: BTreeMap<String, BTreeSet<String>> = metrics
        .iter()
        .map(|metric| {
            let how = names(&metric["each"])
                .into_iter()
                .find(|name| name != "type")
                .unwrap();
            let each = &metric["each"][how];
            let mut labels = names(&resource["labelsFromPath"]);
            labels.extend(names(&each["labelsFromPath"]));
            labels.extend(each["labelFromKey"].as_str().map(str::to_owned));
            let prefix = resource["metricNamePrefix"].as_str().unwrap();
            (
                format!("{prefix}_{}", metric["name"].as_str().unwrap()),
                labels,
            )
        })
        .collect();
    let docs = read("docs/metrics.md");
    let documented: BTreeMap<String, BTreeSet<String>> = docs
        .lines()
        .filter(|line| line.starts_with("| `warehouse_sync_policy_"))
        .map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            let quoted = |cell: &str| -> Vec<String> {
                cell.split('`')
                    .skip(1)
                    .step_by(2)
                    .map(str::to_owned)
                    .collect()
            };
            (
                quoted(cells[0])[0].clone(),
                quoted(cells[2]).into_iter().collect(),
            )
        })
        .collect();
    assert_eq!(documented, configured, "docs/metrics.md has drifted");
}
