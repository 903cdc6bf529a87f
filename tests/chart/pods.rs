//! The pods: checked against Kubernetes' strictest pod security standard; and that of `helm test`, run as far as
//! possible without a kubelet.

use std::process::Command;

use control_plane::ControlPlane;
use serde_json::{Value, json};

use crate::{
    helm::{only, render},
    support::put,
};

/// Creates a pod in a namespace that allows only restricted pods.
fn put_pod(
    plane: &ControlPlane,
    name: &str,
    metadata: &Value,
    spec: &Value,
) -> Result<String, String> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "strict", "labels": metadata["labels"]},
        "spec": spec,
    });
    put(plane, &["create", "-f", "-"], &pod.to_string())
}

#[test]
fn the_pods_meet_the_restricted_standard() {
    let plane = ControlPlane::start().unwrap_or_else(|error| panic!("{error}"));
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "strict", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    });
    plane.apply(&namespace.to_string()).unwrap();
    for values in [
        &["replicas=2"][..],
        &["ca.secret=authority"],
        &["runAsUser=null"],
    ] {
        let objects = render(values);
        let template = &only(&objects, "Deployment")["spec"]["template"];
        let name = values[0].replace(['=', '.'], "-").to_lowercase();
        put_pod(&plane, &name, &template["metadata"], &template["spec"]).unwrap();
        let test = only(&objects, "Pod");
        put_pod(
            &plane,
            &format!("{name}-test"),
            &test["metadata"],
            &test["spec"],
        )
        .unwrap();
        let root = &template["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"];
        assert_eq!(root, true);

        let mut weaker = template["spec"].clone();
        weaker["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
        let said = put_pod(&plane, "weaker", &template["metadata"], &weaker).unwrap_err();
        assert!(said.contains("violates PodSecurity"), "{said}");
    }
}

#[test]
fn helm_test_succeeds() {
    let objects = render(&[]);
    let pod = only(&objects, "Pod");
    assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
    let args: Vec<String> =
        serde_json::from_value(pod["spec"]["containers"][0]["args"].clone()).unwrap();
    let program = env!("CARGO_BIN_EXE_warehouse-sync-operator");
    let output = Command::new(program)
        .args(&args)
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("CredentialsInvalid"),
        "{output:?}"
    );
}

/// A probe that checks more than the process would restart pods for problems that no restart fixes.
#[test]
fn the_liveness_probe_checks_only_the_process_and_the_grace_period_is_that_of_the_program() {
    let objects = render(&[]);
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let path = |probe: &str| container[probe]["httpGet"]["path"].clone();
    assert_eq!(path("startupProbe"), "/livez");
    assert_eq!(path("livenessProbe"), "/livez");
    assert_eq!(path("readinessProbe"), "/readyz");
    assert_eq!(pod["terminationGracePeriodSeconds"], 150);
    assert_eq!(
        container["livenessProbe"]["terminationGracePeriodSeconds"], 10,
        "a process that hangs finishes nothing in 150 s"
    );
}

#[test]
fn why_a_container_ended_is_in_the_status_of_its_pod() {
    let objects = render(&[]);
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    let policy = &pod["containers"][0]["terminationMessagePolicy"];
    assert_eq!(policy, "FallbackToLogsOnError");
}

#[test]
fn the_dns_of_the_pod_is_a_value() {
    let objects = render(&[
        "dnsConfig.options[0].name=ndots",
        "dnsConfig.searches[0]=corp.example",
    ]);
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    let expected = json!({"options": [{"name": "ndots"}], "searches": ["corp.example"]});
    assert_eq!(pod["dnsConfig"], expected);
}
