//! One poll for each project and key, shared by every policy on them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use super::{Look, Seen, WriteScope};
use crate::{
    api::{
        host::Host,
        status::SchemaState,
        validated::{PolicyRef, Project},
    },
    posthog::{
        ApiKey, Client, PostHogError, Transport,
        client::{Clock, KeyGate},
        key::KeyId,
        wire::{SchemaStatus, Source},
    },
};

/// How long a question after the write scope that brought no answer is not asked again.
const ASK_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// How long a failed poll is shared before it is tried again.
const FAILURE_LASTS: SignedDuration = SignedDuration::from_secs(20);

type Key = (Project, KeyId);
type Listed = Result<Arc<Vec<Source>>, PostHogError>;

/// Shares polls, looks and what is known of keys between policies. Lives as long as the process; what it forgets at a
/// restart is only read anew.
pub struct Observer<T> {
    transport: Arc<T>,
    clock: Clock,
    projects: Mutex<HashMap<Key, Arc<Shared>>>,
    gates: Mutex<HashMap<(Host, KeyId), Arc<KeyGate>>>,
}

/// What policies of one project and key have in common.
#[derive(Debug)]
struct Shared {
    gate: Arc<KeyGate>,
    /// The last poll. Held while a poll is under way, so that policies that come meanwhile wait for it and make none.
    poll: tokio::sync::Mutex<Option<(Timestamp, Listed)>>,
    seen: Mutex<HashMap<String, Seen>>,
    write_scope: Mutex<(WriteScope, Option<Timestamp>)>,
    policies: Mutex<HashSet<PolicyRef>>,
}

impl<T: Transport> Observer<T> {
    /// An observer that has seen nothing and asks `clock` for the time.
    pub fn new(transport: Arc<T>, clock: Clock) -> Self {
        Self {
            transport,
            clock,
            projects: Mutex::default(),
            gates: Mutex::default(),
        }
    }

    /// The project as the policy at `at` sees it with `key`. The policy shares in it from now on, and in no other.
    pub fn project(&self, at: &PolicyRef, project: &Project, key: ApiKey) -> ProjectView<T> {
        let wanted = (project.clone(), key.id());
        let mut projects = lock(&self.projects);
        // A rotated key or a deleted policy leaves an entry that nobody uses.
        projects.retain(|key, shared| {
            let mut policies = lock(&shared.policies);
            if *key != wanted {
                policies.remove(at);
            }
            *key == wanted || !policies.is_empty()
        });
        let shared = projects
            .entry(wanted)
            .or_insert_with_key(|(project, key)| Arc::new(Shared::new(self.gate(project, *key))))
            .clone();
        lock(&shared.policies).insert(at.clone());
        let client = Client::new(
            self.transport.clone(),
            project.clone(),
            key,
            shared.gate.clone(),
            self.clock.clone(),
        );
        ProjectView {
            client,
            shared,
            at: at.clone(),
        }
    }

    /// The gate of a key at a host: PostHog's limits are for the key, over all its projects.
    fn gate(&self, project: &Project, key: KeyId) -> Arc<KeyGate> {
        let mut gates = lock(&self.gates);
        gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        gates
            .entry((project.host.clone(), key))
            .or_default()
            .clone()
    }

    /// Forgets a policy that is gone.
    pub fn forget(&self, at: &PolicyRef) {
        lock(&self.projects).retain(|_, shared| {
            let mut policies = lock(&shared.policies);
            policies.remove(at);
            !policies.is_empty()
        });
    }
}

impl Shared {
    fn new(gate: Arc<KeyGate>) -> Self {
        Self {
            gate,
            poll: tokio::sync::Mutex::default(),
            seen: Mutex::default(),
            write_scope: Mutex::new((WriteScope::Unknown, None)),
            policies: Mutex::default(),
        }
    }
}

/// The project as one policy sees it, for the length of one pass.
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
    /// True if it was fetched just now: the other policies do not know it yet.
    pub fresh: bool,
}

impl<T: Transport> ProjectView<T> {
    /// The list of sources, not older than `max_age`. Whoever comes first fetches it, the others share it.
    pub async fn poll(&self, max_age: SignedDuration) -> Polled {
        let mut poll = self.shared.poll.lock().await;
        let now = self.client.now();
        if let Some((taken, listed)) = &*poll {
            let age = now.duration_since(*taken);
            let max_age = if listed.is_err() {
                max_age.min(FAILURE_LASTS)
            } else {
                max_age
            };
            // Younger than nothing: the clock was set back, and the age is not known.
            if age >= SignedDuration::ZERO && age < max_age {
                return Polled {
                    listed: listed.clone(),
                    fresh: false,
                };
            }
        }
        let listed = self.client.sources().await.map(Arc::new);
        if let Ok(sources) = &listed {
            self.note_rows(sources, now);
        }
        *poll = Some((now, listed.clone()));
        Polled {
            listed,
            fresh: true,
        }
    }

    /// Keeps what is known of tables that run or failed; the others need no closer look.
    fn note_rows(&self, sources: &[Source], now: Timestamp) {
        let mut seen = lock(&self.shared.seen);
        let mut still = HashMap::with_capacity(seen.len());
        for schema in sources.iter().flat_map(|source| &source.schemas) {
            if !matches!(
                schema.status(),
                SchemaStatus::Running | SchemaStatus::Failed
            ) {
                continue;
            }
            let known = match seen.remove(&schema.id) {
                Some(mut known) => {
                    known.row(schema, now);
                    known
                }
                None => Seen::first(schema, now),
            };
            still.insert(schema.id.clone(), known);
        }
        *seen = still;
    }

    /// Takes over marks from a status, for runs of which this process knows nothing yet.
    pub fn recall(&self, marks: &[SchemaState]) {
        let mut seen = lock(&self.shared.seen);
        for SchemaState { id, marks } in marks {
            if let Some(known) = seen.get_mut(id)
                && known.mark.is_none()
            {
                known.mark = Some(marks.clone());
            }
        }
    }

    /// Takes a closer look at one table and remembers it.
    pub async fn look(&self, source_id: &str, schema_id: &str, name: &str) {
        let look = Look::take(&self.client, source_id, schema_id, name).await;
        let mut seen = lock(&self.shared.seen);
        let known = seen.entry(schema_id.to_owned());
        known
            .or_insert_with(|| Seen::without_row(look.began))
            .looked(look);
    }

    /// What is known of tables beyond the list.
    #[must_use]
    pub fn seen(&self) -> HashMap<String, Seen> {
        lock(&self.shared.seen).clone()
    }

    /// Whether the key may write, as far as it is known.
    #[must_use]
    pub fn write_scope(&self) -> WriteScope {
        lock(&self.shared.write_scope).0
    }

    /// Asks `PostHog` whether the key may write, by a call on `schema_id` that needs the scope and changes nothing. It
    /// makes `PostHog` look into the customer's source, so it is made only while it can tell something new.
    pub async fn ask_write_scope(&self, schema_id: &str) {
        {
            let now = self.client.now();
            let mut known = lock(&self.shared.write_scope);
            let asked_lately = known
                .1
                .is_some_and(|at| now.duration_since(at).abs() < ASK_AGAIN);
            if known.0 == WriteScope::Granted || (known.0 == WriteScope::Unknown && asked_lately) {
                return;
            }
            known.1 = Some(now);
        }
        match self.client.incremental_fields(schema_id).await {
            Err(error) if error.lacks_scope("external_data_source:write") => {
                self.set_write_scope(WriteScope::Missing);
            }
            // A refusal for another reason comes after the scope was checked; other answers say nothing of it.
            Ok(()) | Err(PostHogError::Refused { status: 400, .. }) => {
                self.set_write_scope(WriteScope::Granted);
            }
            Err(_) => {}
        }
    }

    /// Takes note of what an answer said of the write scope.
    pub fn set_write_scope(&self, scope: WriteScope) {
        lock(&self.shared.write_scope).0 = scope;
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

fn lock<A>(mutex: &Mutex<A>) -> MutexGuard<'_, A> {
    // A panic elsewhere leaves data that is at worst old.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
