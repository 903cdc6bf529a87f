//! The safety table: which calls may be sent without a human, and the only place where a permit to send one is made.
//!
//! | call | safe when |
//! |---|---|
//! | cancel | a live read proved that this very run is still stuck ([`RunStillStuck`](super::gate::RunStillStuck)) |
//! | reload | a live read proved that no run is in progress and syncing is on ([`NoRunInProgress`](super::gate::NoRunInProgress)), and its next run wipes nothing |
//! | PATCH of a table | it only switches the table on again; `PostHog` was observed switching it off after a failure; it syncs by neither webhook nor CDC; and its next run wipes nothing |
//! | bulk update | each of its patches is safe by itself |
//! | PATCH of a source | it contains only credentials |
//! | create webhook | a table uses webhook sync, and `PostHog` or the vendor certainly has no webhook |
//! | webhook inputs | `PostHog` certainly has the webhook |
//! | resync, delete data, refresh tables, delete webhook, repair CDC | never |
//!
//! Everything else needs approval, and so does everything unknown: it is permitted only with an [`Approved`] step of a
//! proposal. A source from which `PostHog` does not certainly import cannot become [`Evidence`], so that no call on it can be
//! judged at all.

pub mod known;
pub mod why;

pub use known::{Evidence, NextRun, NotWarehouse, Run, SyncType, TableEvidence, Webhook};
pub use why::{LosesData, Why};

use super::approval::approved::Approved;
use crate::posthog::{
    inputs::{Inputs, is_credential},
    wire::SchemaStatus,
    write::{SchemaPatch, Write},
};

/// The right to send one call, once. Only this module can make one; sending uses it up.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit(Write);

impl Permit {
    /// The call that it allows.
    #[must_use]
    pub const fn call(&self) -> &Write {
        &self.0
    }

    /// Uses the permit up for the call that it allows.
    #[must_use]
    pub fn into_call(self) -> Write {
        self.0
    }
}

/// Whether a call needs a human.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clearance {
    /// It destroys nothing and changes no decision of a person.
    Safe,
    /// It could, or whether it does is unknown.
    NeedsApproval(Why),
}

/// The permit to send a safe call.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a proof is good for one call: what is known is used up"
)]
pub fn permit(call: Write, known: Evidence) -> Result<Permit, Why> {
    match judge(&call, &known) {
        Clearance::Safe => Ok(Permit(call)),
        Clearance::NeedsApproval(why) => Err(why),
    }
}

/// The permit to send what a person has approved, regardless of the table of safe calls.
#[must_use]
pub fn permit_approved(approved: Approved) -> Permit {
    Permit(approved.into_call())
}

/// The safety table.
#[must_use]
pub fn judge(call: &Write, known: &Evidence) -> Clearance {
    let doubt = match call {
        Write::Cancel { schema_id } => of_table(known, schema_id, cancel),
        Write::Reload { schema_id } => of_table(known, schema_id, reload),
        Write::Resync { .. } => Some(Why::WipesTable),
        Write::DeleteData { .. } => Some(Why::DeletesData),
        Write::PatchSchema(change) => patch(known, change),
        Write::BulkUpdateSchemas { source_id, patches } => worst([
            of_source(known, source_id, |_| None),
            worst(patches.iter().map(|change| patch(known, change))),
        ]),
        Write::PatchSource {
            source_id,
            job_inputs,
        } => of_source(known, source_id, |_| credentials(job_inputs)),
        Write::RefreshSchemas { .. } => Some(Why::SwitchesOffWhatIsHidden),
        Write::CreateWebhook { source_id } => of_source(known, source_id, create_webhook),
        Write::UpdateWebhookInputs { source_id, .. } => {
            of_source(known, source_id, update_webhook_inputs)
        }
        Write::DeleteWebhook { .. } => Some(Why::StopsWebhook),
        Write::RepairCdc { .. } => Some(Why::ImportsCapturedTablesAnew),
    };
    doubt.map_or(Clearance::Safe, Clearance::NeedsApproval)
}

/// The doubt that weighs most.
fn worst(doubts: impl IntoIterator<Item = Option<Why>>) -> Option<Why> {
    doubts
        .into_iter()
        .flatten()
        .max_by_key(|why| why.loses_data())
}

fn of_table(
    known: &Evidence,
    schema_id: &str,
    row: fn(&TableEvidence) -> Option<Why>,
) -> Option<Why> {
    known.table(schema_id).map_or(Some(Why::TableUnknown), row)
}

fn of_source(
    known: &Evidence,
    source_id: &str,
    row: impl FnOnce(&Evidence) -> Option<Why>,
) -> Option<Why> {
    if known.source_id() == source_id {
        row(known)
    } else {
        Some(Why::SourceUnknown)
    }
}

/// Cancelling a healthy run is the worst mistake there is.
fn cancel(table: &TableEvidence) -> Option<Why> {
    match &table.run {
        Run::StillStuck(proof) if proof.schema_id() == table.schema_id => None,
        Run::StillStuck(_) | Run::Nothing(_) | Run::NotProbed => Some(Why::RunMayBeAlive),
    }
}

fn reload(table: &TableEvidence) -> Option<Why> {
    let run_probed = match &table.run {
        Run::Nothing(proof) if proof.schema_id() == table.schema_id => None,
        Run::Nothing(_) | Run::StillStuck(_) | Run::NotProbed => Some(Why::SomethingMayRun),
    };
    worst([next_run(table), run_probed])
}

/// An earlier reset may be pending, which `PostHog` does not show: the next run would carry it out.
const fn next_run(table: &TableEvidence) -> Option<Why> {
    match table.next_run {
        NextRun::Ordinary => None,
        NextRun::MayWipe => Some(Why::NextRunMayWipe),
        NextRun::Unknown => Some(Why::NextRunUnknown),
    }
}

fn patch(known: &Evidence, change: &SchemaPatch) -> Option<Why> {
    let SchemaPatch {
        schema_id,
        switch_on,
        sync_type,
        incremental_field,
        primary_key_columns,
    } = change;
    of_table(known, schema_id, |_| None).or_else(|| {
        worst([
            sync_type.map(|_| Why::ChangesSyncType),
            incremental_field
                .as_ref()
                .map(|_| Why::ChangesIncrementalField),
            primary_key_columns.as_ref().map(|_| Why::ChangesPrimaryKey),
            switch_on
                .then(|| of_table(known, schema_id, switch_table_on))
                .flatten(),
        ])
    })
}

fn switch_table_on(table: &TableEvidence) -> Option<Why> {
    let by_type = match table.sync_type {
        SyncType::FullRefresh | SyncType::Incremental | SyncType::Append | SyncType::Xmin => None,
        SyncType::Webhook | SyncType::Cdc => Some(Why::SwitchingOnWipes),
        SyncType::NotSetUp | SyncType::Unknown => Some(Why::SyncTypeUnknown),
    };
    let by_posthog = table.disabled_by_posthog
        && table.should_sync == Some(false)
        && table.status == SchemaStatus::Failed;
    worst([
        by_type,
        next_run(table),
        (!by_posthog).then_some(Why::NotDisabledByPostHog),
    ])
}

fn credentials(job_inputs: &Inputs) -> Option<Why> {
    let only = job_inputs.names().all(is_credential);
    (!only).then_some(Why::MoreThanCredentials)
}

/// Each call makes one more endpoint at the vendor.
fn create_webhook(known: &Evidence) -> Option<Why> {
    let Some(tables) = known.all_tables() else {
        return Some(Why::TableUnknown);
    };
    if !tables
        .iter()
        .any(|table| table.sync_type == SyncType::Webhook)
    {
        return Some(Why::NoTableUsesWebhook);
    }
    match known.webhook {
        Webhook::NotRegistered | Webhook::GoneAtVendor => None,
        Webhook::Registered | Webhook::Unknown => Some(Why::WebhookMayExist),
    }
}

const fn update_webhook_inputs(known: &Evidence) -> Option<Why> {
    match known.webhook {
        Webhook::Registered | Webhook::GoneAtVendor => None,
        Webhook::NotRegistered | Webhook::Unknown => Some(Why::WebhookMayNotExist),
    }
}
