//! Writes the generated manifests and pages: `cargo run --example render`.

use std::{error::Error, fs};

#[path = "../tests/chart/render.rs"]
mod render;

#[path = "../tests/repository/reference.rs"]
mod reference;

fn main() -> Result<(), Box<dyn Error>> {
    let helm = control_plane::helm()?;
    // First, because the chart reads it.
    write(render::crd()?)?;
    write(reference::pages()?)?;
    write(render::readme()?)?;
    write(render::deploy(&helm)?)
}

fn write(files: Vec<render::Generated>) -> Result<(), Box<dyn Error>> {
    for (path, content) in files {
        let path = render::root().join(path);
        // What is embedded in the program and has not changed need not be compiled again.
        if !fs::read_to_string(&path).is_ok_and(|there| there == content) {
            fs::write(path, content)?;
        }
    }
    Ok(())
}
