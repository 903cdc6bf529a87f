//! Two installations in one cluster: each has its own account, Lease and namespaces, and both use one set of admission policies.

use control_plane::ControlPlane;
use serde_json::json;
use warehouse_sync_operator::api::proposal::Phase;

use crate::{
    deployed::start,
    helm::Release,
    people::User,
    support::{Env, Operator, Plane, wait_until},
};

/// The releases and their namespaces.
const FIRST: (&str, &str) = ("first", "ops-first");
const SECOND: (&str, &str) = ("second", "ops-second");
/// The account of the second.
const SECOND_NAME: &str = "second-warehouse-sync-operator";
const SECOND_USER: &str = "system:serviceaccount:ops-second:second-warehouse-sync-operator";
/// What the first has installed for both.
const SHARED: &str = "crds.install=false,admissionPolicies.install=false,roles.install=false";

const WRONG_TYPE: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: orders, status: Failed, rows: 70, last_synced_ago: 40h, last_run_ago: 2h, frequency: 30day,
         latest_error: 'Source column type changed: amount was int64 and is now string', then: {completes: {after: 1s, rows: 70}}}
";

/// Both releases on an API server that lives as long as this process, and an environment with a policy for each.
struct Installations {
    plane: &'static ControlPlane,
    envs: [Env; 2],
}

impl Installations {
    fn new() -> Self {
        let plane = ControlPlane::start().unwrap_or_else(|error| panic!("{error}"));
        let plane: &'static ControlPlane = Box::leak(Box::new(plane));
        let envs = [0, 1].map(|_| Env::on(Plane::Shared(plane), WRONG_TYPE));
        let this = Self { plane, envs };
        let [first, second] = &this.envs;
        let other = "admissionPolicies.otherOperators[0]";
        this.release(FIRST).install(&[
            &format!("namespaces={{{}}}", first.namespace),
            &format!("{other}.serviceAccount={SECOND_USER}"),
            &format!("{other}.namespaces={{{}}}", second.namespace),
        ]);
        let namespaces = format!("namespaces={{{}}}", second.namespace);
        this.release(SECOND).install(&[&namespaces, SHARED]);
        for env in &this.envs {
            wait_until("the CRD to be served", || {
                env.apply(&env.policy("p", "mode: Enforce"))
            });
        }
        this
    }

    fn release(&self, (name, namespace): (&'static str, &'static str)) -> Release<'_> {
        Release::within(self.plane, name, namespace)
    }

    fn operator(&self, (name, namespace): (&str, &str)) -> Operator {
        let name = format!("{name}-warehouse-sync-operator");
        start(self.plane, namespace, &name)
    }

    /// The account of the second release in the namespace of the first, with the rights of the first there.
    fn intruder(&self) -> User<'_> {
        let namespace = &self.envs[0].namespace;
        self.envs[0].kubectl(&[
            "create",
            "rolebinding",
            "intruder",
            "--role=first-warehouse-sync-operator",
            &format!("--serviceaccount={}:{SECOND_NAME}", SECOND.1),
        ]);
        let account = self.plane.service_account_kubeconfig(SECOND.1, SECOND_NAME);
        let mut user = User::admin(self.plane, namespace);
        user.kubeconfig = account.unwrap();
        user
    }
}

fn wait_until_leads(operator: &Operator) {
    wait_until("leadership", || match operator.get("/metrics") {
        (200, metrics) if metrics.contains("\nwarehouse_sync_leader 1\n") => Ok(()),
        _ => Err(operator.log()),
    });
}

/// Approves the proposal of the policy, and waits until it was executed.
fn approve(env: &Env, by: &str) {
    let approver = User::with_role(&env.plane, &env.namespace, by, "approver");
    env.wait_for_reason("p", "ApprovalGuardActive", "GuardActive");
    let waits = env.wait_for("p", "a proposal", |status| {
        let newest = status.proposals.last();
        newest.is_some_and(|row| row.phase == Phase::AwaitingApproval)
    });
    let id = &waits.proposals.last().unwrap().id;
    let annotation = format!("approve.warehousesync.dev/{id}={by}");
    approver.annotate(&annotation).unwrap();
    let done = env.wait_for("p", "the execution", |status| {
        let newest = status.proposals.last();
        newest.is_some_and(|row| row.phase == Phase::Executed)
    });
    let approval = done.proposals.last().unwrap().approval.as_ref().unwrap();
    assert_eq!((&*approval.by, approval.verified), (by, true));
    assert_eq!(env.count("POST", "/resync/"), 1);
}

#[test]
fn two_releases_work_side_by_side_with_one_set_of_admission_policies() {
    let at = Installations::new();
    let operators = [FIRST, SECOND].map(|which| at.operator(which));
    operators.iter().for_each(wait_until_leads);
    for ((name, namespace), env) in [FIRST, SECOND].iter().zip(&at.envs) {
        let lease = format!("{name}-warehouse-sync-operator");
        let held = ["get", "lease", &lease, "-n", namespace];
        at.plane.kubectl(held).unwrap();
        approve(env, &format!("anna-{name}"));
    }

    // The second may not write the status of the first, even with the rights of RBAC.
    let intruder = at.intruder();
    let why = format!(
        "only the operator's ServiceAccount may write the status of warehousesyncpolicies in namespace {}: system:serviceaccount:ops-first:",
        at.envs[0].namespace
    );
    wait_until("the refusal", || {
        let forged = json!({"observedGeneration": 7});
        let said = intruder.try_to_write_status(&forged).unwrap_err();
        let said = said.to_string();
        if said.contains(&why) {
            Ok(())
        } else {
            Err(said)
        }
    });
}

#[test]
fn a_namespace_that_two_releases_list_is_left_to_the_one_that_the_admission_policies_name() {
    let at = Installations::new();
    let [first, second] = &at.envs;
    let both = format!("namespaces={{{},{}}}", first.namespace, second.namespace);
    at.release(SECOND).upgrade(&[&both, SHARED]);
    let operator = at.operator(SECOND);
    second.wait_for_reason("p", "Ready", "Polled");
    operator.wait_for_log(&format!(
        "lets only system:serviceaccount:ops-first:first-warehouse-sync-operator write status in namespace {}",
        first.namespace
    ));
    wait_until("the event and the metric", || {
        let (_, metrics) = operator.get("/metrics");
        let is_counted = metrics.contains("outcome=\"other_writer\"} 1");
        let reasons = first.event_reasons();
        if is_counted && reasons == ["LeftAlone"] {
            Ok(())
        } else {
            Err(format!("{reasons:?} {metrics}"))
        }
    });
    assert_eq!(first.posthog.simulator().requests().len(), 0);
    assert!(first.status("p").conditions.is_empty());
    let _owner = at.operator(FIRST);
    first.wait_for_reason("p", "Ready", "Polled");
}
