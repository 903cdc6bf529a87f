//! The calls that write. Each needs a [`Permit`], which only the safety table makes, and is sent once.

use std::time::{Duration, Instant};

use crate::{
    api::status::Fate,
    decide::safety::Permit,
    posthog::{
        Client, PostHogError, Transport,
        answer::{Answer, Refreshed},
        instance::{Feature, Instance},
        lax::Lax,
        probe::SchemaDetail,
        redact,
        secrets::Secrets,
        transport::Request,
        write::Write,
    },
};

/// Longest sentence of an answer that is kept, in characters.
const DETAIL_CAP: usize = 200;

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// In one word.
    pub fate: Fate,
    /// The HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// What `PostHog` or the connection said, redacted.
    pub detail: String,
    /// True if the key turned out to lack the write scope.
    pub lacks_scope: bool,
}

impl Outcome {
    /// The outcome of a call that was not even tried.
    #[must_use]
    pub fn not_sent(detail: impl Into<String>) -> Self {
        Self {
            fate: Fate::NotSent,
            http_status: None,
            detail: detail.into(),
            lacks_scope: false,
        }
    }
}

/// How long the permitted call may take.
#[must_use]
pub fn deadline(permit: &Permit) -> Duration {
    permit.call().deadline()
}

/// Sends the permitted call, once and not after `until`, and reads status and answer. The call comes from the permit: nothing else can be sent with it.
pub async fn execute<T: Transport>(
    client: &Client<T>,
    permit: Permit,
    until: Instant,
) -> Result<(u16, Answer), PostHogError> {
    let call = permit.into_call();
    let request = Request {
        until: Some(until),
        ..call.request(|rest| client.path(rest))
    };
    let response = client.send(request).await?;
    Ok((response.status, Answer::read(&call, &response)?))
}

/// Sends the permitted call, once and not after `until`. Never an error: everything that can happen is an outcome that must be recorded.
pub async fn send<T: Transport>(client: &Client<T>, permit: Permit, until: Instant) -> Outcome {
    let call = permit.call().clone();
    let secrets = client.secrets();
    hide(&call, secrets);
    let outcome = match execute(client, permit, until).await {
        Ok((status, answer)) => {
            let kept = keeps_sync_type(&answer).filter(|_| leaves_sync_type(&call));
            if let Some(kept) = kept {
                let note = |instance: &mut Instance| instance.note(Feature::KeepsSyncType, kept);
                client.noted().note(note);
            }
            if kept == Some(false) {
                sync_type_lost(status)
            } else {
                of_answer(status, &answer)
            }
        }
        Err(error) => of_error(&error, &call),
    };
    let detail = redact::text(&secrets.conceal(&outcome.detail), DETAIL_CAP);
    Outcome {
        // It becomes part of a sentence.
        detail: detail.trim_end_matches('.').to_owned(),
        ..outcome
    }
}

/// True for a change of tables that does not set their sync type.
fn leaves_sync_type(call: &Write) -> bool {
    match call {
        Write::PatchSchema(patch) => patch.sync_type.is_none(),
        Write::BulkUpdateSchemas { patches, .. } => {
            patches.iter().all(|patch| patch.sync_type.is_none())
        }
        _ => false,
    }
}

/// Whether the tables in an answer still have a sync type; none if it contains no table. A table without one is never changed.
fn keeps_sync_type(answer: &Answer) -> Option<bool> {
    let has_one = |detail: &SchemaDetail| detail.row.sync_type != Lax::Null;
    match answer {
        Answer::Schema(detail) => Some(has_one(detail)),
        Answer::Schemas(details) => Some(details.iter().all(has_one)),
        Answer::Taken(_) | Answer::Source(_) | Answer::Refreshed(_) | Answer::Done(_) => None,
    }
}

/// `PostHog` of August 2025 sets what a change does not name to null, and answers 200.
fn sync_type_lost(status: u16) -> Outcome {
    Outcome {
        fate: Fate::Unknown,
        http_status: Some(status),
        detail: "PostHog set the sync type to null, as old versions do: set up the table again in PostHog, and upgrade PostHog; no further change is sent".to_owned(),
        lacks_scope: false,
    }
}

/// An answer may repeat the secrets in the call.
fn hide(call: &Write, secrets: &Secrets) {
    match call {
        Write::PatchSource { job_inputs, .. } => job_inputs.hide(secrets),
        Write::UpdateWebhookInputs { inputs, .. } => inputs.hide(secrets),
        _ => {}
    }
}

fn of_answer(status: u16, answer: &Answer) -> Outcome {
    let (fate, said) = match answer {
        Answer::Taken(said) => (Fate::Accepted, said.detail.get()),
        Answer::Done(done) if done.success == Lax::Is(true) => {
            let lacks = done.pending_inputs.join(", ");
            let lacks = (!lacks.is_empty()).then(|| format!("still missing: {lacks}"));
            return accepted(status, lacks.unwrap_or_default());
        }
        // 200 with a failure: what it did before it failed is unknown.
        Answer::Done(done) => (Fate::Unknown, done.error.get()),
        Answer::Refreshed(refreshed) => {
            let number = |count: &Lax<i64>| count.get().map_or("?".to_owned(), i64::to_string);
            let Refreshed { added, deleted } = refreshed;
            let said = format!(
                "{} tables added, {} deleted",
                number(added),
                number(deleted)
            );
            return accepted(status, said);
        }
        Answer::Schema(_) | Answer::Schemas(_) | Answer::Source(_) => (Fate::Accepted, None),
    };
    Outcome {
        fate,
        http_status: Some(status),
        detail: said.cloned().unwrap_or_default(),
        lacks_scope: false,
    }
}

const fn accepted(status: u16, detail: String) -> Outcome {
    Outcome {
        fate: Fate::Accepted,
        http_status: Some(status),
        detail,
        lacks_scope: false,
    }
}

fn of_error(error: &PostHogError, call: &Write) -> Outcome {
    let lacks_scope = error.lacks_scope("external_data_source:write");
    let (fate, http_status) = match error {
        PostHogError::NotSent { .. }
        | PostHogError::Waiting { .. }
        | PostHogError::OverShare { .. } => (Fate::NotSent, None),
        // Rejected before the request was handled: throttling, authentication, scope.
        PostHogError::RateLimited { .. } => (Fate::NotSent, Some(429)),
        PostHogError::Refused { status: 401, .. } => (Fate::NotSent, Some(401)),
        PostHogError::Refused { status: 403, .. } if lacks_scope => (Fate::NotSent, Some(403)),
        PostHogError::Refused {
            status: 400,
            detail,
            ..
        } if call.may_have_acted(detail) => (Fate::Unknown, Some(400)),
        // A proxy, or the server, gave up waiting: what came of it is unknown.
        PostHogError::Refused {
            status: status @ (408 | 499),
            ..
        } => (Fate::Unknown, Some(*status)),
        PostHogError::Refused { status, .. } if *status < 500 => (Fate::Refused, Some(*status)),
        PostHogError::Refused { status, .. } => (Fate::Unknown, Some(*status)),
        PostHogError::NoAnswer { .. }
        | PostHogError::TooLarge { .. }
        | PostHogError::Unexpected { .. } => (Fate::Unknown, None),
    };
    let detail = match error {
        PostHogError::Refused { detail, .. } => detail.clone(),
        other => other.to_string(),
    };
    Outcome {
        fate,
        http_status,
        detail,
        lacks_scope,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancel() -> Write {
        let schema_id = "a".to_owned();
        Write::Cancel { schema_id }
    }

    fn refused(status: u16, detail: &str) -> Outcome {
        let refused = PostHogError::Refused {
            call: "cancel",
            status,
            detail: detail.into(),
        };
        of_error(&refused, &cancel())
    }

    #[test]
    fn only_a_call_refused_before_it_was_processed_counts_as_not_sent() {
        let resync = Write::Resync {
            schema_id: "a".to_owned(),
        };
        let waiting = PostHogError::RateLimited {
            call: "cancel",
            wait: jiff::SignedDuration::from_secs(1),
        };
        assert_eq!(of_error(&waiting, &resync).fate, Fate::NotSent);
        assert_eq!(refused(401, "x").fate, Fate::NotSent);
        let scope = refused(
            403,
            "API key missing required scope 'external_data_source:write'",
        );
        assert_eq!((scope.fate, scope.lacks_scope), (Fate::NotSent, true));
        assert_eq!(
            refused(403, "You do not have editor access to this table.").fate,
            Fate::Refused
        );
        assert_eq!(
            refused(400, "The sync already finished.").fate,
            Fate::Refused
        );
        for status in [408, 499, 500, 502, 503, 504] {
            assert_eq!(
                refused(status, "x").fate,
                Fate::Unknown,
                "{status} may have had its effect"
            );
        }
        let lost = PostHogError::NoAnswer {
            call: "cancel",
            host: "h".into(),
            reason: "x".into(),
        };
        assert_eq!(of_error(&lost, &cancel()).fate, Fate::Unknown);
        let pending = PostHogError::Refused {
            call: "resync",
            status: 400,
            detail: "Couldn't start the sync. Try again in a few minutes.".into(),
        };
        assert_eq!(of_error(&pending, &resync).fate, Fate::Unknown);
    }

    #[test]
    fn a_repair_that_is_refused_has_reset_the_tables_unless_posthog_says_one_of_four_things() {
        let repair = Write::RepairCdc {
            source_id: "s".to_owned(),
        };
        let fate = |status, detail: &str| {
            let refused = PostHogError::Refused {
                call: "repair CDC",
                status,
                detail: detail.into(),
            };
            of_error(&refused, &repair).fate
        };
        for before in [
            "CDC is not enabled on this source.",
            "There are no active CDC schemas on this source to repair.",
            "CDC looks healthy on this source — the replication slot and publication exist.",
            "CDC is not supported for source type: MySQL",
        ] {
            assert_eq!(fate(400, before), Fate::Refused, "{before}");
        }
        assert_eq!(
            fate(409, "A repair is already running for this source."),
            Fate::Refused
        );
        for after in [
            "Could not repair CDC: must be superuser or replication role to use replication slots",
            "Could not connect to source to repair CDC: timeout expired",
            "Could not repair CDC: CDC is not enabled on this source.",
            "",
        ] {
            assert_eq!(fate(400, after), Fate::Unknown, "{after}");
        }
    }
}
