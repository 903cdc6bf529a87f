//! The operator beside another controller of the same shape, Flux's kustomize-controller: each lists and watches as many suspended objects and
//! reconciles each once, on the same API server, one after the other.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    net::TcpListener,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use posthog_simulator::Scenario;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    data::memory::Resident,
    operator::{Operator, Process, sum},
    say,
    stage::{AT_ONCE, Size, Stage, namespace},
    tenants::{page, serve},
};

/// Objects of a namespace, and tables of the project that its policies watch: one table for each policy.
const EACH: usize = 100;
/// Long enough that nothing is polled again during the measurement.
const INTERVAL: Duration = Duration::from_hours(12);
/// A process is idle when it took less of the processors than this, in seconds, for this many seconds in a row.
const IDLE: (f64, usize) = (0.1, 10);
/// How long a process may take to become idle.
const PATIENCE: Duration = Duration::from_mins(20);

/// What kustomize-controller watches: the group, the kind, and the plural. It accepts any content here, because nothing depends on the schema.
const KINDS: [(&str, &str, &str); 5] = [
    (
        "kustomize.toolkit.fluxcd.io",
        "Kustomization",
        "kustomizations",
    ),
    (
        "source.toolkit.fluxcd.io",
        "GitRepository",
        "gitrepositories",
    ),
    (
        "source.toolkit.fluxcd.io",
        "OCIRepository",
        "ocirepositories",
    ),
    ("source.toolkit.fluxcd.io", "Bucket", "buckets"),
    (
        "source.toolkit.fluxcd.io",
        "ExternalArtifact",
        "externalartifacts",
    ),
];

/// What one start took until the process was idle.
struct Start {
    memory: Resident,
    processor_seconds: f64,
}

/// Measures both, and returns a table.
pub fn measure(binary: &Path, objects: usize) -> String {
    let peer = control_plane::kustomize_controller().unwrap();
    let size = Size {
        policies: objects,
        tables: 0,
    };
    let stage = Stage::bare(&Scenario::default(), size, INTERVAL, binary);
    stage.runtime.block_on(async {
        create(&stage).await;
        // The first start writes to each object, the second to none.
        let mut starts = Vec::new();
        for start in ["first start", "restart"] {
            say(&format!("{start} of the operator"));
            let own = own(&stage).await;
            say(&format!("{start} of kustomize-controller"));
            starts.push((start, own, other(&stage, &peer).await));
        }
        render(objects, &starts)
    })
}

/// As many policies as Kustomizations, in the same namespaces.
async fn create(stage: &Stage) {
    for (group, kind, plural) in KINDS {
        stage.plane.apply(&crd(group, kind, plural)).unwrap();
        let name = format!("{plural}.{group}");
        stage.plane.wait_for_crd(&name).unwrap();
    }
    let host = serve(page(1, EACH, 30));
    let objects = stage.size.policies;
    for project in 0..objects.div_ceil(EACH) {
        stage.create_namespace(project).await.unwrap();
    }
    stream::iter(0..objects)
        .map(|object| create_pair(stage, &host, object))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
        .unwrap();
    say(&format!("{objects} objects of each kind are there"));
}

async fn create_pair(stage: &Stage, host: &str, object: usize) -> Result<(), kube::Error> {
    let (project, number) = (object / EACH, object % EACH);
    let key = json!({"name": "posthog", "key": "api-key"});
    let policy = json!({
        "suspend": true,
        "posthog": {"host": host, "projectId": project + 1, "apiKeySecretRef": key},
        "selector": {"schemas": {"include": [format!("*{number:06}x")]}},
    });
    stage.create_policy_with(project, number, policy).await?;
    let (group, kind, plural) = KINDS[0];
    let kind = GroupVersionKind::gvk(group, "v1", kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, plural);
    let spec = json!({
        "suspend": true, "interval": "12h", "path": "./deploy", "prune": true,
        "sourceRef": {"kind": "GitRepository", "name": "app"},
    });
    let object =
        DynamicObject::new(&format!("app-{number:03}"), &resource).data(json!({"spec": spec}));
    let api = Api::namespaced_with(stage.client.clone(), &namespace(project), &resource);
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}

fn crd(group: &str, kind: &str, plural: &str) -> String {
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = json!({
        "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": any, "status": any}}},
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "versions": [version],
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
        },
    })
    .to_string()
}

async fn own(stage: &Stage) -> Start {
    let operator: Operator = stage.operator(&[]).await;
    let reconciled = || operator.metric("warehouse_sync_reconciles_total", "outcome=\"ok\"");
    until_idle(&operator.process, stage.size.policies, reconciled).await
}

/// kustomize-controller with its default flags, but for its addresses.
async fn other(stage: &Stage, program: &Path) -> Start {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let address = free.unwrap().to_string();
    let log = stage.plane.folder().join("kustomize-controller.log");
    let mut command = Command::new(program);
    command
        .args(["--health-addr=127.0.0.1:0", "--log-level=error"])
        .arg(format!("--metrics-addr={address}"))
        .env("KUBECONFIG", stage.plane.admin_kubeconfig())
        .env("RUNTIME_NAMESPACE", "flux-system");
    let mut process = Process::start(&mut command, &log);
    sleep(Duration::from_secs(1)).await;
    let ended = process.ended();
    assert!(
        ended.is_none(),
        "{}",
        std::fs::read_to_string(log).unwrap_or_default()
    );
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let reconciled = || async {
        let answer = http.get(format!("http://{address}/metrics")).send().await;
        let page = match answer {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            // It does not listen yet.
            Err(_) => String::new(),
        };
        let name = "controller_runtime_reconcile_total";
        sum(&page, name, "result=\"success\"")
    };
    until_idle(&process, stage.size.policies, reconciled).await
}

/// Waits until each object was reconciled and the process is idle.
async fn until_idle<F>(process: &Process, objects: usize, reconciled: impl Fn() -> F) -> Start
where
    F: Future<Output = f64>,
{
    let began = Instant::now();
    let mut times = VecDeque::new();
    loop {
        sleep(Duration::from_secs(1)).await;
        times.push_back(process.processor_seconds());
        let (least, seconds) = IDLE;
        if times.len() > seconds {
            let before = times.pop_front().unwrap_or_default();
            let processor_seconds = times.back().copied().unwrap_or_default();
            let is_idle = processor_seconds - before < least;
            // Asked for only now: it takes time, too.
            if is_idle && reconciled().await >= objects as f64 {
                let memory = process.memory();
                say(&format!(
                    "{processor_seconds:.1} s of the processors; {memory:?}"
                ));
                return Start {
                    memory,
                    processor_seconds,
                };
            }
        }
        let took = began.elapsed();
        assert!(took < PATIENCE, "it is not idle after {took:?}");
    }
}

fn render(objects: usize, starts: &[(&str, Start, Start)]) -> String {
    let mut text = format!(
        "{objects} suspended objects each\n\n| figure | operator | kustomize-controller | ratio | goal |\n|---|---|---|---|---|\n"
    );
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    for (start, own, other) in starts {
        for (figure, own, other, unit, goal) in [
            (
                "resident memory when idle",
                mib(own.memory.now),
                mib(other.memory.now),
                "MiB",
                "≤ 0.25",
            ),
            (
                "most resident memory",
                mib(own.memory.peak),
                mib(other.memory.peak),
                "MiB",
                "–",
            ),
            (
                "processor time until idle",
                own.processor_seconds,
                other.processor_seconds,
                "s",
                "≤ 0.5",
            ),
        ] {
            let ratio = own / other;
            let _ = writeln!(
                text,
                "| {start}: {figure} | {own:.1} {unit} | {other:.1} {unit} | {ratio:.2} | {goal} |"
            );
        }
    }
    text
}
