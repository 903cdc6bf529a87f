//! Writes the generated manifests anew: `cargo run --example render`.

use std::{error::Error, fs};

#[path = "../tests/chart/render.rs"]
mod render;

fn main() -> Result<(), Box<dyn Error>> {
    let helm = control_plane::helm()?;
    // The CRD first: the chart reads it.
    for files in [render::crd()?, render::deploy(&helm)?] {
        for (path, content) in files {
            fs::write(render::root().join(path), content)?;
        }
    }
    Ok(())
}
