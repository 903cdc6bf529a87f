//! From the proposals of the previous reconcile to those of this one. A reconcile without news changes nothing.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::{
    cleared::has_cleared,
    denial,
    draft::Draft,
    fit::{Fit, Wanted},
    fitting::fitting,
    key::Key,
    made::{ProposalSettings, Proposals},
    material::Seed,
    suppressed,
};
use crate::{
    api::{
        ValidatedPolicy, WarehouseSyncPolicyStatus,
        proposal::{MAX_PROPOSALS, Phase, Proposal, ProposedAction},
    },
    decide::{
        approval::{
            answer::{self, ApprovalAnswer, Rules},
            guard,
        },
        guards::{Hold, OperatorLimits, OrderContext, chain},
        orders::approved,
        plan::{Kind, Plan, Said},
        words::{
            next_action as words,
            note::{note, proposed},
        },
    },
    diagnose::{Cause, Diagnosis, Known, causes::Origin, requests},
    observe::ApprovalGuard,
    posthog::redact,
};

/// Decides what is proposed, and reads the answers. `plan` is what happens without approval.
#[must_use]
pub fn decide(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    plan: &Plan,
    settings: &ProposalSettings<'_>,
) -> Proposals {
    let judge = Judge {
        known,
        diagnosis,
        plan,
        settings,
        guard_is_another: guard::is_another(&known.state.guard, &known.snapshot.approval_guard),
        wanted: fitting(known, diagnosis),
    };
    let mut proposals = Proposals {
        rows: known.proposals.to_vec(),
        suppressed: suppressed::still(known, diagnosis),
        requests: handled(known),
        ..Proposals::default()
    };
    for proposal in proposals.rows.iter_mut().filter(|row| !row.is_over()) {
        let before = proposal.phase;
        judge.go_on(proposal);
        if proposal.phase != before {
            proposals.notes.push(note(proposal));
        }
    }
    proposals.note_endings(known);
    for (key, wanted) in &judge.wanted {
        let next = judge.open(key, wanted, &mut proposals);
        let action = wanted.action;
        proposals.said.insert(key.clone(), Said { action, next });
    }
    proposals
}

/// Replaces the proposal with the same id. If it has ended, that is remembered.
pub fn put(plan: &mut Plan, proposal: Proposal, now: Timestamp) {
    let mut rows = plan.proposals.iter_mut();
    let Some(row) = rows.find(|row| row.id == proposal.id) else {
        return;
    };
    if row.phase != proposal.phase {
        plan.notes.push(note(&proposal).into());
        if let Some(suppressed) = suppressed::of(&proposal, now) {
            suppressed::remember(&mut plan.suppressed, suppressed);
        }
    }
    *row = proposal;
}

/// Records approvals in a reconcile that could read nothing else; returns notes for the history.
#[must_use]
pub fn latch(
    policy: &ValidatedPolicy,
    guard: &ApprovalGuard,
    rules: Rules,
    status: &mut WarehouseSyncPolicyStatus,
    now: Timestamp,
) -> Vec<String> {
    if guard::is_another(&status.state.guard, guard) {
        return Vec::new();
    }
    let mut notes = Vec::new();
    let waits = |row: &&mut Proposal| row.is_open() && now < row.expires_at;
    for proposal in status.proposals.iter_mut().filter(waits) {
        if let ApprovalAnswer::Approved(seen) = answer::answer(policy, guard, rules, proposal, now)
        {
            proposal.approves(seen);
            notes.push(note(proposal));
        }
    }
    notes
}

/// The requests that were answered before, of tables that are still listed.
fn handled(known: &Known<'_>) -> BTreeMap<String, String> {
    let rows = known.state.schemas.iter();
    let mut handled: BTreeMap<String, String> = rows
        .filter_map(|row| Some((row.id.clone(), row.request_handled.clone()?)))
        .collect();
    if !handled.is_empty() {
        let listed: HashSet<&str> = known.snapshot.rows().map(|(_, row)| &*row.id).collect();
        handled.retain(|id, _| listed.contains(id.as_str()));
    }
    handled
}

struct Judge<'a> {
    known: &'a Known<'a>,
    diagnosis: &'a Diagnosis,
    plan: &'a Plan,
    settings: &'a ProposalSettings<'a>,
    guard_is_another: bool,
    wanted: BTreeMap<Key, Wanted>,
}

impl Judge<'_> {
    /// Updates a proposal that has not ended.
    fn go_on(&self, proposal: &mut Proposal) {
        if self.guard_is_another {
            let ours = proposal.execution.as_ref().is_some_and(|execution| {
                let own = self.settings.own_executions;
                own.contains(&execution.intent_id)
            });
            if let Some((phase, why)) = guard::after_absence(proposal.phase, ours) {
                proposal.phase = phase;
                why.clone_into(&mut proposal.message);
                return;
            }
        }
        if !matches!(proposal.phase, Phase::AwaitingApproval | Phase::Approved) {
            return;
        }
        let answer = self.answer(proposal);
        if let ApprovalAnswer::Denied(reason) = answer {
            denial::deny(proposal, &reason);
        } else if let Some((phase, why)) = self.ends(proposal) {
            proposal.phase = phase;
            proposal.message = why;
        } else if proposal.phase == Phase::AwaitingApproval {
            match answer {
                ApprovalAnswer::Approved(seen) => {
                    proposal.approves(seen);
                }
                ApprovalAnswer::Ignored(why) => proposal.message = redact::one_line(&why, 300),
                ApprovalAnswer::None | ApprovalAnswer::Denied(_) => proposal.message.clear(),
            }
        }
    }

    fn answer(&self, proposal: &Proposal) -> ApprovalAnswer {
        let Known {
            policy,
            snapshot,
            now,
            ..
        } = *self.known;
        let guard = &snapshot.approval_guard;
        answer::answer(policy, guard, self.settings.approvals, proposal, now)
    }

    /// What forbids this action, independent of the finding.
    fn forbidden(&self, key: &Key, action: ProposedAction) -> Option<Hold> {
        chain::forbids(&OrderContext {
            known: self.known,
            diagnosis: self.diagnosis,
            plan: self.plan,
            limits: OperatorLimits {
                // Calls are only counted when they are sent.
                max_actions_per_hour: usize::MAX,
                approvals: self.settings.approvals,
            },
            may_wipe: &BTreeMap::new(),
            kind: Kind::Approved,
            subject: &approved::subject(key),
            basis: &approved::unmade(action),
            starts: false,
        })
    }

    /// Why a proposal that waits, for an answer or for its execution, no longer does, if it does not.
    fn ends(&self, proposal: &Proposal) -> Option<(Phase, String)> {
        let key = Key::of_proposal(proposal);
        let withdrawn = |why: String| Some((Phase::Withdrawn, why));
        let forbidden = self.forbidden(&key, proposal.action);
        if let Some(forbidden) = forbidden.filter(|forbidden| forbidden.lasts) {
            return withdrawn(forbidden.why);
        }
        if let Some(why) = self.has_run_out(proposal) {
            return Some((Phase::Expired, why.to_owned()));
        }
        match self.wanted.get(&key).map(|wanted| &wanted.fit) {
            Some(Fit::Draft(draft)) if draft.is(proposal) => None,
            Some(Fit::Draft(_)) => Some((Phase::Superseded, words::TARGET_CHANGED.to_owned())),
            Some(Fit::Nothing(instead)) => withdrawn(words::no_longer_applies(instead)),
            None if has_cleared(self.known, self.diagnosis, &key) => {
                withdrawn(words::CLEARED.to_owned())
            }
            Some(Fit::Open(_)) | None => None,
        }
    }

    fn has_run_out(&self, proposal: &Proposal) -> Option<&'static str> {
        let Known { policy, now, .. } = *self.known;
        match &proposal.approval {
            Some(seen) => {
                answer::has_run_out(policy, seen.observed_at, now).then_some(words::NOT_STARTED)
            }
            None => (now >= proposal.expires_at).then_some(words::NOT_ANSWERED),
        }
    }

    /// Creates the proposal for a finding unless one exists, and says what comes next.
    fn open(&self, key: &Key, wanted: &Wanted, proposals: &mut Proposals) -> String {
        let open = |row: &&Proposal| !row.is_over() && Key::of_proposal(row) == *key;
        if let Some(proposal) = proposals.rows.iter().find(open) {
            return words::open(proposal);
        }
        if let Some(suppressed) = proposals.suppresses(key, wanted.action) {
            return suppressed;
        }
        let draft = match &wanted.fit {
            Fit::Nothing(instead) => return instead.clone(),
            Fit::Draft(draft) => Some(draft),
            Fit::Open(_) => None,
        };
        let steps = draft.map(|draft| draft.in_words());
        let action = wanted.action;
        let held = |why: &str| words::held(action, steps.as_deref(), why);
        if let Some(forbidden) = self.forbidden(key, action) {
            return held(&forbidden.why);
        }
        match (&wanted.fit, self.settings.seed) {
            (Fit::Open(why), _) => held(why),
            (Fit::Draft(draft), Some(seed)) => match self.make(draft, key, seed, proposals) {
                Some(proposal) => words::open(proposal),
                None => held(&words::too_many()),
            },
            (Fit::Draft(_), None) => held(words::NO_RANDOM),
            (Fit::Nothing(instead), _) => instead.clone(),
        }
    }

    /// The request that is answered by a proposal for `key`.
    fn request(&self, key: &Key) -> Option<(String, String)> {
        let id = key.schema_id.as_ref()?;
        if Cause::of(key.cause).origin != Origin::Request {
            return None;
        }
        let value = requests::unanswered(self.known, id)?;
        Some((id.clone(), value.to_owned()))
    }

    /// Creates a proposal if there is room for it; the oldest one that has ended is removed.
    fn make<'p>(
        &self,
        draft: &Draft,
        key: &Key,
        seed: &Seed,
        proposals: &'p mut Proposals,
    ) -> Option<&'p Proposal> {
        if proposals.rows.len() >= MAX_PROPOSALS {
            let over = proposals.rows.iter().position(Proposal::is_over)?;
            proposals.rows.remove(over);
        }
        let proposal = draft.make(self.known.policy, key, seed, self.known.now);
        proposals.notes.push(proposed(&proposal));
        if let Some((id, value)) = self.request(key) {
            proposals.requests.insert(id, value);
        }
        proposals.rows.push(proposal);
        proposals.rows.last()
    }
}
