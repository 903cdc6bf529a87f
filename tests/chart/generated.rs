//! Generated and duplicated content has not drifted.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;

use crate::{
    helm::{chart, documents, only, render},
    render::{CHART, Generated, crd, deploy, readme, root},
};

#[test]
fn the_generated_manifests_match_the_chart_and_the_program() {
    let helm = control_plane::helm().unwrap();
    let files: Vec<Generated> =
        [crd().unwrap(), readme().unwrap(), deploy(&helm).unwrap()].concat();
    for (path, content) in files {
        let there = fs::read_to_string(root().join(&path)).unwrap_or_default();
        assert!(
            there == content,
            "{} has drifted: cargo run --example render",
            path.display()
        );
    }
}

/// The list of templates of each file is maintained by hand.
#[test]
fn deploy_contains_everything_that_helm_would_install() {
    let name = |object: &Value| {
        let metadata = &object["metadata"];
        format!("{} {}", object["kind"], metadata["name"]).replace("wso-", "")
    };
    let chart = render(&[]).iter().map(name).collect::<BTreeSet<_>>();
    let helm = control_plane::helm().unwrap();
    let files = deploy(&helm).unwrap().into_iter();
    let texts = files.filter(|(path, _)| !path.ends_with("kustomization.yaml"));
    let deployed: BTreeSet<String> = texts
        .flat_map(|(_, yaml)| documents(&yaml))
        .map(|object| name(&object))
        .collect();
    let missing: Vec<_> = chart.difference(&deployed).collect();
    assert_eq!(
        missing,
        [
            // Hooks of helm.
            r#""Lease" "warehouse-sync-operator""#,
            r#""Pod" "warehouse-sync-operator-test-image""#,
        ],
        "name its template in tests/chart/render.rs"
    );
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let text = fs::read_to_string(root().join(CHART).join("Chart.yaml")).unwrap();
    let chart = &documents(&text)[0];
    for field in ["version", "appVersion"] {
        assert_eq!(
            chart[field],
            env!("CARGO_PKG_VERSION"),
            "{CHART}/Chart.yaml: {field} must be the version in Cargo.toml"
        );
    }
}

/// The values in a file, by path: `image.tag`. An empty map or a list is one value.
fn leaves(prefix: &str, value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Object(fields) if !fields.is_empty() && !is_one_value(prefix) => fields
            .iter()
            .flat_map(|(name, value)| {
                let dot = if prefix.is_empty() { "" } else { "." };
                leaves(&format!("{prefix}{dot}{name}"), value)
            })
            .collect(),
        other => vec![(prefix.to_owned(), other.clone())],
    }
}

/// Passed on unchanged.
fn is_one_value(path: &str) -> bool {
    ["resources.requests", "resources.limits", "dashboard.labels"].contains(&path)
}

#[test]
fn every_value_is_in_the_documentation_with_its_default() {
    let values = fs::read_to_string(root().join(CHART).join("values.yaml")).unwrap();
    let docs = fs::read_to_string(root().join("docs/install.md")).unwrap();
    let table = docs.split("## Values").nth(1).unwrap();
    let rows: Vec<(&str, &str)> = table
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            Some((cells.next()?.strip_suffix('`')?, cells.next()?))
        })
        .collect();
    let mut known = BTreeSet::new();
    for (path, default) in leaves("", &documents(&values)[0]) {
        let row = format!("| `{path}` | `{default}` |");
        assert!(
            rows.contains(&(&*path, &*format!("`{default}`"))),
            "docs/install.md lacks a row of the table of values that begins with: {row}"
        );
        known.insert(path);
    }
    for (path, _) in rows {
        assert!(
            known.contains(path),
            "docs/install.md lists {path}, which is no value"
        );
    }
}

/// The flags in `run --help`.
fn flags() -> BTreeSet<String> {
    let program = env!("CARGO_BIN_EXE_warehouse-sync-operator");
    let help = Command::new(program).args(["run", "--help"]).output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    help.lines()
        .filter_map(|line| line.trim_start().strip_prefix("--")?.split(' ').next())
        .map(|flag| format!("--{flag}"))
        .collect()
}

#[test]
fn every_flag_of_the_operator_can_be_set_by_a_value() {
    let objects = render(&[
        "allowedHosts={posthog.example.com:8443}",
        "allowedNotifyHosts={hooks.example.com}",
        "ca.secret=authority",
        "requireVerifiedApprovals=true",
        "verifiedServiceAccounts={system:serviceaccount:people:anna}",
        "allowUnguardedApprovals=true",
    ]);
    let container = &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let args: Vec<&str> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arg| arg.as_str().unwrap())
        .collect();
    let set = |flag: &str| {
        args.iter()
            .any(|arg| *arg == flag || arg.starts_with(&format!("{flag}=")))
    };
    for flag in flags() {
        let not_for_a_pod = [
            // A pod cannot reach a PostHog on the same machine.
            "--allow-http-loopback",
            // The namespace of the pod, where its Role is.
            "--lease-namespace",
        ];
        assert!(
            set(&flag) || not_for_a_pod.contains(&&*flag),
            "no value of {} sets {flag}",
            chart()
        );
    }
    // And all of them are valid: it exits because there is no cluster (1), not because of a wrong flag (2).
    let mut program = Command::new(env!("CARGO_BIN_EXE_warehouse-sync-operator"));
    program.env("KUBECONFIG", "/nonexistent").args(
        args.iter()
            .map(|arg| {
                if arg.starts_with("--bind=") {
                    "--bind=127.0.0.1:0"
                } else {
                    arg
                }
            })
            // A file that exists only in the pod.
            .filter(|arg| !arg.starts_with("--ca-file=")),
    );
    let output = program.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
}
