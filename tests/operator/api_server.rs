//! The API server fails right after a cancel was sent: no job is cancelled twice, and the reload is not forgotten.
//!
//! Each test has its own control plane, so that the others keep theirs.

use std::collections::BTreeSet;

use control_plane::ControlPlane;
use jiff::SignedDuration;
use posthog_simulator::{EffectKind, Fault, FaultKind};

use crate::{
    main_job::STUCK,
    support::{Env, Operator, Plane, install_crd, wait_until},
};

const FLAGS: [&str; 3] = ["--allow-http-loopback", "--time-factor", "60"];

/// A stuck run, and a PostHog that answers this call late: the test acts between the call's effect and the answer.
fn env(slow: &str) -> Env {
    let plane = ControlPlane::start().unwrap();
    install_crd(&plane);
    let env = Env::on(Plane::Own(Box::new(plane)), STUCK);
    let by = SignedDuration::from_secs(4);
    let late = Fault::once("POST", slow, FaultKind::Delay { by });
    env.posthog.simulator().add_fault(late);
    env
}

/// Starts an operator and waits until the simulator has seen the call.
fn operator_that_sent(env: &Env, call: &str) -> Operator {
    let operator = env.operator_with(&FLAGS);
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    wait_until(call, || match env.count("POST", call) {
        0 => Err(operator.log()),
        _ => Ok(()),
    });
    operator
}

/// Waits until a call to the API server has failed since the log had this length.
fn noticed(operator: &Operator, since: usize) {
    wait_until("the loss of the API server in the log", || {
        let log = operator.log()[since..].to_owned();
        if log.contains("retrying") {
            Ok(())
        } else {
            Err(log)
        }
    });
}

fn assert_done_once(env: &Env) {
    env.wait_for("p", "the end of the incident", |status| {
        let all_well = status
            .summary
            .as_ref()
            .is_some_and(|s| s.healthy_of == "3/3");
        all_well && status.incidents.is_empty() && !status.history.is_empty()
    });
    let simulator = env.posthog.simulator();
    let id = simulator.schema_id("public.orders").unwrap();
    let jobs: Vec<_> = simulator
        .effects_of(EffectKind::Cancelled)
        .iter()
        .map(|effect| effect.job_id.clone())
        .collect();
    assert_eq!(
        jobs.iter().collect::<BTreeSet<_>>().len(),
        jobs.len(),
        "{jobs:?}"
    );
    assert_eq!(simulator.count("POST", "/cancel/"), 1);
    assert_eq!(simulator.reloads_that_started(&id).len(), 1);
}

#[test]
fn an_api_server_that_is_down_after_the_cancel_is_waited_for() {
    let env = env("/cancel/");
    let operator = operator_that_sent(&env, "/cancel/");
    env.plane.stop_apiserver();
    noticed(&operator, operator.log().len());
    env.plane.start_apiserver().unwrap();
    assert_done_once(&env);
}

#[test]
fn an_api_server_that_hangs_after_the_cancel_is_waited_for() {
    let env = env("/cancel/");
    let operator = operator_that_sent(&env, "/cancel/");
    env.plane.pause_apiserver().unwrap();
    noticed(&operator, operator.log().len());
    env.plane.resume_apiserver().unwrap();
    assert_done_once(&env);
}

/// The memory of the process is lost; the status only shows that the call was about to be sent.
#[test]
fn an_operator_killed_while_the_api_server_is_down_sends_nothing_again() {
    for call in ["/cancel/", "/reload/"] {
        let env = env(call);
        let operator = operator_that_sent(&env, call);
        env.plane.stop_apiserver();
        noticed(&operator, operator.log().len());
        operator.kill();
        env.plane.start_apiserver().unwrap();
        let _next = env.operator_with(&FLAGS);
        assert_done_once(&env);
    }
}

/// Also without incidents: watches are restarted, and changes in the meantime are observed.
#[test]
fn watches_survive_a_restart_of_the_api_server() {
    let env = env("/");
    env.put_key("phx_wrong");
    let operator = env.operator();
    let daily = env.policy("p", "").replace("interval: 5s", "interval: 24h");
    env.apply(&daily).unwrap();
    env.wait_for_reason("p", "Ready", "KeyRejected");
    env.plane.stop_apiserver();
    operator.wait_for_log("a watch failed");
    env.plane.start_apiserver().unwrap();
    env.put_key("phx_demo");
    env.wait_for_reason("p", "Ready", "Polled");
    // That the API server has forgotten where a watch was is normal, and nothing that a person could fix.
    let log = operator.log();
    assert!(!log.contains("too old resource version"), "{log}");
}
