//! The demo leaves no process behind, however it ends.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use crate::support::wait_until;

/// A variable that every process of one demo inherits.
const MARK: &str = "WAREHOUSE_SYNC_DEMO_OF_TEST";

/// Command lines of running processes with this mark in their environment, or with `itself` as their id.
fn running(mark: &str) -> Vec<String> {
    let variable = format!("{MARK}={mark}");
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let marked = entries.map(|entry| entry.path()).filter(|path| {
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|one| one == variable.as_bytes())
    });
    let command = |path: PathBuf| fs::read(path.join("cmdline")).unwrap_or_default();
    let shown = marked.map(|path| String::from_utf8_lossy(&command(path)).replace('\0', " "));
    // A process that has ended and was not waited for has no command line.
    shown.filter(|line| !line.is_empty()).collect()
}

/// A demo, killed when dropped.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The demo, until its operator runs.
fn started(mark: &str) -> Demo {
    // Of a test in the background of a shell, or under nohup, it would inherit that signals are ignored.
    let demo = Command::new("env")
        .args(["--default-signal", env!("CARGO")])
        .args(["run", "--quiet", "--example", "demo", "--", "--keep"])
        .env(MARK, mark)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut demo = Demo(demo);
    let lines = BufReader::new(demo.0.stdout.as_mut().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    assert!(lines.any(|line| line.contains("kubectl get wsp -o wide --watch")));
    let is_operator = |line: &String| line.contains("warehouse-sync-operator run");
    wait_until("the operator", || {
        let all = running(mark);
        if all.iter().any(is_operator) {
            Ok(())
        } else {
            Err(format!("{all:#?}"))
        }
    });
    demo
}

#[test]
fn nothing_remains_of_the_demo_however_it_ends() {
    // To the demo alone, as `kill` and a supervisor do, and to its group, as a terminal does.
    for (signal, to_group) in [
        ("TERM", false),
        ("HUP", true),
        ("INT", true),
        ("KILL", false),
    ] {
        let mark = format!("{}-{signal}", std::process::id());
        let mut demo = started(&mark);
        let target = if to_group {
            format!("-{}", demo.0.id())
        } else {
            demo.0.id().to_string()
        };
        let sent = Command::new("sh")
            .args(["-c", r#"kill -s "$1" -- "$2""#, "signal", signal, &target])
            .status()
            .unwrap();
        assert!(sent.success());
        wait_until("the end of the demo", || {
            let ended = demo.0.try_wait().unwrap();
            ended.map(drop).ok_or_else(|| format!("{signal}: runs"))
        });
        wait_until("the end of all processes", || {
            let left = running(&mark);
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{signal}: {left:#?}"))
            }
        });
    }
}
