use std::{
    ffi::OsStr,
    io::{Read, Write},
    net::TcpListener,
    os::unix::ffi::OsStrExt,
    process::Command,
};

use posthog_simulator::{Clock, Scenario, Server, Simulator};
use serde_json::Value;

use crate::{Ran, binary, ended, full_disk, run, run_with_closed_reader, started, writes};

pub fn posthog(scenario: &str) -> Server {
    let scenario = Scenario::from_yaml(scenario).unwrap();
    Server::start(Simulator::from_scenario(&scenario, Clock::real()).unwrap()).unwrap()
}

fn diagnose(server: &Server, args: &[&str]) -> Ran {
    let mut command = binary(&["diagnose", "--host", &server.url(), "--project", "12345"]);
    run(command.args(args).env("POSTHOG_API_KEY", "phx_demo"), b"")
}

fn json(server: &Server) -> (i32, Value) {
    let ran = diagnose(server, &["--output", "json"]);
    (
        ran.code,
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err)),
    )
}

/// The finding of a table.
fn of<'a>(said: &'a Value, table: &str) -> &'a Value {
    let findings = said["findings"].as_array().unwrap();
    let mut of = findings.iter().filter(|finding| finding["schema"] == table);
    let found = of
        .next()
        .unwrap_or_else(|| panic!("nothing on {table} in {said:#}"));
    assert!(of.next().is_none(), "{table} has two findings in {said:#}");
    found
}

const HEALTHY: &str = "sources: [{type: Postgres, prefix: prod, schemas: [{name: a, last_synced_ago: 1h, rows: 5}, {name: b, run: {started_ago: 5m, progresses: {rows_per_second: 5}}}]}]";

#[test]
fn a_healthy_project_exits_with_0() {
    let server = posthog(HEALTHY);
    let ran = diagnose(&server, &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(
        lines[1..],
        [
            "1 source with 2 tables: 1 healthy, 1 running",
            "",
            "Nothing is wrong."
        ]
    );
    let began = format!("PostHog project 12345 at {}, read ", server.url());
    assert!(lines[0].starts_with(&began), "{}", lines[0]);
}

/// The trap of versions: first the key is refused, then, with a key that is not, the report says what it cannot judge.
#[test]
fn an_old_posthog_is_reported_with_what_cannot_be_checked() {
    let old = HEALTHY.replacen("sources:", "instance: {api: old}\nsources:", 1);
    let ran = diagnose(&posthog(&old), &[]);
    assert_eq!(ran.code, 3, "{}", ran.out);
    assert!(
        ran.err.contains("August 2025") && ran.err.contains("Upgrade PostHog"),
        "{}",
        ran.err
    );
    let server = posthog(&format!("keys: [{{token: phx_demo, legacy: true}}]\n{old}"));
    let (_, said) = json(&server);
    let notes = said["notes"].to_string();
    for part in ["Upgrade PostHog", "access_method", "cannot be cancelled"] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    let instance = &said["instance"];
    assert_eq!(
        (&instance["cancel"], &instance["accessMethod"]),
        (&serde_json::json!(false), &serde_json::json!(false))
    );
    let (_, said) = json(&posthog(HEALTHY));
    assert_eq!(said["instance"]["cancel"], serde_json::json!(true));
}

#[test]
fn an_empty_project_is_reported_as_empty() {
    let ran = diagnose(&posthog("sources: []"), &[]);
    assert_eq!(ran.code, 0);
    let rest: Vec<_> = ran.out.lines().skip(1).collect();
    assert_eq!(
        rest,
        [
            "0 sources with 0 tables",
            "",
            "The project has no data-warehouse tables."
        ]
    );
}

const FAILED: &str = "status: Failed, last_synced_ago: 40h, last_run_ago: 2h";

#[test]
fn errors_exit_with_2_and_warnings_with_1() {
    let failed = posthog(&format!(
        "sources: [{{schemas: [{{name: a, {FAILED}, latest_error: 'relation \"a\" does not exist'}}]}}]"
    ));
    let (code, said) = json(&failed);
    assert_eq!(
        (code, &of(&said, "a")["cause"]),
        (2, &"TableMissing".into())
    );
    assert_eq!(said["notes"], serde_json::json!([]));
    let billing = posthog(
        "sources: [{schemas: [{name: a, status: BillingLimitReached, last_synced_ago: 9h}]}]",
    );
    let (code, said) = json(&billing);
    assert_eq!(
        (code, &of(&said, "a")["cause"]),
        (1, &"BillingLimit".into())
    );
}

#[test]
fn the_report_is_grouped_with_the_most_severe_first() {
    let tables: Vec<_> = (0..40)
        .map(|n| format!("{{name: t{n}, {FAILED}, latest_error: 'The database rejected the username or password. Check it.'}}"))
        .collect();
    let server = posthog(&format!(
        "sources: [{{type: Stripe, schemas: [{{name: x, status: BillingLimitTooLow, last_synced_ago: 9h}}, {{name: y, status: BillingLimitReached, last_synced_ago: 9h}}]}}, {{type: Postgres, prefix: prod, schemas: [{}]}}]",
        tables.join(", ")
    ));
    let ran = diagnose(&server, &[]);
    assert_eq!(ran.code, 2);
    let titles: Vec<_> = ran
        .out
        .lines()
        .filter(|line| !line.starts_with(' ') && !line.is_empty())
        .skip(2)
        .collect();
    assert_eq!(
        titles,
        [
            "ERRORS (1)",
            "Postgres prod: CredentialsInvalid (The source rejects the user name, password, key or token)",
            "WARNINGS (2)",
            "Stripe, 2 tables: BillingLimit (PostHog's billing limit was reached. Not a technical failure)",
        ]
    );
    let words = ran.words();
    assert!(
        words.contains("Tables 40: t0, t1, t10, ") && words.contains(" and 32 more Evidence"),
        "{words}"
    );
    let one = "What x, y: PostHog's billing limit blocks the table. Rule";
    assert!(
        words.contains(one),
        "a message is printed once for all its tables: {words}"
    );
}

#[test]
fn findings_about_the_whole_project_come_first() {
    let source = |kind: &str| {
        format!(
            "{{type: {kind}, schemas: [{{name: a, status: Failed, last_synced_ago: 40h, last_run_ago: 2h, latest_error: 'Connection timed out'}}]}}"
        )
    };
    let server = posthog(&format!(
        "sources: [{}, {}, {}, {{type: Ashby, schemas: [{{name: own, {FAILED}, latest_error: 'relation \"own\" does not exist'}}]}}]",
        source("Hubspot"),
        source("Stripe"),
        source("Zendesk")
    ));
    let (code, said) = json(&server);
    assert_eq!(code, 2);
    assert_eq!(said["findings"][0]["cause"], "PlatformOutage", "{said:#}");
    assert_eq!(said["findings"][1]["source"], "Ashby");
    let table = diagnose(&server, &[]).out;
    assert!(
        table.find("PlatformOutage").unwrap() < table.find("Ashby").unwrap(),
        "{table}"
    );
}

#[test]
fn yaml_and_json_are_the_same_document() {
    let server = posthog(&format!(
        "sources: [{{schemas: [{{name: a, {FAILED}, latest_error: 'column \"x\" does not exist'}}]}}]"
    ));
    let (_, mut json) = json(&server);
    assert_eq!(json["summary"]["schemas"]["failing"], 1);
    assert_eq!(of(&json, "a")["cause"], "SchemaDrift");
    let ran = diagnose(&server, &["-o", "yaml"]);
    let mut yaml: Value = serde_saphyr::from_str(&ran.out).unwrap();
    assert_eq!(ran.code, 2);
    for document in [&mut json, &mut yaml] {
        assert!(document["readAt"].take().is_string());
    }
    assert_eq!(yaml, json);
}

/// Every kind of failure in one project.
const ZOO: &str = include_str!("../simulator/scenarios/diagnosis-zoo.yaml");

#[test]
fn the_report_of_every_kind_of_failure_fits_people_without_an_operator() {
    let server = posthog(ZOO);
    let (_, said) = json(&server);
    for finding in said["findings"].as_array().unwrap() {
        let advice = finding["advice"].as_str().unwrap();
        for word in ["operator", "approve", "policy"] {
            assert!(!advice.contains(word), "{advice}");
        }
        assert_eq!(finding["nextAction"], "None: this command only reads");
        let severity = finding["severity"].as_str().unwrap();
        let reported = finding["schema"]
            .as_str()
            .is_some_and(|name| name.starts_with("fine"));
        assert!(!reported || severity == "Info", "{finding:#}");
    }
    let ran = diagnose(&server, &[]);
    assert_eq!((ran.code, ran.err.as_str()), (2, ""));
    for line in ran.out.lines() {
        assert!(line.chars().count() <= 100, "{line}");
        assert!(
            !line.ends_with('-'),
            "an id or a time is cut in two: {line}"
        );
        assert!(
            !line.contains('\u{1b}'),
            "colours where nobody sees them: {line}"
        );
    }
    let words = ran.words();
    assert!(
        !words.contains("who switched it off is unknown"),
        "a single read did not observe who switched it off: {words}"
    );
    assert!(words.contains("Since 20"), "{words}");
}

#[test]
fn colours_are_used_only_if_requested() {
    let server = posthog(ZOO);
    let coloured = |name: &str| {
        let mut command = binary(&["diagnose", "--host", &server.url(), "--project", "12345"]);
        command.env("POSTHOG_API_KEY", "phx_demo").env(name, "1");
        run(&mut command, b"")
            .out
            .contains("\u{1b}[1m\u{1b}[31mERRORS")
    };
    assert!(coloured("CLICOLOR_FORCE"));
    assert!(!coloured("NO_COLOR"));
}

#[test]
fn only_reads_are_sent_and_nothing_is_changed() {
    let server = posthog(
        "sources: [{schemas: [{name: a, last_synced_ago: 33h, run: {started_ago: 15h, rows: 5, hangs: {}}}, {name: b, phantom: true, last_synced_ago: 9h}]}]",
    );
    let (code, said) = json(&server);
    assert_eq!(code, 1, "{said:#}");
    let simulator = server.simulator();
    assert!(simulator.effects().is_empty());
    let requests = simulator.requests();
    let jobs = requests
        .iter()
        .filter(|request| request.path.ends_with("/jobs/"));
    // One of them to learn what a run that completed shows.
    assert_eq!(jobs.count(), 3);
    assert!(requests.iter().all(|request| request.method == "GET"));
}

// --- What a single read can show
// -----------------------------------------------------------------------------------------

#[test]
fn a_run_that_appears_stuck_is_a_warning_that_may_be_wrong() {
    let server = posthog(
        "sources: [{schemas: [{name: a, last_synced_ago: 33h, run: {started_ago: 15h, rows: 5, hangs: {}}}]}]",
    );
    let (code, said) = json(&server);
    let found = of(&said, "a");
    assert_eq!(
        (
            code,
            &found["cause"],
            &found["severity"],
            &found["confidence"],
            &found["rule"]
        ),
        (
            1,
            &"Stuck".into(),
            &"Warning".into(),
            &"Low".into(),
            &"run/looks-stuck".into()
        )
    );
    assert!(found["since"].is_string());
    assert!(
        found["advice"]
            .as_str()
            .unwrap()
            .contains("cancel it in PostHog"),
        "{found:#}"
    );
}

#[test]
fn a_table_in_status_running_without_a_run_is_information_because_a_run_may_be_deferred() {
    let server = posthog(
        "sources: [{schemas: [{name: ended, phantom: true, last_synced_ago: 9h}, {name: none, phantom: true, jobs: []}]}]",
    );
    let (code, said) = json(&server);
    assert_eq!(code, 0, "{said:#}");
    for table in ["ended", "none"] {
        let found = of(&said, table);
        assert_eq!(
            (&found["severity"], &found["confidence"], &found["rule"]),
            (&"Info".into(), &"Low".into(), &"run/no-job".into())
        );
        assert!(
            found.get("since").is_none(),
            "a single read does not know since when: {found:#}"
        );
        assert!(
            found["evidence"][0]
                .as_str()
                .unwrap()
                .contains("up to an hour"),
            "{found:#}"
        );
    }
}

#[test]
fn a_failure_a_moment_ago_is_reported_even_if_clocks_differ() {
    let failing =
        "status: Failed, last_synced_ago: 40h, latest_error: 'relation \"a\" does not exist'";
    let server = posthog(&format!(
        "sources: [{{schemas: [{{name: now, {failing}, last_run_ago: 61s}}, {{name: ahead, {failing}, job_raw: {{finished_at: '2099-01-01T00:00:00Z'}}}}]}}]"
    ));
    let (code, said) = json(&server);
    assert_eq!(code, 2);
    for table in ["now", "ahead"] {
        let found = of(&said, table);
        assert_eq!(
            (&found["severity"], &found["cause"]),
            (&"Error".into(), &"TableMissing".into())
        );
    }
    assert!(of(&said, "ahead").get("since").is_none());
    assert_eq!(said["summary"]["schemas"]["failing"], 2);
}

#[test]
fn tables_beyond_the_budget_are_counted_and_diagnosed_from_the_list() {
    let gone = "latest_error: 'relation \"gone\" does not exist'";
    let server = posthog(&format!(
        "sources: [{{type: Postgres, prefix: many, schemas: [{{name: t, copies: 200, {FAILED}, {gone}}}, {{name: s, copies: 200, frequency: 1hour, last_synced_ago: 50h}}]}}, \
         {{type: Postgres, prefix: late, schemas: [{{name: failed, {FAILED}, {gone}}}, {{name: stale, frequency: 1hour, last_synced_ago: 50h}}, {{name: fine, last_synced_ago: 1h}}]}}]"
    ));
    let (code, said) = json(&server);
    assert_eq!(code, 2);
    assert_eq!(said["findings"].as_array().unwrap().len(), 402, "{said:#}");
    for (table, cause, severity) in [
        ("failed", "TableMissing", "Error"),
        ("stale", "Stale", "Warning"),
    ] {
        let found = of(&said, table);
        assert_eq!(
            (&found["cause"], &found["severity"], &found["confidence"]),
            (&cause.into(), &severity.into(), &"Low".into())
        );
        let evidence = found["evidence"].as_array().unwrap();
        assert_eq!(evidence.len(), 1, "{found:#}");
        assert!(
            evidence[0]
                .as_str()
                .unwrap()
                .starts_with("its runs were not read"),
            "{found:#}"
        );
    }
    assert_eq!(of(&said, "t_0001")["confidence"], "Medium");
    assert_eq!(
        (
            &said["summary"]["schemas"]["failing"],
            &said["summary"]["schemas"]["stale"],
            &said["summary"]["schemas"]["healthy"]
        ),
        (&201.into(), &201.into(), &1.into())
    );
    let notes = said["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0]
            .as_str()
            .unwrap()
            .starts_with("202 tables that need a probe got none: this command probes at most 200."),
        "{notes:?}"
    );
    assert!(
        diagnose(&server, &[])
            .words()
            .contains("Note: 202 tables that need")
    );
}

#[test]
fn probes_beyond_the_budget_are_counted() {
    let server = posthog(
        "sources: [{type: Stripe, prefix: w, copies: 61, webhook: {supports_webhooks: true, exists: true}, schemas: [{name: Charge, sync_type: webhook, last_synced_ago: 1h}]}]",
    );
    let (code, said) = json(&server);
    assert_eq!(code, 0, "{said:#}");
    assert_eq!(
        said["notes"],
        serde_json::json!([
            "3 probes of webhooks, change data capture and columns skipped to limit the duration of this command."
        ])
    );
}

// --- 429: wait, up to a limit --------------------------------------------------------------------------------------

fn asked_to_wait(scenario: &str, requests: &str, times: &str, seconds: &str) -> Server {
    posthog(&format!(
        "{scenario}\nfaults: [{{matches: {{path_contains: {requests}}}, times: {times}, kind: {{status: {{status: 429, headers: {{Retry-After: '{seconds}'}}}}}}}}]"
    ))
}

fn failed_and_running() -> String {
    format!(
        "sources: [{{schemas: [{{name: a, {FAILED}, latest_error: 'relation \"a\" does not exist'}}, {{name: b, run: {{started_ago: 5m, hangs: {{}}}}}}]}}]"
    )
}

#[test]
fn it_waits_as_posthog_requests_and_then_continues() {
    let server = asked_to_wait(&failed_and_running(), "/jobs/", "1", "1");
    let (code, said) = json(&server);
    assert_eq!((code, &said["notes"]), (2, &serde_json::json!([])));
    assert_eq!(of(&said, "a")["confidence"], "Medium");
    let simulator = server.simulator();
    let jobs: Vec<_> = simulator
        .requests()
        .iter()
        .filter(|request| request.path.ends_with("/jobs/"))
        .map(|request| request.status)
        .collect();
    // One of them to learn what a run that completed shows.
    assert_eq!(jobs, [Some(429), Some(200), Some(200), Some(200)]);
}

#[test]
fn after_a_wait_that_is_too_long_the_report_says_what_is_missing() {
    let server = asked_to_wait(&failed_and_running(), "/jobs/", "forever", "3600");
    let (code, said) = json(&server);
    assert_eq!(code, 2);
    assert_eq!(said["findings"].as_array().unwrap().len(), 1, "{said:#}");
    let found = of(&said, "a");
    assert_eq!(
        (&found["cause"], &found["confidence"]),
        (&"TableMissing".into(), &"Low".into())
    );
    let notes: Vec<_> = said["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| note.as_str().unwrap())
        .collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes[0].starts_with("This report is incomplete: PostHog answered 429 and asked to wait longer than the 3 minutes"),
        "{notes:?}"
    );
    assert!(
        notes[1].starts_with(
            "The runs of 2 tables could not be read (list jobs: PostHog rate limits this key (429)"
        ),
        "{notes:?}"
    );
}

#[test]
fn an_incomplete_report_without_findings_does_not_exit_with_0() {
    let ran = diagnose(&asked_to_wait(HEALTHY, "/jobs/", "forever", "3600"), &[]);
    assert_eq!(ran.code, 3, "{}", ran.out);
    assert!(
        ran.out
            .contains("No problems were found in the checked part."),
        "{}",
        ran.out
    );
}

#[test]
fn ten_thousand_tables_are_read_and_reported_on_one_page() {
    let sources: Vec<_> = (0..20)
        .map(|source| {
            format!("{{type: Postgres, prefix: s{source}, schemas: [{{name: t, copies: 500, frequency: 30day, last_synced_ago: 1h}}]}}")
        })
        .collect();
    let server = posthog(&format!("sources: [{}]", sources.join(", ")));
    let ran = diagnose(&server, &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let rest: Vec<_> = ran.out.lines().skip(1).collect();
    assert_eq!(
        rest,
        [
            "20 sources with 10000 tables: 10000 healthy",
            "",
            "Nothing is wrong."
        ]
    );
    assert_eq!(
        server.simulator().requests().len(),
        2 + 3,
        "the list is enough for healthy tables: a page over 2 MiB is read a second time, alone; three requests find out what PostHog shows"
    );
}

// --- Failed reads exit with 3 and a message that says what to do ------------------------------------------

fn fails(ran: &Ran, says: &[&str]) {
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.is_empty(), "{}", ran.out);
    assert!(
        ran.err.starts_with("error: ") && !ran.err.contains(".. "),
        "{}",
        ran.err
    );
    for part in says {
        assert!(
            ran.err.contains(part),
            "{:?} does not say {part:?}",
            ran.err
        );
    }
}

#[test]
fn a_missing_empty_or_broken_key_is_named() {
    let args = ["diagnose", "--host", "http://127.0.0.1:9", "--project", "1"];
    fails(
        &run(&mut binary(&args), b""),
        &["POSTHOG_API_KEY", "--api-key-file"],
    );
    fails(
        &run(binary(&args).env("POSTHOG_API_KEY", " "), b""),
        &["the API key from POSTHOG_API_KEY", "empty"],
    );
    let missing = [&args[..], &["--api-key-file", "/nowhere/key"]].concat();
    fails(
        &run(&mut binary(&missing), b""),
        &["/nowhere/key", "No such file"],
    );
    let slip = [&args[..], &["--api-key-file", "phx_hunter2hunter2"]].concat();
    let ran = run(&mut binary(&slip), b"");
    fails(&ran, &["looks like the key itself", "POSTHOG_API_KEY"]);
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}

#[test]
fn a_key_in_a_file_takes_precedence() {
    let server = posthog(HEALTHY);
    let file = std::env::temp_dir().join(format!("warehouse-sync-key-{}", std::process::id()));
    std::fs::write(&file, "phx_demo\n").unwrap();
    let mut command = binary(&[
        "diagnose",
        "--host",
        &server.url(),
        "--project",
        "12345",
        "--api-key-file",
    ]);
    let ran = run(command.arg(&file).env("POSTHOG_API_KEY", "phx_wrong"), b"");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn a_wrong_key_a_missing_scope_and_a_missing_project_say_what_to_do_and_never_show_the_key() {
    let server = posthog(
        "keys: [{token: phx_demo, scopes: ['insight:read']}, {token: phx_other, scopes: ['external_data_source:read']}]\nsources: []",
    );
    let with = |key: &str, project: &str| {
        let mut command = binary(&["diagnose", "--host", &server.url(), "--project", project]);
        let ran = run(command.env("POSTHOG_API_KEY", key), b"");
        assert!(!ran.err.contains(key), "{}", ran.err);
        ran
    };
    fails(
        &with("phx_wrong", "12345"),
        &["401", "valid personal API key"],
    );
    fails(
        &with("phx_demo", "12345"),
        &["403", "external_data_source:read"],
    );
    fails(&with("phx_other", "777"), &["no project 777", "--project"]);
}

/// A web server that is not PostHog; its URL.
fn web_server(status: &'static str) -> String {
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", web.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = web.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let page = "<html>hello</html>";
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                page.len()
            );
        }
    });
    url
}

#[test]
fn a_host_that_is_not_posthog_or_unreachable_is_reported_as_such() {
    let at = |url: &str| {
        let mut command = binary(&["diagnose", "--host", url, "--project", "1"]);
        run(command.env("POSTHOG_API_KEY", "phx_demo"), b"")
    };
    for status in ["200 OK", "404 Not Found"] {
        let ran = at(&web_server(status));
        fails(&ran, &["text/html", "is the address of PostHog itself"]);
        assert!(!ran.err.contains("no project"), "{}", ran.err);
    }
    fails(
        &at("http://127.0.0.1:9"),
        &["no connection", "can be reached"],
    );
    fails(&at("us.posthog.com"), &["https://"]);
    fails(&at("http://posthog.example.com"), &["https://HOST"]);
    let with_password = at("https://app:hunter2@posthog.example.com");
    fails(&with_password, &["https://HOST"]);
    assert!(
        !with_password.err.contains("hunter2"),
        "{}",
        with_password.err
    );
    // Nothing listens there any longer.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("https://{}", free.local_addr().unwrap());
    drop(free);
    fails(&at(&gone), &["no connection", "can be reached"]);
}

#[test]
fn a_rate_limit_of_an_hour_ends_the_command_and_is_reported_with_its_duration() {
    let server = asked_to_wait(HEALTHY, "/external_data_sources/", "forever", "3600");
    fails(
        &diagnose(&server, &[]),
        &[
            "429",
            "PostHog asks to wait for 60 minutes",
            "waits for at most 3 minutes",
            "try again later.",
        ],
    );
    assert_eq!(server.simulator().requests().len(), 1);
}

#[test]
fn wrong_flags_exit_with_3_because_2_means_errors_were_found() {
    let at = ["--host", "https://us.posthog.com"];
    let wrong = |args: &[&OsStr], says: &str| {
        let ran = run(binary(&["diagnose"]).args(at).args(args), b"");
        fails(&ran, &[says]);
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
    };
    wrong(&[], "--project <ID>");
    wrong(
        &["--project".as_ref(), "@current".as_ref()],
        "invalid value '@current'",
    );
    wrong(&["--project".as_ref(), "0".as_ref()], "invalid value '0'");
    wrong(&[OsStr::from_bytes(b"\xff")], "unexpected argument");
    wrong(
        &["--project".as_ref(), OsStr::from_bytes(b"1\xff")],
        "UTF-8",
    );
    let nameless = run(binary(&[]).arg(OsStr::from_bytes(b"\xff")), b"");
    assert_eq!((nameless.code, nameless.out.as_str()), (2, ""));
    assert!(
        nameless.err.contains("unrecognized subcommand"),
        "{}",
        nameless.err
    );
    let help = run(&mut binary(&["diagnose", "--help"]), b"");
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(
        help.out.contains("Exit codes:\n  0  no findings"),
        "{}",
        help.out
    );
}

#[test]
fn a_reader_that_stops_early_is_not_an_error_but_a_full_disk_is() {
    let server = posthog(ZOO);
    let command = || {
        let mut command = binary(&["diagnose", "--host", &server.url(), "--project", "12345"]);
        command.env("POSTHOG_API_KEY", "phx_demo");
        command
    };
    let ran = run_with_closed_reader(&mut command(), b"", |child| drop(child.stdout.take()));
    assert_eq!((ran.code, ran.err.as_str()), (2, ""));
    let ran = run_with_closed_reader(
        command().env("POSTHOG_API_KEY", "phx_wrong"),
        b"",
        |child| {
            drop(child.stderr.take());
        },
    );
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    if cfg!(target_os = "linux") {
        full_disk(&mut command(), b"");
    }
}

#[test]
fn ctrl_c_exits_with_130_and_a_message() {
    let never_answers = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", never_answers.local_addr().unwrap());
    let mut command = binary(&["diagnose", "--host", &url, "--project", "1"]);
    let mut child = started(command.env("POSTHOG_API_KEY", "phx_demo"));
    let writer = writes(&mut child, b"");
    let _asked = never_answers.accept().unwrap();
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let ran = ended(child, writer);
    assert_eq!((ran.code, ran.out.as_str()), (130, ""));
    assert_eq!(ran.err, "error: interrupted; nothing was changed\n");
}
