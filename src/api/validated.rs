//! From a spec that the API server took to one that the rest of the operator can use without a second look.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    WarehouseSyncPolicy,
    duration::{self, DurationError},
    glob::{GlobError, Globs},
    host::{Host, HostError},
    marks::Marks,
    names::{MAX_TOKEN, REQUESTED_AT, RESET_AT},
    notification::Notification,
    policy::{
        self, Credentials, Mode, Proposing, SchemaSelector, SecretKeyRef, SourceRef,
        SourceSelector, Switch,
    },
    proposal::ProposedAction,
    window::Window,
};

/// Why a policy that the API server took cannot be used. The CRD's rules make this rare: an object that is older than they
/// are, or written past them.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPolicy {
    /// The object has no name, namespace or uid.
    #[error("the object has no {0}: it did not come from the API server")]
    Incomplete(&'static str),
    /// A duration cannot be read.
    #[error("spec.{0}")]
    Duration(#[from] DurationError),
    /// The host cannot be read.
    #[error("spec.posthog.host: {0}")]
    Host(#[from] HostError),
    /// A limit is below what keeps healthy runs safe.
    #[error("spec.health.stuck.{field} is below {floor}: only a host on 127.0.0.1 may have that")]
    TooShort {
        /// The field.
        field: &'static str,
        /// The least that is allowed.
        floor: &'static str,
    },
    /// A data check says nothing to check.
    #[error("spec.health.dataChecks: a check has neither uniqueKey nor newestRow")]
    EmptyCheck,
    /// A window cannot be read.
    #[error("spec.remediation.windows: {0}")]
    Window(String),
    /// A glob cannot be read.
    #[error("spec.selector.schemas: {0}")]
    Glob(#[from] GlobError),
}

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
    /// Whether everything is stopped.
    pub suspend: bool,
    /// How often to poll.
    pub interval: SignedDuration,
    /// Which tables.
    pub selector: Selector,
    /// The desired health of tables that no override is for.
    health: Health,
    /// The desired health of others.
    overrides: Vec<Override>,
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
    pub cancel_stuck: Switch,
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

/// Whether each action that needs approval is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProposingSwitches {
    refresh_schemas: Proposing,
    repair_config: Proposing,
    resync: Proposing,
    delete_data: Proposing,
    repair_cdc: Proposing,
    reregister_webhook: Proposing,
    reenable: Switch,
    reload: Switch,
}

impl ProposingSwitches {
    const fn new(remediation: &policy::Remediation) -> Self {
        Self {
            refresh_schemas: remediation.refresh_schemas,
            repair_config: remediation.repair_config,
            resync: remediation.resync,
            delete_data: remediation.delete_data,
            repair_cdc: remediation.repair_cdc,
            reregister_webhook: remediation.reregister_webhook,
            reenable: remediation.reenable_after_fix,
            reload: remediation.reload_transient,
        }
    }

    /// Whether this action is proposed.
    #[must_use]
    pub const fn of(&self, action: ProposedAction) -> Proposing {
        match action {
            ProposedAction::RefreshSchemas => self.refresh_schemas,
            ProposedAction::RepairConfig => self.repair_config,
            ProposedAction::Resync => self.resync,
            ProposedAction::DeleteData => self.delete_data,
            ProposedAction::RepairCdc => self.repair_cdc,
            ProposedAction::ReregisterWebhook => self.reregister_webhook,
            // What is done without asking where it is safe is proposed where it is not.
            ProposedAction::Reenable => unless_off(self.reenable),
            ProposedAction::Reload => unless_off(self.reload),
        }
    }
}

const fn unless_off(switch: Switch) -> Proposing {
    match switch {
        Switch::Auto => Proposing::Propose,
        Switch::Off => Proposing::Off,
    }
}

/// How much may be done at once and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many incidents at a time.
    pub max_concurrent: usize,
    /// How many tries of one incident.
    pub attempts_per_incident: i64,
    /// How many calls in an hour.
    pub max_actions_per_hour: usize,
    /// How long to wait after a failure.
    pub backoff: Backoff,
    /// When so much fails at once that nothing is started.
    pub breaker: Breaker,
}

/// How long to wait after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// At first.
    pub initial: SignedDuration,
    /// By how much longer each time.
    pub factor: i32,
    /// At most.
    pub max: SignedDuration,
}

/// When so much fails at once that nothing is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// How many sources at least.
    pub min_sources: usize,
    /// Which share of the active sources at least, in percent.
    pub max_bad_sources_percent: usize,
    /// Within which time.
    pub within: SignedDuration,
    /// How long nothing is started.
    pub cooldown: SignedDuration,
}

impl Limits {
    fn new(limits: &policy::Limits) -> Result<Self, InvalidPolicy> {
        let policy::Limits {
            max_concurrent,
            attempts_per_incident,
            max_actions_per_hour,
            backoff,
            breaker,
        } = limits;
        let count = |value: i64| usize::try_from(value).unwrap_or(0);
        Ok(Self {
            max_concurrent: count(*max_concurrent),
            attempts_per_incident: *attempts_per_incident,
            max_actions_per_hour: count(*max_actions_per_hour),
            backoff: Backoff {
                initial: duration::parse("remediation.limits.backoff.initial", &backoff.initial)?,
                factor: i32::try_from(backoff.factor).unwrap_or(10).clamp(1, 10),
                max: duration::parse("remediation.limits.backoff.max", &backoff.max)?,
            },
            breaker: Breaker {
                min_sources: count(breaker.min_sources).max(2),
                max_bad_sources_percent: count(breaker.max_bad_sources_percent).max(1),
                within: duration::parse("remediation.limits.breaker.within", &breaker.within)?,
                cooldown: duration::parse(
                    "remediation.limits.breaker.cooldown",
                    &breaker.cooldown,
                )?,
            },
        })
    }
}

impl ValidatedPolicy {
    /// Reads and checks `policy`.
    pub fn new(policy: &WarehouseSyncPolicy) -> Result<Self, InvalidPolicy> {
        let meta = &policy.metadata;
        let text =
            |value: &Option<String>, what| value.clone().ok_or(InvalidPolicy::Incomplete(what));
        let spec = &policy.spec;
        let policy::Health {
            stuck,
            failing,
            freshness,
            ..
        } = &spec.health;
        let health =
            Health::default().with("health", Some(stuck), Some(failing), Some(freshness))?;
        Self {
            at: PolicyRef {
                namespace: text(&meta.namespace, "namespace")?,
                name: text(&meta.name, "name")?,
            },
            uid: text(&meta.uid, "uid")?,
            generation: meta.generation.unwrap_or_default(),
            created: meta
                .creation_timestamp
                .as_ref()
                .ok_or(InvalidPolicy::Incomplete("creationTimestamp"))?
                .0,
            project: Project {
                host: Host::parse(&spec.posthog.host)?,
                id: spec.posthog.project_id,
            },
            api_key: spec.posthog.api_key_secret_ref.clone(),
            mode: spec.mode,
            suspend: spec.suspend,
            interval: duration::parse("interval", &spec.interval)?,
            selector: Selector::new(&spec.selector.sources, &spec.selector.schemas)?,
            health: health.clone(),
            overrides: spec
                .overrides
                .iter()
                .map(|own| Override::new(own, &health))
                .collect::<Result<_, _>>()?,
            check_webhooks_every: duration::parse(
                "health.webhooks.checkEvery",
                &spec.health.webhooks.check_every,
            )?,
            check_cdc_every: duration::parse(
                "health.cdc.checkEvery",
                &spec.health.cdc.check_every,
            )?,
            lag_warn_percent: spec.health.cdc.lag_warn_percent,
            data_checks: spec
                .health
                .data_checks
                .iter()
                .map(DataCheck::new)
                .collect::<Result<_, _>>()?,
            healthy_for: duration::parse("health.healthyFor", &spec.health.healthy_for)?,
            cancel_stuck: spec.remediation.cancel_stuck,
            reload_transient: spec.remediation.reload_transient,
            reload_stale: spec.remediation.reload_stale,
            proposing: ProposingSwitches::new(&spec.remediation),
            execute_within: duration::parse(
                "approval.executeWithin",
                &spec.approval.execute_within,
            )?,
            proposals_expire_after: duration::parse(
                "approval.expiresAfter",
                &spec.approval.expires_after,
            )?,
            apply_credentials: spec.remediation.apply_credentials,
            reenable_after_fix: spec.remediation.reenable_after_fix,
            register_webhook: spec.remediation.register_webhook,
            credentials: spec.credentials.clone(),
            notifications: spec.notifications.clone(),
            windows: spec
                .remediation
                .windows
                .iter()
                .map(|window| Window::new(window).map_err(InvalidPolicy::Window))
                .collect::<Result<_, _>>()?,
            limits: Limits::new(&spec.remediation.limits)?,
            reset_at: annotation(meta, RESET_AT),
            marks: Marks::new(meta),
            requested_at: annotation(meta, REQUESTED_AT),
        }
        .check_floors()
    }

    /// The floors of the CRD once more: an object may be older than its rules, and a healthy run must not depend on them.
    fn check_floors(self) -> Result<Self, InvalidPolicy> {
        let hours = SignedDuration::from_hours;
        if self.project.host.is_http_loopback() {
            return Ok(self);
        }
        let own = self.overrides.iter().map(|own| &own.health);
        for health in std::iter::once(&self.health).chain(own) {
            if health.stuck_after < hours(1) {
                return Err(InvalidPolicy::TooShort {
                    field: "after",
                    floor: "1h",
                });
            }
            if health.no_progress_for < hours(6) {
                return Err(InvalidPolicy::TooShort {
                    field: "noProgressFor",
                    floor: "6h",
                });
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

    fn own(&self, source_type: &str, prefix: &str, id: &str, schema: &str) -> Option<&Override> {
        self.overrides
            .iter()
            .find(|own| own.source.matches(source_type, prefix, id) && own.schemas.is_match(schema))
    }

    /// Where the credentials of sources are.
    #[must_use]
    pub fn secrets(&self) -> HashSet<SecretKeyRef> {
        let entries = self.credentials.iter();
        let inputs = entries.flat_map(Credentials::inputs);
        inputs.map(|input| input.secret_ref.clone()).collect()
    }

    /// True if this policy may send anything at all: Enforce, and not suspended.
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.mode == Mode::Enforce && !self.suspend
    }
}

/// The value of an annotation, cut to what a status can remember.
fn annotation(meta: &ObjectMeta, key: &str) -> Option<String> {
    let value = meta.annotations.as_ref()?.get(key)?;
    Some(value.chars().take(MAX_TOKEN).collect())
}

/// The desired health of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// When a run is stuck.
    pub stuck_after: SignedDuration,
    /// How long nothing may have moved.
    pub no_progress_for: SignedDuration,
    /// The same for a run that the loader has not finished.
    pub loading_silent_for: SignedDuration,
    /// How long a failure must last.
    pub failing_for: SignedDuration,
    /// After how many of its own intervals without a completed run a table is stale: a Warning, and an Error.
    pub stale_after: (i32, i32),
    /// After how long without a completed run a table is stale, whatever its interval.
    pub max_age: Option<SignedDuration>,
}

impl Health {
    /// The same, but for what is given. `field` is where it stands in the spec.
    fn with(
        &self,
        field: &str,
        stuck: Option<&policy::Stuck>,
        failing: Option<&policy::Failing>,
        freshness: Option<&policy::Freshness>,
    ) -> Result<Self, InvalidPolicy> {
        let mut health = self.clone();
        let read = |name: &str, text: &str| duration::parse(&format!("{field}.{name}"), text);
        if let Some(stuck) = stuck {
            health.stuck_after = read("stuck.after", &stuck.after)?;
            health.no_progress_for = read("stuck.noProgressFor", &stuck.no_progress_for)?;
            health.loading_silent_for = health.no_progress_for * 2;
        }
        if let Some(failing) = failing {
            health.failing_for = read("failing.for", &failing.for_)?;
        }
        if let Some(freshness) = freshness {
            health.stale_after = (
                intervals(freshness.warn_after_intervals),
                intervals(freshness.error_after_intervals),
            );
            let max_age = freshness.max_age.as_deref();
            health.max_age = max_age
                .map(|text| read("freshness.maxAge", text))
                .transpose()?;
        }
        Ok(health)
    }
}

/// Other health for some tables.
#[derive(Debug, Clone)]
struct Override {
    source: SourceRef,
    schemas: Globs,
    health: Health,
    primary_keys: Vec<String>,
}

impl Override {
    fn new(own: &policy::Override, health: &Health) -> Result<Self, InvalidPolicy> {
        let policy::Override {
            source,
            schemas,
            stuck,
            failing,
            freshness,
            primary_keys,
        } = own;
        Ok(Self {
            primary_keys: primary_keys.clone(),
            source: source.clone(),
            schemas: Globs::new(schemas)?,
            health: health.with(
                "overrides[]",
                stuck.as_ref(),
                failing.as_ref(),
                freshness.as_ref(),
            )?,
        })
    }
}

/// A number of intervals; one that is not within the CRD's bounds becomes the nearest that is.
fn intervals(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX).clamp(2, 1000)
}

/// A check of the data of one table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataCheck {
    /// The source.
    pub source: SourceRef,
    /// Name of the table.
    pub schema: String,
    /// What must hold.
    pub rule: DataRule,
}

/// What must hold of the data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DataRule {
    /// These columns together are different in each row.
    UniqueKey(Vec<String>),
    /// The newest value of this column is not older than this.
    NewestRow {
        /// The column.
        column: String,
        /// The age.
        max_age: SignedDuration,
    },
}

impl DataCheck {
    fn new(check: &policy::DataCheck) -> Result<Self, InvalidPolicy> {
        let policy::DataCheck {
            source,
            schema,
            unique_key,
            newest_row,
        } = check;
        let rule = match newest_row {
            Some(policy::NewestRow { column, max_age }) => DataRule::NewestRow {
                column: column.clone(),
                max_age: duration::parse("health.dataChecks[].newestRow.maxAge", max_age)?,
            },
            None if unique_key.is_empty() => return Err(InvalidPolicy::EmptyCheck),
            None => DataRule::UniqueKey(unique_key.clone()),
        };
        Ok(Self {
            source: source.clone(),
            schema: schema.clone(),
            rule,
        })
    }
}

/// A compiled selector. The default selects everything.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    sources: SourceSelector,
    include: Option<Globs>,
    exclude: Globs,
}

impl Selector {
    fn new(sources: &SourceSelector, schemas: &SchemaSelector) -> Result<Self, GlobError> {
        let include = (!schemas.include.is_empty())
            .then(|| Globs::new(&schemas.include))
            .transpose()?;
        Ok(Self {
            sources: sources.clone(),
            include,
            exclude: Globs::new(&schemas.exclude)?,
        })
    }

    /// True if sources of this type, prefix and id are selected.
    #[must_use]
    pub fn selects_source(&self, source_type: &str, prefix: &str, id: &str) -> bool {
        let SourceSelector {
            types,
            prefixes,
            ids,
        } = &self.sources;
        (types.is_empty() || types.iter().any(|t| t.eq_ignore_ascii_case(source_type)))
            && (prefixes.is_empty() || prefixes.iter().any(|p| p == prefix))
            && (ids.is_empty() || ids.iter().any(|i| i.eq_ignore_ascii_case(id)))
    }

    /// True if a source is selected of which only what people call it (type and prefix) and the id are left.
    #[must_use]
    pub fn selects_title(&self, title: &str, id: &str) -> bool {
        let (source_type, prefix) = title.split_once(' ').unwrap_or((title, ""));
        self.selects_source(source_type, prefix, id)
    }

    /// True if tables of this name are selected, in a selected source.
    #[must_use]
    pub fn selects_schema(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|set| set.is_match(name)) && !self.exclude.is_match(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(include: &[&str], exclude: &[&str]) -> Selector {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        let schemas = SchemaSelector {
            include: own(include),
            exclude: own(exclude),
        };
        Selector::new(&SourceSelector::default(), &schemas).unwrap()
    }

    #[test]
    fn an_empty_selector_selects_everything() {
        let all = selector(&[], &[]);
        assert!(all.selects_source("Stripe", "", "x") && all.selects_schema("public.orders"));
    }

    #[test]
    fn exclude_wins_over_include() {
        let some = selector(&["public.*"], &["*_tmp"]);
        assert!(some.selects_schema("public.orders"));
        assert!(!some.selects_schema("public.orders_tmp"));
        assert!(!some.selects_schema("audit.orders"));
    }

    #[test]
    fn lists_of_sources_combine_with_and() {
        let sources = SourceSelector {
            types: vec!["postgres".into()],
            prefixes: vec!["prod".into()],
            ids: Vec::new(),
        };
        let one = Selector::new(&sources, &SchemaSelector::default()).unwrap();
        assert!(one.selects_source("Postgres", "prod", "1"));
        assert!(
            !one.selects_source("Postgres", "prod2", "1"),
            "prefixes are exact"
        );
        assert!(!one.selects_source("Stripe", "prod", "1"));
    }
}
