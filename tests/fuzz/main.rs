//! Any input: decoders and parsers of external input, fed with mutations of the seeds in `seeds/`.
//!
//! Each test runs its seeds and some thousand mutations. `FUZZ_SECONDS=1200 cargo test --release --test fuzz TARGET` runs one for as long
//! as that. An input that fails is made smaller and printed; put it into `seeds/` with the fix.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a test that cannot continue has failed, and prints the target and its input"
)]

mod fuzzer;
mod mutation;
mod targets;
