//! The spec of `WarehouseSyncPolicy`: what a user writes.
//!
//! Doc comments become `kubectl explain`: each names the default, the unit, and what absence means. The API server
//! enforces every bound here, so that `kubectl apply` refuses a wrong policy before it can fail at run time.

#![allow(
    clippy::duplicated_attributes,
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "printer columns repeat keys, and doc comments become plain text in `kubectl explain`"
)]

use std::collections::{BTreeMap, BTreeSet};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cel::between,
    duration::DurationText,
    health::{HealthSpec, floors},
    notification::Notification,
    overrides::OverrideSpec,
    selector::SelectorSpec,
};
pub use super::{
    refs::{CredentialUse, FromSecret, SecretKeyRef, SourceRef},
    remediation::{CancelStuck, Proposing, Remediation, Switch},
};

/// The health that a team expects of its PostHog data-warehouse syncs. The operator polls PostHog and reports in status
/// what is wrong and why. In mode Enforce it also does what is safe: it cancels a dead run and reloads its table.
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
    doc = "Declares the health that a team expects of its PostHog data-warehouse syncs, and what the operator may do to restore it.",
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
        description = "Healthy tables out of all that are switched on"
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
        description = "The latest action or observation of the operator",
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
#[schemars(extend("x-kubernetes-validations" = floors()))]
pub struct WarehouseSyncPolicySpec {
    /// The PostHog project to watch, and the API key for it.
    pub posthog: PostHogProject,

    /// Observe (default): only report; status shows what the operator would do. Enforce: also do what is safe.
    #[serde(default)]
    pub mode: Mode,

    /// True stops every call that changes something in PostHog at once, also during an incident. The operator continues
    /// to poll and report. Default: false.
    #[serde(default)]
    pub suspend: bool,

    /// How often PostHog is polled, from 5s to 24h. Default: 2m. Policies of one project and API key share their polls.
    #[serde(default = "interval")]
    #[schemars(extend("x-kubernetes-validations" = between("interval", "5s", "24h", "2m or 1h30m")))]
    pub interval: DurationText,

    /// The tables that this policy watches. Absent or empty: every table of the project.
    #[serde(default)]
    pub selector: SelectorSpec,

    /// The expected health. Absent: the default of each field.
    #[serde(default)]
    pub health: HealthSpec,

    /// A different expected health for some tables. If several entries match a table, the first one applies. Empty
    /// (default): none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(
        validation = Rule::new("self.map(o, o.schemas.size()).sum() <= 256")
            .message("overrides may have at most 256 globs in total: use globs with *, or several policies"),
        validation = Rule::new("self.map(o, o.schemas.filter(g, g.contains('?') || g.indexOf('*') != g.lastIndexOf('*')).map(g, g.size()).sum()).sum() <= 1024")
            .message("the globs of overrides that contain ? or more than one * may have at most 1024 characters in total: use globs with one *, or several policies")
    )]
    pub overrides: Vec<OverrideSpec>,

    /// What the operator may do without approval in mode Enforce, and its limits. Absent: the default of each field.
    #[serde(default)]
    pub remediation: Remediation,

    /// Time limits of approvals. Absent: the default of each field.
    #[serde(default)]
    pub approval: Approval,
    /// Secrets of the policy's namespace with credentials of sources. When a source rejects its credentials and the
    /// Secret has changed, the operator applies the new values to the source once. Empty (default): none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub credentials: Vec<Credentials>,

    /// Receivers that are notified when a person is needed (a proposal waits, an incident is escalated, or the circuit
    /// breaker is open) and when that has ended. At most four. Empty (default): only status and events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, a.secretRef.name == b.secretRef.name && a.secretRef.key == b.secretRef.key))")
        .message("two entries of notifications have the same secretRef: use one entry for each receiver, and list every kind of message that it wants in its events"))]
    pub notifications: Vec<Notification>,
}

/// The keys of Secrets that hold the credentials of one source. Each Secret must carry the label
/// `warehousesync.dev/use: source-credentials` and three annotations: `warehousesync.dev/project` with the project's
/// id, `warehousesync.dev/source` with the source as named here, for example `type=Stripe,prefix=prod` or `id=…`, and
/// `warehousesync.dev/inputs` with the names of the inputs that it may fill, separated by commas.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.jobInputs) && size(self.jobInputs) > 0) || (has(self.webhookInputs) && size(self.webhookInputs) > 0)")
    .message("an entry of credentials needs jobInputs, webhookInputs or both"))]
pub struct Credentials {
    /// The source. It must match exactly one source.
    pub source: SourceRef,
    /// Inputs of the source by name; a dot separates nested names, for example auth_method.stripe_secret_key. Only
    /// secret inputs are allowed: passwords, keys, tokens. User names, which PostHog shows, and inputs that select a
    /// location (host, port, database, …) are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^([A-Za-z0-9_]+[.])*((private_key|service_account_key|authorization_header)|[A-Za-z0-9_]*(password|passphrase|secret|token|api_key|secret_key|signing_key))$'))")
        .message("jobInputs may name only secret inputs, for example password, api_key, auth_method.stripe_secret_key. User names are refused because PostHog shows them; inputs that select a location (host, port, database, schema, account, …) are refused because they could point a table at another database"))]
    pub job_inputs: BTreeMap<String, FromSecret>,
    /// Inputs of the source's webhook by name, for example signing_secret. Only secret inputs are allowed, as in
    /// jobInputs. They are pushed when the Secret has changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^([A-Za-z0-9_]+[.])*((private_key|service_account_key|authorization_header)|[A-Za-z0-9_]*(password|passphrase|secret|token|api_key|secret_key|signing_key))$'))")
        .message("webhookInputs may name only secret inputs, for example signing_secret, webhook_token, authorization_header. Other inputs are refused because PostHog shows them, and because some of them disable the check of signatures"))]
    pub webhook_inputs: BTreeMap<String, FromSecret>,
}

impl Credentials {
    /// The use of each key of a Secret that these credentials name.
    pub fn uses(&self) -> impl Iterator<Item = CredentialUse> {
        self.inputs().map(|(_, from)| self.use_of(&from.secret_ref))
    }

    /// The use of one of these keys.
    #[must_use]
    pub fn use_of(&self, secret_ref: &SecretKeyRef) -> CredentialUse {
        let same = self
            .inputs()
            .filter(|(_, from)| from.secret_ref.name == secret_ref.name);
        let inputs: BTreeSet<&String> = same.map(|(input, _)| input).collect();
        CredentialUse {
            secret_ref: secret_ref.clone(),
            source: self.source.clone(),
            inputs: inputs.into_iter().cloned().collect(),
        }
    }

    /// All inputs that these credentials fill, by name.
    pub fn inputs(&self) -> impl Iterator<Item = (&String, &FromSecret)> {
        self.job_inputs.iter().chain(&self.webhook_inputs)
    }
}

/// A PostHog project and the API key to read it with.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PostHogProject {
    /// Base URL of PostHog, for example https://us.posthog.com. Must be https and on the operator's list
    /// (--allowed-host). http is accepted only for http://127.0.0.1:PORT. Immutable: create a new policy for another
    /// host.
    #[schemars(length(max = 253))]
    #[x_kube(
        validation = Rule::new(r"self.matches('^(https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?|http://127[.]0[.]0[.]1:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))/?$')")
            .message("host must be https://HOST or https://HOST:PORT without a path, for example https://us.posthog.com (http only for http://127.0.0.1:PORT)"),
        validation = Rule::new("self == oldSelf").message("host is immutable: create a new policy for another host")
    )]
    pub host: String,

    /// Numeric id of the project, as in the URL of PostHog's UI (/project/12345). `@current` is refused, because it
    /// means whichever project its owner opened last. Immutable: create a new policy for another project.
    #[schemars(with = "i64", range(min = 1))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("projectId is immutable: create a new policy for another project"))]
    pub project_id: i64,

    /// The Secret, in the policy's namespace, that holds a personal API key of PostHog. It must carry the label
    /// `warehousesync.dev/use: posthog-api-key`. The key needs the scope `external_data_source:read`, in mode Enforce also
    /// `external_data_source:write`.
    pub api_key_secret_ref: SecretKeyRef,
}

/// Whether the operator may act.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Only report.
    #[default]
    Observe,
    /// Also do what is safe.
    Enforce,
}

fn interval() -> DurationText {
    "2m".into()
}

/// Time limits of approvals.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Approval {
    /// How long an approved proposal may wait until it is executed, from 1m to 8760h. Only time in which
    /// `spec.remediation.windows` allow actions is counted. After that it expires. Default: 24h.
    #[schemars(extend("x-kubernetes-validations" = between("executeWithin", "1m", "8760h", "24h")))]
    pub execute_within: DurationText,
    /// How long a proposal waits for an answer, from 1m to 8760h. After that it expires and is proposed again with a
    /// new id, as long as its finding exists. Default: 168h.
    #[schemars(extend("x-kubernetes-validations" = between("expiresAfter", "1m", "8760h", "168h")))]
    pub expires_after: DurationText,
}

impl Default for Approval {
    fn default() -> Self {
        Self {
            execute_within: "24h".into(),
            expires_after: "168h".into(),
        }
    }
}
