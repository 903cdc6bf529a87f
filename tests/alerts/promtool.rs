//! The real promtool.

use std::{path::Path, process::Command};

/// Runs promtool in `folder`; panics with what it says unless it is content.
pub fn promtool(folder: &Path, args: &[&str]) {
    let program = control_plane::promtool().unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {args:?}\n{said}");
}
