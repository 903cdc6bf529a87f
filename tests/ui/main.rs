//! `kubectl wsp ui`: the real binary on a real API server, over HTTP and in a real Chromium.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::doc_markdown,
    reason = "a test that cannot continue has failed"
)]

mod actions;
mod browser;
mod chromium;
mod defences;
mod http;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../operator/support.rs"]
mod operator;
mod page;
mod pages;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../plugin/support.rs"]
mod support;
