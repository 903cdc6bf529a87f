//! All that a decision is based on.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    ApprovalGuard, Canary, Changes, CredentialValues, OtherProjects, Probes, Readings, RunProbe,
    Seen, Sources, probes::Probed,
};
use crate::{
    api::validated::{PolicyRef, Selector},
    posthog::{
        PostHogError,
        instance::Instance,
        probe::{IncrementalFields, SchemaDetail},
        wire::{Schema, SchemaStatus, Source},
    },
};

/// What is known of a project at one moment, for one policy.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The list of sources, and what of it the policy selects.
    pub sources: Sources,
    /// What probes found, by id of the table.
    pub runs: HashMap<String, Arc<Seen>>,
    /// What was seen to change from list to list.
    pub changes: Changes,
    /// Answers to probes.
    pub probes: Probes,
    /// Completed runs that prove that `PostHog` works.
    pub canaries: Vec<Canary>,
    /// What its error texts say, as far as anybody asked.
    pub readings: Arc<Readings>,
    /// Ids of the tables that were probed in this reconcile.
    pub run_probed: HashSet<String>,
    /// Whether the key may write.
    pub write_scope: WriteScope,
    /// The other policies on the project.
    pub other_policies: Vec<Arc<OtherPolicy>>,
    /// What the Secrets of `spec.credentials` hold.
    pub credential_values: CredentialValues,
    /// The sources of the other projects on the host.
    pub other_projects: OtherProjects,
    /// What the `PostHog` of the project shows, and says that is not known.
    pub instance: Instance,
    /// Whether polls are further apart than the policy wants, for the sake of the share of the key's limits.
    pub slowed: bool,
    /// Whether annotations can be trusted as approvals.
    pub approval_guard: ApprovalGuard,
}

impl Snapshot {
    /// The tables that the policy selects, with their sources.
    pub fn selected(&self) -> impl Iterator<Item = (&Source, &Schema)> {
        self.sources
            .selected()
            .flat_map(|(source, tables)| tables.map(move |schema| (source, schema)))
    }

    /// The sources that the policy selects.
    pub fn selected_sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.selected().map(|(source, _)| source)
    }

    /// All tables of the project, selected or not, with their sources.
    pub fn rows(&self) -> impl Iterator<Item = (&Source, &Schema)> {
        let sources = self.sources.iter();
        sources.flat_map(|source| source.schemas.iter().map(move |schema| (source, schema)))
    }

    /// The tables of the project, selected or not, that `PostHog` imports and that say Running.
    pub fn running(&self) -> impl Iterator<Item = (&Source, &Schema)> {
        self.rows().filter(|(source, schema)| {
            source.is_imported() && schema.is_on() && schema.status() == SchemaStatus::Running
        })
    }

    /// The probe of a table in this reconcile, if there was one.
    #[must_use]
    pub fn fresh_run_probe(&self, schema_id: &str) -> Option<&RunProbe> {
        self.seen(schema_id)?
            .run_probe
            .as_ref()
            .filter(|_| self.run_probed.contains(schema_id))
    }

    /// What probes of a table found.
    #[must_use]
    pub fn seen(&self, schema_id: &str) -> Option<&Seen> {
        self.runs.get(schema_id).map(Arc::as_ref)
    }

    /// The table alone, if it was read since it has had its present error.
    #[must_use]
    pub fn detail(&self, schema_id: &str) -> Option<&SchemaDetail> {
        let probed = self.probes.details.get(schema_id)?;
        self.is_of_now(schema_id, probed)
            .then_some(probed.answer.as_ref().ok()?)
    }

    /// What the customer's source said of a table, if it was asked since the table has had its present error.
    #[must_use]
    pub fn fields(&self, schema_id: &str) -> Option<&Result<IncrementalFields, PostHogError>> {
        let probed = self.probes.fields.get(schema_id)?;
        self.is_of_now(schema_id, probed).then_some(&probed.answer)
    }

    fn is_of_now<A>(&self, schema_id: &str, probed: &Probed<A>) -> bool {
        self.seen(schema_id)
            .is_some_and(|seen| probed.at >= seen.text_since)
    }

    /// The row of a table of this source.
    #[must_use]
    pub fn row(&self, source_id: &str, schema_id: &str) -> Option<(&Source, &Schema)> {
        let row = self.sources.row(schema_id);
        row.filter(|(source, _)| source.id == source_id)
    }
}

/// Whether the key may write, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteScope {
    /// Not asked, or the answer told nothing.
    Unknown,
    /// It may.
    Granted,
    /// It lacks the scope.
    Missing,
}

/// Another policy on the same project.
#[derive(Debug, Clone)]
pub struct OtherPolicy {
    /// Where it is.
    pub at: PolicyRef,
    /// Its uid.
    pub uid: Box<str>,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it is in Enforce and not suspended.
    pub may_act: bool,
    /// Until when it counts as one that reads the project itself, with its own key; one that does not owns nothing.
    pub reads_until: Timestamp,
    /// What it selects.
    pub selector: Selector,
    /// Tables of which it has an incident in flight, and tables and sources on which something is done that a person approved; with
    /// the deadline of the present step.
    pub in_flight: Vec<(String, Option<Timestamp>)>,
    /// When it sent calls lately.
    pub sends: Vec<Timestamp>,
    /// Jobs that it has cancelled, or may have.
    pub cancelled: Vec<String>,
    /// Tables of which the next run may wipe the data, after what it sent, and since when.
    pub reset_pending_since: Vec<(String, Timestamp)>,
}
