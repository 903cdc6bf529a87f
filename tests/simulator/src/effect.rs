//! What really happened, as opposed to what was answered. Tests of a client's safety read this.

use jiff::Timestamp;
use serde::Serialize;

/// What asked for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// `POST schemas/{id}/reload/`
    Reload,
    /// `POST schemas/{id}/resync/`
    Resync,
    /// `POST sources/{id}/reload/`
    SourceReload,
    /// `PATCH` of a schema that starts a run.
    Change,
    /// `POST sources/{id}/repair_cdc/`
    Repair,
    /// The schema's own schedule.
    Schedule,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// A running job became Failed because of a cancel.
    Cancelled,
    /// A cancel was answered 200 and the job stays Running.
    CancelIgnored,
    /// A cancel found no job and corrected the schema's status.
    StatusHealed,
    /// A job appeared.
    RunStarted,
    /// A start was dropped because a run is in flight; the answer was still 200.
    TriggerDropped,
    /// A start ended without a job, because the schema keeps failing or the scenario says so.
    TriggerDeferred,
    /// The next run will wipe the table, even if the answer was an error.
    ResetArmed,
    /// A run began with wiping the table.
    TableWiped,
    /// `delete_data` removed the table.
    DataDeleted,
    /// How far the source had been read is forgotten.
    PositionLost,
    /// `refresh_schemas` deleted a schema that was never synced and whose table no longer exists at the source.
    SchemaDeleted,
    /// `should_sync` went from false to true.
    Enabled,
    /// `should_sync` went from true to false by a request.
    Disabled,
    /// PostHog itself set `should_sync` to false after a non-retryable failure.
    AutoDisabled,
    /// A job ended by itself or by PostHog.
    RunEnded,
    /// `PATCH sources/{id}/` changed `job_inputs`.
    InputsChanged,
    /// An endpoint was made at the vendor, by `create_webhook` or by a `PATCH` to webhook sync.
    WebhookCreated,
    /// `update_webhook_inputs` stored new inputs.
    WebhookInputsChanged,
    /// `delete_webhook` removed PostHog's side and the vendor's.
    WebhookDeleted,
    /// `repair_cdc` recreated slot and publication.
    CdcRepaired,
}

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Effect {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EffectKind,
    /// What asked for it, where a run is concerned.
    pub trigger: Option<Trigger>,
    /// The source's id.
    pub source_id: String,
    /// The schema's id, if it happened to a schema.
    pub schema_id: Option<String>,
    /// The schema's name, if it happened to a schema.
    pub schema: Option<String>,
    /// The job it happened to.
    pub job_id: Option<String>,
}
