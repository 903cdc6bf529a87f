//! The spec of `WarehouseSyncPolicy`: what a user writes.
//!
//! Doc comments become `kubectl explain`: each names the default, the unit, and what absence means. The API server
//! enforces every bound here, so that a wrong policy is refused by `kubectl apply` and not found at run time.

#![allow(
    clippy::duplicated_attributes,
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "printer columns repeat keys, and doc comments become plain text in `kubectl explain`"
)]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notification::Notification;

/// The health that a team wants of its PostHog data-warehouse syncs. The operator polls PostHog, says in status what is
/// wrong and why, and in mode Enforce does by itself what is safe: it cancels a run that hangs and reloads it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "warehousesync.dev",
    version = "v1alpha1",
    kind = "WarehouseSyncPolicy",
    plural = "warehousesyncpolicies",
    shortname = "wsp",
    category = "warehouse",
    namespaced,
    status = "crate::api::status::WarehouseSyncPolicyStatus",
    derive = "PartialEq",
    doc = "Declares the health that a team wants of its PostHog data-warehouse syncs, and what the operator may do by itself to restore it.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether PostHog could be read at the last poll"
    ),
    printcolumn(
        name = "Healthy",
        type_ = "string",
        json_path = ".status.summary.healthyOf",
        description = "Healthy tables of all that are switched on"
    ),
    printcolumn(
        name = "Pending",
        type_ = "integer",
        json_path = ".status.summary.pendingApproval",
        description = "Proposals that wait for a person"
    ),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Healthy")].reason"#,
        description = "Why the policy is healthy or not",
        priority = 1
    ),
    printcolumn(
        name = "Last Action",
        type_ = "string",
        json_path = ".status.history[0].what",
        description = "The newest step that the operator took or saw",
        priority = 1
    ),
    printcolumn(
        name = "Next Action",
        type_ = "string",
        json_path = ".status.nextAction.what",
        description = "What the operator waits for or would do",
        priority = 1
    )
)]
#[x_kube(validation = Rule::new(
    "self.posthog.host.startsWith('http://127.0.0.1:') || !self.health.stuck.after.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') || self.health.stuck.after == '' || duration(self.health.stuck.after) >= duration('1h')"
).message("spec.health.stuck.after must be at least 1h: legal runs are that long (shorter only for a host on 127.0.0.1)"))]
#[x_kube(validation = Rule::new(
    "self.posthog.host.startsWith('http://127.0.0.1:') || !self.health.stuck.noProgressFor.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') || self.health.stuck.noProgressFor == '' || duration(self.health.stuck.noProgressFor) >= duration('6h')"
).message("spec.health.stuck.noProgressFor must be at least 6h: PostHog's own sweep acts then, and ours comes after it (shorter only for a host on 127.0.0.1)"))]
#[x_kube(validation = Rule::new(
    "self.posthog.host.startsWith('http://127.0.0.1:') || !has(self.overrides) || self.overrides.all(o, !has(o.stuck) || !o.stuck.after.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') || o.stuck.after == '' || !o.stuck.noProgressFor.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') || o.stuck.noProgressFor == '' || (duration(o.stuck.after) >= duration('1h') && duration(o.stuck.noProgressFor) >= duration('6h')))"
).message("spec.overrides[].stuck: after must be at least 1h and noProgressFor at least 6h, as in spec.health (shorter only for a host on 127.0.0.1)"))]
pub struct WarehouseSyncPolicySpec {
    /// Which PostHog project to look after, and with which API key.
    pub posthog: PostHogProject,

    /// Observe (default) only reports: status says what the operator would do. Enforce lets it do what is safe.
    #[serde(default)]
    pub mode: Mode,

    /// True stops everything that the operator would send to PostHog, at once, also in the middle of an incident.
    /// Observation goes on. Default: false.
    #[serde(default)]
    pub suspend: bool,

    /// How often PostHog is polled, from 5s to 24h. Default: 2m. Policies of one project and API key share their polls.
    #[serde(default = "defaults::interval")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new(
        "self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('5s') && duration(self) <= duration('24h')"
    ).message("interval must be a duration from 5s to 24h, for example 2m or 1h30m"))]
    pub interval: String,

    /// Which tables this policy looks after. Absent or empty: every table of the project.
    #[serde(default)]
    pub selector: Selector,

    /// The desired health. Absent: the defaults of each field.
    #[serde(default)]
    pub health: Health,

    /// Other health for single tables: of those entries that match a table, the first counts. Empty (default): none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(
        validation = Rule::new("self.map(o, o.schemas.size()).sum() <= 256")
            .message("overrides may have 256 globs together: use globs with *, or several policies"),
        validation = Rule::new("self.map(o, o.schemas.filter(g, g.contains('?') || g.indexOf('*') != g.lastIndexOf('*')).map(g, g.size()).sum()).sum() <= 1024")
            .message("the globs of overrides that contain ? or more than one * may have 1024 characters together: use globs with one *, or several policies")
    )]
    pub overrides: Vec<Override>,

    /// What the operator may do by itself in mode Enforce, and how much of it. Absent: the defaults of each field.
    #[serde(default)]
    pub remediation: Remediation,

    /// How proposals are approved. Absent: the defaults of each field.
    #[serde(default)]
    pub approval: Approval,
    /// Secrets of the policy's namespace from which new credentials flow into sources: when a source rejects its credentials
    /// and the Secret has changed, it is handed to PostHog once. Empty (default): none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub credentials: Vec<Credentials>,

    /// Who is told when a person is needed: a proposal waits, the operator is at its end, or starts nothing because too much
    /// fails; and when that is over. At most four. Empty (default): nobody, status and events apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, a.secretRef.name == b.secretRef.name && a.secretRef.key == b.secretRef.key))")
        .message("two entries of notifications have the same secretRef: each receiver is named once, with all that it is told of in its events"))]
    pub notifications: Vec<Notification>,
}

/// Which keys of Secrets hold the credentials of one source. Each Secret must carry the label
/// `warehousesync.dev/use: source-credentials` and the annotation `warehousesync.dev/project` with the project's id.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.jobInputs) && size(self.jobInputs) > 0) || (has(self.webhookInputs) && size(self.webhookInputs) > 0)")
    .message("an entry of credentials has jobInputs, webhookInputs or both"))]
pub struct Credentials {
    /// The source. It must match exactly one.
    pub source: SourceRef,
    /// Inputs of the source by name; a dot leads into a container, for example auth_method.stripe_secret_key. Only inputs
    /// that say who asks: user names, passwords, keys, tokens. Those that say where (host, port, database, …) are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^([A-Za-z0-9_]+[.])*((user|username|private_key|service_account_key)|[A-Za-z0-9_]*(password|passphrase|secret|token|api_key|secret_key))$'))")
        .message("jobInputs may name only inputs that say who asks, for example user, password, api_key, auth_method.stripe_secret_key; inputs that say where or what (host, port, database, schema, account, …) could turn a table to another database"))]
    pub job_inputs: BTreeMap<String, FromSecret>,
    /// Inputs of the source's webhook by name, for example signing_secret. Pushed when the Secret has changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub webhook_inputs: BTreeMap<String, FromSecret>,
}

impl Credentials {
    /// All values that it names.
    pub fn inputs(&self) -> impl Iterator<Item = &FromSecret> {
        self.job_inputs.values().chain(self.webhook_inputs.values())
    }
}

/// A value that is in a Secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FromSecret {
    /// The Secret, in the policy's namespace, and the key in it.
    pub secret_ref: SecretKeyRef,
}

/// A PostHog project and the API key to read it with.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PostHogProject {
    /// Base URL of PostHog, for example https://us.posthog.com. Must be https and on the operator's list
    /// (--allowed-host). http is accepted only for http://127.0.0.1:PORT. Immutable: make a new policy for another host.
    #[schemars(length(max = 253))]
    #[x_kube(
        validation = Rule::new(r"self.matches('^(https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?|http://127[.]0[.]0[.]1:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))/?$')")
            .message("host must be https://HOST or https://HOST:PORT without a path, for example https://us.posthog.com (http only for http://127.0.0.1:PORT)"),
        validation = Rule::new("self == oldSelf").message("host is immutable: make a new policy for another host")
    )]
    pub host: String,

    /// Numeric id of the project, as in the URL of PostHog's UI (/project/12345). `@current` follows a person's last click
    /// and is refused. Immutable: make a new policy for another project.
    #[schemars(with = "i64", range(min = 1))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("projectId is immutable: make a new policy for another project"))]
    pub project_id: i64,

    /// The Secret, in the policy's namespace, that holds a personal API key of PostHog. It must carry the label
    /// `warehousesync.dev/use: posthog-api-key`. The key needs the scope `external_data_source:read`, in mode Enforce also
    /// `external_data_source:write`.
    pub api_key_secret_ref: SecretKeyRef,
}

/// One key of a Secret in the policy's namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key below the Secret's `data`.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What the operator may do.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Only report.
    #[default]
    Observe,
    /// Also do what is safe.
    Enforce,
}

/// Which tables a policy looks after. All given fields must match; of a list, one entry must.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// Limits by source. Absent: every source.
    #[serde(default)]
    pub sources: SourceSelector,
    /// Limits by table. Absent: every table of the selected sources.
    #[serde(default)]
    pub schemas: SchemaSelector,
}

/// Which sources. Fields combine with AND, the entries of one list with OR.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SourceSelector {
    /// Types as PostHog names them, for example Postgres or Stripe. Upper and lower case do not matter. Empty: every type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    pub types: Vec<String>,
    /// Prefixes of sources, matched exactly. Empty: every prefix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 100)))]
    pub prefixes: Vec<String>,
    /// Ids of sources (UUIDs). Empty: every id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    pub ids: Vec<String>,
}

/// Which tables, by name.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SchemaSelector {
    /// Globs on the table's name, for example `public.*`: `*` stands for any text, `?` for one character. Those that contain `?` or
    /// more than one `*` may have 1024 characters together. Empty: every table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 256), regex(pattern = r"^[^\[\]{}\\]+$"))
    )]
    #[x_kube(validation = Rule::new("self.filter(g, g.contains('?') || g.indexOf('*') != g.lastIndexOf('*')).map(g, g.size()).sum() <= 1024")
        .message("the globs of include that contain ? or more than one * may have 1024 characters together: use globs with one *, or several policies"))]
    pub include: Vec<String>,
    /// Globs of tables to leave out, also when `include` matches them. Empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 256), regex(pattern = r"^[^\[\]{}\\]+$"))
    )]
    #[x_kube(validation = Rule::new("self.filter(g, g.contains('?') || g.indexOf('*') != g.lastIndexOf('*')).map(g, g.size()).sum() <= 1024")
        .message("the globs of exclude that contain ? or more than one * may have 1024 characters together: use globs with one *, or several policies"))]
    pub exclude: Vec<String>,
}

/// The desired health.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// When a running sync counts as stuck.
    #[serde(default)]
    pub stuck: Stuck,
    /// When a failed sync is reported.
    #[serde(default)]
    pub failing: Failing,
    /// When a table that says Completed counts as stale.
    #[serde(default)]
    pub freshness: Freshness,
    /// How often the webhooks of sources are checked.
    #[serde(default)]
    pub webhooks: Webhooks,
    /// How often change data capture of sources is checked, and how much lag is reported.
    #[serde(default)]
    pub cdc: Cdc,
    /// Checks of the data itself, each on one table. They run queries in PostHog, after a new completed sync and at most
    /// hourly, and need an API key with the scope `query:read`. Empty (default): none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub data_checks: Vec<DataCheck>,
    /// How long a table must stay healthy before its incident is closed, from 0s to 24h. Default: 10m.
    #[serde(default = "defaults::healthy_for")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) <= duration('24h')")
        .message("healthyFor must be a duration from 0s to 24h, for example 10m"))]
    pub healthy_for: String,
}

/// Other health for some tables of one source. What is absent here is as in `spec.health`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// The sources of the tables.
    pub source: SourceRef,
    /// Globs on the tables' names, for example `public.*`.
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 1, max = 256), regex(pattern = r"^[^\[\]{}\\]+$"))
    )]
    pub schemas: Vec<String>,
    /// When a running sync counts as stuck. Fields that are absent in it have their own defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<Stuck>,
    /// When a failed sync is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// When a table that says Completed counts as stale. Fields that are absent in it have their own defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Freshness>,
    /// Columns that together are different in each row, from 1 to 8: what only a person can know. Used in proposals only,
    /// where the primary key of a table is missing or not unique. Empty (default): what PostHog detects at the source, if
    /// anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128)))]
    pub primary_keys: Vec<String>,
}

/// When a running sync counts as stuck: both limits must be passed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Stuck {
    /// A run younger than this is never stuck. From 1h (shorter only for a host on 127.0.0.1) to 720h. Default: 6h.
    #[serde(default = "defaults::stuck_after")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('1s') && duration(self) <= duration('720h')")
        .message("after must be a duration from 1h to 720h, for example 6h"))]
    pub after: String,
    /// How long neither the count of synced rows may have moved nor a line of the run's log have appeared. From 6h (shorter
    /// only for a host on 127.0.0.1) to 720h. Default: 7h, because PostHog's own sweep acts after 6h.
    #[serde(default = "defaults::no_progress_for")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('1s') && duration(self) <= duration('720h')")
        .message("noProgressFor must be a duration from 6h to 720h, for example 7h"))]
    pub no_progress_for: String,
}

/// When a failed sync is reported.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Failing {
    /// How long the newest run must have been failed before it is reported, from 0s to 24h. Default: 5m.
    #[serde(rename = "for", default = "defaults::failing_for")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) <= duration('24h')")
        .message("for must be a duration from 0s to 24h, for example 5m"))]
    pub for_: String,
}

/// When a table that says Completed counts as stale: its schedule may have stopped without an error. A run that finds nothing
/// new counts as a sync.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.errorAfterIntervals >= self.warnAfterIntervals")
    .message("errorAfterIntervals must not be less than warnAfterIntervals"))]
pub struct Freshness {
    /// After how many of the table's own sync intervals without a completed run a Warning is reported, from 2 to 1000.
    /// Default: 2.
    #[serde(default = "defaults::warn_after_intervals")]
    #[schemars(with = "i64", range(min = 2, max = 1000))]
    pub warn_after_intervals: i64,
    /// After how many of them an Error is reported, from 2 to 1000. Default: 4.
    #[serde(default = "defaults::error_after_intervals")]
    #[schemars(with = "i64", range(min = 2, max = 1000))]
    pub error_after_intervals: i64,
    /// Report an Error when no run has completed for this long, whatever the table's sync interval, from 1m to 8760h.
    /// Absent (default): only the intervals count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('1m') && duration(self) <= duration('8760h')")
        .message("maxAge must be a duration from 1m to 8760h, for example 26h"))]
    pub max_age: Option<String>,
}

/// How often webhooks are checked.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Webhooks {
    /// How often PostHog is asked how the webhook of a source stands, from 5m to 24h. Asked only of sources with a table that
    /// is synced by webhook. Default: 1h.
    #[serde(default = "defaults::check_every")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('5m') && duration(self) <= duration('24h')")
        .message("checkEvery must be a duration from 5m to 24h, for example 1h"))]
    pub check_every: String,
}

/// How change data capture is checked.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Cdc {
    /// How often PostHog is asked how change data capture of a source stands, from 5m to 24h. Asked only of sources with a
    /// table that is synced by CDC. Default: 1h.
    #[serde(default = "defaults::check_every")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('5m') && duration(self) <= duration('24h')")
        .message("checkEvery must be a duration from 5m to 24h, for example 1h"))]
    pub check_every: String,
    /// Report a Warning from this share of the lag at which PostHog drops its replication slot (lag_critical_threshold_mb of
    /// the source), in percent from 1 to 100. Default: 50.
    #[serde(default = "defaults::lag_warn_percent")]
    #[schemars(with = "i64", range(min = 1, max = 100))]
    pub lag_warn_percent: i64,
}

/// A check of the data of one table: either `uniqueKey` or `newestRow`. Only counts and times are read, never values.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.uniqueKey) && size(self.uniqueKey) > 0) != has(self.newestRow)")
    .message("a data check has either uniqueKey or newestRow"))]
pub struct DataCheck {
    /// The source of the table. It must match exactly one source.
    pub source: SourceRef,
    /// Name of the table in PostHog, for example public.orders.
    #[schemars(length(min = 1, max = 256))]
    pub schema: String,
    /// Columns that together must be different in each row, from 1 to 8. Reports how many keys occur more than once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128)))]
    pub unique_key: Vec<String>,
    /// A column with a time, and how old its newest value may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_row: Option<NewestRow>,
}

/// How old the newest row of a table may be.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct NewestRow {
    /// The column, for example created_at: a date or a time, in UTC unless it says otherwise.
    #[schemars(length(min = 1, max = 128))]
    pub column: String,
    /// How old its newest value may be, from 1m to 8760h.
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('1m') && duration(self) <= duration('8760h')")
        .message("maxAge must be a duration from 1m to 8760h, for example 26h"))]
    pub max_age: String,
}

/// One source: by its id, or by type and prefix.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.id) ? !has(self.type) && !has(self.prefix) : has(self.type) || has(self.prefix)")
    .message("a source is named by its id, or by type, prefix or both"))]
pub struct SourceRef {
    /// Id of the source (UUID).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub id: Option<String>,
    /// Type as PostHog names it, for example Postgres. Upper and lower case do not matter.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub type_: Option<String>,
    /// Prefix of the source, matched exactly; empty for a source without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub prefix: Option<String>,
}

impl SourceRef {
    /// True if a source of this type, prefix and id is meant.
    #[must_use]
    pub fn matches(&self, source_type: &str, prefix: &str, id: &str) -> bool {
        let Self {
            id: own_id,
            type_,
            prefix: own_prefix,
        } = self;
        own_id
            .as_ref()
            .is_none_or(|own| own.eq_ignore_ascii_case(id))
            && type_
                .as_ref()
                .is_none_or(|own| own.eq_ignore_ascii_case(source_type))
            && own_prefix.as_ref().is_none_or(|own| own == prefix)
    }
}

/// What the operator may do by itself in mode Enforce.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Remediation {
    /// Auto (default): cancel a run that is stuck, then reload it; reload a table that says Running without a run. "Off":
    /// report. Write "Off" in quotes, because YAML reads a bare Off as false.
    #[serde(default)]
    pub cancel_stuck: Switch,
    /// Auto (default): reload a table whose run failed for a passing reason (Transient, RateLimited, PlatformInternal), after a
    /// pause, and one whose change data capture was mended. "Off": report.
    #[serde(default)]
    pub reload_transient: Switch,
    /// Auto (default): reload a table that is stale (severity Error) once; one that is synced in full at most once a day,
    /// because that costs rows. "Off": report.
    #[serde(default)]
    pub reload_stale: Switch,
    /// Propose (default): where a table has gone from its source, propose to let PostHog read the source's list of tables
    /// anew, which deletes what it has of tables that vanished. "Off": report.
    #[serde(default)]
    pub refresh_schemas: Proposing,
    /// Propose (default): where the incremental field has gone, or a table has no primary key, propose the one that fits.
    /// "Off": report.
    #[serde(default)]
    pub repair_config: Proposing,
    /// Propose (default): where data is bad or no longer fits, propose to wipe the table and import it anew. "Off": report.
    #[serde(default)]
    pub resync: Proposing,
    /// Propose (default): where the primary key of a table is not unique, propose to delete its data, set another key and
    /// import it anew. "Off": report.
    #[serde(default)]
    pub delete_data: Proposing,
    /// Propose (default): where a replication slot was lost and PostHog has not made it anew, propose to rebuild change data
    /// capture, which imports every captured table anew. "Off": report.
    #[serde(default)]
    pub repair_cdc: Proposing,
    /// Propose (default): where the vendor has switched a webhook off and its tables can be synced without one, propose to
    /// remove it and make another one, which wipes the tables that sync by it. "Off": report.
    #[serde(default)]
    pub reregister_webhook: Proposing,
    /// Auto (default): when a source rejects its credentials and the Secret that `spec.credentials` names has changed, hand it
    /// to PostHog once and reload the tables. "Off": report.
    #[serde(default)]
    pub apply_credentials: Switch,
    /// Auto (default): after a proved fix, switch those tables on again that PostHog was seen to switch off. "Off": report.
    #[serde(default)]
    pub reenable_after_fix: Switch,
    /// Auto (default): register a webhook that PostHog or the vendor certainly lacks, once, and push `webhookInputs` when their
    /// Secret has changed. "Off": report.
    #[serde(default)]
    pub register_webhook: Switch,
    /// When the operator may start something. What it has started it ends. Only Deny windows: always but then. Any Allow
    /// window: only then. Deny wins. Empty (default): always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<Window>,
    /// How much the operator may do at once and again.
    #[serde(default)]
    pub limits: Limits,
}

/// A window of time that comes again and again.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Whether the operator may start something in it.
    pub kind: WindowKind,
    /// When it begins, as five fields of cron: minute, hour, day of the month, month, day of the week. For example
    /// `0 8 * * 1-5`: at eight from Monday to Friday.
    #[schemars(length(min = 9, max = 64))]
    #[x_kube(validation = Rule::new(r"self.matches('^[^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+$')")
        .message("schedule must be five fields of cron, for example 0 8 * * 1-5"))]
    pub schedule: String,
    /// How long it lasts, from 1m to 168h.
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('1m') && duration(self) <= duration('168h')")
        .message("duration must be a duration from 1m to 168h, for example 10h"))]
    pub duration: String,
    /// The time zone of the schedule, by its name in the IANA database, for example Europe/Berlin. Default: UTC.
    #[serde(default = "defaults::time_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
}

/// What a window is for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// The operator may start something in it.
    Allow,
    /// The operator may not start anything in it.
    Deny,
}

/// Whether a safe action is taken without asking.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// Do it.
    #[default]
    Auto,
    /// Only report.
    Off,
}

/// Whether an action that could cost data is proposed. It is never taken without a person's approval. Write "Off" in quotes,
/// because YAML reads a bare Off as false.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proposing {
    /// Propose it.
    #[default]
    Propose,
    /// Only report.
    Off,
}

/// How proposals are approved.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// How long an approved proposal may wait for its execution, from 1m to 8760h, counting only time in which
    /// `spec.remediation.windows` are open. After that it has expired. Default: 24h.
    #[serde(default = "defaults::execute_within")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('1m') && duration(self) <= duration('8760h')")
        .message("executeWithin must be a duration from 1m to 8760h, for example 24h"))]
    pub execute_within: String,
    /// How long a proposal waits for an answer, from 1m to 8760h. After that it is made anew, with another id, as long as its
    /// finding holds. Default: 168h.
    #[serde(default = "defaults::expires_after")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('1m') && duration(self) <= duration('8760h')")
        .message("expiresAfter must be a duration from 1m to 8760h, for example 168h"))]
    pub expires_after: String,
}

/// How much the operator may do at once and again.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// How many incidents may be in flight at a time, from 1 to 50; one counts until its new run has been seen. Default: 2.
    #[serde(default = "defaults::max_concurrent")]
    #[schemars(with = "i64", range(min = 1, max = 50))]
    pub max_concurrent: i64,
    /// How often one incident may be tried before a human is asked, from 1 to 10. Default: 3.
    #[serde(default = "defaults::attempts_per_incident")]
    #[schemars(with = "i64", range(min = 1, max = 10))]
    pub attempts_per_incident: i64,
    /// How many calls the operator may send in an hour for this policy, from 1 to 1000; the operator's own cap
    /// (--max-actions-per-hour) holds beside it. Default: 20.
    #[serde(default = "defaults::max_actions_per_hour")]
    #[schemars(with = "i64", range(min = 1, max = 1000))]
    pub max_actions_per_hour: i64,
    /// How long to wait after a failure before the table is reloaded.
    #[serde(default)]
    pub backoff: Backoff,
    /// When the operator stops itself, because so much fails at once that the cause is not in single tables.
    #[serde(default)]
    pub breaker: Breaker,
}

/// How long to wait after a failure: `initial`, and with each attempt of an incident `factor` times longer, up to `max`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// Before the first reload, counted from the end of the failed run, from 1s to 24h. Default: 10m.
    #[serde(default = "defaults::backoff_initial")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("initial must be a duration from 1s to 24h, for example 10m"))]
    pub initial: String,
    /// By how much longer with each attempt, from 1 to 10. Default: 2.
    #[serde(default = "defaults::backoff_factor")]
    #[schemars(with = "i64", range(min = 1, max = 10))]
    pub factor: i64,
    /// At most, from 1s to 168h. Default: 6h.
    #[serde(default = "defaults::backoff_max")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('1s') && duration(self) <= duration('168h')")
        .message("max must be a duration from 1s to 168h, for example 6h"))]
    pub max: String,
}

/// When the operator stops itself: many sources turned bad at once. Sources are counted, not tables, over the whole project.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Breaker {
    /// How many sources at least, from 2 to 1000. Default: 3.
    #[serde(default = "defaults::breaker_min_sources")]
    #[schemars(with = "i64", range(min = 2, max = 1000))]
    pub min_sources: i64,
    /// Which share of the active sources at least, in percent from 1 to 100. Default: 50.
    #[serde(default = "defaults::breaker_max_bad_sources_percent")]
    #[schemars(with = "i64", range(min = 1, max = 100))]
    pub max_bad_sources_percent: i64,
    /// Within which time their runs failed, from 1m to 24h. Default: 10m.
    #[serde(default = "defaults::breaker_within")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('1m') && duration(self) <= duration('24h')")
        .message("within must be a duration from 1m to 24h, for example 10m"))]
    pub within: String,
    /// How long the operator then starts nothing, before it tries one table, from 1s to 168h. Default: 30m.
    #[serde(default = "defaults::breaker_cooldown")]
    #[schemars(with = "String", length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$') && self != '' && duration(self) >= duration('1s') && duration(self) <= duration('168h')")
        .message("cooldown must be a duration from 1s to 168h, for example 30m"))]
    pub cooldown: String,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            stuck: Stuck::default(),
            failing: Failing::default(),
            freshness: Freshness::default(),
            webhooks: Webhooks::default(),
            cdc: Cdc::default(),
            data_checks: Vec::new(),
            healthy_for: defaults::healthy_for(),
        }
    }
}

impl Default for Approval {
    fn default() -> Self {
        Self {
            execute_within: defaults::execute_within(),
            expires_after: defaults::expires_after(),
        }
    }
}

impl Default for Stuck {
    fn default() -> Self {
        Self {
            after: defaults::stuck_after(),
            no_progress_for: defaults::no_progress_for(),
        }
    }
}

impl Default for Failing {
    fn default() -> Self {
        Self {
            for_: defaults::failing_for(),
        }
    }
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            warn_after_intervals: defaults::warn_after_intervals(),
            error_after_intervals: defaults::error_after_intervals(),
            max_age: None,
        }
    }
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            check_every: defaults::check_every(),
        }
    }
}

impl Default for Cdc {
    fn default() -> Self {
        Self {
            check_every: defaults::check_every(),
            lag_warn_percent: defaults::lag_warn_percent(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_concurrent: defaults::max_concurrent(),
            attempts_per_incident: defaults::attempts_per_incident(),
            max_actions_per_hour: defaults::max_actions_per_hour(),
            backoff: Backoff::default(),
            breaker: Breaker::default(),
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: defaults::backoff_initial(),
            factor: defaults::backoff_factor(),
            max: defaults::backoff_max(),
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            min_sources: defaults::breaker_min_sources(),
            max_bad_sources_percent: defaults::breaker_max_bad_sources_percent(),
            within: defaults::breaker_within(),
            cooldown: defaults::breaker_cooldown(),
        }
    }
}

/// The defaults, as serde and the CRD's schema take them.
mod defaults {
    pub(super) fn interval() -> String {
        "2m".to_owned()
    }
    pub(super) fn stuck_after() -> String {
        "6h".to_owned()
    }
    pub(super) fn no_progress_for() -> String {
        "7h".to_owned()
    }
    pub(super) fn failing_for() -> String {
        "5m".to_owned()
    }
    pub(super) fn healthy_for() -> String {
        "10m".to_owned()
    }
    pub(super) const fn warn_after_intervals() -> i64 {
        2
    }
    pub(super) const fn error_after_intervals() -> i64 {
        4
    }
    pub(super) fn check_every() -> String {
        "1h".to_owned()
    }
    pub(super) const fn lag_warn_percent() -> i64 {
        50
    }
    pub(super) const fn max_concurrent() -> i64 {
        2
    }
    pub(super) const fn attempts_per_incident() -> i64 {
        3
    }
    pub(super) const fn max_actions_per_hour() -> i64 {
        20
    }
    pub(super) fn backoff_initial() -> String {
        "10m".to_owned()
    }
    pub(super) const fn backoff_factor() -> i64 {
        2
    }
    pub(super) fn backoff_max() -> String {
        "6h".to_owned()
    }
    pub(super) const fn breaker_min_sources() -> i64 {
        3
    }
    pub(super) const fn breaker_max_bad_sources_percent() -> i64 {
        50
    }
    pub(super) fn breaker_within() -> String {
        "10m".to_owned()
    }
    pub(super) fn breaker_cooldown() -> String {
        "30m".to_owned()
    }
    pub(super) fn execute_within() -> String {
        "24h".to_owned()
    }
    pub(super) fn expires_after() -> String {
        "168h".to_owned()
    }
    pub(super) fn time_zone() -> String {
        "UTC".to_owned()
    }
}
