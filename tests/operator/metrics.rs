//! What Prometheus and curl get from a real operator over HTTP.

use std::process::{Command, Stdio};

use crate::{
    main_job::STUCK,
    support::{Env, Operator, wait_until},
};

/// Status, `Content-Type` and body of a page, requested with this `Accept`.
fn get(operator: &Operator, path: &str, accept: &str) -> (u16, String, String) {
    let url = format!("{}{path}", operator.url);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(url).header("accept", accept).send();
        let answer = answer.await.unwrap();
        let kind = answer.headers().get("content-type");
        let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
        (answer.status().as_u16(), kind, answer.text().await.unwrap())
    })
}

/// Lints the text with promtool; panics with its errors.
fn promtool_accepts(text: &str) {
    use std::io::Write;
    let program = control_plane::promtool().unwrap_or_else(|error| panic!("{error}"));
    let mut child = Command::new(program)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.trim().is_empty(),
        "{said}\n{text}"
    );
}

#[test]
fn promtool_accepts_the_metrics_of_a_working_operator() {
    let env = Env::new(STUCK);
    let operator = env.operator();
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    let sent = r#"warehouse_sync_sends_total{call="reload",outcome="accepted"} 1"#;
    let text = wait_until("a reload to be counted", || {
        let (status, kind, text) = get(&operator, "/metrics", "*/*");
        assert_eq!(
            (status, kind.as_str()),
            (200, "text/plain; version=0.0.4; charset=utf-8")
        );
        if text.contains(sent) {
            Ok(text)
        } else {
            Err(text)
        }
    });
    promtool_accepts(&text);
    for counted in [
        r#"warehouse_sync_sends_total{call="cancel",outcome="accepted"} 1"#,
        r#"warehouse_sync_policies{mode="Enforce",ready="True","#,
        r#"warehouse_sync_posthog_quota_used{limit="calls",window="hour"}"#,
        "# TYPE warehouse_sync_reconciles_total counter",
        "# TYPE warehouse_sync_build_info gauge",
        "process_resident_memory_bytes",
    ] {
        assert!(text.contains(counted), "no {counted} in\n{text}");
    }
    assert!(
        !text.contains(&env.namespace) && !text.contains("public.orders"),
        "a label names an object"
    );
}

#[test]
fn openmetrics_is_served_if_requested() {
    let env = Env::new("sources: []");
    let operator = env.operator();
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
    let (status, kind, text) = get(&operator, "/metrics", accept);
    assert_eq!(status, 200);
    assert_eq!(
        kind,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(
        text.contains("# TYPE warehouse_sync_reconciles counter\n"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn there_are_three_pages_and_no_other() {
    let env = Env::new("sources: []");
    let operator = env.operator();
    assert_eq!(get(&operator, "/livez", "*/*").0, 200);
    for path in ["/", "/healthz", "/metrics/", "/debug"] {
        assert_eq!(get(&operator, path, "*/*").0, 404, "{path}");
    }
}
