//! From a spec that the API server accepted to one that the rest of the operator can use without further checks.

use std::{collections::HashSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    WarehouseSyncPolicy, WarehouseSyncPolicySpec,
    answers::Answers,
    glob::Globs,
    health::{Cdc, HealthSpec, Webhooks},
    host::Host,
    names::{MAX_TOKEN, REQUESTED_AT, RESET_AT},
    notification::Notification,
    overrides::Override,
    policy::{Credentials, Mode},
    refs::{CredentialUse, SecretKeyRef},
    remediation::{CancelStuck, ProposingSwitches, Switch},
    window::Window,
};
pub use super::{
    data_check::{DataCheck, DataRule},
    health::Health,
    invalid::InvalidPolicy,
    limits::{Backoff, Breaker, Limits},
    selector::Selector,
};

/// Name and namespace of a policy. Cheap to clone: many places remember something by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyRef {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl std::fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A `PostHog` project: what policies that watch the same tables have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Project {
    /// The host.
    pub host: Host,
    /// The numeric id.
    pub id: i64,
}

/// A policy whose every field has been read and checked.
#[derive(Debug, Clone)]
pub struct ValidatedPolicy {
    /// Name and namespace of the policy.
    pub at: PolicyRef,
    /// Its uid, which changes when the policy is recreated.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// When it was created; the oldest policy owns a table.
    pub created: Timestamp,
    /// The project.
    pub project: Project,
    /// The Secret with the API key.
    pub api_key: SecretKeyRef,
    /// Whether it may act.
    pub mode: Mode,
    /// Why nothing may be sent in any mode: the policy is suspended, or is being deleted and kept by a finalizer. None
    /// if it is neither.
    pub stopped: Option<&'static str>,
    /// How often to poll.
    pub interval: SignedDuration,
    /// Which tables.
    pub selector: Selector,
    /// The expected health of tables without an override.
    health: Health,
    /// The expected health of tables with an override.
    overrides: Vec<Override>,
    /// The tables of each override.
    overridden: Globs,
    /// How often webhooks are checked.
    pub check_webhooks_every: SignedDuration,
    /// How often change data capture is checked.
    pub check_cdc_every: SignedDuration,
    /// From which share of the critical lag a Warning is reported, in percent.
    pub lag_warn_percent: i64,
    /// The checks of the data.
    pub data_checks: Vec<DataCheck>,
    /// How long a table must be healthy before its incident is closed.
    pub healthy_for: SignedDuration,
    /// Whether stuck runs are cancelled.
    pub cancel_stuck: CancelStuck,
    /// Whether runs that failed for a transient reason are repeated.
    pub reload_transient: Switch,
    /// Whether stale tables are reloaded.
    pub reload_stale: Switch,
    /// Whether each action that needs approval is proposed.
    pub proposing: ProposingSwitches,
    /// How long an approved proposal may wait in open windows until it is executed.
    pub execute_within: SignedDuration,
    /// How long a proposal waits for an answer.
    pub proposals_expire_after: SignedDuration,
    /// Whether new credentials are applied.
    pub apply_credentials: Switch,
    /// Whether tables that `PostHog` switched off are switched on again after a fix.
    pub reenable_after_fix: Switch,
    /// Whether webhooks are registered and their inputs pushed.
    pub register_webhook: Switch,
    /// The Secrets with credentials of sources.
    pub credentials: Vec<Credentials>,
    /// The receivers that are notified when a person is needed.
    pub notifications: Vec<Notification>,
    /// When actions may be started.
    pub windows: Vec<Window>,
    /// How much may be done.
    pub limits: Limits,
    /// The value of the annotation `resetAt`, if any.
    pub reset_at: Option<String>,
    /// Approvals, denials and requests.
    pub answers: Answers,
    /// The value of the annotation `requestedAt`, if any.
    pub requested_at: Option<String>,
}

impl ValidatedPolicy {
    /// Reads and checks `policy`.
    pub fn new(policy: &WarehouseSyncPolicy) -> Result<Self, InvalidPolicy> {
        let meta = &policy.metadata;
        let text =
            |value: &Option<String>, what| value.clone().ok_or(InvalidPolicy::Incomplete(what));
        let WarehouseSyncPolicySpec {
            posthog,
            mode,
            suspend,
            interval,
            selector,
            health,
            overrides,
            remediation,
            approval,
            credentials,
            notifications,
        } = &policy.spec;
        let HealthSpec {
            stuck,
            failing,
            freshness,
            webhooks,
            cdc,
            data_checks,
            healthy_for,
        } = health;
        let Webhooks {
            check_every: check_webhooks,
        } = webhooks;
        let Cdc {
            check_every: check_cdc,
            lag_warn_percent,
        } = cdc;
        let own = overrides.iter().map(|own| Override::new(own, health));
        let checks = data_checks.iter().map(DataCheck::new);
        let windows = remediation.windows.iter().map(Window::new);
        Self {
            at: PolicyRef {
                namespace: text(&meta.namespace, "namespace")?.into(),
                name: text(&meta.name, "name")?.into(),
            },
            uid: text(&meta.uid, "uid")?,
            generation: meta.generation.unwrap_or_default(),
            created: created(meta)?,
            project: Project {
                host: Host::parse(&posthog.host)?,
                id: posthog.project_id,
            },
            api_key: posthog.api_key_secret_ref.clone(),
            mode: *mode,
            stopped: stopped(meta, *suspend),
            interval: interval.read("interval")?,
            selector: Selector::new(&selector.sources, &selector.schemas)?,
            health: Health::new("health", stuck, failing, freshness)?,
            overrides: own.collect::<Result<_, _>>()?,
            overridden: Globs::lists(overrides.iter().map(|own| own.schemas.as_slice()))
                .map_err(InvalidPolicy::OverrideGlob)?,
            check_webhooks_every: check_webhooks.read("health.webhooks.checkEvery")?,
            check_cdc_every: check_cdc.read("health.cdc.checkEvery")?,
            lag_warn_percent: *lag_warn_percent,
            data_checks: checks.collect::<Result<_, _>>()?,
            healthy_for: healthy_for.read("health.healthyFor")?,
            cancel_stuck: remediation.cancel_stuck,
            reload_transient: remediation.reload_transient,
            reload_stale: remediation.reload_stale,
            proposing: ProposingSwitches::new(remediation),
            execute_within: approval.execute_within.read("approval.executeWithin")?,
            proposals_expire_after: approval.expires_after.read("approval.expiresAfter")?,
            apply_credentials: remediation.apply_credentials,
            reenable_after_fix: remediation.reenable_after_fix,
            register_webhook: remediation.register_webhook,
            credentials: credentials.clone(),
            notifications: notifications.clone(),
            windows: windows.collect::<Result<_, _>>()?,
            limits: Limits::new(&remediation.limits)?,
            reset_at: annotation(meta, RESET_AT),
            answers: Answers::new(meta),
            requested_at: annotation(meta, REQUESTED_AT),
        }
        .check_floors()
    }

    fn check_floors(self) -> Result<Self, InvalidPolicy> {
        if !self.project.host.is_http_loopback() {
            let own = self.overrides.iter().map(|own| &own.health);
            for health in std::iter::once(&self.health).chain(own) {
                health.check_floors()?;
            }
        }
        Ok(self)
    }

    /// The expected health of a table of a source of this type, prefix and id.
    #[must_use]
    pub fn health(&self, source_type: &str, prefix: &str, id: &str, schema: &str) -> &Health {
        self.own(source_type, prefix, id, schema)
            .map_or(&self.health, |own| &own.health)
    }

    /// True if the last completed run of some tables is exported as a metric.
    #[must_use]
    pub fn exports(&self) -> bool {
        let own = self.overrides.iter().map(|own| &own.health);
        std::iter::once(&self.health)
            .chain(own)
            .any(|health| health.export)
    }

    /// The primary key that the policy declares for a table; empty if it declares none.
    #[must_use]
    pub fn primary_keys(
        &self,
        source_type: &str,
        prefix: &str,
        id: &str,
        schema: &str,
    ) -> &[String] {
        self.own(source_type, prefix, id, schema)
            .map_or(&[], |own| &own.primary_keys)
    }

    /// The incremental field that the policy declares for a table, if any.
    #[must_use]
    pub fn incremental_field(
        &self,
        source_type: &str,
        prefix: &str,
        id: &str,
        schema: &str,
    ) -> Option<&str> {
        let own = self.own(source_type, prefix, id, schema)?;
        own.incremental_field.as_deref()
    }

    fn own(&self, source_type: &str, prefix: &str, id: &str, schema: &str) -> Option<&Override> {
        let of_source = |place: usize| {
            let own = self.overrides.get(place);
            own.is_some_and(|own| own.source.matches(source_type, prefix, id))
        };
        self.overrides
            .get(self.overridden.first(schema, of_source)?)
    }

    /// The uses of the Secrets with credentials of sources.
    #[must_use]
    pub fn credential_uses(&self) -> HashSet<CredentialUse> {
        self.credentials
            .iter()
            .flat_map(Credentials::uses)
            .collect()
    }

    /// True if this policy may send anything at all: Enforce, and not stopped.
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.mode == Mode::Enforce && self.stopped.is_none()
    }
}

fn stopped(meta: &ObjectMeta, suspend: bool) -> Option<&'static str> {
    if meta.deletion_timestamp.is_some() {
        Some("the policy is being deleted")
    } else {
        suspend.then_some("spec.suspend is true")
    }
}

fn created(meta: &ObjectMeta) -> Result<Timestamp, InvalidPolicy> {
    let created = meta.creation_timestamp.as_ref();
    created
        .map(|time| time.0)
        .ok_or(InvalidPolicy::Incomplete("creationTimestamp"))
}

/// The value of an annotation, cut to the length that a status can remember.
fn annotation(meta: &ObjectMeta, key: &str) -> Option<String> {
    let value = meta.annotations.as_ref()?.get(key)?;
    Some(value.chars().take(MAX_TOKEN).collect())
}
