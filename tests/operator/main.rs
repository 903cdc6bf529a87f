//! Layers 3 and 4: the real binary against a real etcd and kube-apiserver, real kubectl, and the simulator over real HTTP.
//!
//! Every test has its own namespace, simulator and operator process; the control plane is shared.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::doc_markdown,
    reason = "a test that cannot continue has failed"
)]

mod admission;
mod api_server;
mod approval_guard;
#[path = "../repository/blocks.rs"]
mod blocks;
mod conditions;
mod crd;
mod crd_refusals;
mod credentials;
mod demo;
mod diagnosis;
mod ended_entries;
mod faulty_answers;
mod flags;
mod frozen;
mod gitops;
mod key_secrecy;
mod leadership;
mod lifecycle;
mod log;
mod main_job;
mod metrics;
mod networks;
mod notifications;
mod pages;
mod people;
mod rbac;
mod receiver;
mod remediation;
mod runbook;
mod sharing;
mod silent_run;
mod startup;
mod stuck_run;
mod support;
mod tls_and_proxy;
