//! What of the user's Secrets is handed to `PostHog` in this pass: new credentials after a rejection, a webhook that is
//! missing, new inputs of a webhook.
//!
//! `status.state.sources` remembers what was handed over, by HMAC, written before the sending. The same is never handed over
//! twice, also not after a crash: only what provably did not leave counts as not tried. What comes after, switching tables on
//! again and reloading them, is the tables' own incidents.

use jiff::Timestamp;

use super::{
    attempt,
    guards::{Blocked, Guard, breaker, budget, windows},
    ownership::{blocked_by, source_owned_by},
    plan::{Held, Plan},
    safety::{NotWarehouse, Webhook},
};
use crate::{
    api::{
        policy::{Mode, Switch},
        status::{Fate, Handover, MAX_SOURCES, RootCause, SourceState},
    },
    diagnose::{
        Diagnosis, Known,
        credentials::{Content, offers},
        webhooks,
    },
    observe::WriteScope,
    posthog::{inputs::Inputs, lax::Lax, redact, wire::Source},
};

/// Something to hand over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handing {
    /// The source.
    pub source_id: String,
    /// What people call it.
    pub source: String,
    /// What.
    pub what: What,
    /// What tells it from another.
    pub hmac: String,
    /// What is said of it, in words.
    pub words: String,
    /// For a new webhook: the inputs that the Secret has for it. `PostHog` knows better ones, unless it says that it lacks
    /// them.
    pub has_inputs: Option<String>,
}

/// What is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Credentials.
    Credentials(Inputs),
    /// The wish for a webhook.
    Webhook,
    /// Inputs of the webhook.
    WebhookInputs(Inputs),
}

impl What {
    /// The name of each.
    pub const NAMES: [&'static str; 3] = [
        Self::Webhook.as_str(),
        "apply credentials",
        "push webhook inputs",
    ];

    /// A bounded name, for metrics and messages.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Credentials(_) => "apply credentials",
            Self::Webhook => "register webhook",
            Self::WebhookInputs(_) => "push webhook inputs",
        }
    }
}

/// Adds to the plan what is to be handed over, or why it is not. `max_actions_per_hour` is the operator's own cap.
pub fn consider(
    known: &Known<'_>,
    diagnosis: &Diagnosis,
    max_actions_per_hour: usize,
    plan: &mut Plan,
) {
    plan.sources.clone_from(&known.state.sources);
    let offers = offers(known);
    for source in known.snapshot.selected_sources(&known.policy.selector) {
        let offer = offers.iter().find(|offer| offer.source.id == source.id);
        let pass = Pass {
            known,
            max_actions_per_hour,
            source,
            job_inputs: offer.and_then(|offer| offer.job_inputs.as_ref()),
            webhook_inputs: offer.and_then(|offer| offer.webhook_inputs.as_ref()),
            state: state_of(&known.state.sources, &source.id),
        };
        pass.credentials(diagnosis, plan);
        pass.webhook(plan);
    }
}

fn state_of(states: &[SourceState], id: &str) -> SourceState {
    let state = states.iter().find(|state| state.id == id).cloned();
    state.unwrap_or_else(|| SourceState {
        id: id.to_owned(),
        ..SourceState::default()
    })
}

/// True if the tables of a source were given new credentials after `failed_at`, or may have been: then it is worth trying them.
#[must_use]
pub fn were_renewed(known: &Known<'_>, source_id: &str, failed_at: Timestamp) -> bool {
    let state = state_of(&known.state.sources, source_id);
    state.credentials.as_ref().is_some_and(|handed| {
        handed.at >= failed_at && has_left(handed) && handed.fate != Some(Fate::Refused)
    })
}

fn has_left(handed: &Handover) -> bool {
    handed.fate != Some(Fate::NotSent)
}

/// Whether exactly this was handed over before.
fn tried<'a>(before: Option<&'a Handover>, hmac: &str) -> Option<&'a Handover> {
    before.filter(|handed| has_left(handed) && handed.hmac == hmac)
}

struct Pass<'a> {
    known: &'a Known<'a>,
    max_actions_per_hour: usize,
    source: &'a Source,
    job_inputs: Option<&'a Content>,
    webhook_inputs: Option<&'a Content>,
    state: SourceState,
}

impl Pass<'_> {
    fn credentials(&self, diagnosis: &Diagnosis, plan: &mut Plan) {
        let Some(content) = self.job_inputs.filter(|_| self.rejects(diagnosis)) else {
            return;
        };
        let Content { inputs, hmac, from } = content;
        let words = format!(
            "hand {from} to PostHog as the credentials of {}",
            self.title()
        );
        if let Some(handed) = tried(self.state.credentials.as_ref(), hmac) {
            if !self.rejects_still(diagnosis) {
                return;
            }
            let said = format!(
                "the same was handed over at {}: {}. Rotate it at the source and write the new value into {from}",
                seconds(handed.at),
                became(handed)
            );
            self.held(plan, words, Guard::TriedBefore.says(said));
            return;
        }
        let handing = self.handing(What::Credentials(inputs.clone()), hmac.clone(), words);
        let switch = (self.known.policy.apply_credentials, "applyCredentials");
        self.want(handing, switch, plan);
    }

    /// Whether the source rejects its credentials. A problem that is wider than the source, an outage, may hide that.
    fn rejects(&self, diagnosis: &Diagnosis) -> bool {
        let rejected = RootCause::CredentialsInvalid;
        let as_a_whole = || {
            (diagnosis.problems.iter())
                .any(|problem| problem.cause == rejected && problem.source_id == self.source.id)
        };
        let mut judged = diagnosis.judged.iter();
        judged.any(|judged| {
            judged.source_id == self.source.id
                && (judged.verdict.failure()).is_some_and(|failure| failure.cause == rejected)
        }) || as_a_whole()
    }

    /// Whether the source rejected them since the last were handed over: a table that is off shows its old error for ever.
    fn rejects_still(&self, diagnosis: &Diagnosis) -> bool {
        let rejected = diagnosis.judged.iter().filter(|judged| {
            let failure = judged.verdict.failure();
            judged.source_id == self.source.id
                && failure.is_some_and(|failure| failure.cause == RootCause::CredentialsInvalid)
        });
        let old: Vec<bool> = rejected
            .map(|judged| attempt::were_renewed(self.known, judged))
            .collect();
        old.is_empty() || old.contains(&false)
    }

    fn webhook(&self, plan: &mut Plan) {
        let probes = &self.known.snapshot.probes;
        let Some(Ok(info)) = probes
            .webhooks
            .get(&self.source.id)
            .map(|probed| &probed.answer)
        else {
            return;
        };
        if webhooks::tables(self.known, self.source).next().is_none()
            || info.supports_webhooks == Lax::Is(false)
        {
            return;
        }
        let switch = (self.known.policy.register_webhook, "registerWebhook");
        let state = Webhook::of(info);
        match state {
            Webhook::NotRegistered | Webhook::GoneAtVendor => {
                self.register(&format!("{state:?}"), switch, plan);
            }
            Webhook::Registered => {
                let mut states = plan.sources.iter_mut();
                if let Some(state) = states.find(|state| state.id == self.source.id) {
                    state.webhook = None;
                }
                let Some(Content { inputs, hmac, from }) = self.webhook_inputs else {
                    return;
                };
                if tried(self.state.webhook_inputs.as_ref(), hmac).is_none() {
                    let words = format!("push {from} into the webhook of {}", self.title());
                    let what = What::WebhookInputs(inputs.clone());
                    self.want(self.handing(what, hmac.clone(), words), switch, plan);
                }
            }
            Webhook::Unknown => {}
        }
    }

    /// Once, until the state of the webhook or a Secret changes: each call makes one more endpoint at the vendor.
    fn register(&self, state: &str, switch: (Switch, &'static str), plan: &mut Plan) {
        let hmac_of = |content: Option<&Content>| content.map(|content| content.hmac.clone());
        let has_inputs = hmac_of(self.webhook_inputs);
        let own = hmac_of(self.job_inputs).unwrap_or_default();
        let inputs = has_inputs.clone().unwrap_or_default();
        let print = format!("{state} {own} {inputs}");
        let words = format!("register the webhook of {}", self.title());
        if let Some(handed) = tried(self.state.webhook.as_ref(), &print) {
            let said = format!(
                "that was tried at {}: {}. It is not tried again until something changes; register it in PostHog (the source's Webhook tab)",
                seconds(handed.at),
                became(handed)
            );
            self.held(plan, words, Guard::TriedBefore.says(said));
            return;
        }
        let handing = Handing {
            has_inputs,
            ..self.handing(What::Webhook, print, words)
        };
        self.want(handing, switch, plan);
    }

    fn handing(&self, what: What, hmac: String, words: String) -> Handing {
        Handing {
            source_id: self.source.id.clone(),
            source: self.title(),
            what,
            hmac,
            words,
            has_inputs: None,
        }
    }

    fn title(&self) -> String {
        redact::one_line(&self.source.title(), 80)
    }

    fn want(&self, handing: Handing, switch: (Switch, &'static str), plan: &mut Plan) {
        match self.hold(&handing, switch, plan) {
            Some(blocked_by) => self.held(plan, handing.words, blocked_by),
            None => plan.handings.push(handing),
        }
    }

    fn held(&self, plan: &mut Plan, what: String, blocked: Blocked) {
        plan.held.push(Held::of_source(
            &self.source.id,
            &self.title(),
            what,
            blocked,
        ));
    }

    fn hold(
        &self,
        handing: &Handing,
        (switch, field): (Switch, &str),
        plan: &Plan,
    ) -> Option<Blocked> {
        let Known { policy, now, .. } = *self.known;
        if policy.mode == Mode::Observe {
            return Some(Guard::Mode.says("spec.mode is Observe"));
        }
        if let Some(why) = policy.stopped {
            return Some(Guard::Suspend.says(why));
        }
        if switch == Switch::Off {
            return Some(Guard::Switch.says(format!("spec.remediation.{field} is Off")));
        }
        if self.known.snapshot.write_scope == WriteScope::Missing {
            return Some(Guard::WriteScope.says(super::plan::LACKS_SCOPE));
        }
        if !self.source.is_warehouse() {
            return Some(Guard::Facts.says(NotWarehouse.to_string()));
        }
        self.owner()
            .or_else(|| windows::hold(&policy.windows, now))
            .or_else(|| self.numbers(plan))
            .or_else(|| self.breaker(handing, plan))
    }

    fn owner(&self) -> Option<Blocked> {
        let Known { policy, now, .. } = *self.known;
        let owner = source_owned_by(policy, false, &self.known.snapshot.rivals, self.source, now)?;
        Some(blocked_by(policy, owner, "source"))
    }

    /// What holds it back for the sake of the number of calls, and of what a status can remember.
    fn numbers(&self, plan: &Plan) -> Option<Blocked> {
        let is_new = !plan.sources.iter().any(|state| state.id == self.source.id);
        if is_new && plan.sources.len() + plan.handings.len() >= MAX_SOURCES {
            return Some(Guard::StateFull.says("StateFull: the list of sources is full"));
        }
        let under_way: usize = plan.incidents.iter().map(budget::reserved).sum();
        let reserved = under_way + plan.handings.len();
        budget::hold(
            self.known,
            &plan.sends,
            reserved + 1,
            self.max_actions_per_hour,
        )
    }

    /// It never holds credentials: sources that all reject theirs are mended by them.
    fn breaker(&self, handing: &Handing, plan: &Plan) -> Option<Blocked> {
        if matches!(handing.what, What::Credentials(_)) {
            return None;
        }
        let limits = &self.known.policy.limits.breaker;
        match breaker::pass(limits, plan.breaker.as_ref(), self.known.now) {
            breaker::Pass::All | breaker::Pass::Trial => None,
            breaker::Pass::Nothing(reason) => Some(reason),
        }
    }
}

/// What became of a handover, in words.
fn became(handed: &Handover) -> String {
    let said = if handed.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", handed.detail)
    };
    match handed.fate {
        Some(Fate::Accepted) => format!("PostHog took it{said}"),
        Some(Fate::Refused) => format!("PostHog refused it{said}"),
        Some(Fate::Unknown | Fate::NotSent) => {
            format!("it failed, or nobody knows whether it arrived{said}")
        }
        None => "the operator was interrupted, and nobody knows whether it arrived".to_owned(),
    }
}

fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

impl Plan {
    /// Takes note of what is or was handed over.
    pub fn handed(&mut self, handing: &Handing, handover: Handover) {
        let id = &handing.source_id;
        if !self.sources.iter().any(|state| state.id == *id) {
            self.sources.push(state_of(&[], id));
        }
        let Some(state) = self.sources.iter_mut().find(|state| state.id == *id) else {
            return;
        };
        let taken = handover.fate == Some(Fate::Accepted) && handover.detail.is_empty();
        match (&handing.what, &handing.has_inputs) {
            (What::Credentials(_), _) => state.credentials = Some(handover),
            (What::WebhookInputs(_), _) => state.webhook_inputs = Some(handover),
            (What::Webhook, has_inputs) => {
                // A new endpoint has a secret of its own, which PostHog knows: that of an older one must not replace it.
                if let Some(hmac) = has_inputs.clone().filter(|_| taken) {
                    let detail = String::new();
                    state.webhook_inputs = Some(Handover {
                        hmac,
                        detail,
                        ..handover.clone()
                    });
                }
                state.webhook = Some(handover);
            }
        }
    }
}
