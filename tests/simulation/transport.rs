//! The port to PostHog, into the simulator without sockets.

use std::sync::{Arc, Mutex};

use posthog_simulator::{Answer, Simulator};
use warehouse_sync_operator::{
    api::host::Host,
    posthog::{
        ApiKey, Transport,
        transport::{Request, Response, TransportError, retry_after},
    },
};

use crate::{
    faults::{Fault, Faults},
    hostile::with_texts,
};

pub struct SimTransport {
    pub simulator: Arc<Mutex<Simulator>>,
    pub faults: Faults,
}

/// Calls that write. Some POSTs only read.
fn is_write(request: &Request) -> bool {
    let reads = [
        "incremental_fields",
        "check_cdc_prerequisites_for_source",
        "query",
    ];
    request.method.as_str() != "GET" && !reads.iter().any(|call| request.path.contains(call))
}

impl Transport for SimTransport {
    async fn send(
        &self,
        _: &Host,
        key: &ApiKey,
        request: Request,
    ) -> Result<Response, TransportError> {
        if !is_write(&request) {
            return self.ask(key, &request);
        }
        let what = request
            .path
            .rsplit('/')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        match self.faults.next(&what) {
            Some(Fault::CrashBefore) => self.faults.crash().await,
            Some(Fault::CrashAfter) => {
                let _ = self.ask(key, &request);
                self.faults.crash().await
            }
            Some(Fault::AnswerLost) => {
                let _ = self.ask(key, &request);
                Err(TransportError::NoAnswer("cut".into()))
            }
            Some(Fault::RequestLost) => Err(TransportError::NoAnswer("cut".into())),
            Some(Fault::NotSent) => Err(TransportError::NotSent("connection refused".into())),
            Some(fault @ (Fault::LeaderLost | Fault::LeaderFrozen)) => {
                self.faults.be_succeeded(fault == Fault::LeaderLost).await;
                self.ask(key, &request)
            }
            Some(Fault::ClaimRunsOut) => {
                let answer = self.ask(key, &request);
                self.faults.run_out();
                answer
            }
            Some(Fault::SecondWriter | Fault::StaleRead | Fault::TakesAMinute) | None => {
                self.ask(key, &request)
            }
        }
    }
}

impl SimTransport {
    pub fn ask(&self, key: &ApiKey, request: &Request) -> Result<Response, TransportError> {
        let mut simulator = self.simulator.lock().unwrap();
        let outcome = simulator.handle(&posthog_simulator::Request {
            method: request.method.as_str().to_owned(),
            path_and_query: request.path.clone(),
            authorization: Some(key.bearer()),
            user_agent: None,
            body: request.body.clone().unwrap_or_default().into_bytes(),
        });
        if let Some(delay) = outcome.delay {
            simulator.advance(delay.try_into().unwrap());
        }
        match outcome.answer {
            Answer::Cut(_) => Err(TransportError::NoAnswer("cut".into())),
            Answer::Response(answer) => Ok(Response {
                status: answer.status,
                content_type: answer
                    .header_value("content-type")
                    .unwrap_or_default()
                    .to_owned(),
                retry_after: answer
                    .header_value("retry-after")
                    .and_then(|wait| retry_after(wait, simulator.now())),
                date: self.faults.shows_dates().then(|| simulator.now()),
                body: with_texts(answer.body, self.faults.added_texts()),
            }),
        }
    }
}
