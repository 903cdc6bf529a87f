//! Structure and drift: what the folders may use, where requests may be sent, and whether generated files are up to date.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use warehouse_sync_operator::{api::conditions::Reason, cli::crd_yaml};

/// The pipeline, top to bottom: a folder may use those before it.
const FOLDERS: [&str; 10] = [
    "api",
    "posthog",
    "observe",
    "diagnose",
    "decide",
    "report",
    "execute",
    "controller",
    "serve",
    "cli",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn the_crd_in_the_repository_is_what_the_binary_prints() {
    let file = fs::read_to_string(root().join("crds/warehousesyncpolicies.yaml")).unwrap();
    assert!(
        file == crd_yaml().unwrap(),
        "crds/warehousesyncpolicies.yaml has drifted: cargo run -- crd > crds/warehousesyncpolicies.yaml"
    );
}

#[test]
fn no_folder_uses_one_below_it() {
    for (place, folder) in FOLDERS.iter().enumerate() {
        for file in rust_files(&root().join("src").join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            for below in &FOLDERS[place + 1..] {
                let used = [format!("crate::{below}"), format!("crate::{{{below}")];
                let in_group = text.split("use crate::{").skip(1).any(|group| {
                    let group = group.split("};").next().unwrap_or_default();
                    group
                        .lines()
                        .any(|line| line.trim_start().starts_with(&format!("{below}::")))
                });
                assert!(
                    !used.iter().any(|path| text.contains(path.as_str())) && !in_group,
                    "{} uses {below}, which is below {folder}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn requests_to_posthog_are_sent_only_where_they_may_be() {
    for file in rust_files(&root().join("src")) {
        let name = file
            .strip_prefix(root().join("src"))
            .unwrap()
            .display()
            .to_string();
        let text = fs::read_to_string(&file).unwrap();
        let may = name.starts_with("posthog/")
            || name == "execute/calls.rs"
            || name == "controller/timed.rs";
        assert!(
            may || !text.contains(".send(request)"),
            "{name} sends requests"
        );
        let makes_permits = text.contains("Permit(") && name != "decide/safety.rs";
        assert!(!makes_permits, "{name} makes permits");
    }
}

#[test]
fn every_reason_is_in_the_documentation() {
    let docs = fs::read_to_string(root().join("docs/conditions.md")).unwrap();
    let missing: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !docs.contains(&format!("| `{reason}` |")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/conditions.md lacks a row of the table of reasons for {missing:?}"
    );
    for row in docs.lines().filter(|line| line.starts_with("| `")) {
        let name = row.split('`').nth(1).unwrap();
        let known = Reason::ALL.iter().any(|reason| reason.as_str() == name);
        let event = docs
            .split("## Events")
            .nth(1)
            .is_some_and(|events| events.contains(row));
        assert!(
            known || event,
            "docs/conditions.md speaks of {name}, which is no reason"
        );
    }
}

#[test]
fn every_cause_is_in_the_documentation_with_its_meaning_and_action() {
    use warehouse_sync_operator::{
        api::status::RootCause,
        decide::remedy::{Remedy, remedy},
    };
    let docs = fs::read_to_string(root().join("docs/diagnosis.md")).unwrap();
    let rows: Vec<String> = RootCause::ALL
        .iter()
        .map(|cause| {
            let action = match remedy(*cause) {
                Remedy::Safe(action) => format!("{action:?}"),
                Remedy::NeedsApproval(action) => format!("{action:?} (approval)"),
                Remedy::Nothing => "–".to_owned(),
            };
            format!("| `{}` | {} | {action} |", cause.as_str(), cause.meaning())
        })
        .collect();
    let table = rows.join("\n");
    assert!(
        docs.contains(&table),
        "docs/diagnosis.md: the table of causes has drifted; it must be\n{table}"
    );
}
