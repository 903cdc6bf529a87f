//! Layer 2: the reconcile core against models of PostHog and the API server, in one thread, without sockets or real time.
//!
//! Each plan puts faults (a crash, a lost answer, a stale read, a second writer, …) at chosen effects of a scenario. The
//! oracle is the run without faults, plus invariants that hold in every plan.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue has failed"
)]

mod alive;
mod approvals;
mod arrival;
mod chain;
mod client;
mod cluster;
mod credentials;
mod denials;
mod diagnosis;
mod evidence;
mod export;
mod faults;
mod fix;
mod fleet;
mod gitops;
mod guards;
mod hidden;
mod hostile;
mod leadership;
mod look_alikes;
mod messages;
mod notifications;
mod other_policies;
mod plans;
mod properties;
mod proposals;
mod quota;
mod remediation;
mod remedies;
mod safety;
mod safety_properties;
mod scenarios;
mod sending;

mod status_texts;
mod strangers;
mod switched_off;
mod tenants;
mod transport;
mod unknown;
mod verdicts;
mod versions;
mod webhooks;
mod world;
mod writes;
