//! The real kubectl, without the files of the user's home.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::control_plane::ControlPlane;
use crate::error::Error;
use crate::go_build::KUBECTL;
use crate::tools::flux_apply;
use crate::wait::wait_for;

impl ControlPlane {
    /// The program. Prefer [`kubectl`](Self::kubectl) or
    /// [`kubectl_command`](Self::kubectl_command).
    #[must_use]
    pub fn kubectl_path(&self) -> PathBuf {
        self.tools.path(&KUBECTL)
    }

    /// kubectl as the administrator, to which a test adds arguments, stdin, or another
    /// `KUBECONFIG`.
    #[must_use]
    pub fn kubectl_command(&self) -> Command {
        let mut command = Command::new(self.kubectl_path());
        command
            .env("KUBECONFIG", self.admin_kubeconfig())
            // The user's preferences must not change what a test sees, nor a test fill the user's
            // cache.
            .env("HOME", self.folder.path().join("home"))
            .env_remove("KUBECACHEDIR")
            .env_remove("KUBERC")
            .stdin(Stdio::null());
        command
    }

    /// Runs kubectl as the administrator and returns what it wrote to stdout.
    ///
    /// Fails if kubectl does, with its stderr in [`Error::stderr`]: a test cannot forget to check.
    pub fn kubectl(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<String, Error> {
        run(self.kubectl_command().args(arguments))
    }

    /// `kubectl apply` of one or more documents, as the administrator.
    pub fn apply(&self, yaml: &str) -> Result<String, Error> {
        let stdin = file_with(yaml).map_err(Error::io("write a temporary file"))?;
        run(self
            .kubectl_command()
            .args(["apply", "-f", "-"])
            .stdin(stdin))
    }
}

impl ControlPlane {
    /// Waits until the API server serves a `CustomResourceDefinition`.
    ///
    /// `kubectl wait` alone fails on one that is so new that it has no conditions yet.
    pub fn wait_for_crd(&self, name: &str) -> Result<(), Error> {
        let crd = format!("crd/{name}");
        wait_for(Duration::from_secs(30), || {
            let conditions = ["get", &crd, "-o", "jsonpath={.status.conditions}"];
            let said = self.kubectl(conditions)?;
            Ok::<_, Error>((!said.is_empty()).then_some(()))
        })?;
        let wait = ["wait", "--for=condition=Established", &crd, "--timeout=30s"];
        self.kubectl(wait).map(drop)
    }

    /// Applies one or more documents as Flux's kustomize-controller does, as the user of a kubeconfig. Returns a line for each
    /// object: what was done.
    ///
    /// The first call builds the program, which takes a minute or two.
    pub fn flux_apply(&self, kubeconfig: &Path, yaml: &str) -> Result<String, Error> {
        let stdin = file_with(yaml).map_err(Error::io("write a temporary file"))?;
        let mut flux = Command::new(flux_apply()?);
        run(flux.env("KUBECONFIG", kubeconfig).stdin(stdin))
    }
}

/// A file rather than a pipe: kubectl may end before it has read everything.
fn file_with(content: &str) -> std::io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(content.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

fn run(command: &mut Command) -> Result<String, Error> {
    let output = command.output().map_err(Error::io("run kubectl"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    Err(Error::Kubectl {
        arguments: arguments.join(" "),
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
