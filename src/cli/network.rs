//! How `PostHog` is reached, where the network has an authority or a proxy of its own.

use std::{ffi::OsString, path::Path};

use clap::Args;

use crate::posthog::{authorities::Authorities, proxy};

/// Flags of every command that speaks to `PostHog`.
#[derive(Debug, Args)]
pub(super) struct NetworkArgs {
    /// PEM file with certificates of authorities to trust besides those of the machine, for a PostHog (or a proxy) behind a private one.
    /// Read once, at the start
    #[arg(long, value_name = "PATH", env = "WAREHOUSE_SYNC_CA_FILE")]
    ca_file: Option<OsString>,
}

impl NetworkArgs {
    /// The authorities of the file. Fails also where the environment names a proxy that cannot be used.
    pub(super) fn authorities(&self) -> Result<Authorities, String> {
        proxy::check().map_err(|error| error.to_string())?;
        // A chart sets a variable that has no value to nothing.
        match self.ca_file.as_ref().filter(|path| !path.is_empty()) {
            Some(path) => Authorities::read(Path::new(path)).map_err(|error| error.to_string()),
            None => Ok(Authorities::default()),
        }
    }
}
