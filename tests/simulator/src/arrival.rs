//! When data last came to each table that has a schedule: what the simulator knows, even if the API does not show it.

use jiff::{SignedDuration, Timestamp};

use crate::load::interval;
use crate::simulator::Simulator;
use crate::state::Status;

/// A visible table that is switched on and has a schedule, and when data last came to it.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Id of its source.
    pub source_id: String,
    /// Its id.
    pub schema_id: String,
    /// Its name.
    pub name: String,
    /// How often it should sync.
    pub every: SignedDuration,
    /// When its last run completed, or began, if it is known by `last_synced_at` alone; none if none ever did.
    pub last: Option<Timestamp>,
}

impl Simulator {
    /// The tables of the scenario's project that should bring data by a schedule.
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        let on = self.schemas.iter().filter(|schema| {
            schema.should_sync && !schema.spec.invisible && schema.spec.raw.is_empty()
        });
        on.filter_map(|schema| {
            let source = self.sources.get(schema.source)?;
            let own = source.project == self.project;
            if !own || source.spec.access_method != "warehouse" || !source.spec.raw.is_empty() {
                return None;
            }
            let completed = schema.jobs.iter().rev();
            let completed = completed.filter(|job| job.status == Status::Completed);
            let completed = completed.filter_map(|job| job.finished_at).max();
            Some(Arrival {
                source_id: source.id.clone(),
                schema_id: schema.id.clone(),
                name: schema.spec.name.clone(),
                every: interval(&schema.spec)?,
                last: completed.max(schema.last_synced_at),
            })
        })
        .collect()
    }
}
