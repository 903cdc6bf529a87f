//! `kubectl wsp`: how policies are, what the operator does, and the answers to its proposals.

use std::process::ExitCode;

use warehouse_sync_operator::cli::{ANOTHER_PROVIDER, plugin::PluginCli, print_error};

fn main() -> ExitCode {
    // First: kube needs a crypto provider.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        print_error(ANOTHER_PROVIDER);
        return ExitCode::FAILURE;
    }
    let Some(command) = PluginCli::from_args() else {
        return ExitCode::SUCCESS;
    };
    match command.execute() {
        Ok(code) => code,
        Err(error) => {
            print_error(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
