//! Completion in the shell, also of names and ids, as kubectl asks its plugins for it: it runs `kubectl_complete-wsp` with
//! the words so far, and reads candidates, then a line that says whether names of files are also possible.
//!
//! <https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/> has the protocol. It is silent about errors: a
//! message would end up in the command line.

use std::{fmt::Write as _, time::Duration};

use clap::{Arg, Command};
use kube::{ResourceExt, config::Kubeconfig};

use super::{cluster::ClusterArgs, subject};
use crate::{api::WarehouseSyncPolicy, cli::output, posthog::redact};

/// Longest wait for the cluster. A person has pressed Tab.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest description of a candidate, in characters.
const ABOUT: usize = 80;
/// Complete nothing else; in cobra, `ShellCompDirectiveNoFileComp`.
const NO_FILES: &str = ":4";
/// Complete names of files; in cobra, `ShellCompDirectiveDefault`.
const FILES: &str = ":0";

/// A word that could come next, and what it is.
type Candidate = (String, String);

/// Prints what may come next after `words`, of which the last one is being written.
pub(super) fn complete(mut command: Command, words: &[String]) {
    command.build();
    let (current, before) = words
        .split_last()
        .map_or(("", &[][..]), |(current, before)| {
            (current.as_str(), before)
        });
    let written = Written::read(&command, before);
    let (candidates, directive) = written.candidates(current);
    let mut lines = String::new();
    for (word, about) in candidates {
        if word.starts_with(current) {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{word}\t{}", redact::one_line(&about, ABOUT));
        }
    }
    lines.push_str(directive);
    lines.push('\n');
    // If printing fails, there is no reader.
    let _ = output::print(&lines);
}

/// What has been written so far.
struct Written<'a> {
    /// The subcommand, or the whole command before there is one.
    command: &'a Command,
    /// What was written of the subcommand without a flag.
    positionals: Vec<&'a str>,
    /// The flag whose value is being written.
    flag: Option<&'a Arg>,
    /// Flags with their values, by their id.
    values: Vec<(&'a str, &'a str)>,
}

impl<'a> Written<'a> {
    fn read(command: &'a Command, before: &'a [String]) -> Self {
        let mut written = Self {
            command,
            positionals: Vec::new(),
            flag: None,
            values: Vec::new(),
        };
        for word in before {
            written.take(word);
        }
        written
    }

    fn take(&mut self, word: &'a str) {
        if let Some(flag) = self.flag.take() {
            self.values.push((flag.get_id().as_str(), word));
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').unzip();
            let name = name.unwrap_or(long);
            let mut args = self.command.get_arguments();
            self.take_flag(args.find(|arg| arg.get_long() == Some(name)), value);
        } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
            let (name, value) = short.split_at(short.chars().next().map_or(0, char::len_utf8));
            let mut args = self.command.get_arguments();
            let arg = args.find(|arg| arg.get_short().map(String::from).as_deref() == Some(name));
            self.take_flag(arg, Some(value).filter(|value| !value.is_empty()));
        } else if let Some(command) = self.command.find_subcommand(word) {
            self.command = command;
        } else {
            self.positionals.push(word);
        }
    }

    fn take_flag(&mut self, arg: Option<&'a Arg>, value: Option<&'a str>) {
        let Some(arg) = arg.filter(|arg| arg.get_action().takes_values()) else {
            return;
        };
        match value {
            Some(value) => self.values.push((arg.get_id().as_str(), value)),
            None => self.flag = Some(arg),
        }
    }

    /// What may come next, and whether names of files may.
    fn candidates(&self, current: &str) -> (Vec<Candidate>, &'static str) {
        if let Some(flag) = self.flag {
            return match flag.get_id().as_str() {
                "kubeconfig" | "file" | "ca_file" => (Vec::new(), FILES),
                "context" => (contexts(self.value("kubeconfig")), NO_FILES),
                _ => (possible(flag), NO_FILES),
            };
        }
        if current.starts_with('-') {
            return (flags(self.command), NO_FILES);
        }
        if self.command.has_subcommands() {
            return (subcommands(self.command), NO_FILES);
        }
        let Some((arg, value_name)) = self.slot() else {
            return (Vec::new(), NO_FILES);
        };
        let found = match value_name {
            "NAME" => self.policies(),
            "ID" => self.of_policy(|policy| self.proposals(policy)),
            "TABLE" => self.of_policy(tables),
            "SCHEMA_ID" => self.of_policy(table_ids),
            _ => possible(arg),
        };
        (found, NO_FILES)
    }

    fn value(&self, id: &str) -> Option<&'a str> {
        let mut values = self.values.iter().rev();
        values.find(|(own, _)| *own == id).map(|(_, value)| *value)
    }

    /// The positional argument that is being written, and the name of its value.
    fn slot(&self) -> Option<(&'a Arg, &'a str)> {
        let mut place = self.positionals.len();
        for arg in self.command.get_positionals() {
            let names = arg.get_value_names().unwrap_or_default();
            let most = arg.get_num_args().map_or(1, |range| range.max_values());
            if place < most {
                let name = names.get(place).or(names.last())?;
                return Some((arg, name.as_str()));
            }
            place -= most;
        }
        None
    }

    fn cluster(&self) -> ClusterArgs {
        ClusterArgs::new(
            self.value("namespace"),
            self.value("context"),
            self.value("kubeconfig"),
        )
    }

    fn policies(&self) -> Vec<Candidate> {
        let cluster = self.cluster();
        let listed = within_patience(async {
            let cluster = cluster.connect().await.ok()?;
            cluster.policies(false, None).await.ok()
        });
        let all = listed.unwrap_or_default();
        let others = all
            .iter()
            .filter(|policy| !self.positionals.contains(&policy.name_any().as_str()));
        others
            .map(|policy| {
                let summary = policy.status.iter().filter_map(|one| one.summary.as_ref());
                let healthy = summary.map(|summary| format!("{} healthy", summary.healthy_of));
                (policy.name_any(), healthy.collect())
            })
            .collect()
    }

    fn of_policy(&self, of: impl FnOnce(&WarehouseSyncPolicy) -> Vec<Candidate>) -> Vec<Candidate> {
        let cluster = self.cluster();
        let Some(name) = self.positionals.first() else {
            return Vec::new();
        };
        let policy = within_patience(async {
            let cluster = cluster.connect().await.ok()?;
            cluster.policy(name).await.ok()
        });
        policy.as_ref().map_or_else(Vec::new, of)
    }

    fn proposals(&self, policy: &WarehouseSyncPolicy) -> Vec<Candidate> {
        let answers = matches!(self.command.get_name(), "approve" | "deny");
        let status = policy.status.iter();
        let all = status.flat_map(|status| &status.proposals);
        all.filter(|proposal| !answers || !proposal.is_over())
            .map(|proposal| {
                let (action, of) = (proposal.action.as_str(), proposal.title());
                let phase = proposal.phase.as_str();
                (proposal.id.clone(), format!("{action} of {of}, {phase}"))
            })
            .collect()
    }
}

/// Tables and sources that a status shows; by id if the name needs quotes in a shell.
fn tables(policy: &WarehouseSyncPolicy) -> Vec<Candidate> {
    let plain = |name: &str| {
        let is_plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
        !name.is_empty() && name.chars().all(is_plain)
    };
    let all = subject::all(policy).into_iter();
    all.map(|one| {
        let id = if one.schema_id.is_empty() {
            one.source_id
        } else {
            one.schema_id
        };
        if plain(one.name()) {
            (one.name().to_owned(), one.source.to_owned())
        } else {
            (id.to_owned(), format!("{} {}", one.source, one.schema))
        }
    })
    .filter(|(word, _)| plain(word))
    .collect()
}

/// Ids of the tables that a status shows.
fn table_ids(policy: &WarehouseSyncPolicy) -> Vec<Candidate> {
    let all = subject::all(policy).into_iter();
    let tables = all.filter(|one| !one.schema_id.is_empty());
    tables
        .map(|one| {
            let about = format!("{} {}", one.source, one.schema);
            (one.schema_id.to_owned(), about)
        })
        .collect()
}

/// Asks the cluster, without a word about errors.
fn within_patience<A>(asked: impl Future<Output = Option<A>>) -> Option<A> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let answered = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await });
    answered.ok().flatten()
}

fn contexts(kubeconfig: Option<&str>) -> Vec<Candidate> {
    let read = match kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let contexts = read.map_or_else(|_| Vec::new(), |read| read.contexts);
    let names = contexts.into_iter().map(|context| context.name);
    names.map(|name| (name, String::new())).collect()
}

fn possible(arg: &Arg) -> Vec<Candidate> {
    let values = arg.get_possible_values().into_iter();
    let about = |help: Option<&clap::builder::StyledStr>| help.map(ToString::to_string);
    values
        .filter(|value| !value.is_hide_set())
        .map(|value| {
            let help = about(value.get_help()).unwrap_or_default();
            (value.get_name().to_owned(), help)
        })
        .collect()
}

fn flags(command: &Command) -> Vec<Candidate> {
    let named = command.get_arguments().filter(|arg| !arg.is_hide_set());
    named
        .filter_map(|arg| {
            let help = arg.get_help().map(ToString::to_string);
            Some((format!("--{}", arg.get_long()?), help.unwrap_or_default()))
        })
        .collect()
}

fn subcommands(command: &Command) -> Vec<Candidate> {
    let all = command.get_subcommands().filter(|one| !one.is_hide_set());
    all.map(|one| {
        let about = one.get_about().map(ToString::to_string);
        (one.get_name().to_owned(), about.unwrap_or_default())
    })
    .collect()
}
