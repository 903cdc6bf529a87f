//! One survey of a project: the list is known; closer looks at suspects, then closer questions, until the budget is spent.
//! Two users: the reconcile, and `diagnose` on the command line.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    api::{
        Timings, ValidatedPolicy,
        status::{Incident, State},
    },
    diagnose::{
        Known, probing,
        suspects::{running, suspects},
    },
    observe::{Changes, Probe, Probes, ProjectView, Rival, Snapshot, WriteScope},
    posthog::{Transport, lax::Lax, wire::Source},
};

/// How many requests one survey may make beyond the list. A look costs one or two.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Closer looks at runs.
    pub looks: usize,
    /// Closer questions.
    pub probes: usize,
}

impl Budget {
    /// Of one reconcile. At the default interval that is far below the key's quota, and the rest follows at the next.
    pub const RECONCILE: Self = Self {
        looks: 30,
        probes: 10,
    };
}

/// What a survey rests on.
pub struct Survey<'a, T> {
    /// The policy.
    pub policy: &'a ValidatedPolicy,
    /// The project.
    pub view: &'a ProjectView<T>,
    /// What is remembered of earlier passes.
    pub state: &'a State,
    /// Incidents, whose tables come first.
    pub incidents: &'a [Incident],
    /// The fixed durations.
    pub timings: &'a Timings,
    /// How much may be asked.
    pub budget: Budget,
    /// Look at every run in progress, for one who looks only once.
    pub every_run: bool,
    /// Told how many requests are done, of how many.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl<T: Transport> Survey<'_, T> {
    /// All that a decision may rest on, from the list of `sources`.
    pub async fn make(&self, sources: Arc<Vec<Source>>, rivals: Vec<Rival>) -> Snapshot {
        self.view.recall(self.state, &sources);
        let mut snapshot = Snapshot {
            sources,
            runs: self.view.seen(),
            changes: Changes::default(),
            probes: Probes::default(),
            looked: HashSet::new(),
            write_scope: WriteScope::Unknown,
            rivals,
        };
        self.look(&mut snapshot).await;
        if self.policy.may_act()
            && let Some(schema_id) = table_to_ask_of(self.policy, &snapshot)
        {
            self.view.ask_write_scope(&schema_id).await;
        }
        self.take_over(&mut snapshot);
        self.probe(&snapshot).await;
        self.take_over(&mut snapshot);
        snapshot
    }

    fn take_over(&self, snapshot: &mut Snapshot) {
        snapshot.runs = self.view.seen();
        snapshot.changes = self.view.changes();
        snapshot.probes = self.view.probes();
        snapshot.write_scope = self.view.write_scope();
    }

    async fn look(&self, snapshot: &mut Snapshot) {
        let now = self.view.client.now();
        let mut suspects = suspects(self.policy, snapshot, self.incidents, self.timings, now);
        if self.every_run {
            suspects.extend(running(self.policy, snapshot));
        }
        suspects.truncate(self.budget.looks);
        for (done, suspect) in suspects.iter().enumerate() {
            (self.progress)(done, suspects.len());
            let row = snapshot.row(&suspect.source_id, &suspect.schema_id);
            let row = row.map(|(_, schema)| schema);
            let (source_id, schema_id) = (&suspect.source_id, &suspect.schema_id);
            self.view
                .look(source_id, schema_id, &suspect.name, row)
                .await;
        }
        let looked = suspects.into_iter().map(|suspect| suspect.schema_id);
        snapshot.looked.extend(looked);
    }

    /// Asks what the looks left open. An answer may raise another question, of the same budget: what a database lacks is asked
    /// only when change data capture turns out to be broken.
    async fn probe(&self, snapshot: &Snapshot) {
        let mut snapshot = snapshot.clone();
        let mut asked: HashSet<Probe> = HashSet::new();
        loop {
            let known = Known {
                policy: self.policy,
                snapshot: &snapshot,
                state: self.state,
                timings: self.timings,
                now: self.view.client.now(),
            };
            let mut due = probing::due(&known, self.budget.probes);
            due.retain(|probe| !asked.contains(probe));
            due.truncate(self.budget.probes.saturating_sub(asked.len()));
            if due.is_empty() {
                return;
            }
            let rows: HashMap<&str, _> = known
                .snapshot
                .sources
                .iter()
                .flat_map(|source| &source.schemas)
                .map(|schema| (schema.id.as_str(), schema))
                .collect();
            let all = asked.len() + due.len();
            for probe in due {
                (self.progress)(asked.len(), all);
                let row = probe.schema_id().and_then(|id| rows.get(id)).copied();
                self.view.probe(probe.clone(), row).await;
                asked.insert(probe);
            }
            self.take_over(&mut snapshot);
        }
    }
}

/// A table that is switched on, if there is one, of a source that can be written to.
fn table_to_ask_of(policy: &ValidatedPolicy, snapshot: &Snapshot) -> Option<String> {
    let writable = || {
        snapshot
            .selected(&policy.selector)
            .filter(|(source, _)| source.is_warehouse())
            .map(|(_, schema)| schema)
    };
    let on = writable().find(|schema| schema.should_sync == Lax::Is(true));
    on.or_else(|| writable().next())
        .map(|schema| schema.id.clone())
}
