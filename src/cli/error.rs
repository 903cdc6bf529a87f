//! Why a command failed, and its exit code.

use crate::{controller::startup::StartError, serve::BindError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A combination of flags that is not allowed.
    #[error("{0}")]
    Usage(String),
    /// The operator could not start, or ended.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Health and metrics could not be served.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Print(String),
    /// Standard input could not be read.
    #[error("cannot read standard input: {0}")]
    Input(std::io::Error),
    /// The async runtime could not start.
    #[error("cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    /// The project could not be read.
    #[error("{0}")]
    CannotRead(String),
    /// Ctrl-C.
    #[error("interrupted; nothing was changed")]
    Interrupted,
}

/// Wrong flags, as in clap.
const USAGE: u8 = 2;
/// The command could not do its work. For `diagnose`, 0, 1 and 2 are results, so wrong flags also exit with this code.
pub const CANNOT: u8 = 3;
/// As shells report a command that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

impl CliError {
    /// The exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::CannotRead(_) | Self::Input(_) | Self::Print(_) | Self::Runtime(_) => CANNOT,
            Self::Start(_) | Self::Bind(_) => 1,
            Self::Interrupted => INTERRUPTED,
        }
    }
}
