//! The host of a policy: `https://HOST[:PORT]`, or `http://127.0.0.1:PORT`.

use std::fmt;

/// A text that is not the base URL of a `PostHog` instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not https://HOST or https://HOST:PORT (http only for http://127.0.0.1:PORT)")]
pub struct HostError(String);

/// A checked base URL, in lower case, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host {
    base: String,
    authority_at: usize,
}

/// The default port of https.
const HTTPS: u16 = 443;

impl Host {
    /// Reads a base URL, by the same rules as the CRD's for `spec.posthog.host`.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let error = || HostError(text.to_owned());
        let base = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
        let (scheme, authority) = base.split_once("://").ok_or_else(error)?;
        let (name, port) = match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        };
        let port_ok =
            port.is_none_or(|p| p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u16>().is_ok());
        let name_ok = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
            && !name.starts_with(['.', '-'])
            && !name.ends_with(['.', '-']);
        let scheme_ok =
            scheme == "https" || (scheme == "http" && name == "127.0.0.1" && port.is_some());
        if !(port_ok && name_ok && scheme_ok) {
            return Err(error());
        }
        // Each instance has one spelling, because ownership of tables, hourly budgets and shared polls are keyed by it.
        let port = port.and_then(|port| port.parse::<u16>().ok());
        let port = port.filter(|port| scheme == "http" || *port != HTTPS);
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        Ok(Self {
            base: format!("{scheme}://{name}{port}"),
            authority_at: scheme.len() + "://".len(),
        })
    }

    /// The base URL, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.base
    }

    /// Name and port, as the URL has them.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.base[self.authority_at..]
    }

    /// True for `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn is_http_loopback(&self) -> bool {
        self.base.starts_with("http://")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_hosts_and_http_on_loopback_are_accepted() {
        for text in [
            "https://us.posthog.com",
            "https://posthog.internal:8443",
            "http://127.0.0.1:8010",
            "https://EU.posthog.com/",
        ] {
            assert!(Host::parse(text).is_ok(), "{text}");
        }
        assert_eq!(
            Host::parse("https://EU.posthog.com:443/").map(|h| h.authority().to_owned()),
            Ok("eu.posthog.com".into())
        );
    }

    #[test]
    fn one_place_has_one_name_however_it_is_written() {
        let same = |one, other| assert_eq!(Host::parse(one), Host::parse(other));
        same("https://us.posthog.com", "https://US.posthog.com:443/");
        same("https://us.posthog.com", "https://us.posthog.com:0443");
        same("https://ph.internal:8443", "https://ph.internal:08443");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "us.posthog.com",
            "ftp://us.posthog.com",
            "http://us.posthog.com",
            "http://localhost:80",
            "http://127.0.0.1",
            "http://127.0.0.1.evil.com:80",
            "https://us.posthog.com/api",
            "https://user@us.posthog.com",
            "https://us.posthog.com?x=1",
            "https://us.posthog.com:99999",
            "https://us.posthog.com:",
            "https://[::1]",
            "https://-x",
            "https://x.",
            "https://a b",
        ] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }
}
