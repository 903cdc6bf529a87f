//! `programs helm` or `programs node`: prints the folders of the programs, as for `PATH`, and builds what is missing. For the scripts in `.ci`.
#![allow(clippy::print_stdout, reason = "what it prints is its result")]

use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let folders = match env::args().nth(1).as_deref() {
        Some("helm") => control_plane::helm()?
            .parent()
            .map(Into::into)
            .into_iter()
            .collect(),
        Some("node") => control_plane::node()?,
        _ => return Err("programs helm | node".into()),
    };
    println!("{}", env::join_paths(folders)?.display());
    Ok(())
}
