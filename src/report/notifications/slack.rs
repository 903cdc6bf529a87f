//! The message for an incoming webhook of Slack. Nothing that came from `PostHog` can mention anybody, make a link or break
//! out of its place: Slack reads markup only from `&`, `<` and `>`, and those are escaped.

use serde_json::{Value, json};

use super::message::{Asked, Message, MessageContent};
use crate::{
    api::{notification::Occasion, proposal::LosesData},
    posthog::redact,
};

/// Longest plain text of a header, in characters, as Slack takes it.
const HEADER_CAP: usize = 150;
/// Longest text that a section takes, in characters, is 3,000; escaping may make five of one.
const TEXT_CAP: usize = 550;

/// The message of a notification; `held_back` is how many more wait for the same receiver.
#[must_use]
pub fn message(message: &Message, held_back: usize) -> Value {
    let Message {
        occasion,
        content,
        since,
        ..
    } = message;
    let headline = format!("{}: {}", heading(*occasion), content.title());
    let headline = redact::one_line(&headline, HEADER_CAP);
    let header = json!({"type": "plain_text", "text": headline, "emoji": false});
    let mut blocks = vec![json!({"type": "header", "text": header})];
    blocks.extend(news(content));
    if let Some(asked) = &content.proposal {
        blocks.extend(question(asked));
    }
    let mut about = format!(
        "Policy {} in namespace {} · project {} at {} · since {since}",
        content.policy, content.namespace, content.project_id, content.host
    );
    if held_back > 0 {
        about = format!("{about} · {held_back} more follow, one at a time");
    }
    blocks.push(json!({"type": "context", "elements": [mrkdwn(&escaped(&about))]}));
    json!({
        // What notifications on phones show.
        "text": escaped(&headline),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    })
}

const fn heading(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::ApprovalRequired => "Approval required",
        Occasion::Escalated => "A person is needed",
        Occasion::BreakerOpen => "Breaker open",
        Occasion::Recovered => "Recovered",
    }
}

/// What happened, and what comes next. Each text has a section of its own, so that none can make another too long.
fn news(content: &MessageContent) -> [Value; 2] {
    let cause = content
        .cause
        .map_or_else(String::new, |cause| format!("*{}*: ", cause.as_str()));
    [
        section(&format!("{cause}{}", capped(&content.message))),
        section(&format!("*Next*: {}", capped(&content.next_action))),
    ]
}

/// What is asked, what it costs, and the commands to answer with.
fn question(asked: &Asked) -> [Value; 4] {
    let data = match asked.loses_data {
        LosesData::Yes => "data is lost",
        LosesData::Maybe => "data may be lost",
        LosesData::No => "no data is lost",
    };
    let (action, steps) = (asked.action.as_str(), asked.steps.join(", then "));
    let command =
        |answer: &str, command: &str| section(&format!("To {answer}:\n```{}```", escaped(command)));
    [
        section(&format!("*{action}*: {}", capped(&steps))),
        section(&format!(
            "*Cost* ({data}): {}\nExpires {}",
            capped(&asked.cost),
            asked.expires_at
        )),
        command("approve", &asked.approve_command),
        command("deny", &asked.deny_command),
    ]
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text)})
}

/// `verbatim`: Slack does not turn text into links.
fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn capped(text: &str) -> String {
    // A backtick could begin a block of code that swallows what follows.
    escaped(&redact::one_line(text, TEXT_CAP).replace('`', "'"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
