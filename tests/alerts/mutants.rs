//! Is each part of a rule held by its test? Rules with one part altered must fail it.

use std::fs;

use serde_json::{Value, json};

use crate::{
    matchers::matchers,
    promtool::is_content,
    {root, rules, text},
};

/// A rule with one part altered, and what was altered.
fn mutants(rule: &Value) -> Vec<(String, Value)> {
    let mut mutants = Vec::new();
    let mut with = |key: &str, value: String| {
        let mut altered = rule.clone();
        altered[key] = json!(value);
        mutants.push((format!("{key}: {value}"), altered));
    };
    if let Some(waits) = rule["for"].as_str() {
        let number: u32 = waits[..waits.len() - 1].parse().unwrap();
        let minutes = if waits.ends_with('h') { 60 } else { 1 } * number;
        for wrong in [minutes - 1, minutes + 1] {
            with("for", format!("{wrong}m"));
        }
    }
    let expression = text(rule, "/expr");
    for matcher in matchers(expression) {
        let values: Vec<&str> = matcher.value.split('|').collect();
        for left_out in values.iter().filter(|_| values.len() > 1) {
            let others: Vec<&str> = (values.iter().copied())
                .filter(|value| value != left_out)
                .collect();
            let fewer = expression.replace(matcher.value, &others.join("|"));
            with("expr", fewer);
        }
    }
    if let Some((before, rest)) = expression.split_once("max_over_time(")
        && let Some((kept, after)) = rest.split_once("[10m:1m])")
    {
        with("expr", format!("{before}{kept}{after}"));
    }
    mutants
}

#[test]
fn how_long_a_rule_waits_and_each_value_that_it_names_is_held_by_its_test() {
    let mut tried = 0;
    let mut survived = Vec::new();
    for rule in rules() {
        let alert = text(&rule, "/alert").to_owned();
        let test = fs::read_to_string(root().join(format!("tests/alerts/rules/{alert}.yaml")));
        let mut test: Value = serde_saphyr::from_str(&test.unwrap()).unwrap();
        for (altered, mutant) in mutants(&rule) {
            let folder = tempfile::tempdir().unwrap();
            let group = json!({"groups": [{"name": "mutant", "rules": [mutant]}]});
            fs::write(folder.path().join("rules.yaml"), group.to_string()).unwrap();
            test["rule_files"] = json!(["rules.yaml"]);
            fs::write(folder.path().join("test.yaml"), test.to_string()).unwrap();
            tried += 1;
            match is_content(folder.path(), &["test", "rules", "test.yaml"]) {
                Ok(()) => survived.push(format!("{alert} with {altered}")),
                // Nothing else may have failed.
                Err(said) => assert!(said.contains("FAILED"), "{said}"),
            }
        }
    }
    assert!(tried > 40, "{tried}");
    assert!(
        survived.is_empty(),
        "no test fails on these:\n{}",
        survived.join("\n")
    );
}
