//! Why a file was not edited.

use std::{io, path::PathBuf};

/// Why a file was not edited.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written; it is unchanged.
    #[error("cannot write {}: {source}; the file is unchanged", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It must be edited by hand.
    #[error("cannot edit {} safely: {why}; the file is unchanged", path.display())]
    Unsafe {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}
