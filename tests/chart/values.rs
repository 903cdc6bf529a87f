//! The effect of values, and refused values.

use std::fs;

use serde_json::{Value, json};

use crate::{
    helm::{chart, copy, offline, only, render, render_at, render_named},
    render::{CHART, root},
};

#[test]
fn helm_lint_reports_nothing() {
    let said = offline(&["lint", "--strict", &chart(), "--namespace", "ops"]);
    let said = said.unwrap_or_else(|said| panic!("{said}"));
    assert!(!said.contains("[WARNING]"), "{said}");
}

#[test]
fn wrong_values_are_refused_with_their_path_and_what_is_allowed() {
    for (value, words) in [
        ("replica=2", "additional properties 'replica' not allowed"),
        ("image.tga=x", "at '/image': additional properties 'tga'"),
        ("image.digest=abc", "at '/image/digest'"),
        (
            "clusterWide=yes",
            "at '/clusterWide': got string, want boolean",
        ),
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("quotaShare=0", "at '/quotaShare': minimum: got 0, want 1"),
        ("quotaShare=101", "maximum: got 101, want 100"),
        ("maxActionsPerHour=1001", "want 1,000"),
        ("log.format=xml", "must be one of 'human', 'json'"),
        (
            "namespaces=data",
            "at '/namespaces': got string, want array",
        ),
        ("namespaces={Data}", "at '/namespaces/0'"),
        (
            "allowedHosts={https://posthog.example.com/}",
            "at '/allowedHosts/0'",
        ),
        (
            "allowedHosts={posthog.example.com:99999}",
            "at '/allowedHosts/0'",
        ),
        ("image.repository=ghcr.io/a/b:1", "at '/image/repository'"),
        (
            r"podLabels.app\.kubernetes\.io/name=x",
            "invalid propertyName 'app.kubernetes.io/name'",
        ),
        ("replicas=null", "missing property 'replicas'"),
        ("log=null", "missing property 'log'"),
        ("networkPolicy=null", "missing property 'networkPolicy'"),
        ("allowedHosts={posthog.}", "at '/allowedHosts/0'"),
        ("allowedNotifyHosts={-x}", "at '/allowedNotifyHosts/0'"),
        ("bind.address=[:]", "at '/bind/address'"),
        ("ca.key=null", "at '/ca': missing property 'key'"),
        ("extraEnv[0].value=x", "missing property 'name'"),
        ("runAsUser=0", "at '/runAsUser': minimum"),
        ("bind.port=80", "at '/bind/port': minimum"),
        ("bind.address=localhost", "at '/bind/address'"),
        ("bind.address=0.0.0.999", "at '/bind/address'"),
        (
            "serviceMonitor.interval=often",
            "at '/serviceMonitor/interval'",
        ),
        (
            "clusterWide=true,namespaces={data}",
            "leave namespaces empty, or clusterWide false",
        ),
        ("ca.secret=a,ca.configMap=b", "leave one of them empty"),
        (
            "admissionPolicies.otherOperators[0].serviceAccount=wso",
            "at '/admissionPolicies/otherOperators/0/serviceAccount'",
        ),
        (
            "admissionPolicies.otherOperators[0].serviceAccount=system:serviceaccount:b:wso",
            "missing property 'namespaces'",
        ),
        (
            "clusterWide=true,admissionPolicies.otherOperators[0].serviceAccount=system:serviceaccount:b:wso,\
             admissionPolicies.otherOperators[0].namespaces={team}",
            "there can be no admissionPolicies.otherOperators",
        ),
        (
            "namespaces={data,team},admissionPolicies.otherOperators[0].serviceAccount=system:serviceaccount:b:wso,\
             admissionPolicies.otherOperators[0].namespaces={team}",
            "namespace team is listed twice",
        ),
        (
            "serviceMonitor.enabled=true,service.enabled=false",
            "needs service.enabled",
        ),
    ] {
        let said = render_at(&chart(), &[value]).expect_err(value);
        assert!(said.contains(words), "{value}: {said}");
    }
}

#[test]
fn the_values_have_no_field_for_a_secret() {
    let values = fs::read_to_string(root().join(CHART).join("values.schema.json")).unwrap();
    for word in ["password", "token", "apiKey", "credential"] {
        assert!(
            !values.to_lowercase().contains(&word.to_lowercase()),
            "{word}"
        );
    }
    let objects = render(&[]);
    assert!(objects.iter().all(|object| object["kind"] != "Secret"));
}

#[test]
fn two_replicas_are_spread_and_one_of_them_may_always_be_evicted() {
    let one = render(&[]);
    let two = render(&["replicas=2"]);
    let spread = |objects: &[Value]| {
        let pod = &only(objects, "Deployment")["spec"]["template"]["spec"];
        pod["topologySpreadConstraints"].clone()
    };
    assert_eq!(spread(&one), Value::Null);
    assert_eq!(spread(&two)[0]["topologyKey"], "kubernetes.io/hostname");
    assert!(
        one.iter()
            .all(|object| object["kind"] != "PodDisruptionBudget")
    );
    let budget = only(&two, "PodDisruptionBudget");
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    let selects = &only(&two, "Deployment")["spec"]["selector"];
    assert_eq!(&budget["spec"]["selector"], selects);
}

#[test]
fn an_image_is_named_by_digest_tag_or_the_version_of_the_chart() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let name = "ghcr.io/warehouse-sync-operator/warehouse-sync-operator";
    for (value, expected) in [
        (
            "replicas=1".to_owned(),
            format!("{name}:{}", env!("CARGO_PKG_VERSION")),
        ),
        ("image.tag=1.2.3".to_owned(), format!("{name}:1.2.3")),
        (
            format!("image.tag=1.2.3,image.digest={digest}"),
            format!("{name}@{digest}"),
        ),
    ] {
        let objects = render(&[&value]);
        for kind in ["Deployment", "Pod"] {
            let object = only(&objects, kind);
            let pod = object
                .pointer("/spec/template/spec")
                .unwrap_or(&object["spec"]);
            assert_eq!(pod["containers"][0]["image"], expected, "{value}");
        }
    }
}

#[test]
fn a_private_authority_is_mounted_and_passed_to_the_operator() {
    for (value, volume) in [
        (
            "ca.configMap=authority",
            json!({"configMap": {"name": "authority", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}),
        ),
        (
            "ca.secret=authority",
            json!({"secret": {"secretName": "authority", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}),
        ),
    ] {
        let objects = render(&[value]);
        let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
        let mount = &pod["containers"][0]["volumeMounts"][0];
        let args = pod["containers"][0]["args"].to_string();
        let file = format!("--ca-file={}/ca.crt", mount["mountPath"].as_str().unwrap());
        assert!(args.contains(&file), "{args}");
        for (kind, expected) in volume.as_object().unwrap() {
            assert_eq!(&pod["volumes"][0][kind], expected);
        }
    }
}

#[test]
fn a_network_policy_allows_dns_and_the_listed_ports() {
    let off = render(&[]);
    assert!(off.iter().all(|object| object["kind"] != "NetworkPolicy"));
    let on = render(&[
        "networkPolicy.enabled=true",
        "networkPolicy.egressPorts={443,3128}",
    ]);
    let spec = &only(&on, "NetworkPolicy")["spec"];
    assert_eq!(
        spec["ingress"],
        json!([{"ports": [{"port": "metrics", "protocol": "TCP"}]}])
    );
    assert_eq!(egress(&on), [53, 53, 5353, 5353, 443, 3128]);
    let with_hosts = render(&[
        "networkPolicy.enabled=true",
        "allowedHosts={posthog.internal:8443,us.posthog.com}",
        "allowedNotifyHosts={hooks.internal:8443,hooks.other:444}",
    ]);
    let ports = egress(&with_hosts);
    assert_eq!(ports, [53, 53, 5353, 5353, 443, 6443, 8443, 444]);
}

/// The ports that the NetworkPolicy allows for egress.
fn egress(objects: &[Value]) -> Vec<i64> {
    let policy = only(objects, "NetworkPolicy");
    let rules = policy["spec"]["egress"].as_array().unwrap();
    let ports = rules
        .iter()
        .flat_map(|rule| rule["ports"].as_array().unwrap());
    ports.map(|port| port["port"].as_i64().unwrap()).collect()
}

/// Helm allows names of releases that are invalid for a Service, and names that YAML reads as numbers.
#[test]
fn unusual_release_names_work() {
    let service = |objects: &[Value]| only(objects, "Service")["metadata"]["name"].clone();
    let dotted = render_named("my.release", &[]).unwrap();
    assert_eq!(
        service(&dotted),
        "my-release-warehouse-sync-operator-metrics"
    );
    let said = render_named("1up", &[]).unwrap_err();
    assert!(said.contains("set fullnameOverride"), "{said}");
    let values = [
        "fullnameOverride=wso",
        "serviceAccount.name=77",
        "priorityClassName=1000",
    ];
    let objects = render_named("12", &values).unwrap();
    let deployment = only(&objects, "Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "77");
    assert_eq!(pod["priorityClassName"], "1000");
    let label = "app.kubernetes.io/instance";
    assert_eq!(deployment["spec"]["selector"]["matchLabels"][label], "12");
    let bindings = objects
        .iter()
        .filter(|object| object["kind"] == "RoleBinding");
    for binding in bindings {
        assert_eq!(binding["subjects"][0]["name"], "77");
    }
}

#[test]
fn the_service_monitor_finds_the_port_of_the_service() {
    let objects = render(&["serviceMonitor.enabled=true", "serviceMonitor.labels.a=b"]);
    let (monitor, service) = (only(&objects, "ServiceMonitor"), only(&objects, "Service"));
    assert_eq!(monitor["metadata"]["labels"]["a"], "b");
    assert_eq!(
        monitor["metadata"]["namespace"],
        service["metadata"]["namespace"]
    );
    let wanted = monitor["spec"]["selector"]["matchLabels"].as_object();
    for (label, value) in wanted.unwrap() {
        assert_eq!(&service["metadata"]["labels"][label], value);
    }
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
    assert_eq!(endpoint["path"], "/metrics");
    let container = &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        service["spec"]["ports"][0]["targetPort"],
        container["ports"][0]["name"]
    );
}

/// Both contain braces that are not for helm.
#[test]
fn alerts_and_dashboard_are_shipped_as_they_are() {
    let values = ["prometheusRule.enabled=true", "dashboard.enabled=true"];
    let shipped = render(&values);
    only(&shipped, "PrometheusRule");
    only(&shipped, "ConfigMap");

    let folder = tempfile::tempdir().unwrap();
    copy(folder.path());
    let chart = folder.path().display().to_string();
    let files = folder.path().join("files");
    let alerts = "groups:\n  - name: a\n    rules:\n      - alert: B\n        expr: up == 0\n        annotations: {summary: '{{ $labels.pod }} is down'}\n";
    let dashboard = "{\n  \"title\": \"{{pod}}\"\n}\n";
    fs::write(files.join("alerts.yaml"), alerts).unwrap();
    fs::write(files.join("dashboard.json"), dashboard).unwrap();
    let objects = render_at(&chart, &values).unwrap();
    let rule = &only(&objects, "PrometheusRule")["spec"];
    assert_eq!(
        rule["groups"][0]["rules"][0]["annotations"]["summary"],
        "{{ $labels.pod }} is down"
    );
    let map = only(&objects, "ConfigMap");
    let shown: Value = serde_json::from_str(
        map["data"]["warehouse-sync-operator.json"]
            .as_str()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(shown, json!({"title": "{{pod}}"}));
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
}
