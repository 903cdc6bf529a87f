//! Scenario files: what the simulated PostHog looks like at the start, and what happens to it.
//!
//! All times are lengths before the start (`started_ago: 9h`), so that a scenario does not grow old. Every field has
//! a default, the one that a healthy incremental table would have.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cdc::CdcSpec;
use crate::column::Column;
use crate::data::DataSpec;
use crate::error::Error;
use crate::fault::Fault;
use crate::instance::InstanceSpec;
use crate::period;
use crate::plan_fields::is_v3;
use crate::run::RunPlan;
use crate::state::Status;

/// A whole scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// The project that the sources belong to.
    pub project: u64,
    /// Projects that exist beside it, without sources unless a source names one.
    pub other_projects: Vec<u64>,
    /// The personal API keys that exist.
    pub keys: Vec<KeySpec>,
    /// Whether enabled schemas start runs by themselves when they are due.
    pub schedule: bool,
    /// The limits on requests for each key.
    pub rate_limits: RateLimits,
    /// The sources, oldest first: lists have them the other way round.
    pub sources: Vec<SourceSpec>,
    /// Faults that are there from the start.
    pub faults: Vec<Fault>,
    /// What kind of PostHog it is.
    pub instance: InstanceSpec,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            project: 12345,
            other_projects: Vec::new(),
            keys: vec![KeySpec::default()],
            schedule: false,
            rate_limits: RateLimits::default(),
            sources: Vec::new(),
            faults: Vec::new(),
            instance: InstanceSpec::default(),
        }
    }
}

impl Scenario {
    /// Reads a scenario file's text.
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        serde_saphyr::from_str(text).map_err(|error| Error::Yaml(error.to_string()))
    }
}

/// A personal API key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeySpec {
    /// The token, `phx_…`.
    pub token: String,
    /// What the request log calls it; `key-1`, `key-2`, … if none.
    pub label: Option<String>,
    /// `external_data_source:read`, `external_data_source:write`, `query:read`, or `*`.
    pub scopes: Vec<String>,
    /// A key from before there were scopes: it may do everything.
    pub legacy: bool,
    /// The projects that it is limited to; all, if none.
    pub projects: Option<Vec<u64>>,
    /// What `@current` means for its owner; the scenario's project, if none.
    pub current_project: Option<u64>,
}

impl Default for KeySpec {
    fn default() -> Self {
        Self {
            token: "phx_demo".to_owned(),
            label: None,
            scopes: vec![
                "external_data_source:read".to_owned(),
                "external_data_source:write".to_owned(),
            ],
            legacy: false,
            projects: None,
            current_project: None,
        }
    }
}

/// The limits on requests. PostHog counts them for each key, over all its projects.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Self-hosted installations may have them off.
    pub enabled: bool,
    /// Requests in any minute.
    pub burst_per_minute: u32,
    /// Requests in any hour.
    pub sustained_per_hour: u32,
    /// Queries in any minute: they count apart from all other requests.
    pub queries_per_minute: u32,
    /// Queries in any hour.
    pub queries_per_hour: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            enabled: true,
            burst_per_minute: 480,
            sustained_per_hour: 4800,
            queries_per_minute: 240,
            queries_per_hour: 120,
        }
    }
}

/// A source.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSpec {
    /// Its id; given by the simulator, if none.
    pub id: Option<String>,
    /// This many copies, with prefixes that end in `_0001`, `_0002`, …
    pub copies: Option<u32>,
    /// The project it belongs to; the scenario's, if none.
    pub project: Option<u64>,
    /// `Postgres`, `Stripe`, …
    #[serde(rename = "type")]
    pub source_type: String,
    /// The prefix of its tables.
    pub prefix: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// `warehouse` or `direct`.
    pub access_method: String,
    /// How long ago it was made.
    #[serde(deserialize_with = "period::deserialize")]
    pub created_ago: SignedDuration,
    /// The stored status, which a client sees only when no schema has anything to say.
    pub stored_status: String,
    /// What the connection looks like, as far as PostHog shows it.
    pub job_inputs: Map<String, Value>,
    /// The answer (400) to every live read of the source, for example `Invalid credentials`; fine, if none.
    pub probe_error: Option<String>,
    /// A `PATCH` of `job_inputs` with exactly these values clears `probe_error`. Any other is refused while it is set.
    pub accepts_inputs: Option<Map<String, Value>>,
    /// What `webhook_info` answers, merged over that of a source without webhooks. Objects in it are made complete.
    pub webhook: Map<String, Value>,
    /// The names of the inputs that its webhook needs; those of its type, if none.
    pub webhook_fields: Option<Vec<String>>,
    /// What the log of its webhook says of deliveries.
    pub webhook_log: Vec<DeliveryLine>,
    /// Its change data capture; off, if none.
    pub cdc: Option<CdcSpec>,
    /// Tables at the source of which PostHog does not know yet; `refresh_schemas` finds them.
    pub new_tables: Vec<String>,
    /// Merged over its row, as the last thing: values that PostHog does not have yet, or should not have.
    pub raw: Map<String, Value>,
    /// Its schemas.
    pub schemas: Vec<SchemaSpec>,
}

impl Default for SourceSpec {
    fn default() -> Self {
        Self {
            id: None,
            copies: None,
            project: None,
            source_type: "Postgres".to_owned(),
            prefix: None,
            description: None,
            access_method: "warehouse".to_owned(),
            created_ago: SignedDuration::from_hours(90 * 24),
            stored_status: "Completed".to_owned(),
            job_inputs: Map::new(),
            probe_error: None,
            accepts_inputs: None,
            webhook: Map::new(),
            webhook_fields: None,
            webhook_log: Vec::new(),
            cdc: None,
            new_tables: Vec::new(),
            raw: Map::new(),
            schemas: Vec::new(),
        }
    }
}

/// A line in the log of a webhook.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryLine {
    /// How long before the start of the scenario.
    #[serde(deserialize_with = "period::deserialize")]
    pub ago: SignedDuration,
    /// `INFO`, `WARN`, `ERROR`.
    #[serde(default = "DeliveryLine::info")]
    pub level: String,
    /// What it says.
    pub message: String,
}

impl DeliveryLine {
    fn info() -> String {
        "INFO".to_owned()
    }
}

/// A schema: one table of a source.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that a scenario names"
)]
pub struct SchemaSpec {
    /// Its id; given by the simulator, if none.
    pub id: Option<String>,
    /// Its name, which must be there.
    pub name: String,
    /// This many copies, with names that end in `_0001`, `_0002`, …
    pub copies: Option<u32>,
    /// Its label.
    pub label: Option<String>,
    /// Whether it is enabled.
    pub should_sync: bool,
    /// `full_refresh`, `incremental`, `append`, `webhook`, `cdc`, `xmin`, or null for a table that was never set up.
    pub sync_type: Option<String>,
    /// `5min` … `30day`, or null.
    pub frequency: Option<String>,
    /// Its stored status, in PostHog's database words; by default what its newest job says.
    pub status: Option<Status>,
    /// Its `latest_error`.
    pub latest_error: Option<String>,
    /// How long ago its last success *started*. Makes one Completed job, unless `jobs` is given.
    #[serde(deserialize_with = "period::option::deserialize")]
    pub last_synced_ago: Option<SignedDuration>,
    /// How long ago the job started that gave a `status` of Failed or of billing.
    #[serde(deserialize_with = "period::deserialize")]
    pub last_run_ago: SignedDuration,
    /// Rows in its table; no table, if none.
    pub rows: Option<u64>,
    /// Its past jobs, in any order; made up from the fields above, if none.
    pub jobs: Vec<PastJob>,
    /// Its run in flight.
    pub run: Option<RunInFlight>,
    /// Runs that began before it, of which Temporal knows nothing any more: runs of v3 in any phase, some of which may
    /// have ended by the start, and rows that say Running with nothing behind them (`hangs`).
    pub earlier_runs: Vec<RunInFlight>,
    /// `status` is Running and there is no Running job.
    pub phantom: bool,
    /// Its next runs, in turn.
    pub next_runs: Vec<RunPlan>,
    /// All runs after those.
    pub then: RunPlan,
    /// Whether it starts runs by itself; the scenario's `schedule`, if none.
    pub schedule: Option<bool>,
    /// How often it starts runs by itself, regardless of its frequency and `schedule`: for tests in real time.
    #[serde(deserialize_with = "period::option::deserialize")]
    pub starts_every: Option<SignedDuration>,
    /// Failed runs in a row so far. From five on, PostHog defers starts.
    pub failed_in_a_row: u32,
    /// The next run will wipe the table.
    pub reset_pending: bool,
    /// Its CDC is broken: no run starts, no status is written.
    pub cdc_broken: bool,
    /// Starting a run fails (400 `Couldn't start the sync. …`).
    pub trigger_fails: bool,
    /// It no longer exists at the source.
    pub table_gone: bool,
    /// What `incremental_fields` is answered (400); fine, if none.
    pub probe_error: Option<String>,
    /// Merged over what `incremental_fields` answers (200).
    pub incremental_fields: Map<String, Value>,
    /// Its incremental field.
    pub incremental_field: Option<String>,
    /// The type of its incremental field.
    pub incremental_field_type: Option<String>,
    /// Its primary key.
    pub primary_key_columns: Option<Vec<String>>,
    /// `consolidated`, `cdc_only` or `both`.
    pub cdc_table_mode: Option<String>,
    /// Its columns; by default the primary key, the incremental field, and the columns that `data` mentions.
    pub columns: Vec<Column>,
    /// What queries find in its table.
    pub data: DataSpec,
    /// The key's owner does not see it: it is missing from lists, and 404 by itself.
    pub invisible: bool,
    /// The key's owner may change it.
    pub editor: bool,
    /// Merged over its row, as the last thing.
    pub raw: Map<String, Value>,
    /// Removed from its row, as the last thing.
    pub raw_remove: Vec<String>,
    /// Merged over the rows of its jobs, as the last thing.
    pub job_raw: Map<String, Value>,
}

impl Default for SchemaSpec {
    fn default() -> Self {
        Self {
            id: None,
            name: String::new(),
            copies: None,
            label: None,
            should_sync: true,
            sync_type: Some("incremental".to_owned()),
            frequency: Some("6hour".to_owned()),
            status: None,
            latest_error: None,
            last_synced_ago: None,
            last_run_ago: SignedDuration::from_mins(30),
            rows: None,
            jobs: Vec::new(),
            run: None,
            earlier_runs: Vec::new(),
            phantom: false,
            next_runs: Vec::new(),
            then: RunPlan::default(),
            schedule: None,
            starts_every: None,
            failed_in_a_row: 0,
            reset_pending: false,
            cdc_broken: false,
            trigger_fails: false,
            table_gone: false,
            probe_error: None,
            incremental_fields: Map::new(),
            incremental_field: Some("updated_at".to_owned()),
            incremental_field_type: Some("timestamp".to_owned()),
            primary_key_columns: Some(vec!["id".to_owned()]),
            cdc_table_mode: None,
            columns: Vec::new(),
            data: DataSpec::default(),
            invisible: false,
            editor: true,
            raw: Map::new(),
            raw_remove: Vec::new(),
            job_raw: Map::new(),
        }
    }
}

/// A job that had ended before the start.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PastJob {
    /// Its id; given by the simulator, if none.
    pub id: Option<String>,
    /// How long ago it started.
    #[serde(deserialize_with = "period::deserialize")]
    pub started_ago: SignedDuration,
    /// How long it took.
    #[serde(deserialize_with = "period::deserialize")]
    pub took: SignedDuration,
    /// How it ended.
    pub status: Status,
    /// The rows it read.
    pub rows: u64,
    /// Its `latest_error`.
    pub error: Option<String>,
}

impl Default for PastJob {
    fn default() -> Self {
        Self {
            id: None,
            started_ago: SignedDuration::from_hours(1),
            took: SignedDuration::from_mins(1),
            status: Status::Completed,
            rows: 0,
            error: None,
        }
    }
}

/// A run in flight at the start. The durations in its behaviour begin at the start of the scenario, and for a run of v3 at its own: it is already
/// where its plan says.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RunFields")]
pub struct RunInFlight {
    /// Its job's id; given by the simulator, if none.
    pub id: Option<String>,
    /// How long ago it started.
    pub started_ago: SignedDuration,
    /// The rows it has read so far; of a run of v3, its plan says that.
    pub rows: u64,
    /// How long ago the last line appeared in its log; when it started, if none.
    pub last_log_ago: Option<SignedDuration>,
    /// How it continues.
    pub plan: RunPlan,
}

impl Default for RunInFlight {
    fn default() -> Self {
        Self {
            id: None,
            started_ago: SignedDuration::from_mins(1),
            rows: 0,
            last_log_ago: None,
            plan: RunPlan::hangs(),
        }
    }
}

/// As a scenario writes it: the run's own fields beside those of its plan, which serde cannot flatten and still
/// refuse unknown fields.
#[derive(Debug, Deserialize)]
struct RunFields(Map<String, Value>);

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OwnRunFields {
    id: Option<String>,
    #[serde(deserialize_with = "period::option::deserialize")]
    started_ago: Option<SignedDuration>,
    rows: u64,
    #[serde(deserialize_with = "period::option::deserialize")]
    last_log_ago: Option<SignedDuration>,
}

impl TryFrom<RunFields> for RunInFlight {
    type Error = String;

    fn try_from(RunFields(fields): RunFields) -> Result<Self, String> {
        let v3 = is_v3(&fields);
        let (own, plan): (Map<_, _>, Map<_, _>) =
            fields
                .into_iter()
                .partition(|(name, _)| match name.as_str() {
                    "id" | "started_ago" => true,
                    "rows" | "last_log_ago" => !v3,
                    _ => false,
                });
        let own: OwnRunFields =
            serde_json::from_value(Value::Object(own)).map_err(|error| error.to_string())?;
        Ok(Self {
            id: own.id,
            started_ago: own.started_ago.unwrap_or(SignedDuration::from_mins(1)),
            rows: own.rows,
            last_log_ago: own.last_log_ago,
            plan: RunPlan::try_from(plan)?,
        })
    }
}
