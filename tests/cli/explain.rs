use serde_json::Value;

use crate::{Ran, binary, run};

fn explain(args: &[&str]) -> Ran {
    run(binary(&["explain"]).args(args), b"")
}

#[test]
fn a_text_gets_its_cause_why_and_what_to_do() {
    let ran = explain(&[
        "password authentication failed for user \"app\"",
        "--source-type",
        "Postgres",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for part in ["CredentialsInvalid", "Why", "rule ", "What to do"] {
        assert!(ran.out.contains(part), "{}", ran.out);
    }
}

#[test]
fn json_says_the_same_for_programs() {
    let ran = explain(&[
        "relation \"billing_401_timeouts\" does not exist",
        "--output",
        "json",
    ]);
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (said["cause"].as_str(), said["needsApproval"].as_bool()),
        (Some("TableMissing"), Some(true))
    );
}

#[test]
fn a_secret_in_a_text_is_not_shown_again() {
    let ran =
        explain(&["connect postgresql://app:hunter2@db.example.com/x failed: Connection refused"]);
    assert!(!ran.out.contains("hunter2"), "{}", ran.out);
}

#[test]
fn without_a_text_it_says_what_is_missing() {
    let ran = explain(&[]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("<TEXT>"), "{}", ran.err);
}

#[test]
fn a_batch_answers_each_line_in_order_and_names_the_broken_one() {
    let input = concat!(
        r#"{"id": "a", "text": "SSHTunnel auth is not valid", "sourceType": "Postgres"}"#,
        "\n",
        r#"{"id": "b", "text": "#,
        "\n",
        r#"{"id": 3, "text": "Sync cancelled by user"}"#,
        "\n",
    );
    let ran = run(&mut binary(&["explain", "--batch"]), input.as_bytes());
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (&lines[0]["id"], &lines[0]["cause"]),
        (&"a".into(), &"SshTunnel".into())
    );
    assert!(lines[1]["error"].as_str().unwrap().contains("line 2"));
    assert_eq!(
        (&lines[2]["id"], &lines[2]["cause"]),
        (&3.into(), &"OperatorAction".into())
    );
    for line in &lines {
        for field in ["id", "cause", "confidence", "rule", "advice"] {
            assert!(line.get(field).is_some(), "{line} lacks {field}");
        }
    }
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("line 2 is not"), "{}", ran.err);
}

#[test]
fn a_large_batch_with_huge_and_hostile_lines_is_answered_to_the_end() {
    let mut input = Vec::new();
    for id in 0..20_000 {
        input.extend(format!("{{\"id\":{id},\"text\":\"401 Client Error: Unauthorized for url: https://api.stripe.com/v1/{id}\"}}\n").into_bytes());
    }
    let huge = "'\"`".repeat(400_000);
    input.extend(serde_json::to_vec(&serde_json::json!({"id": "huge", "text": huge})).unwrap());
    let ran = run(&mut binary(&["explain", "--batch"]), &input);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 20_001));
    assert!(ran.out.lines().last().unwrap().contains("\"huge\""));
}
