//! The workflows, the scripts that they run, and the addresses where the project is published.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::{files, root};

#[derive(Deserialize)]
struct Workflow {
    jobs: BTreeMap<String, Job>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Job {
    #[serde(default)]
    needs: Vec<String>,
    permissions: Option<Value>,
    timeout_minutes: Option<u32>,
    /// Another workflow, instead of steps.
    uses: Option<String>,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    run: Option<String>,
    uses: Option<String>,
}

/// What is wrong with the workflows, as `file, job: what`.
pub fn problems() -> Vec<String> {
    let workflows = files(&[".github/workflows"], &["yaml"]);
    assert!(workflows.len() >= 2, "no workflows");
    let mut problems = Vec::new();
    for (file, text) in workflows {
        match serde_saphyr::from_str::<Workflow>(&text) {
            Err(error) => problems.push(format!("{file}: {error}")),
            Ok(workflow) => {
                for (name, job) in &workflow.jobs {
                    let of_job = of_job(job, &workflow.jobs);
                    problems.extend(of_job.iter().map(|what| format!("{file}, {name}: {what}")));
                }
            }
        }
    }
    problems
}

fn of_job(job: &Job, jobs: &BTreeMap<String, Job>) -> Vec<String> {
    let mut problems = Vec::new();
    for needed in job
        .needs
        .iter()
        .filter(|needed| !jobs.contains_key(*needed))
    {
        problems.push(format!("needs {needed}, which does not exist"));
    }
    if job.permissions.is_none() {
        problems.push("has no permissions of its own".to_owned());
    }
    if let Some(other) = &job.uses {
        if !root().join(other).is_file() {
            problems.push(format!("uses {other}, which does not exist"));
        }
    } else {
        if job.timeout_minutes.is_none() {
            problems.push("has no timeout".to_owned());
        }
        if job.steps.is_empty() {
            problems.push("has no steps".to_owned());
        }
    }
    for step in &job.steps {
        if step.run.is_some() == step.uses.is_some() {
            problems.push("a step must have either run or uses".to_owned());
        }
        let missing = scripts(step.run.as_deref().unwrap_or_default());
        problems.extend(missing.map(|script| format!("runs {script}, which does not exist")));
    }
    problems
}

/// The scripts of `.ci` that a command names and that do not exist.
fn scripts(command: &str) -> impl Iterator<Item = &str> {
    let words = command.split_whitespace();
    words.filter(|word| word.starts_with(".ci/") && !root().join(word).is_file())
}

/// Addresses that are not those of `.ci/addresses`, or not written out, as `file: address`.
pub fn other_addresses() -> Vec<String> {
    let [github, image] = addresses();
    let ours = [format!("github.com/{github}"), image];
    let any =
        Regex::new(r"(github\.com|ghcr\.io)/([\w.-]+/warehouse-sync-operator\b|OWNER\b)").unwrap();
    let places = [".", ".github/workflows"];
    let kinds = ["md", "rs", "yaml", "yml", "toml", "json", "tpl"];
    let mut others = Vec::new();
    for (file, text) in files(&places, &kinds) {
        let found = any.find_iter(&text).map(|found| found.as_str());
        let wrong = found.filter(|address| !ours.iter().any(|ours| ours == address));
        others.extend(wrong.map(|address| format!("{file}: {address}")));
    }
    others
}

/// `GITHUB` and `IMAGE` of `.ci/addresses`.
fn addresses() -> [String; 2] {
    let addresses = fs::read_to_string(root().join(".ci/addresses")).unwrap();
    ["GITHUB=", "IMAGE="].map(|name| {
        let line = addresses.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!(".ci/addresses lacks {name}"))
            .to_owned()
    })
}

/// What still contains an address, as `file:line:text`, after `.ci/move` in a copy of the repository; and what `.ci/names` then prints.
pub fn after_a_move(github: &str, image: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path();
    ran(copy, "git", &["init", "--quiet"]);
    let listed = ran(&root(), "git", &["ls-files"]);
    for file in listed.lines().filter(|file| root().join(file).is_file()) {
        let to = copy.join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(root().join(file), to).unwrap();
    }
    ran(copy, "git", &["add", "--all"]);
    ran(copy, "bash", &[".ci/move", github, image]);
    let [owner_and_name, old_image] = addresses();
    let mut left = Command::new("git");
    left.args(["grep", "--fixed-strings", "-e", &owner_and_name]);
    let left = left.args(["-e", &old_image]).current_dir(copy).output();
    let left = String::from_utf8(left.unwrap().stdout).unwrap();
    (left, ran(copy, "bash", &[".ci/names"]))
}

fn ran(folder: &Path, program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
