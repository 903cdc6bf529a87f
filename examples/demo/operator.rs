//! The operator's process, which ends with the demo, also after a signal that the demo cannot handle.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Runs `"$@"`, and ends it when stdin ends. Only the demo holds that pipe, so the kernel closes it however the demo ends: by
/// Ctrl-C, SIGTERM, a closed terminal, SIGKILL. SIGHUP is ignored: a closed terminal must not end the guard first.
const GUARD: &str = r#"
    trap '' HUP
    exec 3<&0
    "$@" </dev/null 3<&- &
    process=$!
    exec 2>/dev/null
    { read -r _ <&3; kill -KILL "$process"; } &
    watcher=$!
    exec 3<&-
    wait "$process"
    kill -KILL "$watcher"
    wait "$watcher"
"#;

/// A running operator.
pub struct Operator(Child);

impl Operator {
    /// Starts the operator with these arguments.
    pub fn start(binary: &Path, args: &[&str], kubeconfig: &Path) -> io::Result<Self> {
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(binary)
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::piped())
            // Ctrl-C ends the demo only: the guard must live to end the operator.
            .process_group(0)
            .spawn()?;
        Ok(Self(guard))
    }

    /// Waits until it has ended by itself.
    pub fn wait(mut self) -> io::Result<()> {
        // `Child::wait` closes stdin, which would end it.
        let stdin = self.0.stdin.take();
        self.0.wait()?;
        drop(stdin);
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // If it cannot be waited for, it ends anyway.
        let _ = self.0.wait();
    }
}
