//! The receivers of notifications of a policy.

use super::reconciler::Reconciler;
use crate::{
    api::{ValidatedPolicy, WarehouseSyncPolicyStatus, notification::Notification},
    posthog::Transport,
    report::{
        Kubernetes,
        kubernetes::SecretError,
        notifications::{Channel, Channels, channel, channel::ReceiverError, message},
    },
};

/// Why a receiver gets no notifications.
#[derive(Debug, thiserror::Error)]
enum ChannelError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Receiver(#[from] ReceiverError),
}

impl<T: Transport, K: Kubernetes> Reconciler<T, K> {
    /// The receivers of `spec.notifications`. A problem with one delays nothing else.
    pub(super) async fn channels(&self, policy: &ValidatedPolicy) -> Channels {
        let mut channels = Channels::default();
        for notification in &policy.notifications {
            match self.channel(policy, notification).await {
                Ok(channel) => channels.add(notification, Ok(channel)),
                // The next reconcile reads it again.
                Err(ChannelError::Secret(SecretError::Unread(error))) => {
                    tracing::warn!(policy = %policy.at, "{error}");
                }
                Err(error) => channels.add(notification, Err(error.to_string())),
            }
        }
        channels
    }

    async fn channel(
        &self,
        policy: &ValidatedPolicy,
        notification: &Notification,
    ) -> Result<Channel, ChannelError> {
        let (namespace, hosts) = (&policy.at.namespace, &self.notify_hosts);
        let read = |at| self.kubernetes.notification_secret(namespace, at);
        let url = read(&notification.secret_ref).await?;
        let signing = match &notification.hmac_secret_ref {
            Some(at) => Some(read(at).await?),
            None => None,
        };
        let signing = signing.as_ref();
        Ok(channel::open(
            notification,
            namespace,
            &url,
            signing,
            hosts,
        )?)
    }

    /// Puts the notifications that a written status owes into the outbox. Another task sends them.
    pub(super) fn hand_to_outbox(
        &self,
        policy: &ValidatedPolicy,
        written: &WarehouseSyncPolicyStatus,
        channels: &Channels,
    ) {
        let owed = message::owed(policy, written, channels);
        self.outbox
            .offer(&policy.at, &written.state.announced, owed);
    }
}
