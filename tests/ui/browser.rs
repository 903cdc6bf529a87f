//! What a person does in a real Chromium. Without one these tests say that they were not run.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
};

use control_plane::ControlPlane;
use serde_json::json;
use warehouse_sync_operator::api::proposal::{LosesData, ProposedAction};

use super::{
    chromium::Chromium,
    operator,
    page::Page,
    pages::{finding, put, status},
    support::{Env, install_crd, wait_until},
};

/// One table hangs; another completes runs all the time, so that the operator can tell this from an outage.
const HANGS: &str = "
project: 12345
keys: [{token: phx_demo}]
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - name: public.orders
        last_synced_ago: 33h
        rows: 120034
        run: {started_ago: 9h, rows: 51200, hangs: {}, cancel_takes: 100ms}
        then: {completes: {after: 500ms, rows: 830}}
      - {name: public.customers, last_synced_ago: 2h, rows: 4811, starts_every: 3s, then: {completes: {after: 500ms, rows: 2}}}
";

/// Id of the first table of a scenario.
const ORDERS: &str = "0196f0aa-0002-7000-8000-000000000001";

#[test]
fn a_person_watches_a_hanging_table_recover_and_approves_its_resync() {
    let Some(browser) =
        Chromium::start("a_person_watches_a_hanging_table_recover_and_approves_its_resync")
    else {
        return;
    };
    let env = operator::Env::new(HANGS);
    let page = Page::start(
        env.plane.admin_kubeconfig(),
        &["--namespace", &env.namespace],
    );
    browser.open(&page.link);
    assert_eq!(
        browser.address(),
        format!("http://{}{}", page.host(), page.base),
        "no token in the address"
    );
    browser.wait_for("#policies", "No policies found.");

    env.apply(&env.policy("production", "mode: Enforce"))
        .unwrap();
    browser.wait_for("#policies", "production");
    let _operator = env.operator_with(&[
        "--allow-http-loopback",
        "--time-factor",
        "600",
        "--allow-unguarded-approvals",
    ]);
    browser.click("#policies a");
    browser.wait_for("#timeline", "Cancel");
    browser.wait_for("#timeline", "healthy again");
    browser.wait_for("#facts", "Healthy");
    browser.inspect("recovered");

    // Somebody knows that the data of the table is wrong.
    env.kubectl(&[
        "annotate",
        "wsp",
        "production",
        &format!("request.warehousesync.dev/{ORDERS}=Resync"),
    ]);
    browser.wait_for("#waiting", "Resync of public.orders");
    browser.inspect("waiting");
    browser.fill("#waiting input[name=title]", "public.order");
    browser.click("#waiting button.danger");
    browser.wait_for(
        "#notice",
        "the typed name does not match. Nothing was changed.",
    );
    assert_eq!(
        browser.complaints().len(),
        1,
        "the refusal, and nothing else"
    );
    browser.fill("#waiting input[name=title]", "public.orders");
    browser.click("#waiting button.danger");
    browser.wait_for("#notice", "Resync of public.orders is approved by admin.");
    browser.inspect("approved");
    browser.wait_for("#ended", "Executed");
    browser.inspect("executed");
    assert_eq!(env.count("POST", "/resync"), 1);
    // The answer to the form is not sent again by a reload.
    browser.run("location.reload()");
    browser.wait_for("#ended", "Executed");
    assert_eq!(
        browser.run("return document.getElementById('notice')"),
        json!(null)
    );
}

#[test]
fn a_thousand_findings_are_searched_and_a_policy_with_many_is_readable() {
    let Some(browser) =
        Chromium::start("a_thousand_findings_are_searched_and_a_policy_with_many_is_readable")
    else {
        return;
    };
    let env = Env::new();
    let teams: Vec<String> = (0..20)
        .map(|team| env.policy(&format!("team-{team}")))
        .collect();
    env.apply(&teams.join("\n---\n"));
    let statuses = (0..20).map(|team| {
        let severity = |number| if number < 10 { "Error" } else { "Warning" };
        let findings: Vec<_> = (0..50)
            .map(|number| finding(team * 50 + number, severity(number)))
            .collect();
        let mut status = status("False", "SyncsUnhealthy", &findings);
        if team == 7 {
            let proposals = [
                env.proposal(ProposedAction::DeleteData, "public.table_7"),
                env.proposal(ProposedAction::RefreshSchemas, "public.table_8"),
            ];
            status["proposals"] = json!(proposals);
        }
        let name = json!({"name": format!("team-{team}"), "namespace": env.namespace});
        json!({"apiVersion": "warehousesync.dev/v1alpha1", "kind": "WarehouseSyncPolicy", "metadata": name, "status": status}).to_string()
    });
    // All in one: a kubectl for each takes longer than the rest of the test.
    let apply = ["apply", "--server-side", "--subresource=status", "-f", "-"];
    operator::put(
        env.plane,
        &apply,
        &statuses.collect::<Vec<_>>().join("\n---\n"),
    )
    .unwrap();
    let page = Page::of(&env);
    browser.open(&page.link);
    let shown = "return [...document.querySelectorAll('#policies tbody tr')].filter((row) => !row.hidden).length";
    wait_until("all policies", || match browser.run(shown) {
        count if count == json!(21) => Ok(()),
        other => Err(other.to_string()),
    });
    browser.inspect("overview");
    browser.fill("input[name=words]", "table_999 stuck");
    browser.wait_for("output[name=shown]", "1 of 21 shown");
    assert_eq!(browser.run(shown), json!(1));
    assert!(browser.text("#policies").contains("team-19"));
    // A change keeps what was searched.
    put(&env, "another", &status("True", "AllHealthy", &[]));
    browser.wait_for("output[name=shown]", "1 of 22 shown");
    browser.run("document.getElementById('filter').reset(); document.querySelector('[name=show]').value = 'waiting'; document.getElementById('filter').dispatchEvent(new Event('input'))");
    browser.wait_for("output[name=shown]", "1 of 22 shown");
    browser.click("#policies tr:not([hidden]) a");
    browser.wait_for("#findings", "public.table_399");
    assert_eq!(
        browser.run("return document.querySelectorAll('#findings article').length"),
        json!(50)
    );
    browser.inspect("many");
}

#[test]
fn hostile_names_run_nothing_and_keep_their_place() {
    let Some(browser) = Chromium::start("hostile_names_run_nothing_and_keep_their_place") else {
        return;
    };
    let env = Env::new();
    let name = "<img src=x onerror='window.stolen=1'>\"><script>window.stolen=1</script>\u{202e}' autofocus onfocus='window.stolen=1";
    let long = format!("{name}{}", "a_name_without_an_end_".repeat(12));
    let mut proposal = env.proposal(ProposedAction::Resync, &long);
    proposal.impact.loses_data = LosesData::Yes;
    let mut one = finding(1, "Error");
    for field in [
        "source",
        "schema",
        "schemaId",
        "message",
        "advice",
        "nextAction",
        "rule",
    ] {
        one[field] = json!(long);
    }
    one["evidence"] = json!([long]);
    let mut status = status("False", "SyncsUnhealthy", &[one]);
    status["proposals"] = json!([proposal]);
    status["history"] = json!([{"at": "2026-11-23T06:00:00Z", "what": long}]);
    put(&env, "prod", &status);
    let page = Page::of(&env);
    browser.open(&page.link);
    browser.wait_for("#policies", "window.stolen=1");
    browser.inspect("hostile-overview");
    browser.click("#policies a");
    browser.wait_for("#waiting", "\\u{202e}");
    browser.inspect("hostile-policy");
    // The same after a part was replaced by a script.
    put(&env, "prod", &json!({"findingsTruncated": 5}));
    browser.wait_for("#findings", "5 more findings");
    assert_eq!(browser.run("return window.stolen ?? null"), json!(null));
    // Even markup that got past the server would not run.
    browser.run("document.getElementById('findings').innerHTML = '<img src=/icon.svg onload=\"window.stolen = 1\">'");
    wait_until("the content security policy to stop it", || {
        let complaints = browser.complaints().join("\n");
        if complaints.contains("Content Security Policy") {
            Ok(())
        } else {
            Err(complaints)
        }
    });
    assert_eq!(browser.run("return window.stolen ?? null"), json!(null));
}

#[test]
fn a_lost_api_server_and_an_ended_command_are_seen_at_once() {
    let Some(browser) = Chromium::start("a_lost_api_server_and_an_ended_command_are_seen_at_once")
    else {
        return;
    };
    let plane = ControlPlane::start().unwrap_or_else(|error| panic!("{error}"));
    install_crd(&plane);
    let env = Env::on(Box::leak(Box::new(plane)));
    put(&env, "prod", &status("True", "AllHealthy", &[]));
    let page = Page::of(&env);
    browser.open(&page.link);
    browser.wait_for("#policies", "Healthy");
    browser.click("#policies a");
    browser.wait_for("#facts", "Healthy");
    // With the keyboard: the first stop leads to the content.
    browser.fill("body", "\u{e004}");
    assert_eq!(
        browser.run("return document.activeElement.className"),
        json!("skip")
    );

    env.plane.stop_apiserver();
    browser.wait_for("#lost", "Not up to date since");
    browser.wait_for("#facts", "Unknown");
    browser.wait_for("#change-off", "The API server cannot be read.");
    assert_eq!(
        browser.run("return document.getElementById('suspend').disabled"),
        json!(true)
    );
    browser.inspect("lost");
    env.plane.start_apiserver().unwrap();
    browser.wait_for("#facts", "Healthy");
    browser.wait_until_gone("body", "Not up to date since");
    browser.click("#suspend");
    browser.wait_for("#notice", "Prod is suspended");
    browser.wait_for("#facts", "Resume");

    drop(page);
    browser.wait_for("#gone", "kubectl wsp ui has ended");
}

#[test]
fn a_page_on_another_port_does_not_receive_the_cookie() {
    let Some(browser) = Chromium::start("a_page_on_another_port_does_not_receive_the_cookie")
    else {
        return;
    };
    let env = Env::new();
    let page = Page::of(&env);
    browser.open(&page.link);
    browser.wait_for("#policies", "prod");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", other.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let head = BufReader::new(stream.try_clone().unwrap()).lines();
        let head = head.map(Result::unwrap).take_while(|line| !line.is_empty());
        let head: Vec<String> = head.collect();
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nother";
        stream.write_all(answer.as_bytes()).unwrap();
        head
    });
    browser.open(&address);
    let head = asked.join().unwrap();
    assert!(head[0].starts_with("GET / "), "{head:?}");
    assert!(!head.iter().any(|line| line.contains("wsp-")), "{head:?}");
    browser.open(&format!("http://{}{}", page.host(), page.base));
    browser.wait_for("#policies", "prod");
}
