//! The commands that need no cluster, as a person runs them: the real binary against a simulated PostHog over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod diagnose;
mod explain;

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

/// What came of a run of the binary.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// The binary, in an environment without an API key and without colours of its own.
fn binary(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warehouse-sync-operator"));
    command.args(args).env_remove("POSTHOG_API_KEY");
    command
}

fn run(command: &mut Command, input: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // On a thread of its own: both pipes may fill up.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let _ = writer.join();
    Ran {
        code: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}
