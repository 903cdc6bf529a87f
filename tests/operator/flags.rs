//! Flags, their environment variables, and the errors of wrong ones.

use std::{
    net::TcpListener,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::DEADLINE;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warehouse-sync-operator"));
    command
        .env_remove("RUST_LOG")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("KUBECONFIG", "/nonexistent/kubeconfig")
        .stdin(Stdio::null());
    command
}

/// Runs a command that must exit without a signal.
fn ends(command: &mut Command) -> Output {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{command:?} went on: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// Exit code and standard error of `run` with these flags.
fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = ends(program().arg("run").args(args));
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[test]
fn without_a_cluster_it_exits_and_says_where_it_searched() {
    let home = std::env::temp_dir().join(format!("no-kubeconfig-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    for kubeconfig in [Some("/nonexistent/kubeconfig"), None] {
        let mut command = program();
        command
            .args(["run", "--bind", "127.0.0.1:0"])
            .env("HOME", &home);
        match kubeconfig {
            Some(path) => command.env("KUBECONFIG", path),
            None => command.env_remove("KUBECONFIG"),
        };
        let output = ends(&mut command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("error: ") && said.contains("Set KUBECONFIG"),
            "{said}"
        );
    }
    std::fs::remove_dir_all(home).unwrap();
}

#[test]
fn wrong_flags_exit_with_2_and_say_what_is_allowed() {
    let rows: [(&[&str], &str); 15] = [
        (&["--time-factor", "5"], "--allow-http-loopback"),
        (
            &[
                "--time-factor",
                "5",
                "--allow-http-loopback",
                "--allowed-host",
                "us.posthog.com",
            ],
            "every --allowed-host and --allowed-notify-host must be a loopback address",
        ),
        (&["--time-factor", "0"], "1..=100000"),
        (&["--allowed-host", "https://x/"], "HOST or HOST:PORT"),
        (&["--allowed-host", "x/path"], "HOST or HOST:PORT"),
        (
            &["--allowed-notify-host", "https://x/"],
            "HOST or HOST:PORT",
        ),
        (&["--bind", "nonsense"], "ADDRESS:PORT"),
        (&["--log-format", "xml"], "human, json"),
        (
            &["--lease-name", "a/b"],
            "lower-case letters, digits and dashes",
        ),
        (
            &["--lease-namespace", "A"],
            "lower-case letters, digits and dashes",
        ),
        (&["--quota-share", "0"], "1..=100"),
        (&["--quota-share", "101"], "1..=100"),
        (&["--max-tables-per-project", "0"], "1..=10000000"),
        (&["--max-tables", "0"], "1..=100000000"),
        (&["--nonsense"], "--nonsense"),
    ];
    for (args, allowed) in rows {
        let (code, said) = run(args);
        assert_eq!(code, Some(2), "{args:?}: {said}");
        assert!(
            said.contains(allowed),
            "{args:?}: {allowed} is missing in {said}"
        );
    }
}

/// A log collector parses each line, and the last one says why a container ended.
#[test]
fn what_prevents_a_start_is_an_object_in_a_json_log() {
    let rows: [(&[&str], &str, i32, &str); 3] = [
        (
            &["--ca-file", "/nonexistent/ca.crt"],
            "info",
            2,
            "/nonexistent/ca.crt",
        ),
        (&[], "[[[", 2, "RUST_LOG is not a filter"),
        (&["--bind", "127.0.0.1:0"], "info", 1, "Set KUBECONFIG"),
    ];
    for (args, filter, code, why) in rows {
        let output = ends(
            program()
                .args(["run", "--log-format", "json"])
                .args(args)
                .env("RUST_LOG", filter),
        );
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        let objects: Vec<Value> = said
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        let last = objects.last().unwrap();
        assert_eq!(last["level"], "ERROR", "{said}");
        assert!(last["message"].as_str().unwrap().contains(why), "{said}");
    }
}

#[test]
fn an_invalid_log_filter_is_an_error() {
    let output = ends(program().arg("run").env("RUST_LOG", "[[["));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("RUST_LOG") && said.contains("info"), "{said}");
}

/// The operator would watch it forever and never find a policy in it.
#[test]
fn a_name_that_no_namespace_can_have_is_refused() {
    for name in ["Not_A_Namespace", "a/b"] {
        let (code, said) = run(&["--namespace", name, "--bind", "127.0.0.1:0"]);
        assert_eq!(code, Some(2), "{name}: {said}");
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let by_flag = ends(program().args(["run", "--bind", &address]));
    let by_variable = ends(program().arg("run").env("WAREHOUSE_SYNC_BIND", &address));
    for output in [by_flag, by_variable] {
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&address) && said.contains("--bind"), "{said}");
    }
}

#[test]
fn help_names_every_flag_and_its_variable_and_no_switch_for_tests() {
    let help = String::from_utf8(ends(program().args(["run", "--help"])).stdout).unwrap();
    for (flag, variable) in [
        ("--namespace", "WAREHOUSE_SYNC_NAMESPACES"),
        ("--allowed-host", "WAREHOUSE_SYNC_ALLOWED_HOSTS"),
        (
            "--allowed-notify-host",
            "WAREHOUSE_SYNC_ALLOWED_NOTIFY_HOSTS",
        ),
        (
            "--allow-http-loopback",
            "WAREHOUSE_SYNC_ALLOW_HTTP_LOOPBACK",
        ),
        ("--ca-file", "WAREHOUSE_SYNC_CA_FILE"),
        ("--bind", "WAREHOUSE_SYNC_BIND"),
        ("--lease-namespace", "WAREHOUSE_SYNC_LEASE_NAMESPACE"),
        ("--lease-name", "WAREHOUSE_SYNC_LEASE_NAME"),
        ("--quota-share", "WAREHOUSE_SYNC_QUOTA_SHARE"),
        (
            "--max-tables-per-project",
            "WAREHOUSE_SYNC_MAX_TABLES_PER_PROJECT",
        ),
        ("--max-tables", "WAREHOUSE_SYNC_MAX_TABLES"),
        ("--log-format", "WAREHOUSE_SYNC_LOG_FORMAT"),
    ] {
        assert!(
            help.contains(flag) && help.contains(variable),
            "{flag}: {help}"
        );
    }
    assert!(!help.to_lowercase().contains("time-factor"), "{help}");
    assert!(!help.contains("TIME_FACTOR"), "{help}");

    let top = String::from_utf8(ends(program().arg("--help")).stdout).unwrap();
    assert!(top.contains("run") && top.contains("crd"), "{top}");
    let version = ends(program().arg("--version"));
    let expected = concat!("warehouse-sync-operator ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);
}

#[test]
fn the_crd_can_be_piped_to_a_reader_that_stops_early() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = program()
        .arg("crd")
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn();
    let output = child.unwrap().wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
