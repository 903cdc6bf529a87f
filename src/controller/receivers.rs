//! The receivers of notifications of a policy.

use super::reconciler::Reconciler;
use crate::{
    api::{ValidatedPolicy, WarehouseSyncPolicyStatus, notification::Notification},
    posthog::Transport,
    report::{
        Kubernetes, KubernetesError,
        notifications::{Channel, Channels, channel, message},
    },
};

impl<T: Transport, K: Kubernetes> Reconciler<T, K> {
    /// The receivers of `spec.notifications`. A problem with one delays nothing else.
    pub(super) async fn channels(&self, policy: &ValidatedPolicy) -> Channels {
        let mut channels = Channels::default();
        for notification in &policy.notifications {
            match self.channel(policy, notification).await {
                Ok(channel) => channels.add(notification, channel),
                // The next reconcile reads it again.
                Err(error) => tracing::warn!(policy = %policy.at, "{error}"),
            }
        }
        channels
    }

    async fn channel(
        &self,
        policy: &ValidatedPolicy,
        notification: &Notification,
    ) -> Result<Result<Channel, String>, KubernetesError> {
        let (namespace, hosts) = (&policy.at.namespace, &self.notify_hosts);
        let read = |at| self.kubernetes.notification_secret(namespace, at);
        let url = match read(&notification.secret_ref).await? {
            Ok(url) => url,
            Err(refused) => return Ok(Err(refused.message)),
        };
        let signing = match &notification.hmac_secret_ref {
            Some(at) => match read(at).await? {
                Ok(signing) => Some(signing),
                Err(refused) => return Ok(Err(refused.message)),
            },
            None => None,
        };
        Ok(channel::open(
            notification,
            namespace,
            &url,
            signing.as_ref(),
            hosts,
        ))
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
