//! One poll for each project and key, shared by every policy on them.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::{
    Canary, Changes, Probe, Probes, Readings, ReadsLog, RunProbe, Seen, WriteScope, data,
    deliveries,
    other_projects::AllProjects,
    probes::{DataAnswer, DataProbe, Found, note},
};
use crate::{
    api::{
        host::Host,
        status::{LostSlot, SchemaState, State},
        validated::{PolicyRef, Project},
    },
    posthog::{
        ApiKey, Client, Gates, PostHogError, Transport,
        bounds::Bounds,
        client::{Clock, KeyGate, PAGE_SIZE},
        instance::{Feature, Instance, Noted, UnfamiliarKind},
        key::KeyId,
        lax::Lax,
        quota::{Purpose, Share},
        secrets::Secrets,
        wire::{Schema, SchemaStatus, Source},
    },
};

/// The scope without which nothing can be changed.
const WRITE_SCOPE: &str = "external_data_source:write";

/// How long a question after the write scope that brought no answer is not asked again.
const ASK_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// How long the answer is valid: the instance may have been upgraded since.
const ASK_INSTANCE_AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// How long a failed poll is shared before it is tried again.
const FAILURE_LASTS: SignedDuration = SignedDuration::from_secs(20);

/// How long a list is used when the share of the key's limits has no room for another one.
const OLDEST_LIST: SignedDuration = SignedDuration::from_hours(1);

/// Completed runs of a project that are kept as proof that `PostHog` works.
const MOST_CANARIES: usize = 4;

/// A page of a list up to this size, in bytes, is read whenever it is a list's turn. Larger ones, of more than some 6,000 tables, are
/// read from a host one after the other, so that the memory in flight is bounded for any number of projects.
const SMALL_PAGE: usize = 2 * 1024 * 1024;

/// Lists read from one host at a time. When the operator starts, every project wants its own at once: that would be a stampede
/// for PostHog, and all of them together would take much memory here. At a second each, 16 are enough for 1,900 projects at the
/// default interval.
const LISTS_AT_ONCE: usize = 16;

type ProjectKey = (Project, KeyId);
type Listed = Result<Arc<Vec<Source>>, PostHogError>;

/// Shares polls, probes and what is known of keys between policies. Lives as long as the process; after a restart, everything is simply read again.
pub struct Observer<T> {
    transport: Arc<T>,
    clock: Clock,
    /// The operator's share of a key's limits; none for all of them.
    share: Option<Share>,
    projects: Mutex<HashMap<ProjectKey, Arc<Shared>>>,
    gates: Gates,
    turns: Mutex<HashMap<Host, Arc<Turns>>>,
    most_tables: MostTables,
    kept: Arc<Kept>,
    /// What policies saw of the sources of each project.
    pub all_projects: AllProjects,
}

/// How many tables are kept at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MostTables {
    /// Of one project.
    pub of_project: usize,
    /// Of all projects together.
    pub in_all: usize,
}

impl MostTables {
    /// As many as there are.
    pub const UNBOUNDED: Self = Self {
        of_project: usize::MAX,
        in_all: usize::MAX,
    };
}

/// How many tables are kept of each project that was read.
#[derive(Debug, Default)]
struct Kept {
    tables: Mutex<HashMap<usize, usize>>,
    /// The number of the next project.
    next: AtomicUsize,
}

/// How many tables each project may have if all may have `most` together: what small ones leave is shared by the large. Projects that
/// nobody could read have none, and so take nothing from others.
fn share_of_each(mut tables: Vec<usize>, most: usize) -> usize {
    tables.sort_unstable();
    let (mut left, mut projects) = (most, tables.len());
    for own in tables {
        if own > left / projects {
            return left / projects;
        }
        left -= own;
        projects -= 1;
    }
    most
}

/// Who may read a list from a host now.
#[derive(Debug)]
struct Turns {
    any: Semaphore,
    /// Taken before the other, so that waiting for it does not block that one.
    large: Semaphore,
}

/// What policies of one project and key have in common.
#[derive(Debug)]
struct Shared {
    gate: Arc<KeyGate>,
    /// Whose turn it is to read a list from the host.
    turns: Arc<Turns>,
    /// Whether a page of the list was larger than a small one.
    is_large: AtomicBool,
    kept: Arc<Kept>,
    /// Its number there.
    number: usize,
    most_tables: MostTables,
    /// The last poll. Held during a poll, so that policies that arrive in that time wait for it and make none.
    poll: tokio::sync::Mutex<Option<(Timestamp, Listed)>>,
    seen: Mutex<HashMap<String, Arc<Seen>>>,
    changes: Mutex<Changes>,
    /// The policies whose status was taken over.
    recalled: Mutex<HashSet<PolicyRef>>,
    probes: Mutex<Probes>,
    canaries: Mutex<Vec<Canary>>,
    /// The causes that the texts of the last list and of later reads name.
    readings: Mutex<Arc<Readings>>,
    /// The last list that could be read, and when.
    last_list: Mutex<Option<(Timestamp, Arc<Vec<Source>>)>>,
    write_scope: Mutex<(WriteScope, Option<Timestamp>)>,
    /// What no text may show: the key, and what the policies' Secrets hold for sources of the project.
    secrets: Arc<Secrets>,
    /// What the instance shows.
    noted: Noted,
    /// When it was last asked for what it shows.
    asked_at: Mutex<Option<Timestamp>>,
    policies: Mutex<HashSet<PolicyRef>>,
}

impl<T: Transport> Observer<T> {
    /// An observer that has seen nothing and asks `clock` for the time.
    pub fn new(transport: Arc<T>, clock: Clock) -> Self {
        Self {
            transport,
            clock,
            share: None,
            projects: Mutex::default(),
            gates: Gates::default(),
            turns: Mutex::default(),
            most_tables: MostTables::UNBOUNDED,
            kept: Arc::default(),
            all_projects: AllProjects::default(),
        }
    }

    /// The same, using no more than this share of each key's limits.
    #[must_use]
    pub fn sharing(self, share: Share) -> Self {
        Self {
            share: Some(share),
            ..self
        }
    }

    /// The same, keeping no more tables than these.
    #[must_use]
    pub fn keeping(self, most_tables: MostTables) -> Self {
        Self {
            most_tables,
            ..self
        }
    }

    /// The same, with gates of keys that somebody else looks at too.
    #[must_use]
    pub fn through(self, gates: Gates) -> Self {
        Self { gates, ..self }
    }

    /// The project as the policy at `at` sees it with `key`. The policy shares in it from now on, and in no other.
    pub fn project(&self, at: &PolicyRef, project: &Project, key: ApiKey) -> ProjectView<T> {
        let wanted = (project.clone(), key.id());
        let mut projects = lock(&self.projects);
        // A rotated key or a deleted policy leaves an unused entry.
        projects.retain(|key, shared| {
            let mut policies = lock(&shared.policies);
            if *key != wanted {
                policies.remove(at);
            }
            *key == wanted || !policies.is_empty()
        });
        let shared = projects
            .entry(wanted)
            .or_insert_with_key(|(project, key)| {
                let gate = self.gates.of(&project.host, *key, self.share);
                Arc::new(self.shared(gate, &project.host))
            })
            .clone();
        lock(&shared.policies).insert(at.clone());
        let client = Client::new(
            self.transport.clone(),
            project.clone(),
            key,
            shared.gate.clone(),
            self.clock.clone(),
        )
        .noting(shared.noted.clone())
        .hiding(shared.secrets.clone());
        ProjectView {
            client,
            shared,
            at: at.clone(),
        }
    }

    /// Who may read a list from a host now.
    fn turns(&self, host: &Host) -> Arc<Turns> {
        let mut turns = lock(&self.turns);
        turns.retain(|_, turns| Arc::strong_count(turns) > 1);
        turns
            .entry(host.clone())
            .or_insert_with(|| {
                Arc::new(Turns {
                    any: Semaphore::new(LISTS_AT_ONCE),
                    large: Semaphore::new(1),
                })
            })
            .clone()
    }

    /// Forgets a deleted policy.
    pub fn forget(&self, at: &PolicyRef) {
        lock(&self.projects).retain(|_, shared| {
            let mut policies = lock(&shared.policies);
            policies.remove(at);
            !policies.is_empty()
        });
    }
}

impl<T: Transport> Observer<T> {
    fn shared(&self, gate: Arc<KeyGate>, host: &Host) -> Shared {
        Shared {
            gate,
            turns: self.turns(host),
            is_large: AtomicBool::default(),
            kept: self.kept.clone(),
            number: self.kept.next.fetch_add(1, Ordering::Relaxed),
            most_tables: self.most_tables,
            poll: tokio::sync::Mutex::default(),
            seen: Mutex::default(),
            changes: Mutex::default(),
            recalled: Mutex::default(),
            probes: Mutex::default(),
            canaries: Mutex::default(),
            readings: Mutex::default(),
            last_list: Mutex::default(),
            write_scope: Mutex::new((WriteScope::Unknown, None)),
            secrets: Arc::default(),
            noted: Noted::default(),
            asked_at: Mutex::default(),
            policies: Mutex::default(),
        }
    }
}

impl Shared {
    /// Records how many tables of the project are kept from now on. If those of all projects are too many, a project goes that has
    /// more than its share: what one tenant has too much must not be what another has too little.
    fn keep(&self, sources: Vec<Source>) -> Result<Vec<Source>, PostHogError> {
        let tables: usize = sources.iter().map(|source| source.schemas.len()).sum();
        let most = self.most_tables.in_all;
        let mut kept = lock(&self.kept.tables);
        kept.remove(&self.number);
        let (projects, others) = (kept.len(), kept.values().sum::<usize>());
        if others.saturating_add(tables) > most {
            let share = share_of_each(kept.values().copied().chain([tables]).collect(), most);
            if tables > share {
                let found = format!(
                    "the project has {tables} tables, and the {projects} other projects have {others}; the limit for all is {most} \
                     (--max-tables), {share} for each"
                );
                let call = "list sources";
                return Err(PostHogError::TooLarge { call, found });
            }
        }
        kept.insert(self.number, tables);
        Ok(sources)
    }

    fn keep_none(&self) {
        lock(&self.kept.tables).remove(&self.number);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.keep_none();
    }
}

/// The project as one policy sees it, during one reconcile.
pub struct ProjectView<T> {
    /// How to reach it.
    pub client: Client<T>,
    shared: Arc<Shared>,
    at: PolicyRef,
}

/// A list of sources, and whether this call fetched it.
#[derive(Debug)]
pub struct Polled {
    /// The list, or why there is none.
    pub listed: Listed,
    /// True if it was fetched by this call: the other policies do not know it yet.
    pub fresh: bool,
}

impl<T: Transport> ProjectView<T> {
    /// The list of sources, not older than `max_age`, unless the share of the key's limits has no room for another one. The first caller fetches it,
    /// the others share it.
    pub async fn poll(&self, max_age: SignedDuration, purpose: Purpose) -> Polled {
        let mut poll = self.shared.poll.lock().await;
        if let Some(listed) = self.usable(poll.as_ref(), max_age, purpose) {
            let fresh = false;
            return Polled { listed, fresh };
        }
        loop {
            let is_large = self.shared.is_large.load(Ordering::Relaxed);
            let turns = &self.shared.turns;
            // They fail only if they are closed, which never happens.
            let _alone = if is_large {
                turns.large.acquire().await.ok()
            } else {
                None
            };
            let _turn = turns.any.acquire().await;
            // Other users of the key may have used up the room since then.
            if let Some(listed) = self.usable(poll.as_ref(), max_age, purpose) {
                let fresh = false;
                return Polled { listed, fresh };
            }
            let now = self.client.now();
            let listed = self.client.sources(self.bounds(is_large)).await;
            if !is_large && matches!(listed, Err(PostHogError::TooLarge { .. })) {
                self.shared.is_large.store(true, Ordering::Relaxed);
                continue;
            }
            let listed = listed.and_then(|sources| self.shared.keep(sources));
            let listed = self.note_list(listed, now);
            *poll = Some((now, listed.clone()));
            let fresh = true;
            return Polled { listed, fresh };
        }
    }

    fn bounds(&self, is_large: bool) -> Bounds {
        let tables = self.shared.most_tables.of_project;
        let bounds = Bounds::default();
        let page = if is_large { bounds.page } else { SMALL_PAGE };
        Bounds { page, tables }
    }

    fn note_list(&self, listed: Result<Vec<Source>, PostHogError>, now: Timestamp) -> Listed {
        let listed = listed.map(Arc::new);
        match &listed {
            Ok(sources) => {
                self.note_shown(sources);
                self.note_rows(sources, now);
                self.note_changes(sources, now);
                *lock(&self.shared.readings) = Arc::default();
            }
            Err(PostHogError::TooLarge { .. }) => {
                *lock(&self.shared.last_list) = None;
                self.shared.keep_none();
            }
            Err(error) if error.is_closed_to_keys() => {
                let noted = &self.shared.noted;
                noted.note(|instance| instance.note(Feature::ScopedKeys, false));
            }
            Err(_) => {}
        }
        listed
    }

    /// The last list, if it is young enough, or has to do because there is no room for another one.
    fn usable(
        &self,
        last: Option<&(Timestamp, Listed)>,
        max_age: SignedDuration,
        purpose: Purpose,
    ) -> Option<Listed> {
        let (taken, listed) = last?;
        let age = self.client.now().duration_since(*taken);
        let max_age = if listed.is_err() {
            max_age.min(FAILURE_LASTS)
        } else {
            max_age
        };
        // Younger than nothing: the clock was set back, and the age is not known.
        let is_young = age >= SignedDuration::ZERO && age < max_age;
        // By then there is room again.
        let must_do = listed.as_ref().is_ok_and(|sources| {
            let pages = sources.len().div_ceil(PAGE_SIZE).max(1);
            age < OLDEST_LIST && !self.has_room(purpose, pages)
        });
        (is_young || must_do).then(|| listed.clone())
    }

    /// Whether the share of the key's limits has room for this many calls at once.
    #[must_use]
    pub fn has_room(&self, purpose: Purpose, calls: usize) -> bool {
        self.shared.gate.has_room(purpose, calls, self.client.now())
    }

    /// How long to wait before another pass like this one, for the sake of the share of the key's limits.
    #[must_use]
    pub fn pace(&self, purpose: Purpose) -> SignedDuration {
        let calls = self.client.sent().max(1);
        self.shared.gate.pace(purpose, calls, self.client.now())
    }

    /// What the list shows of the instance. A version that says how sources are accessed lets keys with scopes in.
    fn note_shown(&self, sources: &[Source]) {
        let says = sources
            .iter()
            .any(|source| source.access_method != Lax::Missing);
        let rows = || sources.iter().flat_map(|source| &source.schemas);
        self.shared.noted.note(|instance| {
            if !sources.is_empty() {
                instance.note(Feature::AccessMethod, says);
            }
            if says {
                instance.note(Feature::ScopedKeys, true);
            }
            for source in sources.iter().filter(|source| source.is_accessed_oddly()) {
                let shown = source
                    .access_method
                    .get()
                    .map_or("without a value", String::as_str);
                instance.meets(UnfamiliarKind::AccessMethod, shown);
            }
            for (kind, word) in rows().flat_map(Schema::unfamiliar) {
                instance.meets(kind, word);
            }
        });
    }

    /// What is known of the instance.
    #[must_use]
    pub fn instance(&self) -> Instance {
        self.shared.noted.now()
    }

    /// Finds out once a day whether runs can be cancelled here, by this table. One request; what else the instance shows, looks and
    /// canaries find.
    pub async fn ask_for_cancel(&self, schema_id: &str) {
        {
            let mut asked_at = lock(&self.shared.asked_at);
            let now = self.client.now();
            if asked_at.is_some_and(|at| now.duration_since(at).abs() < ASK_INSTANCE_AGAIN) {
                return;
            }
            *asked_at = Some(now);
        }
        self.client.has_cancel(schema_id).await;
    }

    fn note_changes(&self, sources: &Arc<Vec<Source>>, now: Timestamp) {
        let before = lock(&self.shared.last_list).replace((now, sources.clone()));
        // An empty list where there were sources is not trusted elsewhere either.
        let before = before.filter(|_| !sources.is_empty());
        let before = before.as_ref().map(|(then, list)| (list.as_slice(), *then));
        lock(&self.shared.changes).note(before, sources, now);
        let listed = sources.iter().map(|source| source.id.as_str()).collect();
        let rows = || sources.iter().flat_map(|source| &source.schemas);
        let schemas = rows().map(|schema| schema.id.as_str()).collect();
        // The error stays while the next run is in progress, and so does what explains it.
        let off = lock(&self.shared.changes).went_off.clone();
        let off: HashSet<&str> = off
            .iter()
            .flat_map(|one| &one.schema_ids)
            .map(String::as_str)
            .collect();
        let failed = rows()
            // A webhook shows no trouble in the rows of its tables, nor does a table that was switched off without an error.
            .filter(|schema| {
                has_trouble(schema)
                    || schema.syncs_by("webhook")
                    || off.contains(schema.id.as_str())
                    || schema.is_painted()
            })
            .map(|schema| schema.id.as_str())
            .collect();
        lock(&self.shared.probes).retain(&listed, &schemas, &failed);
    }

    /// Keeps what is known of tables that run or failed, and of others that were probed and have not changed since.
    fn note_rows(&self, sources: &[Source], now: Timestamp) {
        let is_first_list = lock(&self.shared.last_list).is_none();
        let mut seen = lock(&self.shared.seen);
        let mut still = HashMap::with_capacity(seen.len());
        for schema in sources.iter().flat_map(|source| &source.schemas) {
            let watched = has_trouble(schema);
            let known = match seen.remove(schema.id.as_str()) {
                Some(mut known) => {
                    Arc::make_mut(&mut known).row(schema, now);
                    if !watched && known.run_probe.is_none() {
                        continue;
                    }
                    known
                }
                None if watched => {
                    let mut first = Seen::first(schema, now);
                    first.from_first_list = is_first_list;
                    Arc::new(first)
                }
                None => continue,
            };
            still.insert(schema.id.to_string(), known);
        }
        *seen = still;
    }

    /// Takes over from a status what a process before this one knew of `sources`, where this one knows nothing yet.
    pub fn recall(&self, state: &State, sources: &[Source]) {
        let mut seen = lock(&self.shared.seen);
        for SchemaState { id, marks, .. } in &state.schemas {
            if let Some(known) = seen.get_mut(id)
                && known.mark.is_none()
            {
                Arc::make_mut(known).mark.clone_from(marks);
            }
        }
        let now = self.client.now();
        let is_first = lock(&self.shared.recalled).insert(self.at.clone());
        {
            let mut changes = lock(&self.shared.changes);
            changes.recall(state, sources, now);
            if is_first {
                changes.recall_on(state, sources, now);
            }
        }
        let mut known = self.known();
        for LostSlot { source_id, since } in &state.lost_slots {
            if !known.cdc.contains_key(source_id) {
                known.slot_lost_since.insert(source_id.clone(), *since);
            }
        }
    }

    /// Probes one table and remembers the answer. `row` is the table in the list, if it is there.
    pub async fn run_probe(
        &self,
        (source_id, schema_id, name): (&str, &str, &str),
        row: Option<&Schema>,
        reads_log: ReadsLog,
    ) {
        let before = lock(&self.shared.seen).get(schema_id).cloned();
        let before = before.as_ref().and_then(|seen| seen.run_probe.as_ref());
        let run_probe = RunProbe::take(
            &self.client,
            (source_id, schema_id, name),
            before,
            reads_log,
        )
        .await;
        let mut seen = lock(&self.shared.seen);
        let first = || match row {
            Some(row) => Arc::new(Seen::first(row, run_probe.began)),
            None => Arc::new(Seen::without_row(run_probe.began)),
        };
        let known = seen.entry(schema_id.to_owned()).or_insert_with(first);
        Arc::make_mut(known).record_probe(run_probe);
    }

    /// Reads the newest completed run of a table, as proof that `PostHog` works. Only the newest reading of each table is kept.
    pub async fn read_canary(&self, source_id: &str, schema_id: &str, name: &str) {
        let Some(canary) = Canary::read(&self.client, source_id, schema_id, name).await else {
            return;
        };
        let mut canaries = lock(&self.shared.canaries);
        canaries.retain(|known| known.schema_id != schema_id);
        canaries.push(canary);
        let too_many = canaries.len().saturating_sub(MOST_CANARIES);
        canaries.drain(..too_many);
    }

    /// The completed runs that were read as proof that `PostHog` works.
    /// Only of tables that are in `sources` by the same name: `PostHog` lists runs by it.
    #[must_use]
    pub fn canaries(&self, sources: &[Source]) -> Vec<Canary> {
        let mut canaries = lock(&self.shared.canaries).clone();
        let rows = || sources.iter().flat_map(|source| &source.schemas);
        canaries.retain(|canary| {
            rows().any(|row| row.id == canary.schema_id && row.name == canary.name)
        });
        canaries
    }

    /// Sends one probe and remembers the answer; false if there was none. `row` is the table that it is about, if it is
    /// about one.
    pub async fn probe(&self, probe: Probe, row: Option<&Schema>) -> bool {
        let client = &self.client;
        match probe {
            Probe::Detail(id) => {
                let answer = client.schema(&id).await;
                note(&mut self.known().details, id, client.now(), answer)
            }
            Probe::Fields(id) => {
                let answer = client.incremental_fields(&id).await;
                self.note_scope(&answer);
                note(&mut self.known().fields, id, client.now(), answer)
            }
            Probe::Webhook(id) => {
                let answer = client.webhook_info(&id).await;
                note(&mut self.known().webhooks, id, client.now(), answer)
            }
            Probe::WebhookFields(_) => {
                let answer = client.webhook_fields().await;
                self.known().note_webhook_fields(client.now(), answer)
            }
            Probe::Deliveries(id, function) => {
                let Some(sql) = deliveries::query(&function) else {
                    return true;
                };
                let answer = client.query(&sql).await;
                let now = client.now();
                let answer = answer.map(|answer| deliveries::read(&answer, now));
                note(&mut self.known().deliveries, id, now, answer)
            }
            Probe::Cdc(id) => {
                let answer = client.cdc_status(&id).await;
                self.known().note_cdc(id, client.now(), answer)
            }
            Probe::Prerequisites(id, check) => {
                let answer = client.cdc_prerequisites(&id, &check).await;
                self.note_scope(&answer);
                note(&mut self.known().prerequisites, id, client.now(), answer)
            }
            Probe::Data(check) => {
                let synced_at = row.and_then(|row| row.last_synced_at.get().copied());
                let found = self.check_data(&check).await;
                let answer = found.map(|found| DataAnswer { synced_at, found });
                note(&mut self.known().data, check, client.now(), answer)
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Probes> {
        lock(&self.shared.probes)
    }

    fn note_scope<A>(&self, answer: &Result<A, PostHogError>) {
        if let Err(error) = answer
            && error.lacks_scope(WRITE_SCOPE)
        {
            self.set_write_scope(WriteScope::Missing);
        }
    }

    /// Runs the query of a data check. The inner error says why the check cannot be made as the policy says.
    async fn check_data(&self, check: &DataProbe) -> Result<Result<Found, String>, PostHogError> {
        let detail = self.client.schema(&check.schema_id).await?;
        let Some(stored) = &detail.stored else {
            return Ok(Err("the table has no data yet".to_owned()));
        };
        match data::query(&check.rule, stored) {
            Ok(sql) => Ok(data::read(&check.rule, &self.client.query(&sql).await?)),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// What was seen to change from list to list.
    #[must_use]
    pub fn changes(&self) -> Changes {
        lock(&self.shared.changes).clone()
    }

    /// The answers to probes.
    #[must_use]
    pub fn probes(&self) -> Probes {
        lock(&self.shared.probes).clone()
    }

    /// What the error texts of the last list say, shared by all policies that share it.
    #[must_use]
    pub fn readings(&self) -> Arc<Readings> {
        lock(&self.shared.readings).clone()
    }

    /// What is known of tables beyond the list.
    #[must_use]
    pub fn seen(&self) -> HashMap<String, Arc<Seen>> {
        lock(&self.shared.seen).clone()
    }

    /// Whether the key may write, as far as it is known. A scope that was missing may have been granted since.
    #[must_use]
    pub fn write_scope(&self) -> WriteScope {
        let known = lock(&self.shared.write_scope);
        match *known {
            (WriteScope::Missing, Some(at)) if !self.is_recent(at) => WriteScope::Unknown,
            (scope, _) => scope,
        }
    }

    fn is_recent(&self, at: Timestamp) -> bool {
        self.client.now().duration_since(at).abs() < ASK_AGAIN
    }

    /// Asks `PostHog` whether the key may write, by a call on `schema_id` that needs the scope and changes nothing. It makes `PostHog` read the
    /// customer's source, so it is made only while the answer is unknown.
    pub async fn ask_write_scope(&self, schema_id: &str) {
        {
            let mut known = lock(&self.shared.write_scope);
            let asked_lately = known.1.is_some_and(|at| self.is_recent(at));
            // A key that lacks the scope is refused before the source is read: that costs little.
            if known.0 == WriteScope::Granted || (known.0 == WriteScope::Unknown && asked_lately) {
                return;
            }
            known.1 = Some(self.client.now());
        }
        match self.client.incremental_fields(schema_id).await {
            Err(error) if error.lacks_scope(WRITE_SCOPE) => {
                self.set_write_scope(WriteScope::Missing);
            }
            // A refusal for another reason comes after the scope was checked; other answers say nothing of it.
            Ok(_) | Err(PostHogError::Refused { status: 400, .. }) => {
                self.set_write_scope(WriteScope::Granted);
            }
            Err(_) => {}
        }
    }

    /// Records what an answer said of the write scope.
    pub fn set_write_scope(&self, scope: WriteScope) {
        *lock(&self.shared.write_scope) = (scope, Some(self.client.now()));
    }

    /// The other policies that share the poll.
    #[must_use]
    pub fn others(&self) -> Vec<PolicyRef> {
        lock(&self.shared.policies)
            .iter()
            .filter(|other| **other != self.at)
            .cloned()
            .collect()
    }
}

/// True for a table that runs or failed: the list does not say enough of it.
fn has_trouble(schema: &Schema) -> bool {
    matches!(
        schema.status(),
        SchemaStatus::Running | SchemaStatus::Failed
    )
}

fn lock<A>(mutex: &Mutex<A>) -> MutexGuard<'_, A> {
    // A panic elsewhere leaves data that is at worst old.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
