use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use serde_json::{Value, json};

use crate::{Ran, binary, diagnose::posthog, full_disk, run, run_with_closed_reader};

fn explain(args: &[&str]) -> Ran {
    run(binary(&["explain"]).args(args), b"")
}

fn batch(input: &[u8]) -> Ran {
    run(&mut binary(&["explain", "--batch"]), input)
}

fn answers(ran: &Ran) -> Vec<Value> {
    let lines = ran.out.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_text_is_explained_with_cause_rule_and_advice() {
    let ran = explain(&["Sync cancelled by user", "--source-type", "Postgres"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(
        ran.out,
        "Text        Sync cancelled by user\n\
         Cause       OperatorAction (A person stopped the run or the table's sync in PostHog. Not a failure)\n\
         Confidence  High\n\
         Why         rule posthog/cancelled\n\
         What to do  Nothing to do: a person stopped this in PostHog, or no action is needed.\n"
    );
}

/// A run that is being loaded, one that has been stuck for long, and one that has just completed.
const TABLES: &str = "sources: [{type: Postgres, prefix: prod, schemas: [
  {name: loads, frequency: 24hour, last_synced_ago: 33h, run: {pipeline: v3, started_ago: 3h, start: 0s, extract: 1h, rows: 4000, batches: 4, queue: 0s, load_per_batch: 2h}},
  {name: hangs, last_synced_ago: 33h, run: {started_ago: 15h, rows: 5, hangs: {}}},
  {name: fine, last_synced_ago: 1h, rows: 5}]}]";

fn explain_table(name: &str, args: &[&str]) -> Ran {
    let server = posthog(TABLES);
    let url = server.url();
    let mut command = binary(&[
        "explain",
        "--table",
        name,
        "--host",
        &url,
        "--project",
        "12345",
    ]);
    let ran = run(command.args(args).env("POSTHOG_API_KEY", "phx_demo"), b"");
    let simulator = server.simulator();
    assert!(
        simulator
            .requests()
            .iter()
            .all(|request| request.method == "GET")
    );
    ran
}

#[test]
fn a_running_table_is_explained_with_the_phase_of_its_run_and_the_evidence() {
    let ran = explain_table("loads", &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let words = ran.words();
    for expected in [
        "Table Postgres prod, loads",
        "PostHog Running",
        "Verdict A run is in progress, without a sign of trouble in one read.",
        "Phase loading",
        "newest run: Running, 4000 rows",
        "newest activity in the table's log: ",
        "PostHog works: fine completed a run at ",
        "What to do Nothing.",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
}

#[test]
fn a_table_whose_run_appears_stuck_is_explained_with_its_cause_also_as_json() {
    let ran = explain_table("hangs", &["-o", "json"]);
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, said.as_array().unwrap().len()), (0, 1));
    assert_eq!(
        (&said[0]["cause"], &said[0]["phase"]),
        (&"Stuck".into(), &"extracting".into())
    );
    let evidence = said[0]["evidence"].to_string();
    assert!(evidence.contains("read once only"), "{evidence}");
}

#[test]
fn an_unknown_table_exits_with_3_and_a_table_without_a_project_with_2() {
    let ran = explain_table("ghost", &[]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert!(ran.err.contains("no table named ghost"), "{}", ran.err);
    let ran = explain(&["--table", "orders"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("--host"), "{}", ran.err);
}

#[test]
fn a_text_that_no_rule_matches_is_unknown() {
    let ran = explain(&["the frobnicator is out of cheese"]);
    assert_eq!(ran.code, 0);
    for line in [
        "Cause       Unknown (Not known, or PostHog's data does not show it)\n",
        "Confidence  Low\n",
        "Why         no rule matches this text; a wrong cause would be worse than none\n",
    ] {
        assert!(ran.out.contains(line), "{}", ran.out);
    }
}

#[test]
fn the_type_of_the_source_matters_alone_and_in_a_batch() {
    let text = "401 Request had invalid authentication credentials.";
    for (kind, cause) in [
        ("BigQuery", "CredentialsInvalid"),
        ("GoogleAds", "IntegrationMissing"),
    ] {
        let ran = explain(&[text, "--source-type", kind, "-o", "json"]);
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(said["cause"], cause, "{kind}");
        let line = json!({"text": text, "sourceType": kind}).to_string();
        assert_eq!(answers(&batch(line.as_bytes()))[0]["cause"], cause);
    }
}

#[test]
fn json_has_the_same_content() {
    let ran = explain(&[
        "relation \"billing_401_timeouts\" does not exist",
        "--output",
        "json",
    ]);
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    let advice = said["advice"].as_str().unwrap();
    assert!(advice.starts_with("If the table was renamed"), "{advice}");
    assert_eq!(
        said,
        json!({
            "cause": "TableMissing", "confidence": "Medium", "rule": "tables/missing", "advice": advice,
            "action": "RefreshSchemas", "needsApproval": true,
        })
    );
}

#[test]
fn advice_does_not_assume_an_operator() {
    let texts = [
        "Lost connection to MySQL server during query",
        "429 Client Error: Too Many Requests for url: https://api.example.com/v1",
        "the frobnicator is out of cheese",
        "A column's type changed in your source and no longer fits the type we stored. To recover, please reset and fully re-sync this table",
    ];
    for text in texts {
        let json: Value = serde_json::from_str(&explain(&[text, "-o", "json"]).out).unwrap();
        let advice = json["advice"].as_str().unwrap();
        assert!(
            !advice.contains("operator") && !advice.contains("approve"),
            "{text}: {advice}"
        );
        let table = explain(&[text]).words();
        assert!(table.contains(&format!("What to do {advice}")), "{table}");
        let line = json!({"text": text}).to_string();
        assert_eq!(answers(&batch(line.as_bytes()))[0]["advice"], advice);
    }
}

#[test]
fn a_secret_in_a_text_is_not_echoed() {
    let ran =
        explain(&["connect postgresql://app:hunter2@db.example.com/x failed: Connection refused"]);
    assert!(
        ran.out
            .contains("connect postgresql://***@db.example.com/x failed"),
        "{}",
        ran.out
    );
    assert!(!ran.words().contains("hunter2"), "{}", ran.out);
}

#[test]
fn wrong_flags_exit_with_2_and_say_what_is_wrong() {
    let ran = explain(&[]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("<TEXT>"), "{}", ran.err);
    let ran = run(
        binary(&["explain"]).arg(OsStr::from_bytes(b"\xff\xfe")),
        b"",
    );
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("invalid UTF-8"), "{}", ran.err);
}

#[test]
fn a_batch_answers_each_line_in_order_and_reports_broken_ones() {
    let input = concat!(
        "\u{feff}",
        r#"{"id": "a", "text": "SSHTunnel auth is not valid", "sourceType": "Postgres"}"#,
        "\r\n\r\n",
        r#"{"id": "b", "text": "#,
        "\n",
        r#"{"id": 3, "text": "Sync cancelled by user"}"#,
        "\n",
        r#"{"id": 4, "text": 5}"#,
        "\n",
    );
    let ran = batch(input.as_bytes());
    let answers = answers(&ran);
    let said: Vec<_> = answers
        .iter()
        .map(|answer| (&answer["id"], &answer["cause"], answer["error"].is_string()))
        .collect();
    assert_eq!(
        said,
        [
            (&"a".into(), &"SshTunnel".into(), false),
            (&Value::Null, &"Unknown".into(), true),
            (&3.into(), &"OperatorAction".into(), false),
            (&4.into(), &"Unknown".into(), true),
        ]
    );
    for answer in &answers {
        for field in ["confidence", "rule", "advice"] {
            assert!(answer[field].is_string(), "{answer} lacks {field}");
        }
    }
    assert_eq!(ran.code, 1);
    let expected =
        r#"expected is {"id": …, "text": "…", "sourceType": "…"}, where sourceType is optional"#;
    assert_eq!(
        ran.err,
        format!(
            "error: line 3 is not JSON: it ends too early; {expected}\n\
             error: line 5 is wrong: its field text is a number, not a string; {expected}\n"
        )
    );
}

#[test]
fn a_broken_line_is_never_quoted() {
    let input = b"\"postgres://u:hunter2@h\"\nhunter2\n{\"text\": [\"hunter2\"]}\n{\"text\": \"x\", \"sourceType\": {\"hunter2\": 1}}\n{\"hunter2\": 1}\n{\"text\": \"hunter2\", \"text\": \"x\"}\n{\"text\": \"hunter2 \xff\"}\n";
    let ran = batch(input);
    assert_eq!((ran.code, ran.err.lines().count()), (1, 7), "{}", ran.err);
    assert_eq!(answers(&ran).len(), 7);
    assert!(!ran.words().contains("hunter2"), "{}", ran.words());
}

#[test]
fn a_large_batch_with_huge_and_hostile_lines_is_answered_to_the_end() {
    let mut input = Vec::new();
    for id in 0..20_000 {
        input.extend(format!("{{\"id\":{id},\"text\":\"401 Client Error: Unauthorized for url: https://api.stripe.com/v1/{id}\"}}\n").into_bytes());
    }
    let huge = "'\"`".repeat(400_000);
    input.extend(serde_json::to_vec(&json!({"id": "huge", "text": huge})).unwrap());
    let ran = batch(&input);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let answers = answers(&ran);
    assert_eq!(answers.len(), 20_001);
    for (id, answer) in (0..20_000).zip(&answers) {
        assert_eq!(
            (&answer["id"], &answer["cause"]),
            (&id.into(), &"CredentialsInvalid".into())
        );
    }
    assert_eq!(answers[20_000]["id"], "huge");
}

#[test]
fn a_reader_that_stops_early_is_not_an_error_but_a_full_disk_is() {
    let line = "{\"id\": 1, \"text\": \"x\"}\n";
    let many = format!("nonsense\n{}", line.repeat(20_000));
    let unheard = run_with_closed_reader(
        &mut binary(&["explain", "--batch"]),
        many.as_bytes(),
        |child| drop(child.stdout.take()),
    );
    assert_eq!(unheard.code, 1);
    assert_eq!(unheard.err.lines().count(), 1, "{}", unheard.err);
    // The error message is not read either; the answers must still be complete.
    let unheard = run_with_closed_reader(
        &mut binary(&["explain", "--batch"]),
        many.as_bytes(),
        |child| drop(child.stderr.take()),
    );
    assert_eq!((unheard.code, unheard.out.lines().count()), (1, 20_001));
    if cfg!(target_os = "linux") {
        full_disk(&mut binary(&["explain", "--batch"]), line.as_bytes());
        full_disk(&mut binary(&["explain", "x"]), b"");
        full_disk(&mut binary(&["crd"]), b"");
    }
}
