//! Two operators on one Lease: one acts, the other stands by and takes over. And a Lease that someone else holds or
//! changes.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use control_plane::ControlPlane;
use warehouse_sync_operator::api::status::Step;

use crate::{
    main_job::{STUCK, assert_one_cancel_and_one_reload, later, wait_until_recovered},
    support::{Env, Operator, Plane, install_crd, wait_until},
};

/// A claim lasts 3 s with these, and is renewed every 0.5 s.
const FLAGS: [&str; 3] = ["--allow-http-loopback", "--time-factor", "60"];
const LEASE: Duration = Duration::from_secs(3);

fn metric(operator: &Operator, name: &str) -> Option<u64> {
    let (_, metrics) = operator.get("/metrics");
    let line = metrics.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn leads(operator: &Operator) -> bool {
    metric(operator, "warehouse_sync_leader ") == Some(1)
}

fn wait_until_leads(operator: &Operator, wanted: bool) {
    wait_until("leadership to change", || {
        if leads(operator) == wanted {
            Ok(())
        } else {
            Err(operator.log())
        }
    });
}

fn wait_until_ready(operator: &Operator) {
    wait_until("readiness", || match operator.get("/readyz") {
        (200, _) => Ok(()),
        (status, body) => Err(format!("{status} {body}")),
    });
}

/// Waits until the operator has read the Lease several more times: about 2 s in which it could have acted.
fn wait_for_reads(operator: &Operator) {
    let reads = || {
        let name = "warehouse_sync_kubernetes_requests_total{call=\"get_lease\",outcome=\"ok\"}";
        metric(operator, name).unwrap_or(0)
    };
    let before = reads();
    wait_until("looks at the Lease", || match reads() - before {
        4.. => Ok(()),
        few => Err(few.to_string()),
    });
}

/// A leader and a standby that has observed it.
fn leader_and_standby(env: &Env) -> (Operator, Operator) {
    let leader = env.operator_with(&FLAGS);
    wait_until_leads(&leader, true);
    let standby = env.operator_with(&FLAGS);
    standby.wait_for_log("standby: ");
    wait_until_ready(&standby);
    (leader, standby)
}

/// Starts an incident and waits until its cancel was accepted.
fn begin_incident(env: &Env) {
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    env.wait_for("p", "the cancel", |status| {
        let incident = status.incidents.first();
        incident.is_some_and(|incident| later(incident.step, Step::WaitTerminal))
    });
}

fn assert_recovered_once(env: &Env) {
    wait_until_recovered(env);
    assert_one_cancel_and_one_reload(env);
}

/// Writes into the Lease as `kubectl edit` would.
fn hold_by_hand(env: &Env, holder: &str, seconds: u32) {
    let spec =
        format!(r#"{{"spec":{{"holderIdentity":"{holder}","leaseDurationSeconds":{seconds}}}}}"#);
    let patch = ["patch", "lease", "warehouse-sync-operator", "--type=merge"];
    let patch = patch.iter().copied().chain(["-p", spec.as_str()]);
    env.kubectl(&patch.collect::<Vec<_>>());
}

/// Does something while another holder renews the Lease, which is then released.
fn while_held(env: &Env, holder: &str, something: impl FnOnce()) {
    let (ends, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for seconds in 3_600.. {
                hold_by_hand(env, holder, seconds);
                let ended = ended.recv_timeout(Duration::from_secs(1));
                if ended != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
        });
        something();
        drop(ends);
    });
    hold_by_hand(env, "", 3_600);
}

fn requests(env: &Env) -> usize {
    env.posthog.simulator().requests().len()
}

#[test]
fn only_one_of_two_operators_that_start_together_acts() {
    let env = Env::new(STUCK);
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    let operators = [env.operator_with(&FLAGS), env.operator_with(&FLAGS)];
    assert_recovered_once(&env);
    operators.iter().for_each(wait_until_ready);
    wait_until("one leader", || {
        let leaders = operators.iter().filter(|operator| leads(operator)).count();
        (leaders == 1).then_some(()).ok_or(leaders.to_string())
    });
    for operator in &operators {
        let (_, metrics) = operator.get("/metrics");
        let has_policies = metrics.contains("warehouse_sync_policies{");
        assert_eq!(
            has_policies,
            leads(operator),
            "sums over replicas must be right:\n{metrics}"
        );
    }
}

#[test]
fn a_standby_takes_over_at_once_when_the_leader_is_terminated() {
    let env = Env::new(STUCK);
    let (leader, standby) = leader_and_standby(&env);
    begin_incident(&env);
    let started = Instant::now();
    let (ended, _) = leader.terminate();
    wait_until_leads(&standby, true);
    let took = started.elapsed();
    assert!(ended.success(), "{ended}");
    assert!(took < LEASE, "it waited for the claim to run out: {took:?}");
    assert_recovered_once(&env);
}

#[test]
fn a_standby_takes_over_when_the_claim_of_a_dead_leader_has_expired() {
    let env = Env::new(STUCK);
    let (leader, standby) = leader_and_standby(&env);
    begin_incident(&env);
    let started = Instant::now();
    leader.kill();
    wait_until_leads(&standby, true);
    let took = started.elapsed();
    assert!(
        took > Duration::from_secs(2),
        "a claim of {LEASE:?} was not waited for: {took:?}"
    );
    assert_recovered_once(&env);
}

#[test]
fn a_standby_is_ready_and_does_nothing_until_the_lease_is_free() {
    let env = Env::new(STUCK);
    env.apply(
        "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: warehouse-sync-operator}, \
         spec: {holderIdentity: somebody, leaseDurationSeconds: 3600}}",
    )
    .unwrap();
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    let standby = env.operator_with(&FLAGS);
    while_held(&env, "somebody", || {
        standby.wait_for_log("standby: somebody holds Lease");
        wait_until_ready(&standby);
        wait_for_reads(&standby);
        assert_eq!(requests(&env), 0);
        assert!(env.status("p").conditions.is_empty());
        assert!(!leads(&standby));
    });
    assert_recovered_once(&env);
}

#[test]
fn a_leader_that_loses_the_lease_stops_and_continues_when_it_leads_again() {
    let env = Env::new(STUCK);
    let operator = env.operator_with(&FLAGS);
    begin_incident(&env);
    while_held(&env, "thief", || {
        wait_until_leads(&operator, false);
        operator.wait_for_log("standby: thief holds Lease");
        // A reconcile in progress may end.
        wait_for_reads(&operator);
        let (requests_before, status) = (requests(&env), env.status("p"));
        wait_for_reads(&operator);
        assert_eq!(requests(&env), requests_before);
        assert_eq!(env.status("p"), status);
        wait_until_ready(&operator);
    });
    assert_recovered_once(&env);
}

/// `docs/replicas.md` tells people to do this to force a change.
#[test]
fn a_lease_that_is_emptied_by_hand_goes_to_the_standby_each_time() {
    let env = Env::new(STUCK);
    let (mut leader, mut standby) = leader_and_standby(&env);
    for _ in 0..4 {
        hold_by_hand(&env, "", 180);
        wait_until_leads(&standby, true);
        wait_until_leads(&leader, false);
        std::mem::swap(&mut leader, &mut standby);
    }
}

#[test]
fn a_lease_with_a_duration_of_a_day_blocks_for_at_most_two_claims() {
    let env = Env::new(STUCK);
    let operator = env.operator_with(&FLAGS);
    wait_until_leads(&operator, true);
    let started = Instant::now();
    hold_by_hand(&env, "nobody", 86_400);
    wait_until_leads(&operator, false);
    wait_until_leads(&operator, true);
    let took = started.elapsed();
    assert!(took >= LEASE, "not even one claim was waited for: {took:?}");
}

#[test]
fn a_deleted_lease_is_recreated_by_its_holder() {
    let env = Env::new(STUCK);
    let (leader, standby) = leader_and_standby(&env);
    begin_incident(&env);
    env.kubectl(&["delete", "lease", "warehouse-sync-operator"]);
    leader.wait_for_log("no longer the leader");
    wait_until_leads(&leader, true);
    assert!(!leads(&standby));
    assert_recovered_once(&env);
}

#[test]
fn a_leader_that_cannot_renew_sends_nothing_until_it_leads_again() {
    let plane = ControlPlane::start().unwrap();
    install_crd(&plane);
    let env = Env::on(Plane::Own(Box::new(plane)), STUCK);
    let operator = env.operator_with(&FLAGS);
    let later = env.policy("p", "mode: Enforce");
    // Enough time to pause the API server before anything is sent.
    let later = later.replace("2s, noProgressFor: 2s,", "10s, noProgressFor: 10s,");
    env.apply(&later).unwrap();
    env.wait_for_reason("p", "Ready", "Polled");
    env.plane.pause_apiserver().unwrap();
    wait_until_leads(&operator, false);
    let (readiness, why) = operator.get("/readyz");
    assert!(readiness == 503 && why.contains("Lease"), "{why}");
    assert_eq!(operator.get("/livez").0, 200);
    assert_eq!(env.count("POST", "/cancel/"), 0);
    env.plane.resume_apiserver().unwrap();
    wait_until_leads(&operator, true);
    wait_until_ready(&operator);
    assert_recovered_once(&env);
}

/// Reports it in log and readiness, stays alive, and continues without help once it is fixed.
fn is_not_ready(operator: &Operator, why: &str) {
    operator.wait_for_log(why);
    wait_until("the reason at /readyz", || match operator.get("/readyz") {
        (503, body) if body.contains(why) => Ok(()),
        (status, body) => Err(format!("{status} {body}")),
    });
    assert_eq!(operator.get("/livez").0, 200);
}

#[test]
fn without_rights_on_leases_it_names_them_and_waits() {
    let env = Env::new("sources: []");
    env.kubectl(&[
        "create",
        "role",
        "no-leases",
        "--resource=warehousesyncpolicies.warehousesync.dev,secrets",
        "--verb=get,list,watch",
    ]);
    env.kubectl(&[
        "create",
        "rolebinding",
        "nobody",
        "--role=no-leases",
        &format!("--serviceaccount={}:nobody", env.namespace),
    ]);
    let account = env
        .plane
        .service_account_kubeconfig(&env.namespace, "nobody");
    let operator = Operator::start(&account.unwrap(), &["--namespace", &env.namespace]);
    is_not_ready(
        &operator,
        "(403): give it get, create and update on leases.coordination.k8s.io",
    );
    env.kubectl(&[
        "create",
        "rolebinding",
        "somebody",
        "--role=operator",
        &format!("--serviceaccount={}:nobody", env.namespace),
    ]);
    wait_until_leads(&operator, true);
    wait_until_ready(&operator);
}

#[test]
fn a_namespace_that_is_missing_is_named_and_waited_for() {
    let env = Env::new("sources: []");
    let elsewhere = format!("{}-leases", env.namespace);
    let args = [
        ["--namespace", &env.namespace],
        ["--lease-namespace", &elsewhere],
        ["--lease-name", "other"],
    ];
    let operator = Operator::start(env.plane.admin_kubeconfig(), args.as_flattened());
    is_not_ready(&operator, &format!("there is no namespace {elsewhere}"));
    env.kubectl(&["create", "namespace", &elsewhere]);
    wait_until_leads(&operator, true);
    env.kubectl(&["get", "lease", "other", "--namespace", &elsewhere]);
    // With it, nothing waits any longer.
    assert!(operator.terminate().0.success());
    let lease = ["get", "lease", "other", "-o", "jsonpath={.spec}"];
    let lease = env
        .plane
        .kubectl(lease.into_iter().chain(["--namespace", &elsewhere]));
    assert!(!lease.unwrap().contains("holderIdentity"));
}
