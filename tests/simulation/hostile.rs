//! Texts from PostHog that try to command a terminal, to break a line or a table, or to look like others: what people see of them
//! is visible and on one line.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use warehouse_sync_operator::{
    posthog::visible::is_visible,
    report::notifications::{
        Message, ReceiverAnswer, cloud_event,
        outbox::{NextDelivery, Pace},
        slack,
    },
};

use crate::{
    faults::{Added, Faults},
    notifications::{NOTIFIED, SECRET},
    scenarios,
    world::World,
};

const ZOO: &str = include_str!("../simulator/scenarios/diagnosis-zoo.yaml");
const STUCK_ZOO: &str = include_str!("../simulator/scenarios/stuck-zoo.yaml");
const CREDENTIALS: &str = include_str!("../simulator/scenarios/credentials.yaml");

/// A terminal's commands, line breaks, directions of writing, markup, mentions, and letters of three bytes where a text is cut.
const HOSTILE: &str = "\u{1b}[8m\u{1b}]0;x\u{7}\r\n2026 INFO approved\u{202e}\u{200b}\u{2028}\"\\|`<!channel> <b>@here 注文注文注文";

/// `answer` with the same behind each text that PostHog or its users can choose; or behind those with a meaning, too.
pub fn with_texts(answer: Vec<u8>, added: Added) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_slice::<Value>(&answer) else {
        return answer;
    };
    match added {
        Added::Nothing => return answer,
        Added::ToTexts => change(&mut json, "", false),
        Added::ToAll => change(&mut json, "", true),
    }
    serde_json::to_vec(&json).unwrap()
}

fn change(value: &mut Value, key: &str, all: bool) {
    let fixed = matches!(
        key,
        "id" | "next" | "status" | "source_type" | "access_method" | "sync_type" | "sync_frequency"
    ) || key.ends_with("_id")
        || key.ends_with("_at");
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                change(value, key, all);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| change(value, key, all)),
        Value::String(text)
            if key != "next" && (all || !fixed) && text.parse::<Timestamp>().is_err() =>
        {
            text.push_str(HOSTILE);
        }
        _ => {}
    }
}

fn assert_visible(what: &str, text: &str) {
    let odd = text.chars().find(|c| !is_visible(*c));
    assert_eq!(odd, None, "{what}: {text:?}");
}

/// All texts of a document, keys too.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| std::iter::once(key.as_str()).chain(texts(value)))
            .collect(),
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text],
        _ => Vec::new(),
    }
}

/// What a person sees of `world`.
fn check(world: &World, at: &str) {
    let status = json!(world.status());
    for text in texts(&status) {
        assert_visible(at, text);
    }
    for notice in world.cluster.events() {
        assert_visible(at, &notice.note);
        assert!(notice.note.len() <= 1_024);
        for text in texts(&json!(format!("{:?}", notice.about))) {
            assert_visible(at, text);
        }
    }
    let sample = regex::Regex::new(
        r#"^(# (HELP|TYPE|UNIT) .+|# EOF|[a-z_]+(\{[a-z_]+="([^"\\]|\\["\\n])*"(,[a-z_]+="([^"\\]|\\["\\n])*")*\})? [-+.e0-9NaIinf]+)$"#,
    )
    .unwrap();
    for line in world.metrics().lines() {
        assert!(sample.is_match(line), "{at}: {line:?}");
    }
}

/// What a receiver of notifications gets: nothing in it mentions anybody or makes a link.
fn check_message(message: &Message, at: &str) {
    for text in texts(&cloud_event::compose(message, 3)) {
        assert_visible(at, text);
    }
    let slack = slack::message(message, 3);
    for text in texts(&slack) {
        assert_visible(at, &text.replace('\n', " "));
        assert!(text.chars().count() <= 3_000, "{at}: {text}");
    }
    let blocks = slack["blocks"].as_array().unwrap();
    let markup = blocks
        .iter()
        .filter(|block| block["type"] != "header")
        .flat_map(texts);
    for text in markup.chain(slack["text"].as_str()) {
        assert!(!text.contains('<'), "{at}: {text}");
        assert!(matches!(text.matches('`').count(), 0 | 6), "{at}: {text}");
    }
}

/// Sends what is due, and returns how many messages that were.
fn notify(world: &mut World, at: &str) -> usize {
    let (outbox, mut sent) = (world.outbox(), 0);
    while let NextDelivery::Send(due) = outbox.next(&Pace::PRODUCTION, world.now()) {
        check_message(&due.message, at);
        outbox.done(
            &due,
            &ReceiverAnswer::Accepted,
            &Pace::PRODUCTION,
            world.now(),
        );
        sent += 1;
    }
    sent
}

/// Runs all scenarios, and returns how many notifications were sent.
fn run(added: Added) -> usize {
    let mut sent = 0;
    for (name, scenario, hours) in [
        ("zoo", ZOO, 2),
        ("stuck zoo", STUCK_ZOO, 5),
        ("credentials", CREDENTIALS, 2),
        ("stuck", scenarios::STUCK, 6),
    ] {
        let faults = Faults::default();
        faults.add_texts(added);
        let spec = format!("{NOTIFIED}, health: {{freshness: {{export: true}}}}");
        let mut world = World::new(scenario, &spec, faults);
        world.cluster.put_secret(SECRET);
        for part in 0..hours * 4 {
            world.run_for(SignedDuration::from_mins(15));
            let at = format!("{name}, after {part} quarters of an hour");
            check(&world, &at);
            sent += notify(&mut world, &at);
        }
    }
    sent
}

#[test]
fn nothing_that_posthog_says_leaves_its_line_or_hides_anything() {
    assert!(run(Added::ToTexts) > 5);
}

#[test]
fn nor_does_it_in_ids_and_names_of_states() {
    run(Added::ToAll);
}

/// What an editor of the policy may write: names of sources, inputs, globs, Secrets, and annotations.
#[test]
fn nor_does_anything_that_a_policy_names() {
    let name = json!(HOSTILE);
    let credentials = format!(
        "credentials: [{{source: {{prefix: {name}}}, jobInputs: {{password: {{secretRef: {{name: db, key: {name}}}}}}}}}]"
    );
    let selector = format!(
        "selector: {{schemas: {{include: ['*', {name}]}}, sources: {{prefixes: [prod, {name}]}}}}"
    );
    let notified =
        format!("notifications: [{{type: Slack, secretRef: {{name: hook, key: {name}}}}}]");
    for spec in [credentials, selector, notified] {
        let spec = format!("mode: Enforce, interval: 5m, {spec}");
        let mut world = World::new(scenarios::FAILED, &spec, Faults::default());
        world.cluster.put_secret(SECRET);
        world.run_for(SignedDuration::from_mins(10));
        for table in world.status().findings {
            let request = format!("request.warehousesync.dev/{}", table.schema_id);
            world.cluster.annotate(&request, Some(HOSTILE));
        }
        for _ in 0..6 {
            world.run_for(SignedDuration::from_mins(10));
            check(&world, &spec);
            for proposal in world.status().proposals {
                for key in ["approve", "deny"] {
                    let answer = format!("{key}.warehousesync.dev/{}", proposal.id);
                    world.cluster.annotate(&answer, Some(HOSTILE));
                }
            }
        }
    }
}
