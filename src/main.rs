//! The operator's binary.

use std::process::ExitCode;

use warehouse_sync_operator::cli::Cli;

fn main() -> ExitCode {
    // First of all: kube and reqwest must find one and the same crypto provider.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("error: another crypto provider was installed before");
        return ExitCode::FAILURE;
    }
    match Cli::from_args().execute() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
