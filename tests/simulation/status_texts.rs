//! What `.status` says about the scenarios of the simulator, for the reviewed file of messages.

use jiff::SignedDuration;
use warehouse_sync_operator::api::{WarehouseSyncPolicyStatus, status::Finding};

use crate::{faults::Faults, scenarios, world::World};

const ZOO: &str = include_str!("../simulator/scenarios/diagnosis-zoo.yaml");
const STUCK_ZOO: &str = include_str!("../simulator/scenarios/stuck-zoo.yaml");

/// Each text once, in the order in which it was first written.
pub fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for (scenario, hours) in [
        (ZOO, 3),
        (STUCK_ZOO, 30),
        (scenarios::STUCK, 30),
        (scenarios::WORKFLOW_SURVIVES, 30),
        (scenarios::JOB_SURVIVES, 30),
        (scenarios::FAILED, 3),
        (scenarios::STALE, 3),
    ] {
        let mut world = World::new(scenario, scenarios::ENFORCE, Faults::default());
        let end = world.now() + SignedDuration::from_hours(hours);
        while world.now() < end {
            world.run_for(SignedDuration::from_secs(1));
            for text in texts(&world.status()) {
                if !lines.contains(&text) {
                    lines.push(text);
                }
            }
        }
    }
    lines
}

fn texts(status: &WarehouseSyncPolicyStatus) -> Vec<String> {
    let findings = status.findings.iter().map(|finding| {
        let (cause, severity) = (finding.cause.as_str(), finding.severity);
        let Finding {
            message,
            next_action,
            ..
        } = finding;
        format!("{severity:?} {cause}: {message} Next: {next_action}")
    });
    let incidents = status.incidents.iter().map(|incident| {
        let step = incident.step.as_str();
        format!("incident {step}: {}", incident.message)
    });
    let proposals = status.proposals.iter().flat_map(|proposal| {
        let (action, reason) = (proposal.action.as_str(), &proposal.reason);
        let steps = proposal.steps.join("; ");
        let phase = proposal.phase;
        [
            format!("proposal {action}: {steps}. Reason: {reason}"),
            format!("proposal {phase:?}: {}", proposal.message),
        ]
    });
    let history = status
        .history
        .iter()
        .map(|note| format!("history: {}", note.what));
    findings
        .chain(incidents)
        .chain(proposals)
        .chain(history)
        .collect()
}
