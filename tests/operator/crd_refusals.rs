//! What the API server refuses, and what it says.

use serde_json::{Value, json};

use crate::{
    crd::{CLOUD, env, minimal},
    support::Env,
};

const LOOPBACK: &str = "http://127.0.0.1:8010";

const HOSTS: [&str; 11] = [
    "ftp://us.posthog.com",
    "http://us.posthog.com",
    "http://localhost:8010",
    "http://127.0.0.1.evil.example:80",
    "http://127.0.0.1",
    "https://us.posthog.com/api",
    "https://user@us.posthog.com",
    "https://us.posthog.com?x=1",
    "https://us.posthog.com:99999",
    "us.posthog.com",
    "",
];

/// A field below the spec, a value that it must not have (null: it is absent), and parts of the refusal.
const ROWS: &str = r#"
posthog.projectId | "@current" | spec.posthog.projectId | integer
posthog.projectId | 0 | spec.posthog.projectId | greater than or equal to 1
posthog.projectId | -1 | spec.posthog.projectId | greater than or equal to 1
posthog.projectId | null | spec.posthog.projectId | Required
posthog.apiKeySecretRef | null | spec.posthog.apiKeySecretRef | Required
posthog.apiKeySecretRef.key | null | spec.posthog.apiKeySecretRef.key | Required
posthog.apiKeySecretRef.name | "" | spec.posthog.apiKeySecretRef.name | at least 1
interval | "10" | spec.interval | from 5s to 24h
interval | "1s" | spec.interval | from 5s to 24h
interval | "25h" | spec.interval | from 5s to 24h
interval | "8760h" | spec.interval | from 5s to 24h
interval | "2 minutes" | spec.interval | from 5s to 24h
interval | "-5m" | spec.interval | from 5s to 24h
interval | "" | spec.interval | from 5s to 24h
interval | "999999h999999h999999h" | spec.interval
health.stuck.after | "30m" | spec.health.stuck.after | at least 1h
health.stuck.after | "721h" | spec.health.stuck.after | 720h
health.stuck.after | "soon" | spec.health.stuck.after | 1h to 720h
health.stuck.noProgressFor | "5h59m" | spec.health.stuck.noProgressFor | at least 6h
health.stuck.noProgressFor | "soon" | spec.health.stuck.noProgressFor | 6h to 720h
health.stuck.loadingSilentFor | "5h59m" | spec.health.stuck.loadingSilentFor | at least 6h
health.stuck.loadingSilentFor | "721h" | spec.health.stuck.loadingSilentFor | 720h
health.stuck.loadingSilentFor | "soon" | spec.health.stuck.loadingSilentFor | 6h to 720h
health.failing.for | "25h" | spec.health.failing.for | 0s to 24h
health.healthyFor | "25h" | spec.health.healthyFor | 0s to 24h
health.freshness.warnAfterIntervals | 1 | spec.health.freshness.warnAfterIntervals | greater than or equal to 2
health.freshness | {"warnAfterIntervals": 5, "errorAfterIntervals": 4} | spec.health.freshness | errorAfterIntervals must be at least
health.freshness.export | "Tables" | spec.health.freshness.export | boolean
health.freshness.maxAge | "30s" | spec.health.freshness.maxAge | from 1m to 8760h
health.freshness.maxAge | "8761h" | spec.health.freshness.maxAge | from 1m to 8760h
health.freshness.errorAfterIntervals | 1001 | spec.health.freshness.errorAfterIntervals | less than or equal to 1000
health.webhooks.checkEvery | "1m" | spec.health.webhooks.checkEvery | from 5m to 24h
health.cdc.checkEvery | "25h" | spec.health.cdc.checkEvery | from 5m to 24h
health.cdc.lagWarnPercent | 101 | spec.health.cdc.lagWarnPercent | less than or equal to 100
health.dataChecks | [{"source": {"prefix": "prod"}, "schema": "t"}] | spec.health.dataChecks[0] | either uniqueKey or newestRow
health.dataChecks | [{"source": {"prefix": "prod"}, "schema": "t", "uniqueKey": []}] | spec.health.dataChecks[0] | either uniqueKey or newestRow
health.dataChecks | [{"source": {"prefix": "prod"}, "schema": "t", "uniqueKey": ["id"], "newestRow": {"column": "c", "maxAge": "1h"}}] | spec.health.dataChecks[0] | either uniqueKey or newestRow
health.dataChecks | [{"source": {}, "schema": "t", "uniqueKey": ["id"]}] | spec.health.dataChecks[0].source | name a source by its id, or by type
health.dataChecks | [{"source": {"id": "x", "prefix": "prod"}, "schema": "t", "uniqueKey": ["id"]}] | spec.health.dataChecks[0].source | name a source by its id, or by type
health.dataChecks | [{"source": {"prefix": "prod"}, "schema": "t", "newestRow": {"column": "c", "maxAge": "soon"}}] | newestRow.maxAge | from 1m to 8760h
health.dataChecks | [{"source": {"prefix": "prod"}, "schema": "t", "sql": "SELECT 1"}] | unknown field | dataChecks[0].sql
mode | "Auto" | spec.mode | "Observe", "Enforce"
remediation.cancelStuck | "Ask" | spec.remediation.cancelStuck | "Auto", "Propose", "Off"
remediation.limits.maxConcurrent | 0 | spec.remediation.limits.maxConcurrent | greater than or equal to 1
remediation.limits.maxConcurrent | 51 | spec.remediation.limits.maxConcurrent | less than or equal to 50
remediation.limits.attemptsPerIncident | 11 | spec.remediation.limits.attemptsPerIncident | less than or equal to 10
remediation.reloadStale | "Never" | spec.remediation.reloadStale | supported values
remediation.limits.maxActionsPerHour | 0 | spec.remediation.limits.maxActionsPerHour | greater than or equal to 1
remediation.limits.backoff.factor | 11 | spec.remediation.limits.backoff.factor | less than or equal to 10
remediation.limits.backoff.initial | "25h" | spec.remediation.limits.backoff.initial | from 1s to 24h
remediation.limits.breaker.minSources | 1 | spec.remediation.limits.breaker.minSources | greater than or equal to 2
remediation.limits.breaker.within | "10 min" | spec.remediation.limits.breaker.within | from 1m to 24h
remediation.windows | [{"kind": "Never", "schedule": "0 8 * * *", "duration": "1h"}] | spec.remediation.windows[0].kind | "Allow", "Deny"
remediation.windows | [{"kind": "Deny", "schedule": "every day", "duration": "1h"}] | spec.remediation.windows[0].schedule | five fields of cron
remediation.windows | [{"kind": "Deny", "schedule": "0 8 * * *", "duration": "200h"}] | spec.remediation.windows[0].duration | from 1m to 168h
overrides | [{"source": {"prefix": "prod"}, "schemas": ["a"], "stuck": {"noProgressFor": "1h"}}] | spec.overrides[].stuck | at least 6h
overrides | [{"source": {"prefix": "prod"}, "schemas": []}] | spec.overrides[0].schemas | at least 1
overrides | [{"source": {}, "schemas": ["a"]}] | spec.overrides[0].source | name a source by its id, or by type
selector.schemas.include | ["public.[ab]"] | spec.selector.schemas.include[0] | should match
selector.schemas.exclude | ["{a,b}"] | spec.selector.schemas.exclude[0] | should match
notifications | [{"type": "Email", "secretRef": {"name": "s", "key": "k"}}] | spec.notifications[0].type | "Webhook", "Slack"
notifications | [{"type": "Slack"}] | spec.notifications[0].secretRef | Required
notifications | [{"type": "Slack", "secretRef": {"name": "s", "key": "k"}, "hmacSecretRef": {"name": "s", "key": "h"}}] | spec.notifications[0] | hmacSecretRef is only for type Webhook
notifications | [{"type": "Webhook", "secretRef": {"name": "s", "key": "k"}}] | spec.notifications[0] | type Webhook needs hmacSecretRef
notifications | [{"type": "Slack", "secretRef": {"name": "s", "key": "k"}, "events": []}] | spec.notifications[0].events | at least 1
notifications | [{"type": "Slack", "secretRef": {"name": "s", "key": "k"}, "events": ["Recovered"]}] | spec.notifications[0].events | events needs one of ApprovalRequired, Escalated and BreakerOpen
notifications | [{"type": "Slack", "secretRef": {"name": "s", "key": "k"}, "events": ["Escalated", "Escalated"]}] | spec.notifications[0].events[1] | Duplicate value
notifications | [{"type": "Slack", "secretRef": {"name": "s", "key": "k"}, "events": ["Failed"]}] | spec.notifications[0].events[0] | "ApprovalRequired"
notifications | [{"type": "Slack", "secretRef": {"name": "s", "key": "k"}}, {"type": "Webhook", "secretRef": {"name": "s", "key": "k"}, "hmacSecretRef": {"name": "s", "key": "h"}}] | spec.notifications | the same secretRef
notifications | [{"type": "Slack", "secretRef": {"name": "s", "key": "1"}}, {"type": "Slack", "secretRef": {"name": "s", "key": "2"}}, {"type": "Slack", "secretRef": {"name": "s", "key": "3"}}, {"type": "Slack", "secretRef": {"name": "s", "key": "4"}}, {"type": "Slack", "secretRef": {"name": "s", "key": "5"}}] | spec.notifications | at most 4
notifications | [{"type": "Slack", "secretRef": {"name": "s", "key": "k"}, "url": "https://x"}] | unknown field | notifications[0].url
intervall | "2m" | unknown field | spec.intervall
health.stuck.noProgresFor | "7h" | unknown field | spec.health.stuck.noProgresFor
"#;

/// The same with one field set, or removed by null. `path` has dots.
fn with(mut policy: Value, path: &str, value: Value) -> Value {
    let mut place = &mut policy["spec"];
    let mut names = path.split('.').peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() && value.is_null() {
            place.as_object_mut().unwrap().remove(name);
            return policy;
        }
        place = &mut place[name];
    }
    *place = value;
    policy
}

fn refused(env: &Env, policy: &Value) -> String {
    match env.apply(&policy.to_string()) {
        Err(said) => said,
        Ok(_) => panic!("accepted: {policy}"),
    }
}

#[test]
fn a_wrong_field_is_refused_with_its_name_and_what_is_allowed() {
    let env = env();
    let host = |host| {
        (
            "posthog.host",
            json!(host),
            vec!["spec.posthog.host", "https://HOST"],
        )
    };
    let rows = ROWS.trim().lines().map(|row| {
        let mut cells = row.split(" | ");
        let (path, value) = (cells.next().unwrap(), cells.next().unwrap());
        (path, serde_json::from_str(value).unwrap(), cells.collect())
    });
    let mut wrong = Vec::new();
    for (path, value, says) in HOSTS.into_iter().map(host).chain(rows) {
        let policy = with(minimal("wrong", CLOUD), path, value.clone());
        match env.apply(&policy.to_string()) {
            Ok(_) => wrong.push(format!("{path} = {value} was accepted")),
            Err(said) if says.iter().all(|wanted| said.contains(wanted)) => {}
            Err(said) => wrong.push(format!("{path} = {value}: {says:?} is missing in {said}")),
        }
        env.kubectl(&["delete", "wsp", "wrong", "--ignore-not-found"]);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn short_limits_are_for_this_machine_only() {
    let env = env();
    for (number, field) in [
        "health.stuck.after",
        "health.stuck.noProgressFor",
        "health.stuck.loadingSilentFor",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("loopback-{number}");
        let here = with(minimal(&name, LOOPBACK), field, json!("2s"));
        env.apply(&here.to_string()).unwrap();
        let said = refused(&env, &with(minimal("cloud", CLOUD), field, json!("2s")));
        assert!(
            said.contains(&format!("spec.{field}")) && said.contains("127.0.0.1"),
            "{said}"
        );
    }
}

#[test]
fn host_and_project_cannot_be_changed_but_the_rest_can() {
    let env = env();
    env.apply(&minimal("p", CLOUD).to_string()).unwrap();
    for (field, value) in [
        ("posthog.host", json!("https://eu.posthog.com")),
        ("posthog.projectId", json!(12346)),
    ] {
        let said = refused(&env, &with(minimal("p", CLOUD), field, value));
        assert!(
            said.contains(&format!("spec.{field}"))
                && said.contains("immutable: create a new policy"),
            "{said}"
        );
    }
    let other_key = with(
        minimal("p", CLOUD),
        "posthog.apiKeySecretRef.name",
        json!("other"),
    );
    env.apply(&with(other_key, "mode", json!("Enforce")).to_string())
        .unwrap();
}

#[test]
fn globs_that_take_long_to_match_are_bounded() {
    let env = env();
    let many = |count: usize, glob: &str| -> Value {
        let globs = (0..count).map(|place| format!("{place:03}{glob}"));
        globs.collect()
    };
    let slow = format!("?{}", "a".repeat(60)); // 64 characters with its number
    let overrides = |globs: [Value; 2]| -> Value {
        let own = globs.map(|schemas| json!({"source": {"prefix": "prod"}, "schemas": schemas}));
        own.into_iter().collect()
    };
    for (number, (field, value)) in [
        ("selector.schemas.include", many(16, &slow)),
        ("selector.schemas.exclude", many(16, &slow)),
        // Globs that are cheap to match are not counted.
        ("selector.schemas.include", many(64, &"a".repeat(253))),
        (
            "selector.schemas.exclude",
            many(64, &format!("*{}", "a".repeat(252))),
        ),
        ("overrides", overrides([many(64, "*"), many(64, "*")])),
        ("overrides", overrides([many(8, &slow), many(8, &slow)])),
    ]
    .into_iter()
    .enumerate()
    {
        let policy = with(minimal(&format!("globs-{number}"), CLOUD), field, value);
        env.apply(&policy.to_string()).unwrap();
    }
    let together = "may have at most 1024 characters in total";
    let five = vec![json!({"source": {"prefix": "prod"}, "schemas": many(52, "*")}); 5];
    for (field, value, says) in [
        ("selector.schemas.include", many(17, &slow), together),
        ("selector.schemas.exclude", many(17, &slow), together),
        (
            "selector.schemas.include",
            many(21, "*abc*defg*hijkl*mnopqr*stuvwxyz*abcdefghijklmnopqrs*"),
            together,
        ),
        (
            "overrides",
            overrides([many(8, &slow), many(9, &slow)]),
            together,
        ),
        ("overrides", Value::from(five), "at most 256 globs in total"),
    ] {
        let said = refused(&env, &with(minimal("globs", CLOUD), field, value));
        assert!(
            said.contains(&format!("spec.{field}")) && said.contains(says),
            "{said}"
        );
    }
}
