//! Who may approve, on a real API server with the shipped admission policies and roles, and real users.

use control_plane::ControlPlane;
use serde_json::{Value, json};
use warehouse_sync_operator::api::{
    WarehouseSyncPolicyStatus,
    proposal::{Phase, Proposal},
};

use crate::{
    people::{ADMISSION, HOME, RBAC, User, guarded, namespace, operator_account, policy},
    support::{Env, Operator, Plane, install_crd, wait_until},
};

/// The refusal of any other change by an approver.
const ANSWERS_ONLY: &str = "may only approve and deny";

const ID: &str = "rs-abcdefghijklmnopqrstuvwxyz";

fn approve(by: &str) -> String {
    format!("approve.warehousesync.dev/{ID}={by}")
}

fn deny(why: &str) -> String {
    format!("deny.warehousesync.dev/{ID}={why}")
}

// --- Who may answer -------------------------------------------------------------------------------------------------

#[test]
fn an_editor_may_write_policies_but_not_answer_proposals() {
    let plane = guarded();
    let at = namespace(&plane, "authors");
    let author = User::with_role(&plane, &at, "author", "editor");
    author.refused(&approve("author"), "warehousesync-approver");
    author.refused(&approve("on-behalf:anna"), "warehousesync-gitops");
    author.refused(&deny("no"), "may not deny");
    // Nothing else prevents it.
    author.allowed(&["label", "wsp", "p", "team=a"]);
    author.allowed(&["annotate", "wsp", "p", "example.com/note=x"]);
    author.allowed(&[
        "annotate",
        "wsp",
        "p",
        "request.warehousesync.dev/a1=Resync",
    ]);
    author.allowed(&[
        "patch",
        "wsp",
        "p",
        "--type=merge",
        "-p",
        r#"{"spec":{"suspend":true}}"#,
    ]);
    // Also not at creation.
    author.allowed(&["delete", "wsp", "p"]);
    let preset = policy(&format!("approve.warehousesync.dev/{ID}: author"));
    let said = author.kubectl_with(&["create", "-f", "-"], &preset);
    assert!(said.unwrap_err().contains("warehousesync-approver"));
}

/// The API server takes 256 KiB of annotations. The approver may only add answers, so could not make room for one.
#[test]
fn an_editor_leaves_room_for_the_denial_of_an_approver() {
    let plane = guarded();
    let at = namespace(&plane, "room");
    let editor = User::with_role(&plane, &at, "editor", "editor");
    let approver = User::with_role(&plane, &at, "anna", "approver");
    let with = |annotations: Value| {
        let patch = json!({"metadata": {"annotations": annotations}}).to_string();
        let from_input = [
            "patch",
            "wsp",
            "p",
            "--type=merge",
            "--patch-file=/dev/stdin",
        ];
        editor.kubectl_with(&from_input, &patch)
    };
    let short = |count: usize| (0..count).map(|n| (format!("a{n}"), json!("")));
    for (what, annotations) in [
        (
            "large",
            json!({"a": "x".repeat(120_000), "b": "x".repeat(120_000)}),
        ),
        (
            "of four bytes each",
            json!({"a": "\u{1f600}".repeat(60_000)}),
        ),
        ("many", Value::Object(short(301).collect())),
        ("very many", Value::Object(short(3_000).collect())),
    ] {
        let said = with(annotations).expect_err(what);
        assert!(
            said.contains("leave no room for approvals"),
            "{what}: {said}"
        );
    }
    with(json!({"a": "x".repeat(100_000), "b": "x".repeat(90_000)})).unwrap();
    approver.annotate(&deny("no")).unwrap();
    with(Value::Object(short(250).collect())).unwrap();
    approver.annotate(&approve("anna")).unwrap();
}

#[test]
fn an_approver_answers_in_their_own_name_and_changes_nothing_else() {
    let plane = guarded();
    let at = namespace(&plane, "approvers");
    let approver = User::with_role(&plane, &at, "anna", "approver");
    approver.refused(&approve("bob"), "your own user name, anna");
    approver.refused(&approve("on-behalf:anna"), "warehousesync-gitops");
    approver.annotate(&approve("anna")).unwrap();
    approver.annotate(&deny("on second thoughts")).unwrap();
    for (patch, what) in [
        (r#"{"spec":{"suspend":true}}"#, "spec"),
        (r#"{"metadata":{"labels":{"a":"b"}}}"#, "labels"),
        (
            r#"{"metadata":{"finalizers":["example.com/x"]}}"#,
            "finalizers",
        ),
        (
            r#"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Secret","name":"x","uid":"1"}]}}"#,
            "owners",
        ),
    ] {
        let said = approver.kubectl(&["patch", "wsp", "p", "--type=merge", "-p", patch]);
        let said = said.expect_err(what);
        assert!(said.contains(ANSWERS_ONLY), "{what}: {said}");
    }
    approver.may_not(&["delete", "wsp", "p"], "cannot delete");
    approver.may_not(&["get", "secrets"], "cannot list");
    let other = policy("").replace("name: p,", "name: other,");
    let said = approver.kubectl_with(&["apply", "--server-side", "-f", "-"], &other);
    assert!(said.unwrap_err().contains("cannot create"));
}

#[test]
fn an_approver_requests_no_proposal_and_prepares_none() {
    let plane = guarded();
    let at = namespace(&plane, "answers");
    let approver = User::with_role(&plane, &at, "anna-a", "approver");
    let author = User::with_role(&plane, &at, "author-a", "editor");
    author.annotate("example.com/note=x").unwrap();
    // The same person may not both request and approve a deletion.
    approver.refused("request.warehousesync.dev/a1=DeleteData", ANSWERS_ONLY);
    approver.refused("reconcile.warehousesync.dev/resetAt=1", ANSWERS_ONLY);
    // The editor's next `kubectl apply` would remove the fields of spec that this annotation lists.
    let applied = r#"kubectl.kubernetes.io/last-applied-configuration={"spec":{"suspend":true}}"#;
    approver.refused(applied, ANSWERS_ONLY);
    approver.refused("example.com/note-", ANSWERS_ONLY);
    // Also not together with an answer.
    let both = json!({"metadata": {"annotations": {
        format!("approve.warehousesync.dev/{ID}"): "anna-a", "example.com/note": "y",
    }}});
    let patch = ["patch", "wsp", "p", "--type=merge", "-p", &both.to_string()];
    approver.may_not(&patch, ANSWERS_ONLY);
    approver.annotate(&approve("anna-a")).unwrap();
    let removed = format!("approve.warehousesync.dev/{ID}-");
    approver.annotate(&removed).unwrap();
}

#[test]
fn a_user_name_that_begins_with_on_behalf_cannot_approve() {
    let plane = guarded();
    let at = namespace(&plane, "names");
    let eve = User::with_role(&plane, &at, "on-behalf:eve", "approver");
    eve.refused(&approve("on-behalf:eve"), "warehousesync-gitops");
    eve.refused(&approve("eve"), "your own user name, on-behalf:eve");
}

#[test]
fn an_administrator_cannot_approve_in_another_name() {
    let plane = guarded();
    let at = namespace(&plane, "admins");
    let admin = User::admin(&plane, &at);
    admin.refused(&approve("anna"), "your own user name, admin");
    admin.annotate(&approve("admin")).unwrap();
}

#[test]
fn an_approval_may_be_removed_but_not_changed() {
    let plane = guarded();
    let at = namespace(&plane, "changed");
    let anna = User::with_role(&plane, &at, "anna-c", "approver");
    let bob = User::with_role(&plane, &at, "bob-c", "approver");
    let author = User::with_role(&plane, &at, "author-c", "editor");
    anna.annotate(&approve("anna-c")).unwrap();
    bob.refused(&approve("bob-c"), "removed, not changed");
    // Existing approvals do not prevent other changes.
    author.allowed(&[
        "patch",
        "wsp",
        "p",
        "--type=merge",
        "-p",
        r#"{"spec":{"interval":"3m"}}"#,
    ]);
    author.annotate("example.com/note=x").unwrap();
    author.allowed(&["label", "wsp", "p", "team=a"]);
    // With the approval in the file, and without.
    for applied in [
        policy(&format!("approve.warehousesync.dev/{ID}: anna-c")),
        policy("example.com/note: z"),
    ] {
        let said = author.kubectl_with(&["apply", "-f", "-"], &applied);
        said.unwrap_or_else(|said| panic!("{said}"));
    }
    // The second file removed it.
    anna.annotate(&approve("anna-c")).unwrap();
    author.allowed(&[
        "annotate",
        "wsp",
        "p",
        &format!("approve.warehousesync.dev/{ID}-"),
    ]);
    bob.annotate(&approve("bob-c")).unwrap();
}

#[test]
fn git_approves_on_behalf_of_others_only() {
    let plane = guarded();
    let at = namespace(&plane, "gitops");
    let git = User::with_role(&plane, &at, "flux", "gitops");
    git.refused(&approve("flux"), "warehousesync-approver");
    git.refused(&approve("anna"), "warehousesync-approver");
    git.annotate(&approve("on-behalf:anna")).unwrap();
    git.annotate(&deny("in git")).unwrap();
    let applied = policy(&format!("approve.warehousesync.dev/{ID}: 'on-behalf:anna'"));
    for _ in 0..2 {
        let said = git.kubectl_with(
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            &applied,
        );
        said.unwrap_or_else(|said| panic!("{said}"));
    }
    // Also at creation.
    git.allowed(&["delete", "wsp", "p"]);
    let said = git.kubectl_with(&["create", "-f", "-"], &applied);
    said.unwrap_or_else(|said| panic!("{said}"));
}

/// Many GitOps controllers are cluster-admin: they have every right, but are not a person.
#[test]
fn a_service_account_approves_on_behalf_of_others_only() {
    let plane = guarded();
    let at = namespace(&plane, "accounts");
    let name = format!("system:serviceaccount:{at}:flux");
    let account = User::service_account(&plane, &at, "flux", "cluster-admin");
    account.refused(&approve(&name), "is a ServiceAccount");
    account.refused(&approve(&name), "--verified-service-accounts");
    let preset = policy(&format!("approve.warehousesync.dev/{ID}: '{name}'"));
    let preset = preset.replace("name: p,", "name: preset,");
    let said = account.kubectl_with(&["create", "-f", "-"], &preset);
    assert!(said.unwrap_err().contains("is a ServiceAccount"));
    account.annotate(&approve("on-behalf:anna")).unwrap();
    account.annotate(&deny("no")).unwrap();
    // Annotations from before this rule do not prevent other changes.
    account.allowed(&["annotate", "wsp", "p", "example.com/note=x"]);
}

#[test]
fn a_service_account_that_is_listed_approves_as_a_person() {
    let plane = guarded();
    let at = namespace(&plane, "listed");
    let name = format!("system:serviceaccount:{at}:anna");
    let account = User::service_account(&plane, &at, "anna", "warehousesync-approver");
    account.refused(&approve(&name), "is a ServiceAccount");
    let listed = ADMISSION.replace("expression: '[]'", &format!(r#"expression: '["{name}"]'"#));
    assert_ne!(listed, ADMISSION);
    plane.apply(&listed).unwrap();
    wait_until("the list to take effect", || {
        account.annotate(&approve(&name))
    });
    account
        .annotate(&format!("approve.warehousesync.dev/{ID}-"))
        .unwrap();
    plane.apply(ADMISSION).unwrap();
    wait_until("the list to be gone", || {
        match account.annotate(&approve(&name)) {
            Err(said) if said.contains("is a ServiceAccount") => Ok(()),
            other => {
                _ = account.annotate(&format!("approve.warehousesync.dev/{ID}-"));
                Err(format!("{other:?}"))
            }
        }
    });
}

#[test]
fn only_a_user_who_may_deny_removes_the_denial_of_an_open_proposal() {
    let plane = guarded();
    let at = namespace(&plane, "denied");
    let anna = User::with_role(&plane, &at, "anna-d", "approver");
    let author = User::with_role(&plane, &at, "author-d", "editor");
    let taken_back = format!("deny.warehousesync.dev/{ID}-");
    // A denial of a proposal that is not open may be removed.
    anna.annotate(&deny("no")).unwrap();
    author.annotate(&taken_back).unwrap();
    for phase in ["AwaitingApproval", "Approved"] {
        operator_account(&plane, &at).writes_status(&with_proposal(phase));
        anna.annotate(&deny("no")).unwrap();
        author.refused(&taken_back, "may not remove the denial");
        // Also not by applying a file without it, in any way.
        for verb in [
            &["replace"][..],
            &["apply"],
            &[
                "patch",
                "wsp",
                "p",
                "--type=merge",
                "-p",
                r#"{"metadata":{"annotations":null}}"#,
            ],
        ] {
            let file = ["-f", "-"];
            let args = if verb.len() == 1 {
                [verb, &file].concat()
            } else {
                verb.to_vec()
            };
            let said = author.kubectl_with(&args, &policy(""));
            if verb[0] == "apply" {
                // The editor's file never contained it, so applying it removes nothing.
                said.unwrap();
            } else {
                let said = said.expect_err(verb[0]);
                assert!(
                    said.contains("may not remove the denial"),
                    "{verb:?}: {said}"
                );
            }
        }
        // The editor may change everything else, and a user who may deny may also remove the denial.
        author.annotate("example.com/note=x").unwrap();
        anna.annotate(&taken_back).unwrap();
    }
    operator_account(&plane, &at).writes_status(&with_proposal("Denied"));
    anna.annotate(&deny("no")).unwrap();
    author.annotate(&taken_back).unwrap();
}

/// A status with one proposal.
fn with_proposal(phase: &str) -> Value {
    let at = "2026-10-01T00:00:00Z";
    json!({"proposals": [{
        "id": ID, "action": "Resync", "phase": phase, "reason": "", "approveCommand": "", "createdAt": at, "expiresAt": at,
        "target": {"projectId": 1, "source": "s", "sourceId": "s", "schema": "t", "schemaId": "t"},
        "steps": ["wipe"], "impact": {"losesData": "Yes", "cost": ""},
        "material": {
            "version": 1, "nonce": "n", "policyUid": "u", "action": "Resync", "steps": [], "host": "h", "projectId": 1,
            "sourceId": "s", "cause": "Stuck", "rule": "r",
        },
    }]})
}

#[test]
fn a_viewer_only_reads() {
    let plane = guarded();
    let at = namespace(&plane, "viewers");
    let viewer = User::with_role(&plane, &at, "eve", "viewer");
    viewer.allowed(&["get", "wsp", "p"]);
    viewer.may_not(&["annotate", "wsp", "p", &approve("eve")], "cannot patch");
    viewer.may_not(&["annotate", "wsp", "p", &deny("no")], "cannot patch");
    viewer.may_not(&["delete", "wsp", "p"], "cannot delete");
}

#[test]
fn an_answer_to_an_unknown_proposal_gives_a_warning() {
    let plane = guarded();
    let at = namespace(&plane, "inert");
    let anna = User::with_role(&plane, &at, "anna-i", "approver");
    let said = anna.annotate(&approve("anna-i")).unwrap();
    assert!(
        said.contains("Warning") && said.contains("no proposal waits"),
        "{said}"
    );
    // An existing annotation gives no second warning.
    let author = User::with_role(&plane, &at, "author-i", "editor");
    let said = author.annotate("example.com/note=x").unwrap();
    assert!(!said.contains("Warning"), "{said}");
}

#[test]
fn an_answer_is_in_the_audit_log() {
    let plane = guarded();
    let at = namespace(&plane, "audit");
    let anna = User::with_role(&plane, &at, "anna-l", "approver");
    anna.annotate(&approve("anna-l")).unwrap();
    let wanted = format!("anna-l: approve.warehousesync.dev/{ID}=anna-l");
    wait_until("the answer in the audit log", || {
        let log = plane.audit_log().map_err(|error| error.to_string())?;
        let found = log.lines().any(|line| {
            let event: Value = serde_json::from_str(line).unwrap_or_default();
            event["annotations"]["warehousesync-approvals/answers"] == wanted.as_str()
        });
        found.then_some(()).ok_or(log)
    });
}

#[test]
fn only_the_operator_writes_status_and_it_writes_nothing_else() {
    let plane = guarded();
    let at = namespace(&plane, "status");
    let admin = User::admin(&plane, &at);
    let forged = r#"{"status":{"observedGeneration":7}}"#;
    let forge = [
        "patch",
        "wsp",
        "p",
        "--subresource=status",
        "--type=merge",
        "-p",
        forged,
    ];
    admin.may_not(&forge, "only the operator's ServiceAccount");
    let author = User::with_role(&plane, &at, "author-s", "editor");
    author.may_not(
        &forge,
        "cannot get resource \"warehousesyncpolicies/status\"",
    );
    let operator = operator_account(&plane, &at);
    // Tests that run the operator show that it writes status.
    operator.may_not(&["annotate", "wsp", "p", &approve("x")], "cannot patch");
    operator.may_not(
        &[
            "patch",
            "wsp",
            "p",
            "--type=merge",
            "-p",
            r#"{"spec":{"suspend":true}}"#,
        ],
        "cannot patch",
    );
    operator.may_not(&["create", "secret", "generic", "x"], "cannot create");
}

// --- The operator with the admission policies
// ----------------------------------------------------------------------------------

const WRONG_TYPE: &str = "
sources:
  - type: Postgres
    prefix: prod
    schemas:
      - {name: orders, status: Failed, rows: 70, last_synced_ago: 40h, last_run_ago: 2h, frequency: 30day,
         latest_error: 'Source column type changed: amount was int64 and is now string', then: {completes: {after: 1s, rows: 70}}}
";

fn newest(status: &WarehouseSyncPolicyStatus) -> Option<&Proposal> {
    status.proposals.last()
}

fn waits(env: &Env, but: &str) -> Proposal {
    let status = env.wait_for("p", "a proposal that waits", |status| {
        newest(status).is_some_and(|row| row.phase == Phase::AwaitingApproval && row.id != but)
    });
    newest(&status).unwrap().clone()
}

#[test]
fn an_approved_proposal_is_executed_once_and_only_while_the_admission_policies_are_in_effect() {
    let plane = ControlPlane::start().unwrap_or_else(|error| panic!("{error}"));
    install_crd(&plane);
    plane.apply(RBAC).unwrap();
    let env = Env::on(Plane::Own(Box::new(plane)), WRONG_TYPE);
    let namespace = env.namespace.clone();
    let account = operator_account(&env.plane, &namespace).kubeconfig;
    let args = [
        "--namespace",
        &namespace,
        "--lease-namespace",
        HOME,
        "--allow-http-loopback",
        "--time-factor",
        "600",
    ];
    let _operator = Operator::start(&account, &args);
    env.apply(&env.policy("p", "mode: Enforce")).unwrap();
    let first = waits(&env, "");
    let missing = env.wait_for_reason("p", "ApprovalGuardActive", "GuardBroken");
    let message = &missing.condition("ApprovalGuardActive").unwrap().message;
    assert!(
        message.contains("is missing") && message.contains("deploy/admission.yaml"),
        "{message}"
    );

    // An approval that anyone could write is ignored, also later.
    env.kubectl(&[
        "annotate",
        "wsp",
        "p",
        &format!("approve.warehousesync.dev/{}=mallory", first.id),
    ]);
    env.wait_for("p", "the inert approval", |status| {
        newest(status).is_some_and(|row| row.message.contains("ApprovalGuardActive"))
    });
    env.plane.apply(ADMISSION).unwrap();
    let second = waits(&env, &first.id);
    env.wait_for_reason("p", "ApprovalGuardActive", "GuardActive");
    assert_eq!(env.count("POST", "/resync/"), 0);

    // Altered for a moment and restored: the proposal gets another id.
    let weaker = ADMISSION.replace("validationActions: [Deny]", "validationActions: [Audit]");
    env.plane.apply(&weaker).unwrap();
    env.wait_for_reason("p", "ApprovalGuardActive", "GuardBroken");
    env.plane.apply(ADMISSION).unwrap();
    let third = waits(&env, &second.id);

    let anna = User::with_role(&env.plane, &namespace, "anna-e", "approver");
    let said = anna.annotate(&format!("approve.warehousesync.dev/{}=anna-e", third.id));
    assert!(!said.unwrap().contains("Warning"), "this one waits");
    let status = env.wait_for("p", "the execution", |status| {
        newest(status).is_some_and(|row| row.phase == Phase::Executed)
    });
    let done = newest(&status).unwrap();
    let seen = done.approval.as_ref().unwrap();
    assert_eq!((seen.by.as_str(), seen.verified), ("anna-e", true));
    assert_eq!(env.count("POST", "/resync/"), 1);
    let reasons = env.event_reasons();
    for reason in [
        "ProposalOpened",
        "ProposalSuperseded",
        "ProposalApproved",
        "ProposalExecuted",
    ] {
        assert!(
            reasons.iter().any(|known| known == reason),
            "{reason}: {reasons:?}"
        );
    }
}
