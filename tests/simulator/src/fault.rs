//! Faults: what goes wrong between the client and PostHog's answer.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, json};

use crate::http;
use crate::message::{Answer, Outcome, Partial, Request, Response};
use crate::period;

/// A fault and the requests that it meets. The first fault that matches a request is put in its way.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which requests.
    #[serde(default)]
    pub matches: Matches,
    /// How many matching requests pass unharmed first.
    #[serde(default)]
    pub skip: u32,
    /// How many it then meets.
    #[serde(default)]
    pub times: Times,
    /// What it does.
    pub kind: FaultKind,
}

impl Fault {
    /// Meets the next request of that method whose path contains that text.
    #[must_use]
    pub fn once(method: &str, path_contains: &str, kind: FaultKind) -> Self {
        Self {
            matches: Matches {
                method: Some(method.to_owned()),
                path_contains: Some(path_contains.to_owned()),
            },
            skip: 0,
            times: Times::default(),
            kind,
        }
    }

    /// Meets every request.
    #[must_use]
    pub fn always(kind: FaultKind) -> Self {
        Self {
            matches: Matches::default(),
            skip: 0,
            times: Times::Forever,
            kind,
        }
    }

    fn takes(&mut self, request: &Request) -> bool {
        let Matches {
            method,
            path_contains,
        } = &self.matches;
        let method_fits = method
            .as_ref()
            .is_none_or(|method| method.eq_ignore_ascii_case(&request.method));
        let path_fits = path_contains
            .as_ref()
            .is_none_or(|part| request.path_and_query.contains(part.as_str()));
        if !method_fits || !path_fits {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        match &mut self.times {
            Times::Forever => true,
            Times::Count(left) => {
                let met = *left > 0;
                *left = left.saturating_sub(1);
                met
            }
        }
    }
}

/// Which requests a fault meets; all, if nothing is said.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matches {
    /// Of this method.
    pub method: Option<String>,
    /// With this text in path and query.
    pub path_contains: Option<String>,
}

/// How often a fault strikes: a number, or `forever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// That many times.
    Count(u32),
    /// Always.
    Forever,
}

impl Default for Times {
    fn default() -> Self {
        Self::Count(1)
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::String(word) if word == "forever" => Ok(Self::Forever),
            Value::Number(number) => number
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
                .map(Self::Count)
                .ok_or_else(|| D::Error::custom("`times` is a small number, or `forever`")),
            _ => Err(D::Error::custom("`times` is a number, or `forever`")),
        }
    }
}

/// What a fault does.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// Another answer. The request has no effect, unless `after_effect`.
    Status {
        /// The status code.
        status: u16,
        /// Its body, JSON or text; one that PostHog would send with that status, if none.
        #[serde(default)]
        body: Option<Value>,
        /// Headers, over the usual ones: `Retry-After: "0"`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The request still has its effect.
        #[serde(default)]
        after_effect: bool,
    },
    /// The right answer, late. Its effect is not.
    Delay {
        /// How late.
        #[serde(deserialize_with = "period::deserialize")]
        by: SignedDuration,
    },
    /// PostHog processes the request only later, after the client or a proxy has given up: the effect is late, and there is no answer.
    HandledLate {
        /// How late.
        #[serde(deserialize_with = "period::deserialize")]
        by: SignedDuration,
    },
    /// The connection drops before the request has an effect.
    CutBefore,
    /// The connection drops after the request had its effect, before the answer.
    CutAfterEffect,
    /// The connection drops in the middle of the answer's body.
    CutBody {
        /// How much of the body gets through.
        bytes: usize,
    },
    /// The body drips.
    SlowBody {
        /// How fast.
        bytes_per_second: u32,
    },
    /// 200 with a login page.
    Html200,
    /// 200 with JSON's content type, and no JSON.
    Garbage200,
    /// 200 with half of the right body, and a `Content-Length` that fits the half.
    Truncated200,
    /// 200 with a list of nothing.
    EmptyList,
    /// 200 with JSON of that size.
    HugeBody {
        /// How large.
        bytes: usize,
    },
    /// 200 with gzip that unpacks to that size.
    GzipBomb {
        /// How large, unpacked.
        bytes: usize,
    },
    /// A redirect.
    Redirect {
        /// Where to.
        to: String,
        /// 301, 302, 307 or 308; 302 if none.
        #[serde(default)]
        status: Option<u16>,
    },
    /// The right list, whose `next` points somewhere else.
    NextElsewhere {
        /// The whole address of `next`.
        to: String,
    },
    /// The right answer with other headers.
    Headers {
        /// Over the usual ones: `Date: Thu, 01 Oct 2026 00:00:00 GMT`.
        headers: BTreeMap<String, String>,
    },
}

impl FaultKind {
    /// As the request log names it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Delay { .. } => "delay",
            Self::HandledLate { .. } => "handled_late",
            Self::CutBefore => "cut_before",
            Self::CutAfterEffect => "cut_after_effect",
            Self::CutBody { .. } => "cut_body",
            Self::SlowBody { .. } => "slow_body",
            Self::Html200 => "html200",
            Self::Garbage200 => "garbage200",
            Self::Truncated200 => "truncated200",
            Self::EmptyList => "empty_list",
            Self::HugeBody { .. } => "huge_body",
            Self::GzipBomb { .. } => "gzip_bomb",
            Self::Redirect { .. } => "redirect",
            Self::NextElsewhere { .. } => "next_elsewhere",
            Self::Headers { .. } => "headers",
        }
    }

    /// Puts the fault in the way of an answer. `answer` gives the right one, and with it the effect: a fault before
    /// the effect does not call it.
    pub(crate) fn apply(&self, answer: impl FnOnce() -> Response) -> Outcome {
        match self {
            Self::Status {
                status,
                body,
                headers,
                after_effect,
            } => {
                if *after_effect {
                    drop(answer());
                }
                status_answer(*status, body.as_ref(), headers).into()
            }
            Self::Delay { by } => Outcome {
                delay: Some(Duration::try_from(*by).unwrap_or_default()),
                ..Outcome::from(answer())
            },
            // The simulator keeps the request for later instead.
            Self::HandledLate { by } => given_up_after(*by),
            Self::CutBefore => cut(None),
            Self::CutAfterEffect => {
                drop(answer());
                cut(None)
            }
            Self::CutBody { bytes } => {
                let mut response = answer();
                let promised = response.body.len().max(bytes + 1);
                response.body.truncate(*bytes);
                cut(Some(Partial { response, promised }))
            }
            Self::SlowBody { bytes_per_second } => Outcome {
                bytes_per_second: Some((*bytes_per_second).max(1)),
                ..Outcome::from(answer())
            },
            Self::Truncated200 => {
                let mut response = answer();
                response.body.truncate(response.body.len() / 2);
                response.into()
            }
            Self::NextElsewhere { to } => {
                let response = answer();
                let mut body = response.value();
                if let Some(next) = body.get_mut("next") {
                    *next = json!(to);
                }
                Response::json(response.status, &body).into()
            }
            Self::Headers { headers } => with_headers(answer(), headers).into(),
            Self::Html200
            | Self::Garbage200
            | Self::EmptyList
            | Self::HugeBody { .. }
            | Self::GzipBomb { .. }
            | Self::Redirect { .. } => self.instead().into(),
        }
    }

    /// An answer that has nothing to do with the request, which has no effect.
    fn instead(&self) -> Response {
        match self {
            Self::Html200 => Response::text(
                200,
                "text/html; charset=utf-8",
                "<!DOCTYPE html><html><head><title>Log in</title></head><body><form action=\"/login\"></form></body></html>",
            ),
            Self::Garbage200 => Response::text(200, "application/json", "\u{0}%not json"),
            Self::HugeBody { bytes } => huge(*bytes),
            Self::GzipBomb { bytes } => gzip_bomb(*bytes),
            Self::Redirect { to, status } => {
                Response::empty(status.unwrap_or(302)).header("Location", to.clone())
            }
            _ => Response::json(
                200,
                &json!({"count": 0, "next": null, "previous": null, "results": []}),
            ),
        }
    }
}

/// The fault for a request, counted down.
pub(crate) fn take(faults: &mut Vec<Fault>, request: &Request) -> Option<FaultKind> {
    let met = faults
        .iter_mut()
        .find_map(|fault| fault.takes(request).then(|| fault.kind.clone()));
    faults.retain(|fault| fault.times != Times::Count(0));
    met
}

/// No answer, after that time.
pub(crate) fn given_up_after(time: SignedDuration) -> Outcome {
    Outcome {
        delay: Some(Duration::try_from(time).unwrap_or_default()),
        ..cut(None)
    }
}

fn cut(sent: Option<Partial>) -> Outcome {
    Outcome {
        answer: Answer::Cut(sent),
        delay: None,
        bytes_per_second: None,
    }
}

fn status_answer(
    status: u16,
    body: Option<&Value>,
    headers: &BTreeMap<String, String>,
) -> Response {
    let response = match body {
        None => http::typical(status),
        Some(Value::String(text)) => Response::text(status, "text/plain", text.clone()),
        Some(body) => Response::json(status, body),
    };
    with_headers(response, headers)
}

fn with_headers(mut response: Response, headers: &BTreeMap<String, String>) -> Response {
    for (name, value) in headers {
        response
            .headers
            .retain(|(usual, _)| !usual.eq_ignore_ascii_case(name));
        response = response.header(name, value.clone());
    }
    response
}

fn huge(bytes: usize) -> Response {
    let mut body = Vec::with_capacity(bytes + 64);
    body.extend_from_slice(br#"{"count":1,"next":null,"previous":null,"results":[{"name":""#);
    body.resize(body.len() + bytes, b'x');
    body.extend_from_slice(br#""}]}"#);
    Response::text(200, "application/json", body)
}

fn gzip_bomb(bytes: usize) -> Response {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![b' '; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(block.len());
        // Writing to a Vec cannot fail; were it to, the bomb would only be smaller.
        if packer.write_all(&block[..part]).is_err() {
            break;
        }
        left -= part;
    }
    let body = packer.finish().unwrap_or_default();
    Response::text(200, "application/json", body).header("Content-Encoding", "gzip")
}
