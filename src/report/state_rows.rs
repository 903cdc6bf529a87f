//! What must survive a restart: the rows of `status.state` after a reconcile.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::{
    api::{
        ValidatedPolicy, WarehouseSyncPolicyStatus,
        proposal::ProposedCall,
        status::{
            AboutRows, Call, Fate, Incident, LostSlot, MAX_LOST_SLOTS, MAX_MARKS, MAX_MISSING,
            MAX_OFF, MAX_ON, MAX_SENDS_REMEMBERED, MAX_SOURCES, MAX_WENT_OFF, Missing, SchemaState,
            SourceOn, State, WentOff,
        },
    },
    decide::{Plan, approval::pending_reset, ownership::is_in_flight, table},
    diagnose::{Cause, Diagnosis, Verdict, causes::Reload, fix::SwitchedOff, freshness, missing},
    observe::Snapshot,
    posthog::{
        redact,
        wire::{Schema, SchemaStatus, Source},
    },
};

/// What is worth a write of each table, one row for each.
pub(super) fn remembered(
    snapshot: &Snapshot,
    diagnosis: &Diagnosis,
    plan: &Plan,
    old: &WarehouseSyncPolicyStatus,
    now: Timestamp,
) -> Vec<SchemaState> {
    let rescheduled = freshness::rescheduled(snapshot, now).map(|(schema, at)| SchemaState {
        rescheduled: Some(at),
        ..SchemaState::of(schema.id.to_string())
    });
    let waiting = freshness::waiting(snapshot, now).map(|(schema, at)| SchemaState {
        waiting: Some(at),
        ..SchemaState::of(schema.id.to_string())
    });
    let fell = snapshot.selected().filter_map(|(_, row)| {
        Some(SchemaState {
            rows_fell: Some(snapshot.changes.rows_fell.get(row.id.as_str())?.clone()),
            ..SchemaState::of(row.id.to_string())
        })
    });
    let tried = plan.tried.iter().map(|(id, tried)| SchemaState {
        tried: Some(tried.clone()),
        ..SchemaState::of(id.clone())
    });
    let in_full = reloaded_in_full(snapshot, plan, old, now);
    let mut rows: Vec<SchemaState> = Vec::new();
    // First what must not be cut off.
    let all = of_proposals(plan, old, snapshot, now)
        .into_iter()
        .chain(disabled(diagnosis, snapshot, old))
        .chain(marks(snapshot, diagnosis, old))
        .chain(cancelled(snapshot, plan, old, now))
        .chain(of_incidents(plan, old, snapshot))
        .chain(tried)
        .chain(fell)
        .chain(rescheduled)
        .chain(in_full)
        .chain(waiting);
    for state in all {
        if let Some(row) = rows.iter_mut().find(|row| row.id == state.id) {
            row.complete(state);
        } else if rows.len() < MAX_MARKS {
            rows.push(state);
        }
    }
    rows
}

/// Tables of which the next run may wipe the data, and those for which somebody has asked for a proposal.
fn of_proposals(
    plan: &Plan,
    old: &WarehouseSyncPolicyStatus,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Vec<SchemaState> {
    let reset_pending_since =
        pending_reset::reset_pending_since(&old.state, &plan.proposals, snapshot, now);
    let reset_pending_since = reset_pending_since
        .into_iter()
        .map(|(id, since)| SchemaState {
            reset_pending_since: Some(since),
            ..SchemaState::of(id)
        });
    let handled = plan.requests.iter().map(|(id, value)| SchemaState {
        request_handled: Some(value.clone()),
        ..SchemaState::of(id.clone())
    });
    reset_pending_since.chain(handled).collect()
}

/// Tables that are synced in full and were reloaded because they were stale.
fn reloaded_in_full(
    snapshot: &Snapshot,
    plan: &Plan,
    old: &WarehouseSyncPolicyStatus,
    now: Timestamp,
) -> Vec<SchemaState> {
    let reload = |incident: &Incident| {
        let (_, schema) = snapshot.row(&incident.source_id, &incident.schema_id)?;
        let mut sends = incident.sends.iter();
        let send =
            sends.find(|send| send.call == Call::Reload && send.fate != Some(Fate::NotSent))?;
        (Cause::of(incident.cause).reload == Reload::Stale && table::costs_all_rows(schema))
            .then(|| (incident.schema_id.clone(), send.started_at))
    };
    let before = old
        .state
        .schemas
        .iter()
        .filter_map(|state| Some((state.id.clone(), state.reloaded_in_full?)));
    plan.incidents
        .iter()
        .filter_map(reload)
        .chain(before)
        .filter(|(_, at)| table::still_counts(*at, now))
        .map(|(id, at)| SchemaState {
            reloaded_in_full: Some(at),
            ..SchemaState::of(id)
        })
        .collect()
}

/// Tables of which a run was cancelled, until a later one has completed.
fn cancelled(
    snapshot: &Snapshot,
    plan: &Plan,
    old: &WarehouseSyncPolicyStatus,
    now: Timestamp,
) -> Vec<SchemaState> {
    let cancel = |incident: &Incident| {
        let mut sends = incident.sends.iter().rev();
        let send =
            sends.find(|send| send.call == Call::Cancel && send.fate != Some(Fate::NotSent))?;
        Some((incident.schema_id.clone(), send.started_at))
    };
    let approved = plan.proposals.iter().filter_map(|proposal| {
        let mut steps = proposal.started_steps().iter();
        let step = steps.find(|step| step.call == ProposedCall::Cancel)?;
        let may_have_hit = !matches!(step.fate, Some(Fate::NotSent | Fate::Refused));
        may_have_hit.then(|| (proposal.target.schema_id.clone(), step.started_at))
    });
    let before = old.state.schemas.iter();
    let before = before.filter_map(|state| Some((state.id.clone(), state.cancelled?)));
    let has_completed_since = |id: &str, at: Timestamp| {
        let row = snapshot.sources.row(id);
        row.is_some_and(|(_, row)| row.has_synced_since(at, now))
    };
    plan.incidents
        .iter()
        .filter_map(cancel)
        .chain(approved)
        .chain(before)
        .filter(|(id, at)| !has_completed_since(id, *at))
        .map(|(id, at)| SchemaState {
            cancelled: Some(at),
            ..SchemaState::of(id)
        })
        .collect()
}

/// The marks of runs that were found not to move. A run that moves has none, so that a busy project writes nothing.
fn marks(
    snapshot: &Snapshot,
    diagnosis: &Diagnosis,
    old: &WarehouseSyncPolicyStatus,
) -> Vec<SchemaState> {
    let known: HashSet<&str> = old.state.schemas.iter().map(|row| &*row.id).collect();
    let mut marks: Vec<SchemaState> = diagnosis
        .judged
        .iter()
        .filter(|judged| judged.status == SchemaStatus::Running)
        .filter_map(|judged| {
            let id = &judged.schema_id;
            let seen = snapshot.seen(id)?;
            // What is currently unknown does not replace what was known.
            let keep = seen.frozen
                || (seen.run_probe.is_none() || seen.unclear.is_some())
                    && known.contains(id.as_str());
            Some(SchemaState {
                marks: Some(seen.mark.clone().filter(|_| keep)?),
                ..SchemaState::of(id.clone())
            })
        })
        .collect();
    // Keep those without progress for longest.
    marks.sort_by(|a, b| {
        let since = |state: &SchemaState| state.marks.as_ref().map(|mark| mark.since);
        since(a).cmp(&since(b)).then_with(|| a.id.cmp(&b.id))
    });
    marks
}

/// What was known of the tables of incidents in flight: one may be missing from the current list.
fn of_incidents<'a>(
    plan: &'a Plan,
    old: &'a WarehouseSyncPolicyStatus,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = SchemaState> + use<'a> {
    plan.incidents
        .iter()
        .filter(|incident| is_in_flight(incident))
        .filter_map(move |incident| {
            let mut states = old.state.schemas.iter();
            let state = states.find(|state| state.id == incident.schema_id)?.clone();
            let row = snapshot.row(&incident.source_id, &incident.schema_id);
            // Of one that is on again, it is not known who will switch it off next.
            let is_on = row.is_some_and(|(_, schema)| schema.is_on());
            Some(SchemaState {
                waiting: None,
                rows_fell: None,
                tried: None,
                disabled_seen: state.disabled_seen.filter(|_| !is_on),
                reset_pending_since: None,
                request_handled: None,
                fix: state.fix.filter(|_| !is_on),
                ..state
            })
        })
}

/// Tables that `PostHog` was observed to switch off, and whether that was fixed as far as known: it is recorded nowhere else.
fn disabled<'a>(
    diagnosis: &'a Diagnosis,
    snapshot: &'a Snapshot,
    old: &'a WarehouseSyncPolicyStatus,
) -> impl Iterator<Item = SchemaState> + use<'a> {
    diagnosis.judged.iter().filter_map(|judged| {
        let Verdict::Disabled { by_posthog, .. } = &judged.verdict else {
            return None;
        };
        let row = snapshot.row(&judged.source_id, &judged.schema_id);
        let off = row.and_then(|row| SwitchedOff::new(&old.state, snapshot, row, &judged.verdict));
        Some(SchemaState {
            disabled_seen: Some((*by_posthog)?),
            fix: off.and_then(|off| off.watch()),
            ..SchemaState::of(judged.schema_id.clone())
        })
    })
}

/// The newest sends, as many as a status remembers: more than may be sent in an hour.
pub(super) fn latest(sends: &[Timestamp]) -> Vec<Timestamp> {
    sends[sends.len().saturating_sub(MAX_SENDS_REMEMBERED)..].to_vec()
}

/// The sources that lack their replication slot, as far as the policy selects them.
pub(super) fn lost_slots(snapshot: &Snapshot) -> Vec<LostSlot> {
    let since = &snapshot.probes.slot_lost_since;
    snapshot
        .selected_sources()
        .filter_map(|source| {
            Some(LostSlot {
                source_id: source.id.clone(),
                since: *since.get(&source.id)?,
            })
        })
        .take(MAX_LOST_SLOTS)
        .collect()
}

/// The tables that are on, by source, as far as the policy selects them and a status has room. One that does not show for now whether
/// it is on, or that has left the list lately, stays what it was: it may come back switched off.
pub(super) fn on(policy: &ValidatedPolicy, snapshot: &Snapshot, old: &State) -> Vec<SourceOn> {
    // An empty list says nothing of what is on.
    if snapshot.sources.is_empty() {
        return old.on.clone();
    }
    let mut away: HashMap<&str, HashSet<&str>> = HashMap::new();
    for gone in missing::selected(&policy.selector, snapshot) {
        let of_source = away.entry(&gone.source_id).or_default();
        of_source.insert(SourceOn::short(&gone.schema_id));
    }
    let mut room = MAX_ON;
    let listed = snapshot.selected_sources();
    let mut sources: Vec<SourceOn> = listed
        .filter_map(|source| {
            let before = old.on.iter().find(|before| before.source_id == source.id);
            let mut on = on_now(policy, source, before);
            if let (Some(before), Some(away)) = (before, away.get(source.id.as_str())) {
                on.extend(still_away(before, away));
            }
            let title = redact::one_line(&source.title(), 80);
            source_on(&source.id, title, on, &mut room)
        })
        .collect();
    let is_listed = |before: &SourceOn| {
        snapshot
            .sources
            .iter()
            .any(|one| one.id == before.source_id)
    };
    for before in old.on.iter().filter(|before| !is_listed(before)) {
        let on = away.get(before.source_id.as_str());
        let on = on.map(|away| still_away(before, away).collect());
        let title = before.source.clone();
        sources.extend(source_on(
            &before.source_id,
            title,
            on.unwrap_or_default(),
            &mut room,
        ));
    }
    sources.truncate(MAX_SOURCES);
    sources.sort_by(|a, b| a.source_id.cmp(&b.source_id));
    sources
}

/// A table that is on: the end of its id, and the word for its rows.
type TableOn<'a> = (&'a str, String);

/// The tables of a source that are on, or may be.
fn on_now<'a>(
    policy: &ValidatedPolicy,
    source: &'a Source,
    before: Option<&'a SourceOn>,
) -> Vec<TableOn<'a>> {
    let before: HashMap<&str, Option<i64>> = before.into_iter().flat_map(SourceOn::each).collect();
    let known = |schema: &Schema| before.get(SourceOn::short(&schema.id)).copied();
    let tables = source.schemas.iter();
    let on = tables.filter(|row| row.is_on() || !row.is_off() && known(row).is_some());
    let on = on.filter(|schema| policy.selector.selects_schema(&schema.name));
    on.map(|row| {
        let rows = AboutRows::word(row.rows(), known(row).flatten());
        (SourceOn::short(&row.id), rows)
    })
    .collect()
}

/// Of the tables that were on, those that have left the list.
fn still_away<'a>(before: &'a SourceOn, away: &HashSet<&str>) -> impl Iterator<Item = TableOn<'a>> {
    let of_source = before.each().filter(|(id, _)| away.contains(id));
    of_source.map(|(id, rows)| (id, AboutRows::word(None, rows)))
}

fn source_on(
    id: &str,
    source: String,
    mut on: Vec<TableOn<'_>>,
    room: &mut usize,
) -> Option<SourceOn> {
    let count = i64::try_from(on.len()).unwrap_or(i64::MAX);
    on.sort_unstable();
    on.dedup_by(|a, b| a.0 == b.0);
    on.truncate(*room);
    *room -= on.len();
    let (ids, rows): (Vec<&str>, Vec<String>) = on.into_iter().unzip();
    let any = rows.iter().any(|rows| rows != "-");
    (count > 0).then(|| SourceOn {
        source_id: id.to_owned(),
        source,
        count,
        tables: ids.join(" "),
        rows: if any { rows.join(" ") } else { String::new() },
    })
}

/// What was seen to be switched off and is still off, the newest first.
pub(super) fn went_off(diagnosis: &Diagnosis) -> Vec<WentOff> {
    let mut records = diagnosis.went_off.clone();
    records.sort_by(|a, b| (b.by, &a.source_id).cmp(&(a.by, &b.source_id)));
    let mut room = MAX_OFF;
    records.truncate(MAX_WENT_OFF);
    for record in &mut records {
        record.schema_ids.truncate(room);
        room -= record.schema_ids.len();
    }
    records.retain(|record| !record.schema_ids.is_empty());
    records
}

/// The tables that have left the list, as far as the policy selects them.
pub(super) fn missing(policy: &ValidatedPolicy, snapshot: &Snapshot) -> Vec<Missing> {
    missing::selected(&policy.selector, snapshot)
        .take(MAX_MISSING)
        .cloned()
        .collect()
}
