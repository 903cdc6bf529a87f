//! What an approved proposal touches, as it is right now. Older reads are not used to send its calls, or to prove that they were executed.

use std::sync::Arc;

use jiff::Timestamp;

use super::{ReadsLog, RunProbe, Seen, Snapshot, probes::Probed};
use crate::{
    api::{
        proposal::{ProposedAction, Target},
        validated::Selector,
    },
    posthog::{
        Client, Transport,
        lax::Lax,
        probe::{CdcCheck, CdcPrerequisites, CdcStatus, SchemaDetail, WebhookInfo},
        wire::{Schema, Source},
    },
};

/// Most tables of a source that are read; with more, one reconcile cannot prove that each was synced.
const MAX_RUN_PROBES: usize = 40;

/// Fresh reads. What could not be read is the reason why.
#[derive(Debug)]
pub struct Live {
    /// When the reading began.
    pub at: Timestamp,
    /// The source with all of its tables, if the proposal is about the source: reading it costs PostHog seconds.
    pub source: Option<Result<Source, String>>,
    /// The table; of none for what is done to the source as a whole.
    pub detail: Option<Result<SchemaDetail, String>>,
    /// The runs of the table, or of every table that is reset with its source.
    pub run_probes: Vec<(String, RunProbe)>,
    /// Change data capture, if the proposal repairs it.
    pub cdc: Option<Result<CdcStatus, String>>,
    /// What change data capture lacks, if the proposal repairs it: `PostHog` resets the tables before it finds out.
    pub prerequisites: Option<Result<CdcPrerequisites, String>>,
    /// The webhook, if the proposal registers it again.
    pub webhook: Option<Result<WebhookInfo, String>>,
}

impl Live {
    /// Reads what `action` on `target` touches.
    pub async fn take<T: Transport>(
        client: &Client<T>,
        action: ProposedAction,
        target: &Target,
    ) -> Self {
        let at = client.now();
        let source_id = &target.source_id;
        let mut live = Self {
            at,
            source: None,
            detail: None,
            run_probes: Vec::new(),
            cdc: None,
            prerequisites: None,
            webhook: None,
        };
        if target.schema_id.is_empty() {
            let source = client.source(source_id).await;
            live.source = Some(source.map_err(|e| e.to_string()));
        } else {
            let detail = client.schema(&target.schema_id).await;
            live.detail = Some(detail.map_err(|e| e.to_string()));
        }
        match action {
            ProposedAction::RepairCdc => {
                let cdc = client.cdc_status(source_id).await;
                live.cdc = Some(cdc.map_err(|e| e.to_string()));
                live.prerequisites = live.check(client).await;
            }
            ProposedAction::ReregisterWebhook => {
                let webhook = client.webhook_info(source_id).await;
                live.webhook = Some(webhook.map_err(|e| e.to_string()));
            }
            _ => {}
        }
        let reads_log = match action {
            ProposedAction::Cancel => ReadsLog::Always,
            ProposedAction::RepairConfig
            | ProposedAction::RefreshSchemas
            | ProposedAction::Resync
            | ProposedAction::DeleteData
            | ProposedAction::RepairCdc
            | ProposedAction::Reenable
            | ProposedAction::ReregisterWebhook
            | ProposedAction::Reload => ReadsLog::OfRunning,
        };
        for (id, name) in live.tables_to_probe(action, target) {
            let table = (source_id.as_str(), id.as_str(), name.as_str());
            let run_probe = RunProbe::take(client, table, None, reads_log).await;
            live.run_probes.push((id, run_probe));
        }
        live
    }

    /// Uses the earlier reads; sends nothing if they failed, or if nothing needs repair any more.
    async fn check<T: Transport>(
        &self,
        client: &Client<T>,
    ) -> Option<Result<CdcPrerequisites, String>> {
        let (source, status) = (self.source()?, self.cdc.as_ref()?.as_ref().ok()?);
        if status.slot_exists == Lax::Is(true) {
            return None;
        }
        let check = CdcCheck::of(source, Some(status));
        let answer = client.cdc_prerequisites(&source.id, &check).await;
        Some(answer.map_err(|e| e.to_string()))
    }

    fn tables_to_probe(&self, action: ProposedAction, target: &Target) -> Vec<(String, String)> {
        let is_reset = |row: &&Schema| match action {
            ProposedAction::RepairCdc => row.syncs_by("cdc") && row.is_on(),
            ProposedAction::ReregisterWebhook => row.syncs_by("webhook") && row.is_on(),
            ProposedAction::RepairConfig
            | ProposedAction::RefreshSchemas
            | ProposedAction::Resync
            | ProposedAction::DeleteData
            | ProposedAction::Reenable
            | ProposedAction::Reload
            | ProposedAction::Cancel => false,
        };
        let detail = self.detail.iter().flatten().map(|detail| &detail.row);
        let of_source = self.source().into_iter().flat_map(|source| &source.schemas);
        detail
            .filter(|row| row.id == target.schema_id)
            .chain(of_source.filter(is_reset))
            .take(MAX_RUN_PROBES)
            .map(|row| (row.id.to_string(), row.name.to_string()))
            .collect()
    }

    /// The row of a table.
    #[must_use]
    pub fn row(&self, schema_id: &str) -> Option<Schema> {
        let mut details = self.detail.iter().flatten();
        let detail = details.find(|detail| detail.row.id == schema_id);
        let mut rows = self.source().into_iter().flat_map(|source| &source.schemas);
        detail
            .map(SchemaDetail::listed)
            .or_else(|| rows.find(|row| row.id == schema_id).cloned())
    }

    /// The source, if it was read.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()?.as_ref().ok()
    }

    /// The table alone, if it was read.
    #[must_use]
    pub fn detail(&self) -> Option<&SchemaDetail> {
        self.detail.as_ref()?.as_ref().ok()
    }

    /// The runs and log of a table.
    #[must_use]
    pub fn run_probe(&self, schema_id: &str) -> Option<&RunProbe> {
        let mut run_probes = self.run_probes.iter();
        run_probes
            .find(|(id, _)| id == schema_id)
            .map(|(_, run_probe)| run_probe)
    }

    /// The snapshot, updated with the fresh reads.
    #[must_use]
    pub fn over(&self, snapshot: &Snapshot, selector: &Selector) -> Snapshot {
        let mut now = snapshot.clone();
        now.sources = (snapshot.sources).changed(selector, |sources| self.put_rows(sources));
        for (id, run_probe) in &self.run_probes {
            let mut seen = now
                .runs
                .get(id)
                .map_or_else(|| Seen::without_row(self.at), |seen| Seen::clone(seen));
            seen.record_probe(run_probe.clone());
            now.runs.insert(id.clone(), Arc::new(seen));
            now.run_probed.insert(id.clone());
        }
        let probes = &mut now.probes;
        if let Some(detail) = self.detail() {
            let id = detail.row.id.to_string();
            let answer = Probed::new(self.at, Ok(detail.clone()), None);
            probes.details.insert(id, answer);
        }
        if let (Some(Ok(cdc)), Some(source)) = (&self.cdc, self.source()) {
            probes.note_cdc(source.id.clone(), self.at, Ok(cdc.clone()));
        }
        if let (Some(Ok(check)), Some(source)) = (&self.prerequisites, self.source()) {
            let answer = Probed::new(self.at, Ok(check.clone()), None);
            probes.prerequisites.insert(source.id.clone(), answer);
        }
        if let (Some(Ok(webhook)), Some(source)) = (&self.webhook, self.source()) {
            let answer = Probed::new(self.at, Ok(webhook.clone()), None);
            probes.webhooks.insert(source.id.clone(), answer);
        }
        now
    }

    /// Replaces the rows that were read.
    fn put_rows(&self, sources: &mut [Source]) {
        if let Some(live) = self.source()
            && let Some(source) = sources.iter_mut().find(|source| source.id == live.id)
        {
            *source = live.clone();
        }
        if let Some(live) = self.detail() {
            let mut rows = sources.iter_mut().flat_map(|source| &mut source.schemas);
            if let Some(row) = rows.find(|row| row.id == live.row.id) {
                *row = live.listed();
            }
        }
    }
}
