//! The list of guards, in the order in which they are evaluated. The first that holds an order is reported.

use super::{
    Ask, Blocked, Guard, Hold, approval, backoff, breaker, facts, max_actions_per_hour,
    max_concurrent, mode, operator_cap, owner, proposal, source, state_full, suspend, switch,
    tried_before, window, write_scope,
};
use crate::decide::plan::Kind;

/// When a guard is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Before something is started. What has started is finished.
    Start,
    /// Before each call, and again right before it is sent.
    EverySend,
    /// Before each call of these kinds; of the others before the start.
    EverySendOf(&'static [Kind]),
}

/// An entry of the list of guards.
#[derive(Debug, Clone, Copy)]
pub struct ChainEntry {
    /// The guard.
    pub guard: Guard,
    /// When it is evaluated.
    pub holds: Holds,
    /// Kinds of orders that it never holds.
    pub exempt: &'static [Kind],
    /// Whether it holds this one.
    asks: fn(&Ask<'_>) -> Option<Hold>,
}

const fn line(
    guard: Guard,
    holds: Holds,
    exempt: &'static [Kind],
    asks: fn(&Ask<'_>) -> Option<Hold>,
) -> ChainEntry {
    ChainEntry {
        guard,
        holds,
        exempt,
        asks,
    }
}

use Holds::{EverySend, EverySendOf, Start};
use Kind::{
    Approved, Credentials, Enable, Reload, RenewedReload, StaleReload, Stuck, Webhook,
    WebhookInputs,
};

/// The guards.
#[rustfmt::skip]
pub const CHAIN: [ChainEntry; 17] = [
    line(Guard::TriedBefore, Start, &[Stuck, Reload, StaleReload, RenewedReload, Enable, WebhookInputs, Approved], tried_before::asks),
    line(Guard::Switch, EverySendOf(&[Stuck, Approved]), &[], switch::asks),
    line(Guard::Mode, EverySend, &[], mode::asks),
    line(Guard::Suspend, EverySend, &[], suspend::asks),
    line(Guard::WriteScope, EverySend, &[], write_scope::asks),
    line(Guard::Facts, EverySend, &[], facts::asks),
    line(Guard::Owner, EverySend, &[], owner::asks),
    // What follows new credentials, or a proved fix, ends the problem of the source.
    line(Guard::Source, EverySendOf(&[Approved]), &[RenewedReload, Enable, Credentials, Webhook, WebhookInputs], source::asks),
    line(Guard::Approval, EverySend, &[Stuck, Reload, StaleReload, RenewedReload, Enable, Credentials, Webhook, WebhookInputs], approval::asks),
    // New credentials do not interfere with an approved proposal.
    line(Guard::Proposal, EverySendOf(&[Reload, StaleReload, RenewedReload, Enable, Webhook, WebhookInputs]), &[Credentials], proposal::asks),
    line(Guard::Backoff, Start, &[Stuck, RenewedReload, Enable, Credentials, Webhook, WebhookInputs, Approved], backoff::asks),
    line(Guard::Window, Start, &[], window::asks),
    // It counts incidents.
    line(Guard::MaxConcurrent, Start, &[Credentials, Webhook, WebhookInputs, Approved], max_concurrent::asks),
    // A proposal is in status already.
    line(Guard::StateFull, Start, &[Approved], state_full::asks),
    line(Guard::MaxActionsPerHour, Start, &[], max_actions_per_hour::asks),
    line(Guard::OperatorCap, Start, &[], operator_cap::asks),
    // Sources that all reject their credentials recover by new ones, and tables by the actions that follow a proven fix.
    line(Guard::Breaker, Start, &[RenewedReload, Enable, Credentials], breaker::asks),
];

impl ChainEntry {
    /// True if the guard is evaluated before each call of this kind.
    #[must_use]
    pub fn holds_every_send_of(&self, kind: Kind) -> bool {
        match self.holds {
            Start => false,
            EverySend => !self.exempt.contains(&kind),
            EverySendOf(kinds) => kinds.contains(&kind),
        }
    }

    /// True if the guard is evaluated before something of this kind is started.
    #[must_use]
    pub fn holds_start_of(&self, kind: Kind) -> bool {
        !self.exempt.contains(&kind)
    }

    fn says(&self, ask: &Ask<'_>) -> Option<Blocked> {
        let Hold { why, lasts: _ } = (self.asks)(ask)?;
        let guard = self.guard;
        Some(Blocked { guard, why })
    }
}

/// What holds an order when it is created: all guards if it starts something, otherwise those that hold every send.
#[must_use]
pub fn holds(ask: &Ask<'_>) -> Option<Blocked> {
    if ask.starts {
        let mut lines = CHAIN.iter().filter(|line| line.holds_start_of(ask.kind));
        lines.find_map(|line| line.says(ask))
    } else {
        holds_send(ask)
    }
}

/// What holds an order right before it is sent, some time after it was created.
#[must_use]
pub fn holds_send(ask: &Ask<'_>) -> Option<Blocked> {
    let mut lines = CHAIN
        .iter()
        .filter(|line| line.holds_every_send_of(ask.kind));
    lines.find_map(|line| line.says(ask))
}

/// Whether a guard is evaluated before something of this kind is started.
#[must_use]
pub fn asks(guard: Guard, kind: Kind) -> bool {
    let mut lines = CHAIN.iter().filter(|line| line.guard == guard);
    lines.any(|line| line.holds_start_of(kind))
}

/// What forbids proposing something: a guard that would hold each of its calls, apart from the missing approval.
#[must_use]
pub fn forbids(ask: &Ask<'_>) -> Option<Hold> {
    let mut lines = CHAIN
        .iter()
        .filter(|line| line.guard != Guard::Approval && line.holds_every_send_of(ask.kind));
    lines.find_map(|line| (line.asks)(ask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guard_is_one_line_and_no_line_names_a_kind_twice() {
        for &guard in Guard::ALL {
            let lines = CHAIN.iter().filter(|line| line.guard == guard);
            assert_eq!(lines.count(), 1, "{guard:?}");
        }
        for line in &CHAIN {
            if let EverySendOf(kinds) = line.holds {
                let both = kinds.iter().find(|kind| line.exempt.contains(kind));
                assert_eq!(both, None, "{:?}", line.guard);
            }
            assert!(line.exempt.len() < Kind::ALL.len(), "{:?}", line.guard);
        }
    }

    #[test]
    fn guards_of_every_send_also_guard_the_start() {
        for line in &CHAIN {
            for &kind in Kind::ALL {
                let only_later = line.holds_every_send_of(kind) && !line.holds_start_of(kind);
                assert!(!only_later, "{:?} of {kind:?}", line.guard);
            }
        }
    }

    #[test]
    fn the_line_of_a_guard_says_whether_it_guards_the_start() {
        for (guard, kind, expected) in [
            (Guard::Mode, Stuck, true),
            (Guard::Breaker, Reload, true),
            (Guard::Breaker, Enable, false),
            (Guard::TriedBefore, Credentials, true),
            (Guard::TriedBefore, WebhookInputs, false),
        ] {
            assert_eq!(asks(guard, kind), expected, "{guard:?} of {kind:?}");
        }
    }
}
