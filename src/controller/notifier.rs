//! Sends what waits in the outbox, outside every reconcile, while this process leads.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::OptionFuture, stream::FuturesUnordered};
use tokio::time::sleep;

use crate::{
    api::validated::PolicyRef,
    execute::{Leads, notification_sender::DEADLINE},
    posthog::client::Clock,
    report::{
        Metrics,
        metrics::NotificationLabels,
        notifications::{
            NotificationSender, Outbox, ReceiverAnswer,
            outbox::{Due, NextDelivery, Pace},
            parcel,
        },
    },
};

/// How soon the outbox is checked again if nothing changes in it.
const CHECK_AGAIN: Duration = Duration::from_secs(10);

/// Sends notifications.
pub struct Notifier<C> {
    /// The client that sends to receivers.
    pub sender: C,
    /// What waits.
    pub outbox: Outbox,
    /// How fast.
    pub pace: Pace,
    /// Whether this process leads.
    pub leads: Leads,
    /// The time.
    pub clock: Clock,
    /// Metrics.
    pub metrics: Metrics,
    /// Triggers a reconcile, which writes the outcome of a message to status.
    pub trigger: Arc<dyn Fn(&PolicyRef) + Send + Sync>,
}

impl<C: NotificationSender> Notifier<C> {
    /// Runs forever.
    pub async fn run(self) {
        let mut under_way = FuturesUnordered::new();
        loop {
            let wait = loop {
                // Another one that leads sends the same, with the same ids.
                if (self.leads)(DEADLINE).is_none() {
                    break CHECK_AGAIN;
                }
                match self.outbox.next(&self.pace, (self.clock)()) {
                    NextDelivery::Send(due) => under_way.push(self.send(*due)),
                    NextDelivery::Wait(until) => {
                        let wait = until.map(|until| until.duration_since((self.clock)()));
                        let wait = wait.and_then(|wait| Duration::try_from(wait).ok());
                        break wait.unwrap_or(CHECK_AGAIN).min(CHECK_AGAIN);
                    }
                }
            };
            let answered: OptionFuture<_> =
                (!under_way.is_empty()).then(|| under_way.next()).into();
            tokio::select! {
                Some(_) = answered => {}
                () = self.outbox.changed() => {}
                () = sleep(wait) => {}
            }
        }
    }

    async fn send(&self, due: Due) {
        let Due {
            at,
            message,
            to,
            held_back,
        } = &due;
        let parcel = parcel(message, to, *held_back, (self.clock)());
        let answer = self.sender.deliver(to, parcel).await;
        let outcome = self.outbox.done(&due, &answer, &self.pace, (self.clock)());
        let labels = NotificationLabels {
            r#type: message.occasion.as_str(),
            outcome,
        };
        self.metrics.notifications.get_or_create(&labels).inc();
        let (occasion, id) = (message.occasion.as_str(), &message.id);
        match &answer {
            ReceiverAnswer::Accepted => {
                tracing::info!(policy = %at, notification = id, "notification {occasion} delivered to {}", to.name);
            }
            ReceiverAnswer::NotAccepted { why, .. } => {
                tracing::warn!(policy = %at, notification = id, "notification {occasion} not delivered to {}: {why}; {outcome}", to.name);
            }
        }
        if outcome != "retried" {
            (self.trigger)(at);
        }
    }
}
