//! Prints the folders of the programs of a node, as for `PATH`, and builds what is missing: tests/cluster uses it.
#![allow(clippy::print_stdout, reason = "what it prints is its result")]

use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", env::join_paths(control_plane::node()?)?.display());
    Ok(())
}
