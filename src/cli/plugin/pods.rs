//! Whether the operator's pods are ready, and what they still wait for: each says so at `/readyz`.

use axum::http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};

use super::{PluginError, cluster::Cluster};

/// How the chart and `deploy/` label the pods.
const PODS: &str = "app.kubernetes.io/name=warehouse-sync-operator";

/// A pod, and what it answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Namespace and name.
    pub pod: String,
    pub said: PodReadiness,
}

/// What a pod answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PodReadiness {
    /// It is ready; what follows `ok`.
    Ready(String),
    /// It is not, because of this.
    Pending(String),
    /// It cannot be asked, for this reason.
    Unknown(String),
}

/// Asks every pod of the operator.
pub(super) async fn ask(cluster: &Cluster) -> Result<Vec<Answer>, PluginError> {
    let api: Api<Pod> = Api::all(cluster.client.clone());
    let pods = api.list(&ListParams::default().labels(PODS)).await;
    let pods = pods.map_err(PluginError::kubernetes("list the operator's pods"))?;
    let mut answers = Vec::new();
    for pod in pods {
        // The pod of `helm test` has ended and serves nothing.
        if let Some(port) = port(&pod) {
            answers.push(Answer {
                pod: format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()),
                said: readyz(cluster, &pod, port).await,
            });
        }
    }
    Ok(answers)
}

/// The port of its metrics, where it serves its readiness too.
fn port(pod: &Pod) -> Option<i32> {
    let containers = &pod.spec.as_ref()?.containers;
    let mut ports = containers.iter().flat_map(|one| one.ports.iter().flatten());
    let metrics = ports.find(|port| port.name.as_deref() == Some("metrics"))?;
    Some(metrics.container_port)
}

/// Through the API server, which also reaches a pod that is not ready.
async fn readyz(cluster: &Cluster, pod: &Pod, port: i32) -> PodReadiness {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy/readyz");
    let request = match Request::get(path).body(Vec::new()) {
        Ok(request) => request,
        Err(error) => return PodReadiness::Unknown(error.to_string()),
    };
    match cluster.direct.request_text(request).await {
        Ok(text) => PodReadiness::Ready(text.trim_start_matches("ok").trim().to_owned()),
        Err(kube::Error::Api(status)) if status.message.starts_with("pending: ") => {
            PodReadiness::Pending(status.message.trim().to_owned())
        }
        Err(error) => {
            let error = PluginError::kubernetes(format!("ask the pod {namespace}/{name}"))(error);
            PodReadiness::Unknown(error.to_string())
        }
    }
}
