//! From the proposals of before to those of now. A steady pass changes nothing.

use std::collections::BTreeMap;

use super::{
    Key, Seed,
    cleared::has_cleared,
    draft::Draft,
    fitting::{Fit, Wanted, fitting},
    forbidden::forbidden,
};
use crate::{
    api::{
        proposal::{MAX_PROPOSALS, Phase, Proposal, ProposedAction},
        status::Incident,
    },
    diagnose::{Diagnosis, Known},
};

/// What is proposed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposals {
    /// All proposals to keep, oldest first.
    pub rows: Vec<Proposal>,
    /// What to say of findings that a proposal would mend.
    pub said: BTreeMap<Key, Said>,
    /// Steps seen in this pass, for the history.
    pub notes: Vec<String>,
}

/// What a finding says of its proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The action that fits.
    pub action: ProposedAction,
    /// What comes next, as a sentence.
    pub next: String,
}

/// Decides what is proposed. Without a `seed` nothing new is.
#[must_use]
pub fn decide(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    incidents: &[Incident],
    before: &[Proposal],
    seed: Option<&Seed>,
) -> Proposals {
    let pass = Pass {
        known,
        diagnosis,
        incidents,
        wanted: fitting(known, diagnosis),
    };
    let mut proposals = Proposals {
        rows: before.to_vec(),
        ..Proposals::default()
    };
    for proposal in proposals.rows.iter_mut().filter(|row| row.is_open()) {
        if let Some((phase, why)) = pass.ends(proposal) {
            let title = proposal.title();
            let note = format!(
                "{title}: proposal {} {}: {why}",
                proposal.id,
                in_a_word(phase)
            );
            proposals.notes.push(note);
            proposal.phase = phase;
            proposal.message = why;
        }
    }
    for (key, wanted) in &pass.wanted {
        let next = pass.open(key, wanted, &mut proposals, seed);
        let action = wanted.action;
        proposals.said.insert(key.clone(), Said { action, next });
    }
    proposals
}

const fn in_a_word(phase: Phase) -> &'static str {
    match phase {
        Phase::AwaitingApproval => "waits",
        Phase::Approved => "is approved",
        Phase::Executing => "is being executed",
        Phase::Verifying => "is being verified",
        Phase::Executed => "is executed",
        Phase::Failed => "failed",
        Phase::OutcomeUnknown => "has an unknown outcome",
        Phase::Denied => "was denied",
        Phase::Expired => "expired",
        Phase::Withdrawn => "withdrawn",
        Phase::Superseded => "superseded",
    }
}

struct Pass<'a> {
    known: &'a Known<'a>,
    diagnosis: &'a Diagnosis,
    incidents: &'a [Incident],
    wanted: BTreeMap<Key, Wanted>,
}

impl Pass<'_> {
    /// Why a proposal no longer waits, if it does not.
    fn ends(&self, proposal: &Proposal) -> Option<(Phase, String)> {
        let key = Key::of_proposal(proposal);
        let withdrawn = |why: String| Some((Phase::Withdrawn, why));
        let forbidden = forbidden(self.known, self.incidents, &key, proposal.action);
        if let Some(forbidden) = forbidden.filter(|forbidden| forbidden.withdraws) {
            return withdrawn(forbidden.why);
        }
        if self.known.now >= proposal.expires_at {
            let why = "nobody answered within spec.approval.expiresAfter".to_owned();
            return Some((Phase::Expired, why));
        }
        match self.wanted.get(&key).map(|wanted| &wanted.fit) {
            Some(Fit::Draft(draft)) if draft.is(proposal) => None,
            Some(Fit::Draft(_)) => {
                let why = "what would be done, or to what, has changed".to_owned();
                Some((Phase::Superseded, why))
            }
            Some(Fit::Nothing(instead)) => withdrawn(format!("it no longer fits. {instead}")),
            None if has_cleared(self.known, self.diagnosis, &key) => {
                withdrawn("the finding has cleared".to_owned())
            }
            Some(Fit::Open(_)) | None => None,
        }
    }

    /// Makes the proposal for a finding unless there is one, and says what comes next.
    fn open(
        &self,
        key: &Key,
        wanted: &Wanted,
        proposals: &mut Proposals,
        seed: Option<&Seed>,
    ) -> String {
        let open = |row: &&Proposal| row.is_open() && Key::of_proposal(row) == *key;
        if let Some(proposal) = proposals.rows.iter().find(open) {
            return asks(proposal);
        }
        let draft = match &wanted.fit {
            Fit::Nothing(instead) => return instead.clone(),
            Fit::Draft(draft) => Some(draft),
            Fit::Open(_) => None,
        };
        let what = draft.map_or_else(String::new, |draft| {
            format!(" ({})", draft.in_words().join(", then "))
        });
        let action = wanted.action;
        let held = |why: &str| {
            format!(
                "The operator would propose {}{what}; held: {why}.",
                action.as_str()
            )
        };
        if let Some(forbidden) = forbidden(self.known, self.incidents, key, action) {
            return held(&forbidden.why);
        }
        match (&wanted.fit, seed) {
            (Fit::Open(why), _) => held(why),
            (Fit::Draft(draft), Some(seed)) => match self.make(draft, key, seed, proposals) {
                Some(proposal) => asks(proposal),
                None => held(&format!(
                    "ProposalLimit: {MAX_PROPOSALS} proposals wait for approval"
                )),
            },
            (Fit::Draft(_), None) => held("this system has no random numbers"),
            (Fit::Nothing(instead), _) => instead.clone(),
        }
    }

    /// Makes a proposal if there is room for it; the oldest that no longer waits goes.
    fn make<'p>(
        &self,
        draft: &Draft,
        key: &Key,
        seed: &Seed,
        proposals: &'p mut Proposals,
    ) -> Option<&'p Proposal> {
        if proposals.rows.len() >= MAX_PROPOSALS {
            let over = proposals.rows.iter().position(|row| !row.is_open())?;
            proposals.rows.remove(over);
        }
        let proposal = draft.make(self.known.policy, key, seed, self.known.now);
        let (title, action) = (proposal.title(), proposal.action.as_str());
        let note = format!("{title}: {action} proposed as {}", proposal.id);
        proposals.notes.push(note);
        proposals.rows.push(proposal);
        proposals.rows.last()
    }
}

/// What a finding says of a proposal that waits.
fn asks(proposal: &Proposal) -> String {
    let Proposal { id, steps, .. } = proposal;
    let what = steps.join(", then ");
    match proposal.action {
        ProposedAction::RepairCdc => format!(
            "A human: try Resume in the settings of the source in PostHog first, which deletes nothing. Only if it does not help: approve proposal {id}, to {what}."
        ),
        _ => format!(
            "A human: approve proposal {id}, to {what}; see status.proposals for what it costs."
        ),
    }
}
