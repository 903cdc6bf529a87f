//! The chart: the real helm renders and installs it on a real API server, and the operator runs with the rendered arguments.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::doc_markdown,
    reason = "a test that cannot continue has failed"
)]

mod deployed;
mod generated;
mod helm;
mod hub;
mod install;
mod installations;
mod pods;
mod render;
mod rights;
mod series;
mod values;

#[path = "../operator/people.rs"]
#[allow(dead_code, reason = "the tests of the operator use the rest")]
mod people;
#[path = "../operator/stuck_run.rs"]
mod stuck_run;
#[path = "../operator/support.rs"]
#[allow(dead_code, reason = "the tests of the operator use the rest")]
mod support;
