//! What `spec.credentials` offers to each source, and what is wrong with an entry of it. A wrong entry is reported even while the source works, so
//! that it is known before a rotation.

use std::collections::{BTreeMap, HashSet};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{
    causes::Advice,
    known::Known,
    problem::{NAME_CAP, Problem},
    words::NO_SOURCE,
};
use crate::{
    api::{
        policy::{Credentials, FromSecret, SecretKeyRef, SourceRef},
        status::{Fate, RootCause, SentInput, Severity},
    },
    posthog::{
        inputs::{Inputs, is_credential},
        redact,
        wire::Source,
    },
};

/// Longest value that is taken for a credential, in bytes. Keys of service accounts have about 3 KiB.
const LONGEST: usize = 16 * 1024;

/// What is offered to a source.
#[derive(Debug)]
pub struct SourceCredentials<'a> {
    /// The source.
    pub source: &'a Source,
    /// Its credentials; none if the entry has none or something is wrong with them.
    pub job_inputs: Option<Content>,
    /// Inputs of its webhook; none as above.
    pub webhook_inputs: Option<Content>,
}

/// What Secrets hold for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The values.
    pub inputs: Inputs,
    /// What tells them from others.
    pub hmac: String,
    /// Where they are, in words.
    pub from: String,
}

/// What is offered to the sources that the policy selects.
#[must_use]
pub fn offers<'a>(known: &Known<'a>) -> Vec<SourceCredentials<'a>> {
    read(known).0
}

/// What is wrong with entries of `spec.credentials`, or with the settings that were sent because of them.
pub(super) fn problems(known: &Known<'_>) -> Vec<Problem> {
    let (offers, mut problems) = read(known);
    problems.extend(offers.iter().filter_map(|offer| not_taken(known, offer)));
    problems
}

fn read<'a>(known: &Known<'a>) -> (Vec<SourceCredentials<'a>>, Vec<Problem>) {
    let mut mapped = HashSet::new();
    let (mut offers, mut problems) = (Vec::new(), Vec::new());
    for entry in &known.policy.credentials {
        let source = match source(known, entry) {
            Ok(source) if mapped.insert(&source.id) => source,
            Ok(source) => {
                let twice = "another entry of spec.credentials matches this source, too";
                problems.push(wrong(Some(source), entry, "credentials/twice", twice));
                continue;
            }
            Err((rule, message)) => {
                problems.push(wrong(None, entry, rule, &message));
                continue;
            }
        };
        let mut report = |(rule, message): Wrong| {
            problems.push(wrong(Some(source), entry, rule, &message));
        };
        offers.push(SourceCredentials {
            source,
            job_inputs: content(known, source, entry, &entry.job_inputs, &mut report),
            webhook_inputs: content(known, source, entry, &entry.webhook_inputs, &mut report),
        });
    }
    (offers, problems)
}

/// The inputs of the webhook of a source that `spec.credentials` names.
pub(super) fn webhook_inputs<'a>(
    known: &Known<'a>,
    source: &'a Source,
) -> impl Iterator<Item = &'a str> {
    let (type_, prefix) = (source.type_name(), source.prefix_name());
    let entries = known.policy.credentials.iter();
    entries
        .filter(move |entry| entry.source.matches(type_, prefix, &source.id))
        .flat_map(|entry| entry.webhook_inputs.keys().map(String::as_str))
}

/// A rule, and what is wrong, in words.
type Wrong = (&'static str, String);

/// The one source that an entry means.
fn source<'a>(known: &Known<'a>, entry: &Credentials) -> Result<&'a Source, Wrong> {
    let meant = |source: &&Source| {
        let (type_, prefix) = (source.type_name(), source.prefix_name());
        entry.source.matches(type_, prefix, &source.id)
    };
    let mut matching = known.snapshot.sources.iter().filter(meant);
    let Some(source) = matching.next() else {
        let message = NO_SOURCE.to_owned();
        return Err(("credentials/no-source", message));
    };
    let more = matching.count();
    if more > 0 {
        let message = format!(
            "{} sources of the project match, and one must: use the source's id",
            more + 1
        );
        return Err(("credentials/many-sources", message));
    }
    let selector = &known.policy.selector;
    let mut selected = known.snapshot.selected_sources();
    let selects = selected.any(|other| other.id == source.id)
        && (source.schemas.iter()).any(|schema| selector.selects_schema(&schema.name));
    if !selects {
        let message = "the policy selects no table of this source".to_owned();
        return Err(("credentials/not-selected", message));
    }
    Ok(source)
}

/// All values of one call, or nothing: half of a user name and a password would lock an account.
fn content(
    known: &Known<'_>,
    source: &Source,
    entry: &Credentials,
    wanted: &BTreeMap<String, FromSecret>,
    report: &mut impl FnMut(Wrong),
) -> Option<Content> {
    let mut values: Vec<(String, SecretString)> = Vec::new();
    let mut digest = Sha256::new();
    for (name, FromSecret { secret_ref }) in wanted {
        if !is_credential(name) {
            let message = format!(
                "{name} is not a secret, so it is not taken from a Secret: user names and settings that could point a table at another database are changed in PostHog only. Remove it from the entry"
            );
            report(("credentials/not-secret", message));
            continue;
        }
        match known
            .snapshot
            .credential_values
            .get(&entry.use_of(secret_ref))?
        {
            Ok(offered) => match shape(source.type_name(), name, offered.value.expose_secret()) {
                Ok(()) => {
                    digest.update(format!("{name}={}\n", offered.hmac));
                    values.push((name.clone(), offered.value.clone()));
                }
                Err(why) => {
                    let at = in_words(secret_ref);
                    report((
                        "credentials/shape",
                        format!("{at} is not a valid {name}: {why}"),
                    ));
                }
            },
            Err(why) => report(("credentials/secret", why.to_owned())),
        }
    }
    if values.is_empty() || values.len() < wanted.len() {
        return None;
    }
    let from: HashSet<&SecretKeyRef> = wanted.values().map(|value| &value.secret_ref).collect();
    let mut from: Vec<String> = from.into_iter().map(in_words).collect();
    from.sort_unstable();
    Some(Content {
        inputs: values.into_iter().collect(),
        hmac: format!("{:x}", digest.finalize()),
        from: from.join(", "),
    })
}

fn in_words(SecretKeyRef { name, key }: &SecretKeyRef) -> String {
    format!("key {key:?} of Secret {name}")
}

/// Why a value cannot be what the input wants, without a byte of it.
fn shape(source_type: &str, input: &str, value: &str) -> Result<(), &'static str> {
    let last = input.rsplit('.').next().unwrap_or_default();
    let starts: &[&str] = match last {
        "stripe_secret_key" => &["sk_", "rk_"],
        // What others call so looks like anything.
        "signing_secret" if source_type == "Stripe" => &["whsec_"],
        _ => &[],
    };
    let lines = value.starts_with("-----BEGIN") || value.starts_with('{');
    if value.trim().is_empty() {
        Err("it is empty")
    } else if value.trim() != value {
        Err(
            "it begins or ends with white space, often an editor's line break: remove it (printf %s instead of echo)",
        )
    } else if value.len() > LONGEST {
        Err("it is too long for a credential")
    } else if value
        .chars()
        .any(|c| c.is_control() && !(lines && matches!(c, '\n' | '\r')))
    {
        Err("it has line breaks or control characters")
    } else if !starts.is_empty() && !starts.iter().any(|start| value.starts_with(start)) {
        Err(
            "it does not start like such a secret (Stripe: sk_ or rk_ for keys, whsec_ for signing secrets)",
        )
    } else {
        Ok(())
    }
}

/// The problem of an entry.
fn wrong(source: Option<&Source>, entry: &Credentials, rule: &'static str, why: &str) -> Problem {
    let (title, id) = source.map_or_else(
        || ("PostHog".to_owned(), ""),
        |source| (redact::one_line(&source.title(), 80), source.id.as_str()),
    );
    let message = format!("spec.credentials for {}: {why}", meant(&entry.source));
    Problem {
        severity: Severity::Warning,
        advice: Advice::same(
            "Fix the entry in spec.credentials or the Secret that it names. Until then nothing is sent to PostHog for it.",
        ),
        ..Problem::of_source(title, id, RootCause::SourceConfig, rule, message)
    }
}

/// How an entry names its source.
fn meant(source: &SourceRef) -> String {
    let SourceRef { id, type_, prefix } = source;
    let parts = [("id", id), ("type", type_), ("prefix", prefix)];
    let said = parts
        .iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    redact::one_line(&said.collect::<Vec<_>>().join(", "), NAME_CAP)
}

/// Inputs of a webhook that were pushed, not to `PostHog`'s liking. Nothing else would tell.
fn not_taken(known: &Known<'_>, offer: &SourceCredentials<'_>) -> Option<Problem> {
    let mut states = known.state.sources.iter();
    let state = states.find(|state| state.id == offer.source.id)?;
    let SentInput {
        hmac,
        at,
        fate,
        detail,
        shown: _,
    } = state.webhook_inputs.as_ref()?;
    let Content {
        hmac: now, from, ..
    } = offer.webhook_inputs.as_ref()?;
    if hmac != now || matches!(fate, Some(Fate::Accepted | Fate::NotSent)) {
        return None;
    }
    let mut problem = Problem::of_source(
        redact::one_line(&offer.source.title(), 80),
        &offer.source.id,
        RootCause::WebhookBroken,
        "webhook/inputs-not-taken",
        format!("PostHog did not confirm the webhook inputs that were pushed ({from}): {detail}"),
    );
    problem.severity = Severity::Warning;
    problem.since = Some(*at);
    problem.advice = Advice::same(
        "Compare the signing secret with the one on the vendor's dashboard. The operator pushes it again when the Secret changes.",
    );
    Some(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_credential_is_refused_without_being_shown() {
        for (input, value) in [
            ("password", ""),
            ("password", " \n"),
            ("password", "hunter22\n"),
            ("password", "hunter\u{0}22"),
            ("password", "two\nlines"),
            ("auth_method.stripe_secret_key", "pk_live_hunter22"),
            ("signing_secret", "hunter22"),
        ] {
            let why = shape("Stripe", input, value).unwrap_err();
            assert!(!why.contains("hunter"), "{why}");
        }
        for (input, value) in [
            ("password", "correct horse"),
            (
                "private_key",
                "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
            ),
            ("auth_method.stripe_secret_key", "rk_live_x"),
            ("signing_secret", "whsec_x"),
        ] {
            assert_eq!(shape("Stripe", input, value), Ok(()), "{input}");
        }
        assert_eq!(shape("Github", "signing_secret", "hunter22"), Ok(()));
    }
}
