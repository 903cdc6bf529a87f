use std::{
    io::{Read, Write},
    net::TcpListener,
};

use posthog_simulator::{Clock, Scenario, Server, Simulator};
use serde_json::Value;

use crate::{Ran, binary, run};

fn posthog(scenario: &str) -> Server {
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

const HEALTHY: &str = "sources: [{type: Postgres, prefix: prod, schemas: [{name: a, last_synced_ago: 1h, rows: 5}, {name: b, run: {started_ago: 5m, progresses: {rows_per_second: 5}}}]}]";

#[test]
fn a_healthy_project_ends_with_0() {
    let server = posthog(HEALTHY);
    let ran = diagnose(&server, &[]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(
        ran.out.contains("Nothing is wrong") && ran.out.contains("1 source with 2 tables"),
        "{}",
        ran.out
    );
    assert!(
        !ran.out.contains('\u{1b}'),
        "no colours where nobody sees them"
    );
}

#[test]
fn an_empty_project_is_said_to_be_empty() {
    let ran = diagnose(&posthog("sources: []"), &[]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("no data-warehouse tables"), "{}", ran.out);
}

const FAILED: &str = "status: Failed, last_synced_ago: 40h, last_run_ago: 2h";

#[test]
fn errors_end_with_2_and_warnings_with_1() {
    let failed = posthog(&format!(
        "sources: [{{schemas: [{{name: a, {FAILED}, latest_error: 'relation \"a\" does not exist'}}]}}]"
    ));
    let (code, said) = json(&failed);
    assert_eq!(
        (code, &said["findings"][0]["cause"]),
        (2, &"TableMissing".into())
    );
    let billing = posthog(
        "sources: [{schemas: [{name: a, status: BillingLimitReached, last_synced_ago: 9h}]}]",
    );
    let (code, said) = json(&billing);
    assert_eq!(
        (code, &said["findings"][0]["cause"]),
        (1, &"BillingLimit".into())
    );
}

#[test]
fn the_report_groups_and_puts_the_worst_first() {
    let tables: Vec<_> = (0..40)
        .map(|n| format!("{{name: t{n}, {FAILED}, latest_error: 'The database rejected the username or password. Check it.'}}"))
        .collect();
    let server = posthog(&format!(
        "sources: [{{type: Stripe, schemas: [{{name: x, status: BillingLimitTooLow, last_synced_ago: 9h}}]}}, {{type: Postgres, prefix: prod, schemas: [{}]}}]",
        tables.join(", ")
    ));
    let ran = diagnose(&server, &[]);
    assert_eq!(ran.code, 2);
    let place = |what: &str| {
        ran.out
            .find(what)
            .unwrap_or_else(|| panic!("no {what} in {}", ran.out))
    };
    assert!(
        place("ERRORS") < place("CredentialsInvalid")
            && place("CredentialsInvalid") < place("WARNINGS")
    );
    assert!(
        ran.out.contains("40: t0") && ran.out.matches("CredentialsInvalid").count() == 1,
        "{}",
        ran.out
    );
}

#[test]
fn yaml_json_and_table_come_from_the_same_findings() {
    let server = posthog(&format!(
        "sources: [{{schemas: [{{name: a, {FAILED}, latest_error: 'column \"x\" does not exist'}}]}}]"
    ));
    let (_, said) = json(&server);
    assert_eq!(said["summary"]["schemas"]["failing"], 1);
    let yaml = diagnose(&server, &["-o", "yaml"]);
    let read: Value = serde_saphyr::from_str(&yaml.out).unwrap();
    assert_eq!(read["findings"][0]["cause"], "SchemaDrift");
    assert_eq!(read["findings"][0]["schema"], "a");
}

#[test]
fn nothing_is_changed_and_only_reading_calls_are_made() {
    let server = posthog(
        "sources: [{schemas: [{name: a, last_synced_ago: 33h, run: {started_ago: 9h, rows: 5, hangs: {}}}, {name: b, phantom: true, last_synced_ago: 9h}]}]",
    );
    let (code, said) = json(&server);
    assert_eq!(code, 1, "{said:#}");
    assert!(
        said["findings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|finding| finding["cause"] == "Stuck"),
        "{said:#}"
    );
    let simulator = server.simulator();
    assert!(simulator.effects().is_empty());
    assert!(
        simulator
            .requests()
            .iter()
            .all(|request| request.method == "GET")
    );
}

#[test]
fn ten_thousand_tables_are_read_and_told_in_one_page() {
    let sources: Vec<_> = (0..20)
        .map(|source| {
            let tables: Vec<_> = (0..500)
                .map(|n| format!("{{name: t{n}, frequency: 30day, last_synced_ago: 1h}}"))
                .collect();
            format!(
                "{{type: Postgres, prefix: s{source}, schemas: [{}]}}",
                tables.join(", ")
            )
        })
        .collect();
    let ran = diagnose(&posthog(&format!("sources: [{}]", sources.join(", "))), &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(
        ran.out
            .contains("20 sources with 10000 tables: 10000 healthy"),
        "{}",
        ran.out
    );
}

// --- What cannot be read ends with 3 and a sentence that says what to do ------------------------------------------

fn fails(ran: &Ran, says: &[&str]) {
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.is_empty(), "{}", ran.out);
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
        &["POSTHOG_API_KEY", "empty"],
    );
    let missing = [&args[..], &["--api-key-file", "/nowhere/key"]].concat();
    fails(&run(&mut binary(&missing), b""), &["/nowhere/key"]);
}

#[test]
fn a_key_in_a_file_works_and_wins() {
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
    fails(&with("phx_other", "777"), &["--project"]);
}

#[test]
fn a_host_that_is_not_posthog_or_not_there_is_said_to_be_so() {
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", web.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = web.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let page = "<html>hello</html>";
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                page.len()
            );
        }
    });
    let at = |url: &str| {
        let mut command = binary(&["diagnose", "--host", url, "--project", "1"]);
        run(command.env("POSTHOG_API_KEY", "phx_demo"), b"")
    };
    fails(&at(&url), &["text/html", "address of PostHog"]);
    fails(
        &at("http://127.0.0.1:9"),
        &["no connection", "can be reached"],
    );
    fails(&at("us.posthog.com"), &["https://"]);
    fails(&at("http://posthog.example.com"), &["https"]);
}

#[test]
fn wrong_flags_end_with_3_because_2_means_errors_were_found() {
    let ran = run(&mut binary(&["diagnose", "--project", "12345"]), b"");
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("--host"), "{}", ran.err);
    let ran = run(
        &mut binary(&[
            "diagnose",
            "--host",
            "https://us.posthog.com",
            "--project",
            "@current",
        ]),
        b"",
    );
    assert_eq!(ran.code, 3);
    assert_eq!(run(&mut binary(&["diagnose", "--help"]), b"").code, 0);
}
