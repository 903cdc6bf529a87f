//! The commands of the tutorial and of how-to guides, as a reader would run them.

use std::{fs, process::Command};

use warehouse_sync_operator::api::proposal::{Phase, Proposal};

use crate::{
    blocks,
    receiver::Receiver,
    support::{Env, wait_until},
};

/// Tables of the demo, by their ids.
const CHARGES: &str = "0196f0aa-0002-7000-8000-000000000004";
const CUSTOMERS: &str = "0196f0aa-0002-7000-8000-000000000005";

/// A reader's terminal: a folder, a kubeconfig for the test's namespace, and values for the placeholders of the pages.
struct Terminal<'a> {
    env: &'a Env,
    folder: tempfile::TempDir,
    replaced: Vec<(&'static str, String)>,
}

impl<'a> Terminal<'a> {
    fn new(env: &'a Env) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(
            env.plane.admin_kubeconfig(),
            folder.path().join("kubeconfig"),
        )
        .unwrap();
        // It accepts every message: a refused one makes `Notifying` False, before or after the page waits for True.
        let receiver = Receiver::start();
        let terminal = Self {
            env,
            folder,
            replaced: vec![
                ("http://127.0.0.1:36543", env.posthog.url()),
                ("data-platform", env.namespace.clone()),
                ("phx_…", "phx_demo".to_owned()),
                ("TABLE_ID", CUSTOMERS.to_owned()),
                // No request may leave this machine.
                (
                    "https://hooks.slack.com/services/…",
                    receiver.url.clone() + "/slack",
                ),
                (
                    "https://alerts.example.com/warehouse",
                    receiver.url.clone() + "/hook",
                ),
            ],
        };
        let namespace = &env.namespace;
        terminal.run(&format!(
            "kubectl config set-context --current --namespace={namespace}"
        ));
        terminal
    }

    /// Runs commands; each must succeed.
    fn run(&self, commands: &str) -> String {
        let plugin = std::path::Path::new(env!("CARGO_BIN_EXE_kubectl-wsp"));
        let kubectl = self.env.plane.kubectl_path();
        let folders = [plugin, &kubectl].map(|path| path.parent().unwrap().to_owned());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&path)));
        let output = Command::new("sh")
            .args(["-euc", commands])
            .current_dir(self.folder.path())
            .env("PATH", path.unwrap())
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{commands}\n{}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Processes the blocks of a page in order: runs commands, saves policies, and applies parts of a spec to the
    /// policy `production`.
    fn follow(&mut self, page: &str) {
        let root = env!("CARGO_MANIFEST_DIR");
        let text = fs::read_to_string(format!("{root}/docs/{page}")).unwrap();
        for block in blocks::blocks(&text).iter().filter(|b| !b.illustrative) {
            if block.text.contains("rs-") {
                self.wait_for_a_proposal();
            }
            let text = self.with_values(&block.text);
            match block.language.as_str() {
                "sh" => drop(self.run(&runnable(&text))),
                "yaml" if text.starts_with("apiVersion") => {
                    fs::write(self.folder.path().join("policy.yaml"), text).unwrap();
                }
                "yaml" => self.change_policy(&text),
                _ => {}
            }
        }
    }

    fn with_values(&self, text: &str) -> String {
        let replace = |text: String, (from, to): &(&str, String)| text.replace(from, to);
        self.replaced.iter().fold(text.to_owned(), replace)
    }

    /// From now on, ids in the pages stand for the waiting proposal, or else another one.
    fn wait_for_a_proposal(&mut self) {
        let status = self.env.wait_for("production", "a proposal", |status| {
            !status.proposals.is_empty()
        });
        let waiting = status.proposals.iter().find(|proposal| waits(proposal));
        let id = &waiting.unwrap_or(&status.proposals[0]).id;
        for placeholder in ["rs-pgnq7", "rs-3gq2"] {
            self.replaced
                .retain(|(replaced, _)| *replaced != placeholder);
            self.replaced.push((placeholder, id.clone()));
        }
    }

    fn change_policy(&self, yaml: &str) {
        fs::write(self.folder.path().join("part.yaml"), yaml).unwrap();
        self.run("kubectl patch wsp production --type=merge --patch-file part.yaml");
    }
}

fn waits(proposal: &Proposal) -> bool {
    proposal.phase == Phase::AwaitingApproval
}

/// Without commands that another test runs or that need a terminal.
fn runnable(block: &str) -> String {
    let line = |line: &str| {
        let is = |command: &str| line.trim_start().starts_with(command);
        // A denial right after the approval may come too late: tests/plugin denies.
        if is("cargo ") || is("warehouse-sync-operator run ") || is("kubectl wsp deny ") {
            String::new()
        } else if is("kubectl wsp request ") || is("kubectl wsp approve ") {
            line.replacen(" production ", " production --yes ", 1)
        } else if is("kubectl wsp doctor") {
            // It exits with 1, because the admission policies are not in place.
            format!("{line} || test $? = 1")
        } else {
            line.to_owned()
        }
    };
    block.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_commands_of_the_tutorial_and_of_how_to_guides_work() {
    let env = Env::new(include_str!("../../examples/demo/scenario.yaml"));
    let _operator = env.operator_with(&[
        "--allow-http-loopback",
        "--allow-unguarded-approvals",
        "--time-factor",
        "60",
    ]);
    let policy = include_str!("../../examples/demo/policy.yaml");
    env.apply(&policy.replace("HOST", &env.posthog.url()))
        .unwrap();
    env.wait_for("production", "the end of the incident", |status| {
        status.history.iter().any(|entry| entry.closed.is_some())
    });

    let mut terminal = Terminal::new(&env);
    terminal.follow("tutorial.md");
    env.wait_for("production", "the approved resync", |status| {
        status.proposals[0].phase == Phase::Executed
    });
    terminal.run(&format!(
        "kubectl wsp request production {CHARGES} Resync --yes"
    ));
    env.wait_for("production", "another proposal", |status| {
        status.proposals.iter().any(waits)
    });
    for page in [
        "approve.md",
        "why-not.md",
        "credentials.md",
        "notifications.md",
        "tuning.md",
    ] {
        terminal.follow(page);
    }
    wait_until("the last guide to suspend the policy", || {
        let suspended =
            env.kubectl(&["get", "wsp", "production", "-o", "jsonpath={.spec.suspend}"]);
        if suspended == "true" {
            Ok(())
        } else {
            Err(suspended)
        }
    });
}

/// Its namespace comes from the chart, which is installed after it.
#[test]
fn the_certificate_of_an_authority_is_stored_before_the_chart_is_installed() {
    let env = Env::new("sources: []");
    let mut terminal = Terminal::new(&env);
    fs::write(terminal.folder.path().join("ca.crt"), "a certificate").unwrap();
    let other = format!("{}-operator", env.namespace);
    terminal.replaced.push(("warehouse-sync-operator", other));
    let root = env!("CARGO_MANIFEST_DIR");
    let page = fs::read_to_string(format!("{root}/docs/networks.md")).unwrap();
    let blocks = blocks::blocks(&page);
    let block = blocks.iter().find(|b| b.text.contains("create configmap"));
    let lines = block.unwrap().text.lines();
    let commands: Vec<&str> = lines.filter(|line| line.starts_with("kubectl ")).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    terminal.run(&terminal.with_values(&commands.join("\n")));
}
