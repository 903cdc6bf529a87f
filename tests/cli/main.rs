//! The commands that need no cluster, as a person runs them: the real binary against a simulated PostHog over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue has failed"
)]

mod diagnose;
mod explain;
mod reports;

use std::{
    io::Write,
    process::{Child, Command, Output, Stdio},
    thread::JoinHandle,
};

/// The result of a run of the binary.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    /// The output without the line breaks for the width.
    fn words(&self) -> String {
        let both = format!("{} {}", self.out, self.err);
        both.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The binary, in an environment without an API key and without variables for colours.
fn binary(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warehouse-sync-operator"));
    for name in ["POSTHOG_API_KEY", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.args(args);
    command
}

fn run(command: &mut Command, input: &[u8]) -> Ran {
    let mut child = started(command);
    let writer = writes(&mut child, input);
    ended(child, writer)
}

/// Runs `command` with its output going to a reader that has already ended.
fn run_with_closed_reader(command: &mut Command, input: &[u8], close: fn(&mut Child)) -> Ran {
    let mut child = started(command);
    close(&mut child);
    let writer = writes(&mut child, input);
    ended(child, writer)
}

/// Runs `command` with its output going to a disk without space.
fn full_disk(command: &mut Command, input: &[u8]) {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let writer = writes(&mut child, input);
    let ran = ended(child, writer);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(
        ran.err.starts_with("error: cannot write the output: ") && ran.err.lines().count() == 1,
        "{}",
        ran.err
    );
}

fn started(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Writes on another thread: both pipes may fill up.
fn writes(child: &mut Child, input: &[u8]) -> JoinHandle<()> {
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    std::thread::spawn(move || {
        // A child that ends early reads no more.
        let _ = stdin.write_all(&input);
    })
}

fn ended(child: Child, writer: JoinHandle<()>) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ran {
        code: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}
