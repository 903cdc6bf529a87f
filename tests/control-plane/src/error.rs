//! What can go wrong, said so that the reader of a failed test knows what to do.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why the control plane, or something asked of it, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `KUBEBUILDER_ASSETS` names a folder that lacks a program.
    #[error(
        "KUBEBUILDER_ASSETS is {folder}, but it lacks {missing}: it must hold etcd, kube-apiserver \
         and kubectl. Unset it to have them built with Go",
        folder = folder.display()
    )]
    AssetsIncomplete {
        /// The value of `KUBEBUILDER_ASSETS`.
        folder: PathBuf,
        /// The names of the programs that are not there.
        missing: String,
    },

    /// The programs must be built, and there is no Go to build them with.
    #[error(
        "cannot build {program}: `go` is not in PATH. Install Go 1.26 or newer, or set KUBEBUILDER_ASSETS \
         to a folder with etcd, kube-apiserver and kubectl"
    )]
    GoMissing {
        /// The program to be built.
        program: &'static str,
    },

    /// `go build` did not succeed.
    #[error("go build of {program} ended with {status}:\n{log}")]
    GoFailed {
        /// The program to be built.
        program: &'static str,
        /// How `go build` ended.
        status: ExitStatus,
        /// The end of its output.
        log: String,
    },

    /// Neither `XDG_CACHE_HOME` nor `HOME` says where to keep the built programs.
    #[error(
        "no folder for the built programs: set HOME, XDG_CACHE_HOME or \
         KUBEBUILDER_ASSETS"
    )]
    NoCacheFolder,

    /// go.mod does not pin Kubernetes in the way this crate reads.
    #[error("go.mod has no line `k8s.io/kubernetes v<major>.<minor>.<patch>`")]
    NoPinnedVersion,

    /// The operating system refused something.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was attempted, and on which object.
        action: String,
        /// Why it failed.
        source: io::Error,
    },

    /// A key or certificate could not be made.
    #[error("cannot make the certificate of {subject}: {source}")]
    Certificate {
        /// Whom the certificate is for.
        subject: String,
        /// Why it failed.
        source: rcgen::Error,
    },

    /// No port of the range was free.
    #[error("no free port on 127.0.0.1 between {first} and {last}")]
    NoFreePort {
        /// The first port of the range.
        first: u16,
        /// The last port of the range.
        last: u16,
    },

    /// A server ended, or was not ready in time.
    #[error("{server} {problem}; its log ends with:\n{log}")]
    Server {
        /// The name of the program.
        server: &'static str,
        /// What happened.
        problem: String,
        /// The end of its log.
        log: String,
    },

    /// The API server is stopped, but what was asked needs it.
    #[error("kube-apiserver is not running: call start_apiserver() first")]
    Stopped,

    /// kubectl ran and refused or failed.
    #[error("kubectl {arguments} ended with {status}:\n{stderr}")]
    Kubectl {
        /// The arguments, joined by spaces.
        arguments: String,
        /// How kubectl ended.
        status: ExitStatus,
        /// What kubectl wrote to stderr.
        stderr: String,
    },

    /// A kubeconfig could not be read back.
    #[error("cannot use the kubeconfig {path}: {source}", path = path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: kube::config::KubeconfigError,
    },

    /// The API server refused or failed.
    #[error("cannot {action}: {source}")]
    Kube {
        /// What was attempted, and on which object.
        action: String,
        /// Why it failed.
        source: Box<kube::Error>,
    },
}

impl Error {
    /// What kubectl wrote to stderr, if this is a failure of kubectl. Tests of a refusal look here.
    #[must_use]
    pub fn stderr(&self) -> Option<&str> {
        match self {
            Self::Kubectl { stderr, .. } => Some(stderr),
            _ => None,
        }
    }

    /// For `map_err`: the operating system refused to do `action`.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}
