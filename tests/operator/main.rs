//! Layers 3 and 4: the real binary against a real etcd and kube-apiserver, real kubectl, and the simulator over real HTTP.
//!
//! Every test has a namespace, a simulator and an operator process of its own; the control plane is shared.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::doc_markdown,
    reason = "a test that cannot go on has failed"
)]

mod admission;
mod api_server;
mod approval_guard;
#[path = "../repository/blocks.rs"]
mod blocks;
mod canary;
mod conditions;
mod crd;
mod crd_refusals;
mod credentials;
mod diagnosis;
mod flags;
mod frozen;
mod garbage;
mod gitops;
mod hung_run;
mod leadership;
mod leftovers;
mod letters;
mod lifecycle;
mod main_job;
mod metrics;
mod networks;
mod notifications;
mod pages;
mod people;
mod rbac;
mod receiver;
mod remediation;
mod roads;
mod sharing;
mod silent_run;
mod startup;
mod story;
mod support;
