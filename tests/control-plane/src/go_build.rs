//! Builds a program from the Go modules that go.mod pins.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::wait::wait_for;

/// What pins the versions; README.md says how to bump them.
pub(crate) const GO_MOD: &str = include_str!("../go.mod");
/// What the modules of [`GO_MOD`] must contain.
pub(crate) const GO_SUM: &str = include_str!("../go.sum");

/// A program of the control plane.
pub(crate) struct Program {
    /// The name of the file, which is also the one that `KUBEBUILDER_ASSETS` has.
    pub(crate) name: &'static str,
    /// The folder of the module that pins it, below this crate's.
    module: &'static str,
    package: &'static str,
    /// Build tags, separated by commas; mostly none.
    tags: &'static str,
    /// How long it takes on two processors, with the modules still to be downloaded.
    takes: &'static str,
}

pub(crate) const ETCD: Program = Program {
    name: "etcd",
    module: ".",
    package: "go.etcd.io/etcd/server/v3",
    tags: "",
    takes: "1 minute",
};
pub(crate) const KUBE_APISERVER: Program = Program {
    name: "kube-apiserver",
    module: ".",
    package: "k8s.io/kubernetes/cmd/kube-apiserver",
    tags: "",
    takes: "5 minutes",
};
pub(crate) const KUBECTL: Program = Program {
    name: "kubectl",
    module: ".",
    package: "k8s.io/kubernetes/cmd/kubectl",
    tags: "",
    takes: "1 minute",
};
/// Applies as Flux does. Built only for tests that ask for it.
pub(crate) const FLUX_APPLY: Program = Program {
    name: "flux-apply",
    module: "flux",
    package: ".",
    tags: "",
    takes: "1 minute",
};
/// Installs charts. Built only for tests that ask for it.
pub(crate) const HELM: Program = Program {
    name: "helm",
    module: "helm",
    package: "helm.sh/helm/v4/cmd/helm",
    tags: "",
    takes: "3 minutes",
};
/// Installs plugins of kubectl. Built only for tests that ask for it.
pub(crate) const KREW: Program = Program {
    name: "krew",
    module: "krew",
    package: "sigs.k8s.io/krew/cmd/krew",
    tags: "",
    takes: "1 minute",
};
/// Checks and tests alert rules. Built only for tests that ask for it.
pub(crate) const PROMTOOL: Program = Program {
    name: "promtool",
    module: "promtool",
    package: "github.com/prometheus/prometheus/cmd/promtool",
    // The clients of every cloud's service discovery are most of the build, and rules need none of them.
    tags: "remove_all_sd",
    takes: "3 minutes",
};
/// Makes metrics of custom resources. Built only for tests that ask for it.
pub(crate) const KUBE_STATE_METRICS: Program = Program {
    name: "kube-state-metrics",
    module: "kube-state-metrics",
    package: "k8s.io/kube-state-metrics/v2",
    tags: "",
    takes: "2 minutes",
};
/// Runs Lua as Argo CD does. Built only for tests that ask for it.
pub(crate) const ARGO_LUA: Program = Program {
    name: "argo-lua",
    module: "argo-cd",
    package: ".",
    tags: "",
    takes: "10 seconds",
};
/// Says how healthy Flux finds an object. Built only for tests that ask for it.
pub(crate) const FLUX_HEALTH: Program = Program {
    name: "flux-health",
    module: "flux-health",
    package: ".",
    tags: "",
    takes: "2 minutes",
};
/// What a node runs besides the control plane. Built only for the cluster, in this order: they share packages.
pub(crate) const NODE: [Program; 4] = [
    Program {
        name: "kubelet",
        module: "node",
        package: "k8s.io/kubernetes/cmd/kubelet",
        tags: "",
        takes: "4 minutes",
    },
    Program {
        name: "kube-controller-manager",
        module: "node",
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        tags: "",
        takes: "2 minutes",
    },
    Program {
        name: "kube-scheduler",
        module: "node",
        package: "k8s.io/kubernetes/cmd/kube-scheduler",
        tags: "",
        takes: "1 minute",
    },
    Program {
        name: "kube-proxy",
        module: "node",
        package: "k8s.io/kubernetes/cmd/kube-proxy",
        tags: "",
        takes: "1 minute",
    },
];
/// Enforces `NetworkPolicy` objects on a node.
pub(crate) const KUBE_ROUTER: Program = Program {
    name: "kube-router",
    module: "kube-router",
    package: "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
    tags: "",
    takes: "3 minutes",
};
/// Flux's controller. Built only for the benchmark that runs it beside the operator.
pub(crate) const KUSTOMIZE_CONTROLLER: Program = Program {
    name: "kustomize-controller",
    module: "kustomize-controller",
    package: "github.com/fluxcd/kustomize-controller",
    tags: "",
    takes: "6 minutes",
};
/// In the order in which they are built: kubectl shares most of kube-apiserver's packages.
pub(crate) const PROGRAMS: [Program; 3] = [ETCD, KUBE_APISERVER, KUBECTL];

/// How often to say that a build still goes on: a silent test looks like one that hangs.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Builds the program into the folder. The caller holds the folder's lock.
pub(crate) fn build(program: &Program, folder: &Path) -> Result<(), Error> {
    let Program { name, takes, .. } = program;
    let all = PROGRAMS.len();
    let place = PROGRAMS.iter().position(|other| other.name == *name);
    let number = place.map_or_else(String::new, |place| format!(" ({}/{all})", place + 1));
    say(&format!(
        "building {name}{number}, takes about {takes} the first time; cached in {}",
        folder.display()
    ));
    // Under the final name there is only ever a complete program. The process id keeps apart the
    // `go` of an owner that was killed, which goes on, from the one of the next owner of the lock.
    let partial = folder.join(format!("{name}.partial-{}", process::id()));
    let log = folder.join(format!("{name}.log"));
    let mut go = start_go(program, &partial, &log)?;
    let status = wait_with_heartbeat(name, &mut go)?;
    if !status.success() {
        return Err(Error::GoFailed {
            program: name,
            status,
            log: tail(&log),
        });
    }
    fs::rename(&partial, folder.join(name))
        .map_err(Error::io(format!("rename {}", partial.display())))
}

fn start_go(program: &Program, output: &Path, log: &Path) -> Result<Child, Error> {
    let log = File::create(log).map_err(Error::io(format!("create {}", log.display())))?;
    Command::new("go")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(program.module))
        .env("CGO_ENABLED", "0") // no C compiler needed, and the same program on every machine
        .env("GOWORK", "off") // a workspace further up must not change the versions
        .args(["build", "-mod=readonly", "-trimpath", "-ldflags"])
        .arg(linker_flags()?)
        .args(["-tags", program.tags])
        .arg("-o")
        .arg(output)
        .arg(program.package)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::GoMissing {
                program: program.name,
            },
            _ => Error::io("run go")(error),
        })
}

/// Without the version, `kubectl version` and `/version` say v0.0.0.
fn linker_flags() -> Result<String, Error> {
    let version = pinned_version().ok_or(Error::NoPinnedVersion)?;
    let mut numbers = version.trim_start_matches('v').split('.');
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        return Err(Error::NoPinnedVersion);
    };
    let package = "k8s.io/component-base/version";
    Ok(format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    ))
}

/// The version of Kubernetes in go.mod, such as `v1.36.3`.
fn pinned_version() -> Option<&'static str> {
    GO_MOD
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_prefix("k8s.io/kubernetes v")
                .map(|_| line.trim())
        })
        .and_then(|line| line.split_whitespace().nth(1))
}

fn wait_with_heartbeat(name: &str, go: &mut Child) -> Result<ExitStatus, Error> {
    let start = Instant::now();
    loop {
        let ended = wait_for(HEARTBEAT, || go.try_wait()).map_err(Error::io("wait for go"))?;
        let seconds = start.elapsed().as_secs();
        match ended {
            Some(status) => {
                say(&format!("building {name} ended after {seconds} s"));
                return Ok(status);
            }
            None => say(&format!("building {name}: {seconds} s so far")),
        }
    }
}

/// Writes a line to stderr that the output capture of `cargo test` does not swallow.
pub(crate) fn say(line: &str) {
    // Progress that cannot be shown is no reason to fail.
    let _ = io::stderr().write_all(format!("control-plane: {line}\n").as_bytes());
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 30;
    match fs::read(log) {
        Ok(content) => {
            let text = String::from_utf8_lossy(&content);
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        }
        Err(error) => format!("(cannot read {}: {error})", log.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_runs_the_version_of_its_api_server() {
        let version = pinned_version().map(|version| format!("k8s.io/kubernetes {version} "));
        let node = include_str!("../node/go.mod");
        assert!(version.is_some_and(|version| node.contains(&version)));
    }
}
