//! Reads the rules: the files in `rules/`, in the order in which they are asked. The first rule that holds decides.
//!
//! The order is by meaning. What could be mistaken for something else comes before it: `PostHog`'s own texts mention
//! everything; an SSH tunnel has credentials too; the name of a lost column must not be read as a lost login.

use std::{collections::HashMap, sync::LazyLock};

use serde::{Deserialize, de::Error as _};
use toml::de::Error;

use super::rule::{Rule, When};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("rules/", $name, ".toml")))),*]
    };
}

/// The files by name, first to last.
pub const FILES: &[(&str, &str)] = files![
    "notes",
    "posthog",
    "ssh",
    "keys",
    "integration",
    "cdc",
    "foreign",
    "values",
    "objects",
    "timeouts",
    "quota",
    "rate",
    "source",
    "allowlist",
    "credentials",
    "permissions",
    "refusals",
    "tls",
    "dropped",
    "unreachable",
    "faint",
    "settings",
    "generic",
];

/// Lists of words that rules ask for by name: `@secrets`.
const WORDS: &str = include_str!("rules/words.toml");

/// All rules, first to last; read once. A test holds that every file can be read: without rules, every text is Unknown.
pub static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| read().unwrap_or_default());

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule: Vec<Rule>,
}

/// Reads all files.
pub fn read() -> Result<Vec<Rule>, Error> {
    let words = toml::from_str(WORDS)?;
    let mut rules = Vec::new();
    for (_, text) in FILES {
        rules.extend(toml::from_str::<File>(text)?.rule);
    }
    for rule in &mut rules {
        for listed in rule.when.iter_mut().flat_map(When::words_mut) {
            *listed = spelled_out(listed, &words)?;
        }
    }
    Ok(rules)
}

/// What is listed, with the words of a list in place of its name.
fn spelled_out(
    listed: &[String],
    words: &HashMap<String, Vec<String>>,
) -> Result<Vec<String>, Error> {
    let mut all = Vec::with_capacity(listed.len());
    for entry in listed {
        match entry.strip_prefix('@') {
            None => all.push(entry.clone()),
            Some(name) => all.extend_from_slice(
                words
                    .get(name)
                    .ok_or_else(|| Error::custom(format!("unknown list of words: {name}")))?,
            ),
        }
    }
    Ok(all)
}
