//! `kubectl wsp` as a person runs it: the real binary, by itself and through the real kubectl, on a real API server and on
//! files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue has failed"
)]

mod acts;
mod answers;
mod commands;
mod completion;
mod doctor;
mod files;
mod files_properties;
mod guarded;
mod krew;
mod requests;
mod status;
mod support;
mod tables;
