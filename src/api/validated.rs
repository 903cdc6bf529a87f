//! From a spec that the API server took to one that the rest of the operator can use without a second look.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    WarehouseSyncPolicy, WarehouseSyncPolicySpec,
    glob::Globs,
    health::{Cdc, HealthSpec, Webhooks},
    host::Host,
    marks::Marks,
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

/// Name and namespace of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyRef {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A `PostHog` project: all that policies have in common that look at the same tables.
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
    /// Where the policy is.
    pub at: PolicyRef,
    /// Its uid: a policy that was made anew has another.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// When it was made; the oldest policy owns a table.
    pub created: Timestamp,
    /// The project.
    pub project: Project,
    /// Where the API key is.
    pub api_key: SecretKeyRef,
    /// Whether it may act.
    pub mode: Mode,
    /// Why nothing may be sent whatever the mode, if that is so: it is suspended, or being deleted and kept by a finalizer.
    pub stopped: Option<&'static str>,
    /// How often to poll.
    pub interval: SignedDuration,
    /// Which tables.
    pub selector: Selector,
    /// The desired health of tables that no override is for.
    health: Health,
    /// The desired health of others.
    overrides: Vec<Override>,
    /// Which tables each of these is for.
    overridden: Globs,
    /// How often webhooks are checked.
    pub check_webhooks_every: SignedDuration,
    /// How often change data capture is checked.
    pub check_cdc_every: SignedDuration,
    /// From which share of the critical lag a warning is due, in percent.
    pub lag_warn_percent: i64,
    /// The checks of the data.
    pub data_checks: Vec<DataCheck>,
    /// How long a table must be healthy before its incident is closed.
    pub healthy_for: SignedDuration,
    /// Whether stuck runs are cancelled.
    pub cancel_stuck: CancelStuck,
    /// Whether runs that failed for a passing reason are repeated.
    pub reload_transient: Switch,
    /// Whether stale tables are reloaded.
    pub reload_stale: Switch,
    /// Whether each action that needs approval is proposed.
    pub proposing: ProposingSwitches,
    /// How much time in open windows an approved proposal has to begin.
    pub execute_within: SignedDuration,
    /// How long a proposal waits for an answer.
    pub proposals_expire_after: SignedDuration,
    /// Whether new credentials are handed over.
    pub apply_credentials: Switch,
    /// Whether tables that `PostHog` switched off come back after a fix.
    pub reenable_after_fix: Switch,
    /// Whether webhooks are registered and given their inputs.
    pub register_webhook: Switch,
    /// Which Secrets hold the credentials of sources.
    pub credentials: Vec<Credentials>,
    /// Who is told when a person is needed.
    pub notifications: Vec<Notification>,
    /// When something may be started.
    pub windows: Vec<Window>,
    /// How much may be done.
    pub limits: Limits,
    /// The token of the last request of a person to begin anew; none if there was none.
    pub reset_at: Option<String>,
    /// What people say of proposals.
    pub marks: Marks,
    /// The last wish to read `PostHog` at once.
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
                namespace: text(&meta.namespace, "namespace")?,
                name: text(&meta.name, "name")?,
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
            marks: Marks::new(meta),
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

    /// The desired health of a table of a source of this type, prefix and id.
    #[must_use]
    pub fn health(&self, source_type: &str, prefix: &str, id: &str, schema: &str) -> &Health {
        self.own(source_type, prefix, id, schema)
            .map_or(&self.health, |own| &own.health)
    }

    /// The primary key that a person declared for a table; empty if nobody did.
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

    /// The incremental field that a person declared for a table; none if nobody did.
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

    /// What it wants of the Secrets with credentials of sources.
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

/// The value of an annotation, cut to what a status can remember.
fn annotation(meta: &ObjectMeta, key: &str) -> Option<String> {
    let value = meta.annotations.as_ref()?.get(key)?;
    Some(value.chars().take(MAX_TOKEN).collect())
}
