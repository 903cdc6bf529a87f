//! Where an API key or a notification may be sent: only to hosts on the operator's lists.
//!
//! Anyone who may edit a policy decides its host; without this list they could have the key of a namespace sent anywhere. Entries are exact: only the
//! administrator of the operator can allow a private address, or a name that resolves to one. And a name that is redirected elsewhere has no
//! certificate there.

use crate::api::host::Host;

/// The hosts that a fresh operator talks to: `PostHog` Cloud.
pub const DEFAULT_HOSTS: [&str; 2] = ["us.posthog.com", "eu.posthog.com"];

/// A host that is not on the operator's list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "host {host} is not allowed (allowed: {allowed}): start the operator with {flag} to allow it"
)]
pub struct HostNotAllowed {
    host: String,
    allowed: String,
    flag: String,
}

/// The operator's list of hosts.
#[derive(Debug, Clone, Default)]
pub struct HostList {
    allowed: Vec<String>,
    http_loopback: bool,
}

impl HostList {
    /// A list of `HOST` or `HOST:PORT` entries; `http_loopback` allows `http://127.0.0.1:PORT` besides.
    #[must_use]
    pub fn new(allowed: &[String], http_loopback: bool) -> Self {
        Self {
            allowed: allowed
                .iter()
                .map(|entry| entry.to_ascii_lowercase())
                .collect(),
            http_loopback,
        }
    }

    /// Says whether a key may be sent to `host`.
    pub fn check(&self, host: &Host) -> Result<(), HostNotAllowed> {
        if host.is_http_loopback() {
            return if self.http_loopback {
                Ok(())
            } else {
                Err(self.refusal(host, "--allow-http-loopback".to_owned()))
            };
        }
        let authority = host.authority();
        // https://HOST and https://HOST:443 are the same place.
        let listed = |entry: &String| entry.strip_suffix(":443").unwrap_or(entry) == authority;
        if self.allowed.iter().any(listed) {
            return Ok(());
        }
        Err(self.refusal(host, format!("--allowed-host={authority}")))
    }

    /// Its entries, for messages.
    #[must_use]
    pub fn in_words(&self) -> String {
        if self.allowed.is_empty() {
            "none".to_owned()
        } else {
            self.allowed.join(", ")
        }
    }

    fn refusal(&self, host: &Host, flag: String) -> HostNotAllowed {
        HostNotAllowed {
            host: host.as_str().to_owned(),
            allowed: self.in_words(),
            flag,
        }
    }
}

/// True if a `--allowed-host` entry names this machine.
#[must_use]
pub fn is_loopback(entry: &str) -> bool {
    let name = entry.rsplit_once(':').map_or(entry, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
        || entry
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
        || name
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &HostList, host: &str) -> Result<(), HostNotAllowed> {
        list.check(&Host::parse(host).unwrap())
    }

    #[test]
    fn only_listed_hosts_get_the_key() {
        let list = HostList::new(&["us.posthog.com".into(), "ph.internal:8443".into()], false);
        assert_eq!(check(&list, "https://us.posthog.com"), Ok(()));
        assert_eq!(check(&list, "https://us.posthog.com:443"), Ok(()));
        assert_eq!(check(&list, "https://ph.internal:8443"), Ok(()));
        for other in [
            "https://ph.internal",
            "https://us.posthog.com.evil.example",
            "https://xus.posthog.com",
            "https://us.posthog.com:444",
        ] {
            assert!(check(&list, other).is_err(), "{other}");
        }
    }

    #[test]
    fn the_refusal_names_the_flag() {
        let list = HostList::new(&["us.posthog.com".into()], false);
        let text = check(&list, "https://ph.example:8443")
            .unwrap_err()
            .to_string();
        assert!(text.contains("--allowed-host=ph.example:8443"), "{text}");
        let text = check(&list, "http://127.0.0.1:80").unwrap_err().to_string();
        assert!(text.contains("--allow-http-loopback"), "{text}");
    }

    #[test]
    fn loopback_entries_are_recognised() {
        for entry in [
            "127.0.0.1",
            "127.0.0.1:8000",
            "localhost",
            "localhost:80",
            "::1",
            "[::1]:80",
        ] {
            assert!(is_loopback(entry), "{entry}");
        }
        for entry in ["us.posthog.com", "127.0.0.1.evil.com", "10.0.0.1:80"] {
            assert!(!is_loopback(entry), "{entry}");
        }
    }
}
