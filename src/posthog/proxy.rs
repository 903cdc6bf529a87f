//! The proxy between here and the outside, as the environment names it: `HTTPS_PROXY` and `NO_PROXY`.
//!
//! reqwest reads the variables by itself. Here is what it does not tell: whether they can be used, and which way a call goes.

use std::env;

use hyper_util::client::proxy::matcher::Matcher;

/// Where a proxy is looked for, in this order.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// A variable that names no proxy that could be used. Its value may hold a password and is not shown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not the URL of an HTTP proxy: use http://HOST:PORT or https://HOST:PORT, with USER:PASSWORD@ before HOST if the proxy requires them (percent-encoded)"
)]
pub struct ProxyError(&'static str);

/// Checks that the proxy that the environment names, if any, is one that can be used. Without this a slip of the pen would mean
/// no proxy at all.
pub fn check() -> Result<(), ProxyError> {
    match variable() {
        Some((name, value)) if usable(&value).is_none() => Err(ProxyError(name)),
        _ => Ok(()),
    }
}

/// The proxy that the environment names, as `http://HOST:PORT`.
#[must_use]
pub fn named() -> Option<String> {
    usable(&variable()?.1)
}

fn variable() -> Option<(&'static str, String)> {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let mut names = VARIABLES.into_iter();
    names.find_map(|name| Some((name, set(name)?)))
}

fn usable(value: &str) -> Option<String> {
    let lower = value.to_ascii_lowercase();
    let is_http = lower.starts_with("http://") || lower.starts_with("https://");
    let matcher = Matcher::builder().https(value).build();
    is_http.then(|| way(&matcher, "https://posthog.example"))?
}

/// The proxy that a call to this URL goes through, as `http://HOST:PORT`; none if it goes straight.
#[must_use]
pub fn toward(url: &str) -> Option<String> {
    way(&Matcher::from_env(), url)
}

/// True if `NO_PROXY` names the host of this URL.
#[must_use]
pub fn is_exempt(url: &str) -> bool {
    let no = env::var("NO_PROXY").or_else(|_| env::var("no_proxy"));
    let exceptions = Matcher::builder()
        .all("http://proxy.example")
        .no(no.unwrap_or_default())
        .build();
    way(&exceptions, url).is_none()
}

/// Without the credentials for the proxy.
fn way(matcher: &Matcher, url: &str) -> Option<String> {
    let proxy = matcher.intercept(&url.parse().ok()?)?;
    let uri = proxy.uri();
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_http_proxies_can_be_used() {
        for value in [
            "http://proxy:3128",
            "https://proxy.example",
            "HTTP://user:p%40ss@10.0.0.1:3128/",
        ] {
            assert!(usable(value).is_some(), "{value}");
        }
        for value in [
            "proxy:3128",
            "user:secret@proxy:3128",
            "socks5://proxy:1080",
            "http://",
            "http://a b",
        ] {
            assert!(usable(value).is_none(), "{value}");
        }
    }

    #[test]
    fn what_is_shown_of_a_proxy_holds_no_password() {
        let matcher = Matcher::builder().https("http://user:secret@proxy:3128");
        assert_eq!(
            way(&matcher.build(), "https://us.posthog.com/api"),
            Some("http://proxy:3128".to_owned())
        );
    }

    #[test]
    fn an_exception_is_a_host_with_its_subdomains_or_a_range_of_addresses() {
        let matcher = Matcher::builder()
            .https("http://proxy:3128")
            .no("posthog.internal, .corp.example,10.0.0.0/8")
            .build();
        for (url, straight) in [
            ("https://posthog.internal:8443", true),
            ("https://eu.posthog.internal", true),
            ("https://ph.corp.example", true),
            ("https://10.1.2.3:6443", true),
            ("https://us.posthog.com", false),
            ("https://xposthog.internal", false),
        ] {
            assert_eq!(way(&matcher, url).is_none(), straight, "{url}");
        }
    }
}
