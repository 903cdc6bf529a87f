//! The `CustomResourceDefinition` on a real API server and with a real kubectl.

use serde_json::{Value, json};
use warehouse_sync_operator::{api::policy::WarehouseSyncPolicySpec, cli::crd_yaml};

use crate::support::{Env, put};

pub const CLOUD: &str = "https://us.posthog.com";

/// The smallest policy.
pub fn minimal(name: &str, host: &str) -> Value {
    json!({
        "apiVersion": "warehousesync.dev/v1alpha1",
        "kind": "WarehouseSyncPolicy",
        "metadata": {"name": name},
        "spec": {"posthog": {"host": host, "projectId": 12345, "apiKeySecretRef": {"name": "posthog", "key": "api-key"}}},
    })
}

pub fn env() -> Env {
    Env::new("sources: []")
}

#[test]
fn the_least_policy_is_accepted_and_its_defaults_are_written_out() {
    let env = env();
    env.apply(&minimal("least", CLOUD).to_string()).unwrap();
    let object = env.kubectl(&["get", "wsp", "least", "-o", "json"]);
    let mut object: Value = serde_json::from_str(&object).unwrap();
    let spec = object["spec"].take();
    // Tools that compare generations see that no operator has seen it yet.
    assert_eq!(object["status"], json!({"observedGeneration": -1}));
    // Defaults are defined once, in `src/api`: the API server fills in the same.
    let written =
        serde_json::from_value::<WarehouseSyncPolicySpec>(minimal("least", CLOUD)["spec"].take());
    assert_eq!(spec, serde_json::to_value(written.unwrap()).unwrap());
    let pinned = [
        "/mode",
        "/remediation/resync",
        "/remediation/deleteData",
        "/remediation/cancelStuck",
    ];
    let pinned = pinned.map(|path| spec.pointer(path).and_then(Value::as_str));
    assert_eq!(
        pinned,
        [
            Some("Observe"),
            Some("Propose"),
            Some("Propose"),
            Some("Auto")
        ]
    );
    assert_eq!(
        spec["health"]["stuck"],
        json!({"after": "6h", "noProgressFor": "12h", "loadingSilentFor": "24h"})
    );
}

/// kubectl reads YAML 1.1, in which a bare `Off` is false: it must not be accepted as something else.
#[test]
fn off_in_quotes_is_accepted_and_without_them_refused_with_its_field() {
    let env = env();
    let with = |value: &str| {
        let spec = format!("spec: {{remediation: {{cancelStuck: {value}}}, ");
        env.apply(&env.policy("p", "").replace("spec: {", &spec))
    };
    with("Auto").unwrap();
    with("Propose").unwrap();
    with("'Off'").unwrap();
    let said = with("Off").unwrap_err();
    assert!(
        said.contains("spec.remediation.cancelStuck") && said.contains("string"),
        "{said}"
    );
    let explained = env.kubectl(&["explain", "wsp.spec.remediation.cancelStuck"]);
    assert!(explained.contains("in quotes"), "{explained}");
}

#[test]
fn kubectl_explains_every_field_of_the_spec() {
    let env = env();
    let crd: Value = serde_saphyr::from_str(&crd_yaml().unwrap()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let mut undescribed = Vec::new();
    let mut fields = Vec::new();
    for top in ["spec", "status"] {
        walk(&schema[top], top, &mut |path, property| {
            let text = property["description"].as_str().unwrap_or_default().trim();
            if text.is_empty() {
                undescribed.push(path.to_owned());
            }
            fields.push((path.to_owned(), text.to_owned()));
        });
    }
    assert_eq!(undescribed, Vec::<String>::new());
    assert!(fields.len() > 60, "the walk found {} fields", fields.len());
    for (path, text) in fields.iter().filter(|(path, _)| path.starts_with("spec")) {
        let said = env.kubectl(&["explain", &format!("wsp.{path}")]);
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            one_line(&said).contains(&one_line(text)),
            "{path}: {text:?} is missing in {said}"
        );
    }
}

/// Visits a property and everything below it, also in items of lists.
fn walk(property: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, property);
    for holder in [property, &property["items"]] {
        for (name, below) in holder["properties"].as_object().into_iter().flatten() {
            walk(below, &format!("{path}.{name}"), visit);
        }
    }
}

#[test]
fn policies_are_listed_by_short_name_and_category_with_their_columns() {
    let env = env();
    env.apply(&minimal("listed", CLOUD).to_string()).unwrap();
    for name in ["wsp", "warehouse", "warehousesyncpolicies"] {
        let table = env.kubectl(&["get", name]);
        let header: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(
            header,
            ["NAME", "READY", "HEALTHY", "PENDING", "MODE", "AGE"]
        );
        assert!(
            table.contains("listed") && table.contains("Observe"),
            "{table}"
        );
    }
}

#[test]
fn the_crd_in_the_repository_is_what_the_code_generates() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/crds/warehousesyncpolicies.yaml"
    );
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == crd_yaml().unwrap(),
        "{path} is old; regenerate it: cargo run -- crd > crds/warehousesyncpolicies.yaml"
    );
}

/// For example of a format that it does not know, at each installation.
#[test]
fn the_api_server_warns_of_nothing_in_the_crd() {
    let env = env();
    // As if it were not there yet.
    let another = crd_yaml()
        .unwrap()
        .replace("warehousesync.dev", "example.com");
    let create = [
        "create",
        "--warnings-as-errors",
        "--dry-run=server",
        "-f",
        "-",
    ];
    put(&env.plane, &create, &another).unwrap();
    let unknown = another.replacen("format: int64", "format: uint32", 1);
    let refused = put(&env.plane, &create, &unknown).unwrap_err();
    assert!(refused.contains("1 warning received"), "{refused}");
}

#[test]
fn create_and_replace_cannot_set_the_status() {
    let env = env();
    let generation = |number: i64| json!({"observedGeneration": number});
    let file = std::env::temp_dir().join(format!("{}-status.json", env.namespace));
    let mut policy = minimal("p", CLOUD);
    policy["status"] = generation(99);
    std::fs::write(&file, policy.to_string()).unwrap();
    let policy_file = file.to_str().unwrap();
    let status = || env.kubectl(&["get", "wsp", "p", "-o", "jsonpath={.status}"]);
    env.kubectl(&["create", "-f", policy_file]);
    assert_eq!(status(), generation(-1).to_string());
    let patch = json!({"status": generation(1)}).to_string();
    let patch = [
        "patch",
        "wsp",
        "p",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    env.kubectl(&patch);
    env.kubectl(&["replace", "-f", policy_file]);
    assert_eq!(status(), generation(1).to_string());
    std::fs::remove_file(file).unwrap();
}
