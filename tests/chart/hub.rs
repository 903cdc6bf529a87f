//! What Artifact Hub shows of the chart, and the labels of its objects.

use std::fs;

use serde_json::Value;
use warehouse_sync_operator::{
    api::{ValidatedPolicy, WarehouseSyncPolicy},
    cli::crd_yaml,
};

use crate::{
    helm::{documents, only, render},
    render::{CHART, root},
};

fn chart() -> Value {
    let text = fs::read_to_string(root().join(CHART).join("Chart.yaml")).unwrap();
    documents(&text).remove(0)
}

fn annotation(name: &str) -> String {
    let chart = chart();
    let found = chart["annotations"][format!("artifacthub.io/{name}")].as_str();
    found
        .unwrap_or_else(|| panic!("Chart.yaml lacks artifacthub.io/{name}"))
        .to_owned()
}

/// An annotation that holds a list.
fn list(name: &str) -> Vec<Value> {
    let value: Value = serde_saphyr::from_str(&annotation(name)).unwrap();
    value.as_array().unwrap().clone()
}

#[test]
fn artifact_hub_shows_the_crd_as_it_is() {
    let crd = documents(&crd_yaml().unwrap()).remove(0);
    let shown = list("crds");
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0]["name"], crd["metadata"]["name"]);
    assert_eq!(shown[0]["kind"], crd["spec"]["names"]["kind"]);
    let version = &crd["spec"]["versions"][0];
    assert_eq!(shown[0]["version"], version["name"]);
    let description = &version["schema"]["openAPIV3Schema"]["description"];
    assert_eq!(&shown[0]["description"], description);
}

/// tests/chart/series.rs applies it to a real API server.
#[test]
fn the_example_that_artifact_hub_shows_is_a_policy() {
    let examples = list("crdsExamples");
    assert_eq!(examples.len(), 1);
    let mut example = examples[0].clone();
    example["metadata"]["uid"] = "u".into();
    example["metadata"]["creationTimestamp"] = "2026-10-01T00:00:00Z".into();
    let policy: WarehouseSyncPolicy = serde_json::from_value(example).unwrap();
    ValidatedPolicy::new(&policy).unwrap();
}

#[test]
fn artifact_hub_shows_the_image_that_is_installed_the_licence_and_what_has_changed() {
    let objects = render(&[]);
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    let images: Vec<Value> = list("images")
        .iter()
        .map(|image| image["image"].clone())
        .collect();
    assert_eq!(images, [pod["containers"][0]["image"].clone()]);
    assert_eq!(annotation("license"), env!("CARGO_PKG_LICENSE"));
    let changes = list("changes");
    assert!(!changes.is_empty());
    let kinds = [
        "added",
        "changed",
        "deprecated",
        "removed",
        "fixed",
        "security",
    ];
    for change in changes {
        assert!(
            kinds.contains(&change["kind"].as_str().unwrap()),
            "{change}"
        );
        assert!(
            !change["description"].as_str().unwrap().is_empty(),
            "{change}"
        );
    }
}

#[test]
fn artifact_hub_links_to_pages_that_exist() {
    let prefix = "https://github.com/warehouse-sync-operator/warehouse-sync-operator";
    for link in list("links") {
        let url = link["url"].as_str().unwrap();
        let path = url.strip_prefix(prefix).unwrap_or_else(|| panic!("{url}"));
        let page = path.strip_prefix("/blob/main/");
        assert!(
            path == "/issues" || page.is_some_and(|page| root().join(page).is_file()),
            "{url}"
        );
    }
}

#[test]
fn every_object_has_the_recommended_labels() {
    let everything = [
        "replicas=2",
        "namespaces={data,more}",
        "serviceMonitor.enabled=true",
        "prometheusRule.enabled=true",
        "kubeStateMetrics.enabled=true",
        "kubeStateMetrics.serviceAccount.name=ksm",
        "kubeStateMetrics.serviceAccount.namespace=monitoring",
        "dashboard.enabled=true",
        "networkPolicy.enabled=true",
    ];
    let objects = render(&everything);
    let pod = only(&objects, "Deployment")["spec"]["template"].clone();
    for object in objects.iter().chain([&pod]) {
        for label in [
            "name",
            "instance",
            "version",
            "component",
            "part-of",
            "managed-by",
        ] {
            let value = &object["metadata"]["labels"][format!("app.kubernetes.io/{label}")];
            assert!(
                value.as_str().is_some_and(|value| !value.is_empty()),
                "{} {}: no app.kubernetes.io/{label}",
                object["kind"],
                object["metadata"]["name"]
            );
        }
    }
}
