//! `doctor`: what makes approvals ineffective, and Secrets unreadable for the operator.

use std::process::ExitCode;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use serde::Serialize;

use super::{
    PluginError,
    admission_policies::{self, AdmissionPolicies},
    cluster::{Cluster, ClusterArgs},
    pods::{self, PodReadiness},
    print::{Format, print},
    select::Selection,
};
use crate::{
    api::{
        WarehouseSyncPolicy,
        conditions::APPROVAL_GUARD_ACTIVE,
        names::{APPROVE, DENY},
        policy::{CredentialUse, Credentials, SecretKeyRef},
    },
    cli::{output, report::fields},
    controller::secret_use::Use,
    posthog::redact,
};

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum State {
    Ok,
    Unknown,
    Wrong,
}

/// A check.
#[derive(Debug, Serialize)]
struct Check {
    of: String,
    state: State,
    message: String,
}

/// Checks policies and the rights of the current user.
pub(super) async fn doctor(
    args: &Selection,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let mut cluster = cluster.connect().await?;
    let policies = args.read(&cluster).await?;
    let mut checks = rights(&cluster).await?;
    checks.push(admission_policies(admission_policies::find(&cluster).await));
    checks.extend(operator(pods::ask(&cluster).await));
    for policy in &policies {
        cluster.namespace = policy.namespace().unwrap_or_default();
        checks.push(condition(policy));
        checks.extend(inert(policy));
        checks.extend(secrets(&cluster, policy).await);
    }
    print(format, &checks, || text(&checks))?;
    Ok(if checks.iter().any(|check| check.state == State::Wrong) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The rights of the current user in the namespace. A missing right is not an error: most people do not need to
/// approve.
async fn rights(cluster: &Cluster) -> Result<Vec<Check>, PluginError> {
    let user = cluster.user_name().await?;
    let mut checks = Vec::new();
    for (verb, what) in [
        ("patch", "annotate policies"),
        ("approve", "approve and deny proposals as yourself"),
        (
            "approve-on-behalf",
            "approve on behalf of others, as GitOps tools do",
        ),
    ] {
        let may = cluster.may(verb, "").await?;
        let answer = if may { "may" } else { "may not" };
        checks.push(Check {
            of: format!("user {user}"),
            state: State::Ok,
            message: format!(
                "{answer} {what} in namespace {} (verb {verb} on warehousesyncpolicies)",
                cluster.namespace
            ),
        });
    }
    Ok(checks)
}

fn of(policy: &WarehouseSyncPolicy) -> String {
    format!(
        "policy {}/{}",
        policy.namespace().unwrap_or_default(),
        policy.name_any()
    )
}

/// Whether the admission policies exist.
fn admission_policies(found: AdmissionPolicies) -> Check {
    let (state, message) = match found {
        AdmissionPolicies::Exist => (
            State::Ok,
            "the admission policies for approvals exist".to_owned(),
        ),
        AdmissionPolicies::Missing(names) => (
            State::Wrong,
            format!(
                "{} is missing, so anyone who may edit a policy could approve, and approvals are ignored: run kubectl apply -f deploy/admission.yaml (with Helm: helm upgrade)",
                names.join(", ")
            ),
        ),
        AdmissionPolicies::Unknown(why) => (
            State::Unknown,
            format!("cannot check whether the admission policies for approvals exist: {why}"),
        ),
    };
    Check {
        of: "cluster".to_owned(),
        state,
        message,
    }
}

/// Whether the operator's pods are ready, and what they wait for.
fn operator(asked: Result<Vec<pods::Answer>, PluginError>) -> Vec<Check> {
    let unknown = |message: String| Check {
        of: "operator".to_owned(),
        state: State::Unknown,
        message,
    };
    let answers = match asked {
        Err(error) => return vec![unknown(error.to_string())],
        Ok(answers) if answers.is_empty() => {
            return vec![unknown("no pod of the operator was found".to_owned())];
        }
        Ok(answers) => answers,
    };
    let check = |pods::Answer { pod, said }| {
        let (state, message) = match said {
            PodReadiness::Ready(more) if more.is_empty() => (State::Ok, "ready".to_owned()),
            PodReadiness::Ready(more) => (
                State::Wrong,
                format!("ready, but {}", more.replace('\n', "; ")),
            ),
            PodReadiness::Pending(pending) => (State::Wrong, format!("not ready; {pending}")),
            PodReadiness::Unknown(why) => (State::Unknown, why),
        };
        let of = format!("pod {pod}");
        Check { of, state, message }
    };
    answers.into_iter().map(check).collect()
}

/// Whether the operator reports that the admission policies are in effect.
fn condition(policy: &WarehouseSyncPolicy) -> Check {
    let status = policy.status.as_ref();
    let (state, message) = match status.and_then(|status| status.condition(APPROVAL_GUARD_ACTIVE)) {
        None => (
            State::Unknown,
            format!(
                "the operator has not reported whether the admission policies are in effect: the condition {APPROVAL_GUARD_ACTIVE} is missing"
            ),
        ),
        Some(condition) => {
            let state = match condition.status.as_str() {
                "True" => State::Ok,
                "False" => State::Wrong,
                _ => State::Unknown,
            };
            (
                state,
                format!(
                    "{APPROVAL_GUARD_ACTIVE} is {}: {}",
                    condition.status, condition.message
                ),
            )
        }
    };
    Check {
        of: of(policy),
        state,
        message,
    }
}

/// Answers without effect: to proposals that have ended, which is harmless, and to unknown proposals.
fn inert(policy: &WarehouseSyncPolicy) -> Vec<Check> {
    let proposals = || policy.status.iter().flat_map(|status| &status.proposals);
    let answers = policy.annotations().keys().filter_map(|key| {
        let id = key
            .strip_prefix(APPROVE)
            .or_else(|| key.strip_prefix(DENY))?;
        Some((key, id))
    });
    answers
        .filter_map(|(key, id)| {
            let found = proposals().find(|proposal| proposal.id == id);
            let (state, why) = match found {
                Some(proposal) if !proposal.is_over() => return None,
                Some(proposal) => (State::Ok, format!("its proposal is {:?}", proposal.phase)),
                None => (State::Wrong, "no proposal has this id".to_owned()),
            };
            Some(Check {
                of: of(policy),
                state,
                message: format!("the annotation {key} has no effect: {why}; it can be removed"),
            })
        })
        .collect()
}

/// Whether the Secrets of a policy have the label for their use.
async fn secrets(cluster: &Cluster, policy: &WarehouseSyncPolicy) -> Vec<Check> {
    let project = &policy.spec.posthog;
    let project_id = project.project_id;
    let credentials = policy.spec.credentials.iter();
    let mut uses: Vec<CredentialUse> = credentials.flat_map(Credentials::uses).collect();
    // A Secret has several keys, but its owner allows a use for the whole Secret.
    uses.dedup_by(|one, other| {
        one.secret_ref.name == other.secret_ref.name && one.source == other.source
    });
    let mut wanted = vec![(&project.api_key_secret_ref, Use::ApiKey)];
    wanted.extend(
        uses.iter()
            .map(|wanted| (&wanted.secret_ref, Use::Source { project_id, wanted })),
    );
    let mut checks = Vec::new();
    for (reference, used_for) in wanted {
        let (state, message) = secret(cluster, reference, used_for).await;
        checks.push(Check {
            of: of(policy),
            state,
            message,
        });
    }
    checks
}

async fn secret(cluster: &Cluster, wanted: &SecretKeyRef, used_for: Use<'_>) -> (State, String) {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let name = &wanted.name;
    // Labels and annotations only: the data is not needed.
    match api.get_metadata_opt(name).await {
        Ok(Some(meta)) => match used_for.check(&meta.metadata, &cluster.namespace, wanted) {
            Ok(()) => (
                State::Ok,
                format!("Secret {name} has the label for its use"),
            ),
            Err(refused) => (State::Wrong, refused.message),
        },
        Ok(None) => (State::Wrong, used_for.missing(wanted).message),
        Err(error) => {
            let error = PluginError::kubernetes(format!("read the Secret {name}"))(error);
            (State::Unknown, error.to_string())
        }
    }
}

fn text(checks: &[Check]) -> String {
    let lines: Vec<_> = checks
        .iter()
        .map(|check| {
            let state = match check.state {
                State::Ok => "ok",
                State::Unknown => "unknown",
                State::Wrong => "WRONG",
            };
            let said = format!("{state}: {}", check.message);
            (check.of.as_str(), redact::one_line(&said, 600))
        })
        .collect();
    fields("", &lines, output::width())
}
