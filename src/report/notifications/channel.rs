//! A receiver: its URL and protocol. The URL is a secret: it suffices to post to the receiver.

use std::{collections::HashMap, fmt};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::signature::SigningKey;
use crate::{
    api::{
        host::Host,
        notification::{Notification, NotificationType},
        policy::SecretKeyRef,
    },
    posthog::{guard::HostList, key::hex},
};

/// Longest URL of a receiver, in bytes.
const LONGEST_URL: usize = 2_048;

/// What a Secret holds, and which version of the Secret.
#[derive(Clone)]
pub struct SecretValue {
    /// The value.
    pub value: SecretString,
    /// `metadata.resourceVersion` of the Secret.
    pub version: String,
}

/// A receiver that can be notified.
#[derive(Clone)]
pub struct Channel {
    /// Its key in status.
    pub key: String,
    /// Its name for people.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// The signing key of its messages; none for Slack.
    pub signing_key: Option<SigningKey>,
    /// Identifies the versions of its Secrets.
    pub edition: String,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({})", self.name)
    }
}

/// The URL of a receiver. Does not print.
#[derive(Clone)]
pub struct Address {
    url: SecretString,
    host: Host,
}

impl Address {
    /// Reads a URL; none if it is not https (or http on this machine), or holds a user name: its host must be what people
    /// take it for.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > LONGEST_URL {
            return None;
        }
        // The same parser as that of the HTTP client: what is checked is where it goes.
        let url = reqwest::Url::parse(text).ok()?;
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let (scheme, host, port) = (url.scheme(), url.host_str()?, url.port_or_known_default()?);
        let base = format!("{scheme}://{host}:{port}");
        Some(Self {
            host: Host::parse(&base).ok()?,
            url: SecretString::from(url.to_string()),
        })
    }

    /// The URL. Callers drop it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.url.expose_secret()
    }

    /// The host in it.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Distinguishes URLs without showing them.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.expose().as_bytes()).into()
    }
}

/// The key of a receiver in status: the same while the policy names the same key of the same Secret.
#[must_use]
pub fn key(notification: &Notification) -> String {
    let SecretKeyRef { name, key } = &notification.secret_ref;
    let type_ = notification.type_.as_str();
    hex(&Sha256::digest(format!("{type_}\n{name}\n{key}"))[..6])
}

/// The name of a receiver for people.
#[must_use]
pub fn name(notification: &Notification) -> String {
    format!(
        "{} ({})",
        notification.type_.as_str(),
        place(&notification.secret_ref)
    )
}

fn place(SecretKeyRef { name, key }: &SecretKeyRef) -> String {
    format!("key {key:?} of Secret {name}")
}

/// The receivers of a policy: each can be notified, or a sentence says why not and what to do.
#[derive(Debug, Clone, Default)]
pub struct Channels(Vec<(String, Result<Channel, String>)>);

impl Channels {
    /// Adds a receiver.
    pub fn add(&mut self, notification: &Notification, channel: Result<Channel, String>) {
        self.0.push((key(notification), channel));
    }

    /// Those that can be notified, by their key in status.
    #[must_use]
    pub fn usable(&self) -> HashMap<&str, &Channel> {
        let all = self.0.iter();
        all.filter_map(|(key, channel)| Some((key.as_str(), channel.as_ref().ok()?)))
            .collect()
    }

    /// What is wrong with the others.
    pub fn wrong(&self) -> impl Iterator<Item = &str> {
        let all = self.0.iter();
        all.filter_map(|(_, channel)| Some(channel.as_ref().err()?.as_str()))
    }
}

/// Why the values of its Secrets make no receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiverError {
    /// The URL cannot be used.
    #[error(
        "{at} is not the URL of a receiver: use https://HOST/… without a user name (the URL is never shown)"
    )]
    NotAUrl {
        /// The Secret and its key.
        at: String,
    },
    /// The operator may not send to its host. Without the host: it may be part of the secret.
    #[error(
        "The host of the URL in {at} is not allowed by --allowed-notify-host ({allowed}). To allow it, start the operator \
         with --allowed-notify-host=HOST (helm: allowedNotifyHosts); this prints the host: {command}"
    )]
    HostNotAllowed {
        /// The Secret and its key.
        at: String,
        /// The hosts that are allowed.
        allowed: String,
        /// What prints the host.
        command: String,
    },
    /// Nothing can be signed with the value.
    #[error("{at} is not a signing key (whsec_ and 24 to 64 bytes in base64): {command}")]
    NotASigningKey {
        /// The Secret and its key.
        at: String,
        /// What replaces it.
        command: String,
    },
    /// Webhooks are signed.
    #[error("{receiver}: hmacSecretRef is missing")]
    NoSigningKey {
        /// The receiver.
        receiver: String,
    },
}

/// The receiver of `notification`, from the values of its Secrets.
pub fn open(
    notification: &Notification,
    namespace: &str,
    url: &SecretValue,
    signing: Option<&SecretValue>,
    hosts: &HostList,
) -> Result<Channel, ReceiverError> {
    let at = place(&notification.secret_ref);
    let Some(address) = Address::parse(url.value.expose_secret()) else {
        return Err(ReceiverError::NotAUrl { at });
    };
    if hosts.check(address.host()).is_err() {
        let SecretKeyRef { name, key } = &notification.secret_ref;
        let key = key.replace('.', "\\.");
        return Err(ReceiverError::HostNotAllowed {
            at,
            allowed: hosts.in_words().clone(),
            command: format!(
                "kubectl get secret {name} -n {namespace} -o jsonpath='{{.data.{key}}}' | base64 -d | cut -d/ -f3"
            ),
        });
    }
    let signing_key = match (notification.type_, signing, &notification.hmac_secret_ref) {
        (NotificationType::Slack, ..) => None,
        (NotificationType::Webhook, Some(held), Some(at)) => {
            let key = SigningKey::parse(held.value.expose_secret());
            Some(key.ok_or_else(|| wrong_key(at, namespace))?)
        }
        (NotificationType::Webhook, ..) => {
            let receiver = name(notification);
            return Err(ReceiverError::NoSigningKey { receiver });
        }
    };
    let versions = [
        url.version.as_str(),
        signing.map_or("", |held| &held.version),
    ];
    Ok(Channel {
        key: key(notification),
        name: name(notification),
        address,
        signing_key,
        edition: hex(&Sha256::digest(versions.join("\n"))[..6]),
    })
}

fn wrong_key(at: &SecretKeyRef, namespace: &str) -> ReceiverError {
    let SecretKeyRef { name, key } = at;
    ReceiverError::NotASigningKey {
        at: place(at),
        command: format!(
            "kubectl patch secret {name} -n {namespace} \
             -p '{{\"stringData\":{{\"{key}\":\"whsec_'$(openssl rand -base64 32)'\"}}}}'"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::notification::Occasion;

    fn slack() -> Notification {
        Notification {
            type_: NotificationType::Slack,
            secret_ref: SecretKeyRef {
                name: "hook".into(),
                key: "url".into(),
            },
            hmac_secret_ref: None,
            events: Occasion::all(),
        }
    }

    fn held(value: &str) -> SecretValue {
        SecretValue {
            value: SecretString::from(value.to_owned()),
            version: "7".into(),
        }
    }

    fn hosts() -> HostList {
        HostList::new(&["hooks.slack.com".into(), "[::1]".into()], false)
    }

    fn opened(url: &str) -> Result<Channel, ReceiverError> {
        open(&slack(), "n", &held(url), None, &hosts())
    }

    #[test]
    fn only_listed_hosts_over_https_can_be_notified() {
        for url in [
            "https://hooks.slack.com/services/T0/B0/canary",
            "https://HOOKS.slack.com:443/services/T0/B0/canary\n",
            // To the HTTP client, too, this is a path.
            "https://hooks.slack.com\\@evil.example/canary",
        ] {
            assert!(opened(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "canary",
            "http://hooks.slack.com/canary",
            "http://127.0.0.1:80/canary",
            "http://127.0.0.1/canary",
            "file:///canary",
            "https://canary@hooks.slack.com/",
            "https://hooks.slack.com@evil.example/canary",
            "https://evil.example/canary?hooks.slack.com",
            "https://hooks.slack.com.evil.example/canary",
            "https://hooks.slack.com:8443/canary",
            "https://hooks.slack.com.:443/canary",
            "https://[::1]/canary",
            "https://2130706433/canary",
            "https://169.254.169.254/canary",
        ] {
            let said = opened(url).unwrap_err().to_string();
            assert!(!said.contains("canary") && !said.contains("evil"), "{said}");
            assert!(said.contains("key \"url\" of Secret hook"), "{said}");
        }
    }

    #[test]
    fn a_receiver_on_this_machine_is_used_only_if_a_flag_allows_it() {
        let url = held("http://127.0.0.1:80/x");
        assert!(open(&slack(), "n", &url, None, &HostList::new(&[], true)).is_ok());
    }

    #[test]
    fn a_receiver_prints_nothing_secret_and_a_wrong_key_gets_a_command() {
        let channel = opened("https://hooks.slack.com/services/canary").unwrap();
        assert_eq!(
            format!("{channel:?}"),
            "Channel(Slack (key \"url\" of Secret hook))"
        );
        let webhook = Notification {
            type_: NotificationType::Webhook,
            hmac_secret_ref: Some(SecretKeyRef {
                name: "hook".into(),
                key: "hmac".into(),
            }),
            ..slack()
        };
        let url = held("https://hooks.slack.com/");
        let said = open(&webhook, "n", &url, Some(&held("canary")), &hosts())
            .unwrap_err()
            .to_string();
        assert!(said.contains("kubectl patch secret hook -n n"), "{said}");
        assert!(!said.contains("canary"), "{said}");
        assert!(open(&webhook, "n", &url, None, &hosts()).is_err());
    }
}
