//! The operator as the Deployment of a release runs it.

use control_plane::ControlPlane;
use serde_json::Value;

use crate::support::Operator;

/// Arguments and environment of the container from the API server, except for this machine: another address, and a
/// simulated PostHog whose hours are minutes.
pub fn start(plane: &ControlPlane, namespace: &str, name: &str) -> Operator {
    let deployment = plane
        .kubectl(["get", "deployment", "-n", namespace, name, "-o", "json"])
        .unwrap();
    let deployment: Value = serde_json::from_str(&deployment).unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], name);
    let container = &pod["containers"][0];
    let args = container["args"].as_array().unwrap().iter();
    let args = args.map(|arg| match arg.as_str().unwrap() {
        bind if bind.starts_with("--bind=") => "--bind=127.0.0.1:0",
        other => other,
    });
    let args: Vec<&str> = args
        .chain(["--allow-http-loopback", "--time-factor=600"])
        .collect();
    let variables = container["env"].as_array().into_iter().flatten();
    let variables: Vec<(&str, &str)> = variables
        .map(|one| {
            (
                one["name"].as_str().unwrap(),
                one["value"].as_str().unwrap(),
            )
        })
        .collect();
    let kubeconfig = plane.service_account_kubeconfig(namespace, name).unwrap();
    Operator::start_as(&kubeconfig, &args, &variables)
}
