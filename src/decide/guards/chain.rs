//! The list of guards, in the order in which they are evaluated. The first that holds an order is reported.

use super::{
    Blocked, Guard, Hold, OrderContext, approval, backoff, breaker, facts, max_actions_per_hour,
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
    check: fn(&OrderContext<'_>) -> Option<Hold>,
}

const fn line(
    guard: Guard,
    holds: Holds,
    exempt: &'static [Kind],
    check: fn(&OrderContext<'_>) -> Option<Hold>,
) -> ChainEntry {
    ChainEntry {
        guard,
        holds,
        exempt,
        check,
    }
}

use Holds::{EverySend, EverySendOf, Start};
use Kind::{
    Approved, Credentials, Enable, Reload, RotationReload, StaleReload, Stuck, Webhook,
    WebhookInputs,
};

/// The guards.
#[rustfmt::skip]
pub const CHAIN: [ChainEntry; 17] = [
    line(Guard::TriedBefore, Start, &[Stuck, Reload, StaleReload, RotationReload, Enable, WebhookInputs, Approved], tried_before::check),
    line(Guard::Switch, EverySendOf(&[Stuck, Approved]), &[], switch::check),
    line(Guard::Mode, EverySend, &[], mode::check),
    line(Guard::Suspend, EverySend, &[], suspend::check),
    line(Guard::WriteScope, EverySend, &[], write_scope::check),
    line(Guard::Facts, EverySend, &[], facts::check),
    line(Guard::Owner, EverySend, &[], owner::check),
    // What follows new credentials, or a proved fix, ends the problem of the source.
    line(Guard::Source, EverySendOf(&[Approved]), &[RotationReload, Enable, Credentials, Webhook, WebhookInputs], source::check),
    line(Guard::Approval, EverySend, &[Stuck, Reload, StaleReload, RotationReload, Enable, Credentials, Webhook, WebhookInputs], approval::check),
    // New credentials do not interfere with an approved proposal.
    line(Guard::Proposal, EverySendOf(&[Reload, StaleReload, RotationReload, Enable, Webhook, WebhookInputs]), &[Credentials], proposal::check),
    line(Guard::Backoff, Start, &[Stuck, RotationReload, Enable, Credentials, Webhook, WebhookInputs, Approved], backoff::check),
    line(Guard::Window, Start, &[], window::check),
    // It counts incidents.
    line(Guard::MaxConcurrent, Start, &[Credentials, Webhook, WebhookInputs, Approved], max_concurrent::check),
    // A proposal is in status already.
    line(Guard::StateFull, Start, &[Approved], state_full::check),
    line(Guard::MaxActionsPerHour, Start, &[], max_actions_per_hour::check),
    line(Guard::OperatorCap, Start, &[], operator_cap::check),
    // Sources that all reject their credentials recover by new ones, and tables by the actions that follow a proven fix.
    line(Guard::Breaker, Start, &[RotationReload, Enable, Credentials], breaker::check),
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

    fn says(&self, context: &OrderContext<'_>) -> Option<Blocked> {
        let Hold { why, lasts: _ } = (self.check)(context)?;
        let guard = self.guard;
        Some(Blocked { guard, why })
    }
}

/// What holds an order when it is created: all guards if it starts something, otherwise those that hold every send.
#[must_use]
pub fn holds(context: &OrderContext<'_>) -> Option<Blocked> {
    if context.starts {
        let mut lines = CHAIN
            .iter()
            .filter(|line| line.holds_start_of(context.kind));
        lines.find_map(|line| line.says(context))
    } else {
        holds_send(context)
    }
}

/// What holds an order right before it is sent, some time after it was created.
#[must_use]
pub fn holds_send(context: &OrderContext<'_>) -> Option<Blocked> {
    let mut lines = CHAIN
        .iter()
        .filter(|line| line.holds_every_send_of(context.kind));
    lines.find_map(|line| line.says(context))
}

/// Whether a guard is evaluated before something of this kind is started.
#[must_use]
pub fn check(guard: Guard, kind: Kind) -> bool {
    let mut lines = CHAIN.iter().filter(|line| line.guard == guard);
    lines.any(|line| line.holds_start_of(kind))
}

/// What forbids proposing something: a guard that would hold each of its calls, apart from the missing approval.
#[must_use]
pub fn forbids(context: &OrderContext<'_>) -> Option<Hold> {
    let mut lines = CHAIN
        .iter()
        .filter(|line| line.guard != Guard::Approval && line.holds_every_send_of(context.kind));
    lines.find_map(|line| (line.check)(context))
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
            assert_eq!(check(guard, kind), expected, "{guard:?} of {kind:?}");
        }
    }
}
