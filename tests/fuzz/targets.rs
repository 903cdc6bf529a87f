//! What is fuzzed, and what must hold for any input.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use warehouse_sync_operator::{
    api::{glob::Globs, proposal::Material},
    cli::plugin::file::annotated,
    decide::proposal::material,
    observe::{TableLog, Words},
    posthog::{
        answer::{Done, Refreshed},
        probe::{
            CdcPrerequisites, CdcStatus, IncrementalFields, QueryAnswer, SchemaDetail, WebhookInfo,
        },
        redact, run_log, transport,
        visible::is_visible,
        wire::{ErrorBody, Job, LogPage, Page, Schema, Source},
    },
};

use crate::fuzzer::fuzz;

fn decoded<A: DeserializeOwned>(input: &[u8]) -> Option<A> {
    serde_json::from_slice(input).ok()
}

fn wire(input: &[u8]) {
    for source in decoded::<Page<Source>>(input).map_or(Vec::new(), |page| page.results) {
        assert!(!source.title().is_empty());
        let _ = source.is_warehouse();
        for row in &source.schemas {
            let _ = (row.status(), row.frequency(), row.syncs_by("cdc"));
        }
    }
    let jobs = decoded::<Vec<Job>>(input).or_else(|| Some(vec![decoded(input)?]));
    for job in jobs.unwrap_or_default() {
        let _ = (job.status(), job.why_opaque(), job.was_stopped());
    }
    if let Some(detail) = decoded::<SchemaDetail>(input) {
        let _ = detail.listed();
    }
    if let Some(fields) = decoded::<IncrementalFields>(input) {
        let _ = (fields.has_column("id"), fields.tells_of("id"));
    }
    if let Some(info) = decoded::<WebhookInfo>(input) {
        let _ = info.is_healthy();
    }
    let _ = decoded::<ErrorBody>(input).and_then(ErrorBody::text);
    let _ = decoded::<Schema>(input);
    let _ = decoded::<CdcStatus>(input);
    let _ = decoded::<CdcPrerequisites>(input);
    let _ = decoded::<QueryAnswer>(input);
    let _ = (decoded::<Refreshed>(input), decoded::<Done>(input));
    let header = String::from_utf8_lossy(input);
    let _ = transport::date(&header);
    let wait = transport::retry_after(&header, Timestamp::UNIX_EPOCH);
    assert!(wait.is_none_or(|wait| wait.as_secs() <= 3_600));
}

#[test]
fn what_posthog_answers_is_read_or_refused() {
    fuzz("wire", wire);
}

fn log_lines(input: &[u8]) {
    for line in String::from_utf8_lossy(input).lines() {
        let read = run_log::read(line);
        // An unknown line is work: a run whose newest line is unknown is not silent.
        assert!(read != run_log::Line::Unknown || read.is_work());
    }
    if let Some(page) = decoded::<LogPage>(input)
        && let Ok(log) = TableLog::of_page("run", Timestamp::UNIX_EPOCH, &page)
    {
        let v2 = Words {
            v2: true,
            ..Words::default()
        };
        let _ = (log.phase(&Words::default()), log.phase(&v2));
    }
}

#[test]
fn any_line_of_a_log_is_read() {
    fuzz("log_lines", log_lines);
}

/// The first line is a name, the others are globs.
fn globs(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines().map(str::to_owned);
    let name = lines.next().unwrap_or_default();
    let patterns: Vec<String> = lines.collect();
    let Ok(globs) = Globs::new(&patterns) else {
        return;
    };
    let expected = patterns.iter().any(|pattern| matches(pattern, &name));
    assert_eq!(globs.is_match(&name), expected, "{patterns:?} on {name:?}");
    for (list, pattern) in patterns.iter().enumerate() {
        let lists = patterns.iter().map(std::slice::from_ref);
        let first = Globs::lists(lists)
            .unwrap()
            .first(&name, |place| place == list);
        assert_eq!(
            first.is_some(),
            matches(pattern, &name),
            "{pattern:?} on {name:?}"
        );
    }
}

/// By the book, in time of pattern × name.
fn matches(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for c in pattern.chars() {
        let mut next = vec![false; name.len() + 1];
        for place in 0..=name.len() {
            next[place] = match c {
                '*' => reached[place] || place > 0 && next[place - 1],
                '?' => place > 0 && reached[place - 1],
                c => place > 0 && reached[place - 1] && name[place - 1] == c,
            };
        }
        reached = next;
    }
    reached[name.len()]
}

#[test]
fn globs_match_as_by_the_book() {
    fuzz("globs", globs);
}

fn redaction(input: &[u8]) {
    const SECRET: &str = "Canary0123456789";
    let text = String::from_utf8_lossy(input);
    let middle = text.char_indices().nth(text.chars().count() / 2);
    let (before, after) = text.split_at(middle.map_or(0, |(place, _)| place));
    for cap in [40, 400, 40_000] {
        let shown = redact::text(&format!("{before} phx_{SECRET} {after}"), cap);
        assert!(!shown.contains(SECRET), "{shown:?}");
        for shown in [shown, redact::one_line(&text, cap)] {
            assert!(shown.chars().count() <= cap, "{shown:?}");
            assert!(shown.chars().all(is_visible), "{shown:?}");
            assert!(!shown.contains('\n'));
            // What was made fit to be shown stays as it is.
            assert_eq!(redact::one_line(&shown, cap + 1), shown);
        }
    }
}

#[test]
fn no_secret_and_no_invisible_character_is_shown() {
    fuzz("redaction", redaction);
}

const ANNOTATION: &str = "approve.warehousesync.dev/rs-abcdefghijklmnopqrstuvwxyz";

fn policy_files(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let Ok(edited) = annotated(text, ANNOTATION, "on-behalf:ann") else {
        return;
    };
    let added = edited.len() - text.len();
    let place = text
        .bytes()
        .zip(edited.bytes())
        .take_while(|(one, other)| one == other)
        .count();
    assert_eq!(
        &edited.as_bytes()[place + added..],
        &text.as_bytes()[place..]
    );
    // Another reader finds in it its former content, and the annotation.
    let read = |text: &str| serde_saphyr::from_multiple::<Value>(text).ok();
    let (Some(mut before), Some(after)) = (read(text), read(&edited)) else {
        return;
    };
    assert_eq!(before.len(), after.len(), "{edited}");
    let changed: Vec<usize> = (0..before.len())
        .filter(|place| before[*place] != after[*place])
        .collect();
    assert_eq!(changed.len(), 1, "{edited}");
    let annotations = &mut before[changed[0]]["metadata"]["annotations"];
    if annotations.is_null() {
        *annotations = Value::Object(serde_json::Map::new());
    }
    annotations[ANNOTATION] = Value::from("on-behalf:ann");
    assert_eq!(before, after, "{edited}");
}

#[test]
fn a_policy_file_gets_exactly_the_annotation() {
    fuzz("policy_files", policy_files);
}

fn canonical_json(input: &[u8]) {
    let Some(read) = decoded::<Material>(input) else {
        return;
    };
    let id = material::id(&read);
    assert_eq!(id.len(), 29, "{id}");
    // Neither the order of fields nor how a text is escaped is of the content.
    let json = serde_json::to_value(&read).unwrap();
    let again: Material = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(material::id(&again), id);
    let text = serde_json::to_string_pretty(&json).unwrap();
    assert_eq!(material::id(&serde_json::from_str(&text).unwrap()), id);
    let mut other = again;
    other.rule.push('"');
    assert_ne!(material::id(&other), id);
}

#[test]
fn what_is_approved_has_one_id() {
    fuzz("canonical_json", canonical_json);
}
