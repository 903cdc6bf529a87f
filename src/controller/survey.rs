//! One survey of a project: after the list, probes of suspects, then further probes, until the budget is spent.
//! Two users: the reconcile, and `diagnose` on the command line.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::beside::beside;
use crate::{
    api::{
        Timings, ValidatedPolicy,
        proposal::Proposal,
        status::{Incident, State, Step},
    },
    decide::ownership::is_in_flight,
    diagnose::{
        Known, canary, probing,
        stuck::may_be_canary,
        suspects::{Suspect, running, suspects},
    },
    observe::{
        ApprovalGuard, CredentialValues, OtherPolicy, OtherProjects, Probe, Probes, ProjectView,
        ReadsLog, Snapshot, Sources, WriteScope, probes::ProbeTarget,
    },
    posthog::{
        Transport,
        instance::Instance,
        quota::Purpose,
        wire::{Schema, SchemaStatus, Source},
    },
};

/// How long a survey makes further probes. Some take minutes, because `PostHog` asks the customer's source.
const PROBING: SignedDuration = SignedDuration::from_secs(60);

/// Requests of a probe of a table: the runs, the log of the table, in a long one the lines that mark the phase, and in a very long
/// one those of the extraction.
const CALLS_PER_PROBE: usize = 4;

/// Requests for a canary: the runs of its table, and the log of one as in a probe.
const REQUESTS_OF_A_CANARY: usize = 4;

/// True for an incident whose next step depends on the next probes, while the result is expected any moment: what has not shown
/// soon after the step began, or after its last call, may take hours, and is polled for like everything else.
#[must_use]
pub fn is_verifying(incident: &Incident, timings: &Timings, now: Timestamp) -> bool {
    let last_call = incident.sends.last().map(|send| send.started_at);
    let since = last_call.map_or(incident.step_since, |at| at.max(incident.step_since));
    is_in_flight(incident)
        && !matches!(incident.step, Step::WaitSuccess | Step::BackOff)
        && now.duration_since(since) < timings.effect_visible_within()
}

/// How many requests one survey may make beyond the list. A probe costs one or two.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Probes of runs.
    pub run_probes: usize,
    /// Further probes.
    pub probes: usize,
}

impl Budget {
    /// Of one reconcile. At the default interval that is far below the key's quota, and the rest follows at the next.
    pub const RECONCILE: Self = Self {
        run_probes: 30,
        probes: 10,
    };
}

/// What a survey is based on.
pub struct Survey<'a, T> {
    /// The policy.
    pub policy: &'a ValidatedPolicy,
    /// The project.
    pub view: &'a ProjectView<T>,
    /// What is remembered of earlier reconciles.
    pub state: &'a State,
    /// What was proposed.
    pub proposals: &'a [Proposal],
    /// Incidents, whose tables come first.
    pub incidents: &'a [Incident],
    /// The fixed durations.
    pub timings: &'a Timings,
    /// How much may be asked.
    pub budget: Budget,
    /// Probe every run in progress, for a command that polls only once.
    pub every_run: bool,
    /// Called with how many requests are done, of how many.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl<T: Transport> Survey<'_, T> {
    /// All that a decision may be based on, from the list of `sources`.
    pub async fn make(
        &self,
        sources: Arc<Vec<Source>>,
        other_policies: Vec<Arc<OtherPolicy>>,
        other_projects: OtherProjects,
    ) -> Snapshot {
        self.view.recall(self.state, &sources);
        let sources = beside(&sources, || {
            Sources::new(sources.clone(), &self.policy.selector)
        });
        let mut snapshot = Snapshot {
            sources,
            runs: self.view.seen(),
            changes: self.view.changes(),
            probes: Probes::default(),
            canaries: Vec::new(),
            readings: self.view.readings(),
            run_probed: HashSet::new(),
            write_scope: WriteScope::Unknown,
            other_policies,
            credential_values: CredentialValues::default(),
            other_projects,
            instance: Instance::default(),
            slowed: false,
            approval_guard: ApprovalGuard::broken(
                "the admission policies have not been checked yet",
            ),
        };
        self.ask_instance(&snapshot).await;
        self.run_probe(&mut snapshot).await;
        self.take_over(&mut snapshot);
        self.read_canary(&snapshot).await;
        if self.policy.may_act()
            && let Some(schema_id) = table_to_ask_of(&snapshot)
        {
            self.view.ask_write_scope(&schema_id).await;
        }
        self.take_over(&mut snapshot);
        self.probe(&mut snapshot).await;
        snapshot
    }

    fn take_over(&self, snapshot: &mut Snapshot) {
        snapshot.runs = self.view.seen();
        snapshot.changes = self.view.changes();
        snapshot.probes = self.view.probes();
        snapshot.canaries = self.view.canaries(&snapshot.sources);
        snapshot.write_scope = self.view.write_scope();
        snapshot.instance = self.view.instance();
    }

    /// Finds out what the instance has, before it could matter: whether runs can be cancelled, once one is in progress. Who looks only
    /// once wants to know at once, and also what the log of a run that completed has.
    async fn ask_instance(&self, snapshot: &Snapshot) {
        let selected = || snapshot.selected();
        let runs = |(_, schema): &(&Source, &Schema)| schema.status() == SchemaStatus::Running;
        let asked_of = selected().find(|one| self.every_run || runs(one));
        let Some((_, schema)) = asked_of.filter(|_| self.view.has_room(Purpose::Probe, 1)) else {
            return;
        };
        self.view.ask_for_cancel(&schema.id).await;
        let completed = selected().find(|(source, schema)| may_be_canary(source, schema));
        if let Some((source, schema)) = completed.filter(|_| self.every_run) {
            self.view
                .read_canary(&source.id, &schema.id, &schema.name)
                .await;
        }
    }

    async fn run_probe(&self, snapshot: &mut Snapshot) {
        let now = self.view.client.now();
        let mut suspects = beside(&snapshot.sources, || {
            suspects(self.policy, snapshot, self.incidents, self.timings, now)
        });
        if self.every_run {
            let known: HashSet<String> = ids(&suspects);
            let others = running(snapshot).into_iter();
            suspects.extend(others.filter(|other| !known.contains(&other.schema_id)));
        }
        suspects.truncate(self.budget.run_probes);
        let mut run_probed = 0;
        for (done, suspect) in suspects.iter().enumerate() {
            let purpose = self.purpose(&suspect.schema_id);
            if !self.view.has_room(purpose, CALLS_PER_PROBE) {
                break;
            }
            run_probed += 1;
            (self.progress)(done, suspects.len());
            let row = snapshot.row(&suspect.source_id, &suspect.schema_id);
            let row = row.map(|(_, schema)| schema);
            let Suspect {
                source_id,
                schema_id,
                name,
            } = suspect;
            let reads_log = self.reads_log(schema_id);
            self.view
                .run_probe((source_id, schema_id, name), row, reads_log)
                .await;
        }
        let run_probed = suspects.into_iter().take(run_probed);
        snapshot
            .run_probed
            .extend(run_probed.map(|suspect| suspect.schema_id));
    }

    /// Reads a run of another table that completed, if the silence of a run is to be judged and nothing proves yet that `PostHog`
    /// works.
    async fn read_canary(&self, snapshot: &Snapshot) {
        let now = self.view.client.now();
        let wanted = canary::wanted(self.policy, snapshot, now);
        if let Some(suspect) = wanted
            && self.view.has_room(Purpose::Poll, REQUESTS_OF_A_CANARY)
        {
            let Suspect {
                source_id,
                schema_id,
                name,
            } = &suspect;
            self.view.read_canary(source_id, schema_id, name).await;
        }
    }

    /// What a probe of a table is for.
    fn purpose(&self, schema_id: &str) -> Purpose {
        let own = self.incidents.iter().find(|i| i.schema_id == schema_id);
        let now = self.view.client.now();
        if own.is_some_and(|incident| is_verifying(incident, self.timings, now)) {
            Purpose::Repair
        } else {
            Purpose::Poll
        }
    }

    /// After a cancel of ours the table is reloaded only once its log is quiet.
    fn reads_log(&self, schema_id: &str) -> ReadsLog {
        let own = self.incidents.iter().find(|i| i.schema_id == schema_id);
        let after_cancel = own.is_some_and(|incident| {
            incident.job_id.is_some() && matches!(incident.step, Step::Settle | Step::Reloading)
        });
        if after_cancel {
            ReadsLog::Always
        } else {
            ReadsLog::OfRunning
        }
    }

    /// Makes further probes, until the budget or the time for them is spent. A result may require another probe: what a
    /// database lacks is read only when change data capture turns out to be broken. A source that does not answer is not
    /// probed again in this reconcile: one that hangs must not delay the others.
    async fn probe(&self, snapshot: &mut Snapshot) {
        let began = self.view.client.now();
        let mut asked: HashSet<Probe> = HashSet::new();
        let mut silent: HashSet<String> = HashSet::new();
        loop {
            let questions = self.questions(snapshot, &asked, &silent);
            if questions.is_empty() {
                return;
            }
            let all = (asked.len() + questions.len()).min(self.budget.probes);
            for (probe, source_id, row) in questions {
                let spent = self.view.client.now().duration_since(began) >= PROBING;
                let has_room = self.view.has_room(Purpose::Probe, 1);
                if spent || !has_room || asked.len() >= self.budget.probes {
                    return;
                }
                (self.progress)(asked.len(), all);
                let answered = silent.contains(&source_id)
                    || self.view.probe(probe.clone(), row.as_ref()).await;
                if !answered {
                    silent.insert(source_id);
                }
                asked.insert(probe);
            }
            self.take_over(snapshot);
        }
    }

    /// The next questions, with the source and the table that each is about.
    fn questions(
        &self,
        snapshot: &Snapshot,
        asked: &HashSet<Probe>,
        silent: &HashSet<String>,
    ) -> Vec<(Probe, String, Option<Schema>)> {
        let known = Known {
            policy: self.policy,
            snapshot,
            state: self.state,
            proposals: self.proposals,
            timings: self.timings,
            now: self.view.client.now(),
        };
        let due = probing::due(&known);
        let due: Vec<Probe> = due
            .into_iter()
            .filter(|probe| !asked.contains(probe))
            .collect();
        if due.is_empty() {
            return Vec::new();
        }
        let rows: HashMap<&str, (&Source, &Schema)> = rows(snapshot);
        due.into_iter()
            .filter_map(|probe| match probe.about() {
                ProbeTarget::Source(id) => Some((probe.clone(), id.to_owned(), None)),
                ProbeTarget::Schema(id) => {
                    let (source, row) = rows.get(id)?;
                    Some((probe.clone(), source.id.clone(), Some((*row).clone())))
                }
            })
            .filter(|(_, source_id, _)| !silent.contains(source_id))
            .take(self.budget.probes)
            .collect()
    }
}

fn ids(suspects: &[Suspect]) -> HashSet<String> {
    let ids = suspects.iter().map(|suspect| suspect.schema_id.clone());
    ids.collect()
}

fn rows(snapshot: &Snapshot) -> HashMap<&str, (&Source, &Schema)> {
    let rows = snapshot.rows();
    rows.map(|(source, schema)| (schema.id.as_str(), (source, schema)))
        .collect()
}

/// A table that is switched on, if there is one, of a source that can be written to.
fn table_to_ask_of(snapshot: &Snapshot) -> Option<String> {
    let writable = || {
        snapshot
            .selected()
            .filter(|(source, _)| source.is_warehouse())
            .map(|(_, schema)| schema)
    };
    let on = writable().find(|schema| schema.is_on());
    on.or_else(|| writable().next())
        .map(|schema| schema.id.to_string())
}
