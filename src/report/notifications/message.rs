//! The text of notifications: which policy, which table, what happened, what a person does next.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    announced::{find_incident, find_proposal},
    channel::{Channel, Channels},
};
use crate::{
    api::{
        ValidatedPolicy, WarehouseSyncPolicyStatus,
        announced::Announcement,
        notification::Occasion,
        proposal::{LosesData, Proposal, ProposedAction},
        status::RootCause,
    },
    decide::proposal::commands,
    posthog::redact,
};

/// Longest sentence of a message, in characters.
const SENTENCE_CAP: usize = 500;
/// Longest name in a message, in characters.
const NAME_CAP: usize = 160;

/// What a person does about a proposal.
const APPROVE_OR_DENY: &str =
    "Approve or deny it with one of the commands. The operator does nothing about it until then.";

/// A notification, for one receiver or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same in each attempt.
    pub id: String,
    /// What it is about.
    pub occasion: Occasion,
    /// Since when.
    pub since: Timestamp,
    /// The rest.
    pub content: MessageContent,
}

/// The content of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageContent {
    /// Name of the policy.
    pub policy: String,
    /// Its namespace.
    pub namespace: String,
    /// Base URL of `PostHog`.
    pub host: String,
    /// Numeric id of the project.
    pub project_id: i64,
    /// Name of the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Id of the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source_id: String,
    /// Name of the table.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub schema: String,
    /// Id of the table.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub schema_id: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<RootCause>,
    /// What happened.
    pub message: String,
    /// What comes next, and who does it.
    pub next_action: String,
    /// The proposal that waits for an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Asked>,
}

/// A proposal, and how to answer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Its id.
    pub id: String,
    /// What is proposed.
    pub action: ProposedAction,
    /// What would be done, one after the other.
    pub steps: Vec<String>,
    /// Whether data can be lost.
    pub loses_data: LosesData,
    /// What it costs.
    pub cost: String,
    /// When it expires without an answer.
    pub expires_at: Timestamp,
    /// The command that approves it.
    pub approve_command: String,
    /// The command that denies it.
    pub deny_command: String,
}

impl MessageContent {
    /// What it is about, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let Self {
            source,
            schema,
            project_id,
            ..
        } = self;
        match (source.as_str(), schema.as_str()) {
            ("", _) => format!("project {project_id}"),
            (source, "") => source.to_owned(),
            (source, schema) => format!("{source} {schema}"),
        }
    }
}

/// The notifications that are due, with the receivers that can be notified.
#[must_use]
pub fn owed(
    policy: &ValidatedPolicy,
    status: &WarehouseSyncPolicyStatus,
    channels: &Channels,
) -> Vec<(Arc<Message>, Channel)> {
    let usable = channels.usable();
    let mut messages = Vec::new();
    for row in &status.state.announced.announcements {
        let mut to = row.owed.iter().filter_map(|key| usable.get(key.as_str()));
        let Some(first) = to.next() else { continue };
        let Some(message) = message(policy, status, row).map(Arc::new) else {
            continue;
        };
        for channel in std::iter::once(first).chain(to) {
            messages.push((message.clone(), (*channel).clone()));
        }
    }
    messages
}

/// The notification of a row; none while its situation does not hold, such as between two attempts of an incident.
fn message(
    policy: &ValidatedPolicy,
    status: &WarehouseSyncPolicyStatus,
    row: &Announcement,
) -> Option<Message> {
    let name = |text: &str| redact::one_line(text, NAME_CAP);
    let mut content = MessageContent {
        policy: policy.at.name.to_string(),
        namespace: policy.at.namespace.to_string(),
        host: policy.project.host.as_str().to_owned(),
        project_id: policy.project.id,
        source: name(&row.source),
        source_id: row.source_id.clone(),
        schema: name(&row.schema),
        schema_id: String::new(),
        cause: row.cause,
        message: row.message.clone(),
        next_action: "No action is required.".to_owned(),
        proposal: None,
    };
    match row.occasion {
        Occasion::Recovered => {}
        Occasion::BreakerOpen => {
            let breaker = status.state.breaker.as_ref()?;
            content.message.clone_from(&breaker.why);
            content.next_action = format!(
                "Check PostHog itself. The operator starts no actions, except one trial after {} to see whether it has recovered.",
                in_words(policy.limits.breaker.cooldown)
            );
        }
        Occasion::Escalated => {
            let incident = find_incident(status, &row.about)
                .filter(|incident| incident.step_since == row.since)?;
            content.schema_id.clone_from(&incident.schema_id);
            content.message.clone_from(&incident.message);
            content.next_action = advice(status, &incident.schema_id);
        }
        Occasion::ApprovalRequired => {
            let proposal = find_proposal(status, &row.about).filter(|one| one.is_open())?;
            content.schema_id.clone_from(&proposal.target.schema_id);
            content.message.clone_from(&proposal.reason);
            APPROVE_OR_DENY.clone_into(&mut content.next_action);
            content.proposal = Some(asked(policy, proposal));
        }
    }
    // Redacted before it came into the status; once more on the way out costs nothing.
    content.message = redact::text(&content.message, SENTENCE_CAP);
    content.next_action = redact::text(&content.next_action, SENTENCE_CAP);
    Some(Message {
        id: row.id.clone(),
        occasion: row.occasion,
        since: row.since,
        content,
    })
}

fn asked(policy: &ValidatedPolicy, proposal: &Proposal) -> Asked {
    let Proposal {
        id,
        action,
        steps,
        impact,
        approve_command,
        expires_at,
        ..
    } = proposal;
    let steps = steps.iter().map(|step| redact::text(step, SENTENCE_CAP));
    Asked {
        id: id.clone(),
        action: *action,
        steps: steps.collect(),
        loses_data: impact.loses_data,
        cost: redact::text(&impact.cost, SENTENCE_CAP),
        expires_at: *expires_at,
        approve_command: approve_command.clone(),
        // Not from status: an earlier version did not write it there.
        deny_command: commands::deny(policy, id),
    }
}

/// What a person does about a table that the operator could not repair.
fn advice(status: &WarehouseSyncPolicyStatus, schema_id: &str) -> String {
    let mut findings = status.findings.iter();
    let finding = findings.find(|finding| finding.schema_id == schema_id);
    let advice = finding.map_or("", |finding| finding.advice.as_str());
    if advice.is_empty() {
        "Check the table in PostHog: the operator has no safe action left.".to_owned()
    } else {
        advice.to_owned()
    }
}

fn in_words(duration: jiff::SignedDuration) -> String {
    format!("{duration:#}")
}
