//! Why a command of `kubectl wsp` ended badly.

use kube::config::{InferConfigError, KubeconfigError};

use super::{FileError, mark::SaidOtherwise};
use crate::{cli::CliError, controller::timed};

/// Why a command ended badly, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The kubeconfig cannot be used.
    #[error(
        "cannot use the kubeconfig: {0}; name another one by --kubeconfig or KUBECONFIG, and one of its contexts by --context"
    )]
    Kubeconfig(#[from] KubeconfigError),
    /// No cluster is known.
    #[error("cannot find a cluster: {0}; name a kubeconfig by --kubeconfig or KUBECONFIG")]
    NoCluster(#[from] InferConfigError),
    /// Kubernetes refused something, or could not be reached.
    #[error("cannot {action}: {}", said(source))]
    Kubernetes {
        /// What was tried.
        action: String,
        /// What came of it.
        source: Box<kube::Error>,
    },
    /// What was asked for must not or cannot be done, with the reason.
    #[error("{0}")]
    Refused(String),
    /// The output could not be written.
    #[error(transparent)]
    Output(#[from] CliError),
    /// Somebody has said something else.
    #[error(transparent)]
    SaidOtherwise(#[from] SaidOtherwise),
    /// A file could not be edited.
    #[error(transparent)]
    File(#[from] FileError),
    /// The terminal could not be read.
    #[error("cannot read the answer: {0}")]
    Input(std::io::Error),
    /// No runtime.
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
}

impl PluginError {
    /// For `map_err`: `action` was tried.
    pub(super) fn kubernetes(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        |source| Self::Kubernetes {
            action,
            source: Box::new(source),
        }
    }

    /// What must not or cannot be done.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }
}

/// The API server's own sentence, where there is one.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => timed::said(status),
        kube::Error::SerdeError(error) => format!(
            "the answer does not fit ({error}): the operator that wrote it may be newer or older than this plugin"
        ),
        other => {
            let causes =
                std::iter::successors(std::error::Error::source(other), |error| error.source());
            causes.fold(other.to_string(), |text, cause| format!("{text}: {cause}"))
        }
    }
}
