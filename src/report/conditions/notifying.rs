//! Notifying: whether the receivers of `spec.notifications` can be notified.

use super::{ConditionFact, ConditionStatus};
use crate::{
    api::{
        announced::Announced,
        conditions::{NOTIFYING, Reason},
        notification::Notification,
    },
    report::notifications::{Channels, channel},
};

/// Whether the receivers of `spec.notifications` can be notified; none without receivers.
#[must_use]
pub fn notifying(
    receivers: &[Notification],
    announced: &Announced,
    channels: &Channels,
) -> Option<ConditionFact> {
    let say = |truth, reason, message: String| {
        Some(ConditionFact::new(NOTIFYING, truth, reason, message))
    };
    let all = receivers.len();
    if all == 0 {
        return None;
    }
    let wrong: Vec<&str> = channels.wrong().collect();
    if !wrong.is_empty() {
        return say(
            ConditionStatus::False,
            Reason::ReceiverUnusable,
            wrong.join(". "),
        );
    }
    let failing: Vec<String> = (announced.failing.iter())
        .map(|failing| {
            let mut named = receivers.iter();
            let named = named.find(|one| channel::key(one) == failing.channel);
            let name = named.map_or_else(String::new, channel::name);
            format!(
                "{name} has not accepted messages since {}: {}. The operator no longer retries it. As soon as a later message is delivered, or the Secret changes, it resends messages about problems that still exist",
                failing.since, failing.why
            )
        })
        .collect();
    if !failing.is_empty() {
        return say(
            ConditionStatus::False,
            Reason::DeliveryFailed,
            failing.join(". "),
        );
    }
    let message = format!("No problem is known with the receivers of spec.notifications ({all})");
    say(ConditionStatus::True, Reason::ReceiversReady, message)
}
