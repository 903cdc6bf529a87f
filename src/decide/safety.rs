//! The safety table: which calls may be sent without a human, and the only place where a permit to send one is made.
//!
//! | call | safe when |
//! |---|---|
//! | cancel | a live look proved that the very run still hangs ([`RunStillHangs`]), in a warehouse source |
//! | reload | a live look proved that no run is in progress and syncing is switched on ([`NothingRuns`]), in a warehouse source |
//!
//! Everything else is not safe, and there is no permit for it.

use super::gate::{NothingRuns, RunStillHangs};

/// The right to send one call, once. Only this module can make one; sending uses it up.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit(Permitted);

/// What a permit allows.
#[derive(Debug, PartialEq, Eq)]
enum Permitted {
    /// Cancel the running job of this table.
    Cancel { schema_id: String },
    /// Reload this table.
    Reload { schema_id: String },
}

/// A source that the operator never writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "its source is not one that PostHog imports from (access_method is not \"warehouse\"): such sources are only observed"
)]
pub struct NotWarehouse;

/// The permit to cancel the run that `proof` speaks of.
pub fn cancel(warehouse: bool, proof: RunStillHangs) -> Result<Permit, NotWarehouse> {
    if !warehouse {
        return Err(NotWarehouse);
    }
    Ok(Permit(Permitted::Cancel {
        schema_id: proof.into_schema_id(),
    }))
}

/// The permit to reload the table that `proof` speaks of.
pub fn reload(warehouse: bool, proof: NothingRuns) -> Result<Permit, NotWarehouse> {
    if !warehouse {
        return Err(NotWarehouse);
    }
    Ok(Permit(Permitted::Reload {
        schema_id: proof.into_schema_id(),
    }))
}

impl Permit {
    /// Uses the permit up for the path of its call below the project.
    #[must_use]
    pub fn into_path(self) -> String {
        match self.0 {
            Permitted::Cancel { schema_id } => format!("external_data_schemas/{schema_id}/cancel/"),
            Permitted::Reload { schema_id } => format!("external_data_schemas/{schema_id}/reload/"),
        }
    }
}
