//! `kubectl wsp`: what waits for a person's approval, and the answers.

use std::process::ExitCode;

use clap::Parser;
use warehouse_sync_operator::cli::{complain, plugin::PluginCli};

/// What was asked for could not be done, or was refused.
const REFUSED: u8 = 1;

fn main() -> ExitCode {
    // First of all: kube must find a crypto provider.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        complain("error: another crypto provider was installed before");
        return ExitCode::from(REFUSED);
    }
    match PluginCli::parse().execute() {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(REFUSED)
        }
    }
}
