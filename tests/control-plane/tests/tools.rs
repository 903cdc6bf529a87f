//! The programs that are built apart from the control plane.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::{path::PathBuf, process::Command};

fn said(program: PathBuf, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn helm_is_built_and_runs() {
    let said = said(control_plane::helm().unwrap(), "version");
    assert!(said.contains("v4."), "{said}");
}

#[test]
fn kube_state_metrics_is_built_and_runs() {
    let said = said(control_plane::kube_state_metrics().unwrap(), "version");
    assert!(said.contains("kube-state-metrics"), "{said}");
}

#[test]
fn promtool_is_built_and_runs() {
    let said = said(control_plane::promtool().unwrap(), "--version");
    assert!(said.starts_with("promtool"), "{said}");
}

#[test]
fn krew_is_built_and_runs() {
    let said = said(control_plane::krew().unwrap(), "version");
    assert!(said.contains("BasePath"), "{said}");
}
