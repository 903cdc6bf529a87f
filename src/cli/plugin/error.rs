//! Why a command of `kubectl wsp` failed.

use kube::config::{InferConfigError, KubeconfigError};

use super::{FileError, annotation::AnnotationConflict};
use crate::{cli::CliError, controller::timed};

/// Why a command failed, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The kubeconfig cannot be used.
    #[error(
        "cannot use the kubeconfig: {}; select another one with --kubeconfig or KUBECONFIG, and a context with --context",
        timed::reason(.0)
    )]
    Kubeconfig(#[from] KubeconfigError),
    /// No cluster is known.
    #[error(
        "cannot find a cluster: {}; select a kubeconfig with --kubeconfig or KUBECONFIG",
        timed::reason(.0)
    )]
    NoCluster(#[from] InferConfigError),
    /// Kubernetes refused something, or could not be reached.
    #[error("cannot {action}: {}", said(source))]
    Kubernetes {
        /// What was tried.
        action: String,
        /// The error.
        source: Box<kube::Error>,
    },
    /// The command must not or cannot be executed, for this reason.
    #[error("{0}")]
    Refused(String),
    /// The output could not be written.
    #[error(transparent)]
    Output(#[from] CliError),
    /// The annotation already has another value.
    #[error(transparent)]
    AnnotationConflict(#[from] AnnotationConflict),
    /// A file could not be edited.
    #[error(transparent)]
    File(#[from] FileError),
    /// The terminal could not be read.
    #[error("cannot read the answer: {0}")]
    Input(std::io::Error),
    /// The async runtime could not start.
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
}

impl PluginError {
    /// The exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Output(error) => error.exit_code(),
            Self::Kubeconfig(_)
            | Self::NoCluster(_)
            | Self::Kubernetes { .. }
            | Self::Refused(_)
            | Self::AnnotationConflict(_)
            | Self::File(_)
            | Self::Input(_)
            | Self::Runtime(_) => 1,
        }
    }

    /// For `map_err`: `action` was tried.
    pub(super) fn kubernetes(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        |source| Self::Kubernetes {
            action,
            source: Box::new(source),
        }
    }

    /// The command must not or cannot be executed.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }
}

/// The API server's own message, if there is one.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => timed::said(status),
        kube::Error::SerdeError(error) => format!(
            "the answer does not fit ({error}): the operator that wrote it may be newer or older than this plugin"
        ),
        other => timed::reason(other),
    }
}
