//! A policy in git, applied repeatedly as by Flux and Argo CD, with approvals in git and live: none is lost, nothing is
//! done twice, and there is no endless loop.

use std::path::Path;

use control_plane::ControlPlane;
use warehouse_sync_operator::api::proposal::{Phase, Proposal};

use crate::{
    people::{User, guarded_plane, operator_account},
    support::{Env, Operator, Plane, wait_until},
};

/// How a policy gets from git into the cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tool {
    /// The engine of Flux, with the options of its kustomize-controller.
    Flux,
    /// Server-side apply, as Argo CD does with ServerSideApply=true.
    Argo,
    /// Client-side apply with `last-applied-configuration`, as Argo CD does by default.
    ClientSide,
}

impl Tool {
    const ALL: [Self; 3] = [Self::Flux, Self::Argo, Self::ClientSide];

    const fn name(self) -> &'static str {
        match self {
            Self::Flux => "flux",
            Self::Argo => "argo",
            Self::ClientSide => "client",
        }
    }

    fn apply(self, plane: &ControlPlane, git: &User<'_>, manifest: &str) {
        let applied = match self {
            Self::Flux => {
                let applied = plane.flux_apply(Path::new(&git.kubeconfig), manifest);
                applied.map_err(|error| error.to_string())
            }
            Self::Argo => {
                let args = [
                    "apply",
                    "--server-side",
                    "--force-conflicts",
                    "--field-manager=argocd-controller",
                    "-f",
                    "-",
                ];
                git.kubectl_with(&args, manifest)
            }
            Self::ClientSide => git.kubectl_with(&["apply", "-f", "-"], manifest),
        };
        applied.unwrap_or_else(|said| panic!("{}: {said}", self.name()));
    }
}

/// A source for each tool with tables that only a resync fixes. They failed hours apart, so that this is not an outage.
fn scenario() -> String {
    let table = |name: &str, hours: usize| {
        format!(
            "{{name: {name}, status: Failed, rows: 70, last_synced_ago: 40h, last_run_ago: {hours}h, frequency: 30day, \
             latest_error: 'Source column type changed: amount was int64 and is now string', then: {{completes: {{after: 1s, rows: 70}}}}}}"
        )
    };
    let sources = Tool::ALL.iter().enumerate().map(|(place, tool)| {
        let hours = 2 * place + 2;
        let tables: Vec<_> = ["git", "live", "stripped"]
            .iter()
            .map(|name| table(&format!("{}_{name}", tool.name()), hours))
            .collect();
        // Healthy ones beside them: if most tables of a source failed alike, no resync would be proposed.
        format!(
            "  - {{type: Postgres, prefix: {0}, schemas: [{1}, {{name: {0}, copies: 3, frequency: 30day, last_synced_ago: 1h}}]}}\n",
            tool.name(),
            tables.join(", ")
        )
    });
    format!("sources:\n{}", sources.collect::<String>())
}

fn manifest(env: &Env, tool: Tool, suspend: bool, annotations: &str) -> String {
    let spec = format!(
        "mode: Enforce, suspend: {suspend}, selector: {{sources: {{prefixes: [{0}]}}, schemas: {{include: ['*']}}}}",
        tool.name()
    );
    let policy = env.policy(tool.name(), &spec);
    let meta = format!("metadata: {{name: {}", tool.name());
    policy.replace(
        &meta,
        &format!(
            "{meta}, namespace: {}, annotations: {{{annotations}}}",
            env.namespace
        ),
    )
}

fn proposal(env: &Env, tool: Tool, table: &str, phase: Phase) -> Proposal {
    let table = format!("{}_{table}", tool.name());
    let of = |row: &&Proposal| row.title() == table && row.phase == phase;
    let what = format!("{table} {phase:?}");
    let status = env.wait_for(tool.name(), &what, |status| {
        status.proposals.iter().any(|row| of(&row))
    });
    status.proposals.iter().find(of).unwrap().clone()
}

fn version(env: &Env, tool: Tool) -> String {
    let path = "jsonpath={.metadata.resourceVersion} {.metadata.generation}";
    env.kubectl(&["get", "wsp", tool.name(), "-o", path])
}

#[test]
fn approvals_from_git_and_live_ones_survive_every_tool_and_take_effect_once() {
    let env = Env::on(Plane::Own(Box::new(guarded_plane())), &scenario());
    let namespace = env.namespace.clone();
    let account = operator_account(&env.plane, &namespace).kubeconfig;
    let args = [
        "--namespace",
        &namespace,
        "--allow-http-loopback",
        "--time-factor",
        "600",
    ];
    let _operator = Operator::start(&account, &args);
    let git = User::with_role(&env.plane, &namespace, "git", "gitops");
    let anna = User::with_role(&env.plane, &namespace, "anna", "approver");
    for tool in Tool::ALL {
        tool.apply(&env.plane, &git, &manifest(&env, tool, false, ""));
    }
    // Earlier proposals are superseded.
    for tool in Tool::ALL {
        env.wait_for_reason(tool.name(), "ApprovalGuardActive", "GuardActive");
    }
    for tool in Tool::ALL {
        let key = |row: &Proposal| format!("approve.warehousesync.dev/{}", row.id);
        let approve = |row: &Proposal, flags: &[&str]| {
            let value = format!("{}=anna", key(row));
            let args = [&["annotate", "wsp", tool.name(), &value], flags].concat();
            anna.kubectl(&args).unwrap_or_else(|said| panic!("{said}"));
        };
        let annotations = || {
            env.kubectl(&[
                "get",
                "wsp",
                tool.name(),
                "-o",
                "jsonpath={.metadata.annotations}",
            ])
        };
        let in_git = proposal(&env, tool, "git", Phase::AwaitingApproval);
        let live = proposal(&env, tool, "live", Phase::AwaitingApproval);
        let stripped = proposal(&env, tool, "stripped", Phase::AwaitingApproval);
        // Held, to distinguish approval and execution.
        tool.apply(&env.plane, &git, &manifest(&env, tool, true, ""));
        approve(&live, &["--field-manager=wsp-approve"]);
        approve(&stripped, &[]);
        proposal(&env, tool, "live", Phase::Approved);
        proposal(&env, tool, "stripped", Phase::Approved);
        let answer = format!("{}: 'on-behalf:anna'", key(&in_git));
        let held = manifest(&env, tool, true, &answer);
        tool.apply(&env.plane, &git, &held);
        proposal(&env, tool, "git", Phase::Approved);
        let left = annotations();
        assert!(
            left.contains(&live.id) && left.contains(&in_git.id),
            "{left}"
        );
        // Flux removes fields of managers whose names begin with kubectl; an observed approval remains.
        assert_eq!(left.contains(&stripped.id), tool != Tool::Flux, "{left}");
        let before = env.status(tool.name()).proposals;
        tool.apply(&env.plane, &git, &held);
        assert_eq!(env.status(tool.name()).proposals, before);

        let released = manifest(&env, tool, false, &answer);
        tool.apply(&env.plane, &git, &released);
        let done = proposal(&env, tool, "git", Phase::Executed);
        let seen = done.approval.unwrap();
        assert_eq!((seen.by.as_str(), seen.verified), ("on-behalf:anna", false));
        for (table, approved) in [("live", &live), ("stripped", &stripped)] {
            let done = proposal(&env, tool, table, Phase::Executed);
            assert_eq!(done.id, approved.id);
            assert_eq!(done.approval.unwrap().by, "anna");
        }
        // No endless loop: once all is done, applying git repeatedly changes nothing.
        wait_until("applies that change nothing", || {
            let before = version(&env, tool);
            for _ in 0..3 {
                tool.apply(&env.plane, &git, &released);
            }
            let after = version(&env, tool);
            if before == after {
                Ok(())
            } else {
                Err(format!("{before} → {after}"))
            }
        });
        let all = env.status(tool.name()).proposals;
        let executed = all.iter().filter(|row| row.phase == Phase::Executed);
        assert_eq!(executed.count(), 3, "{all:#?}");
        assert!(all.iter().all(Proposal::is_over), "{all:#?}");
    }
    for tool in Tool::ALL {
        for table in ["git", "live", "stripped"] {
            let name = format!("{}_{table}", tool.name());
            let id = env.posthog.simulator().schema_id(&name).unwrap();
            assert_eq!(env.count("POST", &format!("/{id}/resync/")), 1, "{name}");
        }
    }
    assert_eq!(env.count("POST", "/resync/"), 9);
}
