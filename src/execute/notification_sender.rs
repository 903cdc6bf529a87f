//! Sends notifications to their receivers over HTTP.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

use crate::{
    posthog::{
        authorities::Authorities,
        client::Clock,
        guard::HostList,
        http::{self, Clients},
        transport::{TransportError, retry_after},
    },
    report::notifications::{Channel, NotificationRequest, NotificationSender, ReceiverAnswer},
};

/// When a receiver that does not answer is given up.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The courier of production.
#[derive(Clone)]
pub struct HttpNotificationSender {
    clients: Clients,
    hosts: HostList,
    clock: Clock,
}

impl HttpNotificationSender {
    /// Sends to `hosts` only.
    pub fn new(
        hosts: HostList,
        authorities: &Authorities,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        // HTTP/2 would log the path at its most verbose level, and the path of a receiver is a secret.
        let clients = Clients::new(authorities, reqwest::ClientBuilder::http1_only)?;
        Ok(Self {
            clients,
            hosts,
            clock,
        })
    }
}

impl NotificationSender for HttpNotificationSender {
    async fn deliver(&self, to: &Channel, parcel: NotificationRequest) -> ReceiverAnswer {
        let host = to.address.host();
        // Checked here too, at the last line before the network, in case a caller forgot.
        if self.hosts.check(host).is_err() {
            return not_accepted(
                "its host is not on the operator's list of allowed hosts",
                false,
            );
        }
        let NotificationRequest {
            content_type,
            headers,
            body,
        } = parcel;
        let client = self.clients.of(host);
        let request = client
            .post(to.address.expose())
            .header(CONTENT_TYPE, content_type)
            .timeout(DEADLINE)
            .body(body);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, value)
        });
        match request.send().await {
            Ok(answer) => {
                let wait = answer.headers().get(RETRY_AFTER);
                let wait = wait.and_then(|value| value.to_str().ok());
                let wait = wait.and_then(|text| retry_after(text, (self.clock)()));
                // The body is not read: nothing in it matters, and it may be endless, or repeat the URL.
                of_status(answer.status().as_u16(), wait)
            }
            Err(error) => match http::failure(&error, host) {
                TransportError::NotSent(why) => {
                    not_accepted(&format!("no connection ({why})"), true)
                }
                TransportError::NoAnswer(why) => not_accepted(&format!("no answer ({why})"), true),
                TransportError::TooLarge => not_accepted("the answer is too long", true),
            },
        }
    }
}

fn not_accepted(why: &str, passes: bool) -> ReceiverAnswer {
    ReceiverAnswer::NotAccepted {
        why: why.to_owned(),
        passes,
        wait: None,
    }
}

fn of_status(status: u16, wait: Option<Duration>) -> ReceiverAnswer {
    let (what, passes) = match status {
        200..=299 => return ReceiverAnswer::Accepted,
        300..=399 => (
            "redirects are not followed: put the target URL into the Secret",
            false,
        ),
        401 | 403 => (
            "the receiver rejects the URL's token: create a new URL and put it into the Secret",
            false,
        ),
        404 | 410 => (
            "nothing exists at this URL: create a new one and put it into the Secret",
            false,
        ),
        408 | 425 | 429 => ("the receiver asks to wait", true),
        400..=499 => ("the receiver rejects the message", false),
        _ => ("the receiver has an error", true),
    };
    ReceiverAnswer::NotAccepted {
        why: format!("HTTP {status}, {what}"),
        passes,
        wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_errors_are_retried_and_no_others() {
        for (status, again) in [
            (301, false),
            (400, false),
            (401, false),
            (404, false),
            (410, false),
            (408, true),
            (429, true),
            (500, true),
            (503, true),
        ] {
            let ReceiverAnswer::NotAccepted { passes, why, .. } = of_status(status, None) else {
                panic!("{status} is taken");
            };
            assert_eq!(passes, again, "{status}");
            assert!(why.starts_with(&format!("HTTP {status}, ")), "{why}");
        }
        assert_eq!(of_status(204, None), ReceiverAnswer::Accepted);
    }
}
