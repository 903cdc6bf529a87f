//! `verify`: whether the id of a proposal matches what status shows.
//!
//! An approval names the id, and the operator executes the material that the id was calculated from. Without this
//! comparison, anyone who can write to a status could show one action and get another one approved.

use std::process::ExitCode;

use kube::ResourceExt;
use serde::Serialize;

use super::{
    PluginError,
    cluster::ClusterArgs,
    find::{ProposalArgs, find},
    print::{Format, print, table},
    status::clean,
};
use crate::{
    api::{WarehouseSyncPolicy, host::Host, proposal::Proposal},
    decide::proposal::{material, steps},
};

/// A value that must be the same in two places.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Check {
    what: &'static str,
    shown: String,
    expected: String,
    same: bool,
}

/// All checks of a proposal.
#[derive(Debug, Serialize)]
pub(super) struct Verification {
    id: String,
    genuine: bool,
    checks: Vec<Check>,
}

/// Checks one proposal.
pub(super) async fn verify(
    args: &ProposalArgs,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let policy = cluster.connect().await?.policy(&args.name).await?;
    let proposal = find(&policy, &args.id)?;
    let verification = verification(&policy, proposal);
    print(format, &verification, || text(&verification))?;
    Ok(if verification.genuine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Refuses a proposal whose id does not match what is shown.
pub(super) fn genuine(
    policy: &WarehouseSyncPolicy,
    proposal: &Proposal,
) -> Result<(), PluginError> {
    let verification = verification(policy, proposal);
    let mut wrong = verification.checks.iter().filter(|check| !check.same);
    match wrong.next() {
        None => Ok(()),
        Some(check) => Err(PluginError::refused(format!(
            "the id {} does not match what status shows ({} differs): the status may have been changed. See `kubectl wsp verify {} {}`",
            proposal.id,
            check.what,
            policy.name_any(),
            proposal.id
        ))),
    }
}

fn verification(policy: &WarehouseSyncPolicy, proposal: &Proposal) -> Verification {
    let checks = checks(policy, proposal);
    Verification {
        id: proposal.id.clone(),
        genuine: checks.iter().all(|check| check.same),
        checks,
    }
}

fn checks(policy: &WarehouseSyncPolicy, proposal: &Proposal) -> Vec<Check> {
    let (material, target) = (&proposal.material, &proposal.target);
    let project = &policy.spec.posthog;
    let host =
        Host::parse(&project.host).map_or_else(|_| project.host.clone(), |host| host.to_string());
    let schema_id = material.schema_id.clone().unwrap_or_default();
    let said = |steps: &[String]| steps.join("; ");
    let in_words = steps::all_in_words(material, proposal.title());
    let project_id = material.project_id.to_string();
    vec![
        check(
            "version of the format",
            material.version.to_string(),
            material::VERSION.to_string(),
        ),
        check("id", &proposal.id, material::id(material)),
        check("action", proposal.action.as_str(), material.action.as_str()),
        check("steps", said(&proposal.steps), said(&in_words)),
        check("project", target.project_id.to_string(), &project_id),
        check("source id", &target.source_id, &material.source_id),
        check("table id", &target.schema_id, schema_id),
        check(
            "project of the policy",
            project.project_id.to_string(),
            &project_id,
        ),
        check("host of the policy", host, &material.host),
        check(
            "uid of the policy",
            policy.uid().unwrap_or_default(),
            &material.policy_uid,
        ),
    ]
}

fn check(what: &'static str, shown: impl Into<String>, expected: impl Into<String>) -> Check {
    let (shown, expected) = (shown.into(), expected.into());
    Check {
        what,
        same: shown == expected,
        shown,
        expected,
    }
}

fn text(verification: &Verification) -> String {
    let rows: Vec<_> = verification
        .checks
        .iter()
        .map(|check| {
            let same = if check.same { "yes" } else { "NO" };
            [
                check.what.to_owned(),
                same.to_owned(),
                check.shown.clone(),
                check.expected.clone(),
            ]
        })
        .collect();
    let verdict = if verification.genuine {
        "The id matches what is shown. It does not cover the names of source and table, the reason, the evidence and the cost."
    } else {
        "The id does NOT match what is shown: do not approve it. The status may have been changed, or written by another version."
    };
    let table = table(["WHAT", "SAME", "SHOWN", "IN THE MATERIAL"], &rows);
    format!("{}\n\n{table}\n{verdict}\n", clean(&verification.id))
}
