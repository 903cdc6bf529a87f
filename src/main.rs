//! The operator's binary.

use std::process::ExitCode;

use warehouse_sync_operator::cli::{CANNOT, Cli, complain};

fn main() -> ExitCode {
    // First of all: kube and reqwest must find one and the same crypto provider.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        complain("error: another crypto provider was installed before");
        return ExitCode::from(CANNOT);
    }
    match Cli::from_args().execute() {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
