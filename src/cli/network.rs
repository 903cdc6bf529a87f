//! How `PostHog` is reached in a network with its own certificate authority or proxy.

use std::{ffi::OsString, path::Path};

use clap::Args;

use crate::posthog::{authorities::Authorities, proxy};

/// Flags of every command that calls `PostHog`.
#[derive(Debug, Args)]
pub(super) struct NetworkArgs {
    /// PEM file with certificate authorities to trust in addition to the system's, for PostHog or a proxy with a
    /// private one. Read once, at the start
    #[arg(long, value_name = "PATH", env = "WAREHOUSE_SYNC_CA_FILE")]
    ca_file: Option<OsString>,
}

impl NetworkArgs {
    /// The authorities in the file. Also fails if the environment names a proxy that cannot be used.
    pub(super) fn authorities(&self) -> Result<Authorities, String> {
        proxy::check().map_err(|error| error.to_string())?;
        // A chart sets a variable without a value to the empty string.
        match self.ca_file.as_ref().filter(|path| !path.is_empty()) {
            Some(path) => Authorities::read(Path::new(path)).map_err(|error| error.to_string()),
            None => Ok(Authorities::default()),
        }
    }
}
