//! `kubectl wsp`: proposals that wait for a person's approval, and the answers to them.

use std::process::ExitCode;

use clap::Parser;
use warehouse_sync_operator::cli::{plugin::PluginCli, print_error};

/// The command failed or was refused.
const REFUSED: u8 = 1;

fn main() -> ExitCode {
    // First: kube needs a crypto provider.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        print_error("error: another crypto provider is already installed");
        return ExitCode::from(REFUSED);
    }
    match PluginCli::parse().execute() {
        Ok(code) => code,
        Err(error) => {
            print_error(&format!("error: {error}"));
            ExitCode::from(REFUSED)
        }
    }
}
