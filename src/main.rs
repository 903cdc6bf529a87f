//! The operator's binary.

use std::process::ExitCode;

use warehouse_sync_operator::cli::{ANOTHER_PROVIDER, CANNOT, OperatorCli, print_error};

/// In place of musl's allocator, which has one lock for all threads.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // First: kube and reqwest must use the same crypto provider.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        print_error(ANOTHER_PROVIDER);
        return ExitCode::from(CANNOT);
    }
    match OperatorCli::from_args().execute() {
        Ok(code) => code,
        Err(error) => {
            print_error(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
