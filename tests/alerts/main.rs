//! The alert rules and the dashboard: read by the real promtool, tested rule by rule, and in step with the documentation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue has failed"
)]

mod matchers;
mod mutants;
mod promtool;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use matchers::matchers;
use promtool::promtool;
use serde_json::{Value, json};
use warehouse_sync_operator::{api::conditions::Reason, report::Metrics};

const ALERTS: &str = "charts/warehouse-sync-operator/files/alerts.yaml";
const ALERTS_FOR_TEAMS: &str = "charts/warehouse-sync-operator/files/alerts-for-teams.yaml";
const DASHBOARD: &str = "charts/warehouse-sync-operator/files/dashboard.json";
/// What Grafana puts in place of a range that fits the step of a graph.
const RATE_INTERVAL: &str = "$__rate_interval";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn rules() -> Vec<Value> {
    let files = [ALERTS, ALERTS_FOR_TEAMS].map(read);
    let files = files.map(|file| serde_saphyr::from_str::<Value>(&file).unwrap());
    let groups = files
        .iter()
        .flat_map(|file| file["groups"].as_array().unwrap());
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    rules.cloned().collect()
}

fn text<'a>(rule: &'a Value, path: &str) -> &'a str {
    let found = rule.pointer(path).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("{ALERTS}: {} lacks {path}", rule["alert"]))
}

/// Every expression of the dashboard, as Grafana sends it.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    targets
        .map(|target| {
            target["expr"]
                .as_str()
                .unwrap()
                .replace(RATE_INTERVAL, "5m")
        })
        .collect()
}

/// The metrics of docs/metrics.md, which another test compares with the code.
fn documented_metrics() -> BTreeSet<String> {
    let docs = read("docs/metrics.md");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.map(|row| row.split('`').next().unwrap().to_owned());
    names
        .filter(|name| name.starts_with("warehouse_sync_") || name.starts_with("process_"))
        .collect()
}

/// The names of metrics in an expression, those of histograms without the suffix of a part.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = expression.split(|c| !is_word(c));
    words
        .filter(|word| word.starts_with("warehouse_sync_") || word.starts_with("process_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[test]
fn promtool_accepts_the_rules() {
    promtool(&root(), &["check", "rules", ALERTS, ALERTS_FOR_TEAMS]);
}

#[test]
fn each_rule_fires_when_it_should_and_is_silent_when_it_should_not() {
    let folder = root().join("tests/alerts/rules");
    let mut files: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut args = vec!["test".to_owned(), "rules".to_owned()];
    for rule in rules() {
        let alert = text(&rule, "/alert");
        let file = format!("{alert}.yaml");
        assert!(
            files.remove(&file),
            "{alert} has no test: write tests/alerts/rules/{file}"
        );
        let tests: Value =
            serde_saphyr::from_str(&fs::read_to_string(folder.join(&file)).unwrap()).unwrap();
        let has = |fires: bool| {
            tests["tests"].as_array().unwrap().iter().any(|test| {
                let samples = &test["promql_expr_test"][0]["exp_samples"];
                samples.as_array().unwrap().is_empty() != fires
            })
        };
        assert!(
            has(true) && has(false),
            "tests/alerts/rules/{file} needs one test in which {alert} fires, and one in which it does not"
        );
        args.push(folder.join(&file).display().to_string());
    }
    assert!(files.is_empty(), "tests of no rule: {files:?}");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    promtool(&root(), &args);
}

#[test]
fn each_alert_says_how_bad_it_is_and_where_to_read_on() {
    let docs = read("docs/alerts.md");
    let sections: BTreeSet<&str> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let mut alerts = BTreeSet::new();
    for rule in rules() {
        let alert = text(&rule, "/alert");
        let severity = text(&rule, "/labels/severity");
        assert!(
            ["critical", "warning"].contains(&severity),
            "{alert}: {severity}"
        );
        assert!(!text(&rule, "/annotations/summary").is_empty());
        assert!(
            text(&rule, "/annotations/description").len() > 80,
            "{alert}: what comes next?"
        );
        let runbook = text(&rule, "/annotations/runbook_url");
        let place = format!("/docs/alerts.md#{}", alert.to_lowercase());
        assert!(
            runbook.ends_with(&place),
            "{alert}: runbook_url must end with {place}"
        );
        assert!(
            sections.contains(alert),
            "docs/alerts.md lacks a section `### {alert}` that says what to do"
        );
        alerts.insert(alert.to_owned());
    }
    for section in sections {
        assert!(
            alerts.contains(section),
            "docs/alerts.md has a section {section}, which is no alert of {ALERTS}: remove it"
        );
    }
}

#[test]
fn every_metric_that_rules_and_dashboard_use_exists() {
    let known = documented_metrics();
    let expressions = rules()
        .into_iter()
        .map(|rule| (ALERTS, text(&rule, "/expr").to_owned()));
    let queries = queries().into_iter().map(|query| (DASHBOARD, query));
    let mut used = BTreeSet::new();
    for (file, expression) in expressions.chain(queries) {
        for metric in metrics_in(&expression) {
            assert!(
                known.contains(&metric),
                "{file} uses {metric}, which is no metric of docs/metrics.md, in\n{expression}"
            );
            used.insert(metric);
        }
    }
    let unused: Vec<_> = known.difference(&used).collect();
    let few = [
        "process_start_time_seconds",
        "warehouse_sync_oldest_poll_timestamp_seconds",
    ];
    assert!(
        unused.iter().all(|name| few.contains(&name.as_str())),
        "nobody sees {unused:?}: put it on the dashboard"
    );
}

/// What the operator may say in this label of this metric: what a process shows that has just begun, where it shows the whole list;
/// else the reasons of conditions, or what docs/metrics.md names.
fn known_values(scrape: &str, metric: &str, label: &str) -> BTreeSet<String> {
    let of_metric = scrape
        .lines()
        .filter(|line| line.starts_with(&format!("{metric}{{")));
    let shown = of_metric.flat_map(matchers);
    let shown: BTreeSet<String> = shown
        .filter(|shown| shown.label == label)
        .map(|shown| shown.value.to_owned())
        .collect();
    if !shown.is_empty() {
        return shown;
    }
    if label == "reason" {
        let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
        return reasons.into_iter().map(str::to_owned).collect();
    }
    let docs = read("docs/metrics.md");
    let mut rows = docs.lines();
    let row = rows.find(|line| line.starts_with(&format!("| `{metric}` |")));
    let words = row.unwrap_or_default().split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

#[test]
fn every_value_of_a_label_that_rules_and_dashboard_use_exists() {
    let scrape = Metrics::default().encode(Timestamp::UNIX_EPOCH).unwrap();
    let expressions = rules()
        .into_iter()
        .map(|rule| text(&rule, "/expr").to_owned());
    let mut asked = 0;
    for expression in expressions.chain(queries()) {
        for matcher in matchers(&expression) {
            if matcher.value.starts_with('$') {
                continue;
            }
            let known = known_values(&scrape, matcher.metric, matcher.label);
            for value in matcher.value.split('|') {
                asked += 1;
                assert!(
                    known.contains(value),
                    "{} is never {value:?} in {}, which is required in\n{expression}\nKnown: {known:?}",
                    matcher.label,
                    matcher.metric
                );
            }
        }
    }
    assert!(asked > 30, "{asked}");
}

#[test]
fn promtool_reads_every_query_of_the_dashboard() {
    let rules: Vec<Value> = queries()
        .iter()
        .enumerate()
        .map(|(number, query)| json!({"record": format!("query:{number}"), "expr": query}))
        .collect();
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    let group = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    fs::write(file.path(), group.to_string()).unwrap();
    promtool(&root(), &["check", "rules", file.path().to_str().unwrap()]);
}

#[test]
fn the_dashboard_is_one_that_grafana_imports() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    assert!(dashboard["schemaVersion"].as_i64().unwrap() >= 36);
    assert!(
        dashboard.get("__inputs").is_none(),
        "a provisioned dashboard cannot ask for inputs"
    );
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert_eq!(variables[0]["type"], "datasource");
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<i64> = panels
        .iter()
        .map(|panel| panel["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len(), "two panels have one id");
    let rows: Vec<&str> = panels
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|panel| panel["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        rows,
        [
            "Health of syncs",
            "What the operator does",
            "Proposals",
            "PostHog's API and quota",
            "The operator itself",
            "Policies of teams",
            "Tables"
        ]
    );
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(
            panel["datasource"]["uid"], "${datasource}",
            "{}",
            panel["title"]
        );
        let place = &panel["gridPos"];
        assert!(
            place["x"].as_i64().unwrap() + place["w"].as_i64().unwrap() <= 24,
            "{}",
            panel["title"]
        );
    }
}

/// The chart puts both into templates of its own, with `.Files.Get`, and its own braces must not come to life there.
#[test]
fn the_files_are_plain() {
    for file in [ALERTS, ALERTS_FOR_TEAMS] {
        assert!(read(file).contains("\ngroups:\n"), "{file}");
    }
    assert!(
        Path::new(&root().join(DASHBOARD)).metadata().unwrap().len() < 900_000,
        "a ConfigMap holds 1 MiB"
    );
}
