//! A stateful look-alike of PostHog's `external_data_sources` and `external_data_schemas` REST API,
//! and of as much of `query` as looks at synced tables.
//!
//! [`Simulator`] is the whole of it: a synchronous state machine with a virtual clock, without sockets, threads or
//! real time. A deterministic simulation calls [`Simulator::handle`]; [`Server`] puts the same thing behind HTTP.
//! The README of this crate lists what it imitates and what it does not.

#![allow(clippy::doc_markdown, reason = "PostHog is a name and no identifier")]

mod action;
mod arrival;
mod auth;
mod bulk;
mod cdc;
mod change;
mod clock;
mod column;
mod control;
mod copies;
mod data;
mod effect;
mod error;
mod extraction;
mod fault;
mod http;
mod id;
mod instance;
mod journal;
mod line;
mod listing;
mod load;
mod loading;
mod log_line;
mod message;
mod patch;
mod period;
mod plan_fields;
mod probe;
mod producer;
mod query;
mod queue;
mod refresh;
mod repair;
mod route;
mod row;
mod run;
mod scenario;
mod server;
mod settle;
mod simulator;
mod source_patch;
mod sql;
mod stage;
mod start;
mod state;
mod sync_type;
mod throttle;
mod times;
mod v3;
mod watchdog;
mod webhook;

pub use arrival::Arrival;
pub use cdc::CdcSpec;
pub use clock::Clock;
pub use column::Column;
pub use data::{DataSpec, Duplicates, Newest};
pub use effect::{Effect, EffectKind, Trigger};
pub use error::Error;
pub use fault::{Fault, FaultKind, Matches, Times};
pub use instance::{Api, InstanceSpec, Lines, Outage};
pub use journal::Logged;
pub use message::{Answer, Outcome, Partial, Request, Response};
pub use run::{Behaviour, OnCancel, RunPlan};
pub use scenario::{
    DeliveryLine, KeySpec, PastJob, RateLimits, RunInFlight, Scenario, SchemaSpec, SourceSpec,
};
pub use server::{Options, Server};
pub use simulator::Simulator;
pub use state::Status;
pub use v3::{
    Attempt, DeadWorkflow, Death, ExtractionFailure, LoadFailure, Phase, SlowPage, V3Plan,
};
pub use watchdog::{Harm, Violation, Watchdog};
