//! Facts about the simulated PostHog, each of them one about PostHog.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its ground gives way"
)]
#![allow(clippy::doc_markdown, reason = "PostHog is a name and no identifier")]

mod access;
mod actions;
mod cancel;
mod cdc;
mod config;
mod control;
mod copies;
mod faults;
mod full;
mod http;
mod listing;
mod old;
mod query;
mod reload;
mod rows;
mod runs;
mod scenarios;
mod source_writes;
mod sources;
mod sync_type;
mod v3;
mod v3_writes;
mod webhook;
mod world;
