//! Why a connection failed, in words that say what to do.

use std::{error::Error, io};

use jiff::Timestamp;
use rustls::{CertificateError, pki_types::UnixTime};

use super::redact;

/// Longest text from the libraries.
const SAID: usize = 300;

/// What went wrong on the way to a host; `proxy` is what the way leads through.
pub(super) fn words(error: &reqwest::Error, proxy: Option<&str>) -> String {
    let said = certificate_words(error).unwrap_or_else(|| redact::text(&chain(error), SAID));
    let Some(proxy) = proxy else {
        return said;
    };
    let advice = if said.contains("proxy authorization required") {
        ". The proxy requires a user name and a password: set HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, percent-encoded"
    } else if error.is_connect() && certificate_error(error).is_none() {
        ". Check HTTPS_PROXY, and that the proxy allows this host; hosts in NO_PROXY are reached without the proxy"
    } else {
        ""
    };
    format!("through the proxy {proxy}: {said}{advice}")
}

/// reqwest's own line repeats the URL; what went wrong stands in its sources.
fn chain(error: &reqwest::Error) -> String {
    let mut reason = String::new();
    let mut source = error.source();
    while let Some(inner) = source {
        if !reason.is_empty() {
            reason.push_str(": ");
        }
        reason.push_str(&inner.to_string());
        source = inner.source();
    }
    reason
}

fn certificate_words(error: &reqwest::Error) -> Option<String> {
    let error = certificate_error(error)?;
    let said = redact::text(&error.to_string(), SAID);
    Some(match error {
        CertificateError::UnknownIssuer => {
            "the server's certificate is not trusted (UnknownIssuer): its CA is unknown here. If it is your own CA, start with --ca-file=PATH, a PEM file with its certificate; the file is read once, at the start".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the server's certificate is for another name ({said}). Use a host that it names, or issue a certificate for this host")
        }
        // The library's words hold the time of now, and status would change with every poll.
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the server's certificate expired on {}. Renew it there", day(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the server's certificate is not valid before {}. Check the clocks of both machines", day(*not_before))
        }
        _ => format!("the server's certificate is refused ({said}). Check that it is a server certificate, and that --ca-file contains the CA that signed it"),
    })
}

/// What the check of the server's certificate found, if that is what failed.
fn certificate_error(error: &reqwest::Error) -> Option<&CertificateError> {
    let mut next = error.source();
    while let Some(inner) = next {
        if let Some(rustls::Error::InvalidCertificate(found)) = inner.downcast_ref() {
            return Some(found);
        }
        next = within(inner);
    }
    None
}

/// What an error wraps. `io::Error::source` skips it.
fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|wrapped| wrapped as _),
        None => error.source(),
    }
}

fn day(at: UnixTime) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(
        |_| "a day far away".to_owned(),
        |at| at.strftime("%Y-%m-%d").to_string(),
    )
}
