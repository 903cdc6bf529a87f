//! `programs helm`, `programs krew` or `programs node`: prints the folders of the programs, as for `PATH`, and builds what is missing. For the scripts in `.ci`.
#![allow(clippy::print_stdout, reason = "what it prints is its result")]

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let folders = match env::args().nth(1).as_deref() {
        Some("helm") => folder_of(&control_plane::helm()?),
        Some("krew") => folder_of(&control_plane::krew()?),
        Some("node") => control_plane::node()?,
        _ => return Err("programs helm | krew | node".into()),
    };
    println!("{}", env::join_paths(folders)?.display());
    Ok(())
}

fn folder_of(program: &Path) -> Vec<PathBuf> {
    program.parent().map(Into::into).into_iter().collect()
}
