//! A real Kubernetes control plane for tests: etcd and kube-apiserver, run without root, containers
//! or a kubelet.
//!
//! [`ControlPlane`] is the way in. What it needs, how long it takes and how to bump versions is in
//! README.md.
//!
//! All functions that are not `async` block the thread. A test whose own tasks must continue during that time (an admission webhook that the API
//! server calls, for example) runs them on another thread.

mod clients;
mod control_plane;
mod error;
mod folder;
mod go_build;
mod guard;
mod kubeconfig;
mod kubectl;
mod pki;
mod servers;
mod tools;
mod user_certificate;
mod wait;

pub use control_plane::ControlPlane;
pub use error::Error;
pub use servers::Settings;
pub use tools::{
    argo_lua, flux_health, helm, krew, kube_state_metrics, kustomize_controller, node, promtool,
};
