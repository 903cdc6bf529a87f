//! The real promtool.

use std::{path::Path, process::Command};

/// Runs promtool in `folder`; panics with its output if it fails.
pub fn promtool(folder: &Path, args: &[&str]) {
    if let Err(said) = is_content(folder, args) {
        panic!("promtool {args:?}\n{said}");
    }
}

/// Runs promtool in `folder`; what it says if it is not content.
pub fn is_content(folder: &Path, args: &[&str]) -> Result<(), String> {
    let program = control_plane::promtool().unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new(program)
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&said).into_owned())
    }
}
