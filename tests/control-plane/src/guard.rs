//! A process that ends when this one does, even if this one is killed.

use std::io::{self, BufRead, BufReader, PipeWriter};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::error::Error;

/// Appends the output of `"$@"` to the file `$1`, and ends it when stdin ends.
///
/// - stdin is a pipe that only the owner holds: the kernel closes it however the owner ends.
/// - stdout tells the owner the process id. The watcher starts before that is written, because if the owner has ended, the write ends this shell.
/// - stderr is the lease of the folder. The two shells hold it, not the process, so it ends after
///   the process has.
/// - SIGHUP is ignored: the kernel sends it to a group without an owner when a process in it is
///   paused.
const GUARD: &str = r#"
    trap '' HUP
    log=$1
    shift
    exec 3<&0 4>&2 2>>"$log"
    "$@" </dev/null >&2 3<&- 4>&- &
    process=$!
    exec 2>/dev/null
    { read -r _ <&3; kill -KILL "$process"; } &
    watcher=$!
    echo "$process"
    wait "$process"
    kill -KILL "$watcher"
    wait "$watcher"
"#;

/// A running process. Dropping it kills the process and waits until it has ended.
pub(crate) struct Guarded {
    guard: Child,
    pid: u32,
}

impl Guarded {
    /// Runs `command` (the program, then its arguments) with its output in the file `log`.
    pub(crate) fn spawn(command: &[String], log: &Path, lease: PipeWriter) -> Result<Self, Error> {
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(log)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(lease)
            .process_group(0) // Ctrl-C must end the owner only: this must live to clean up after it
            .spawn()
            .map_err(Error::io("run sh"))?;
        let pid = read_pid(guard.stdout.take())?;
        Ok(Self { guard, pid })
    }

    /// The id of the process (not of its guard).
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.guard.try_wait(), Ok(None))
    }

    /// Sends a signal, by the name that `kill` knows it by.
    pub(crate) fn signal(&self, name: &str) -> Result<(), Error> {
        // The shell's own `kill`: not every image has the program.
        let status = Command::new("sh")
            .args([
                "-c",
                r#"kill "-$1" "$2""#,
                "signal",
                name,
                &self.pid.to_string(),
            ])
            .status()
            .map_err(Error::io("run sh"))?;
        if status.success() {
            return Ok(());
        }
        let reason = io::Error::other(format!("kill ended with {status}"));
        Err(Error::io(format!("send SIG{name} to process {}", self.pid))(reason))
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // If it cannot be waited for, there is nothing left to do: it ends with its stdin in any
        // case.
        let _ = self.guard.wait();
    }
}

/// The first line that the guard writes.
fn read_pid(stdout: Option<ChildStdout>) -> Result<u32, Error> {
    let mut line = String::new();
    stdout
        .map_or(Ok(0), |stdout| BufReader::new(stdout).read_line(&mut line))
        .and_then(|_| line.trim().parse().map_err(io::Error::other))
        .map_err(Error::io("read the process id of a server"))
}
