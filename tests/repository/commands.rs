//! The commands and manifests that the documentation shows, compared with the program: flags against clap, fields against the CRD, values
//! against the chart. What is below `<!-- illustrative -->` is not checked.

use std::{collections::BTreeSet, fs};

use clap::Parser as _;
use kube::CustomResourceExt as _;
use serde_json::Value;
use warehouse_sync_operator::{
    api::WarehouseSyncPolicy,
    cli::{OperatorCli, plugin},
};

use crate::{
    blocks::{self, Block},
    files, root,
};

/// Pages with commands for users. README and the how-to guides are among them.
const PAGES: [&str; 2] = ["README.md", "docs"];

/// What is wrong with the commands and manifests of all pages, as `page: what`.
pub fn wrong() -> Vec<String> {
    let known = Known::read();
    let mut wrong = Vec::new();
    for (page, text) in files(&PAGES, &["md"]) {
        let blocks = blocks::blocks(&text);
        for block in blocks.iter().filter(|block| !block.illustrative) {
            let complaints = match block.language.as_str() {
                "sh" | "console" => known.shell(block),
                "yaml" => known.manifest(&block.text),
                _ => Vec::new(),
            };
            wrong.extend(complaints.iter().map(|what| format!("{page}: {what}")));
        }
    }
    wrong
}

/// Blocks of commands in how-to guides that no test runs and no mark explains, as `page: block`.
pub fn untested() -> Vec<String> {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let (_, guides) = summary.split_once("# How-to guides").unwrap();
    let (guides, _) = guides.split_once("\n# ").unwrap();
    let runs = fs::read_to_string(root().join("tests/operator/pages.rs")).unwrap();
    let mut untested = Vec::new();
    for line in guides.lines().filter(|line| line.starts_with("- ")) {
        let (_, page) = line.split_once("](").unwrap();
        let page = page.trim_end_matches(')');
        if runs.contains(&format!("{page:?}")) {
            continue;
        }
        let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
        let is_shell = |block: &&Block| ["sh", "console"].contains(&&*block.language);
        let blocks = blocks::blocks(&text);
        for block in blocks.iter().filter(is_shell) {
            let tested = block.tested_by.as_ref();
            if !block.illustrative && !tested.is_some_and(|file| root().join(file).is_file()) {
                untested.push(format!("{page}: {}", block.text));
            }
        }
    }
    untested
}

/// What commands may name.
pub struct Known {
    crd: Value,
    values: Value,
}

impl Known {
    /// From the program and the chart.
    pub fn read() -> Self {
        let values = root().join("charts/warehouse-sync-operator/values.yaml");
        let crd = serde_json::to_value(WarehouseSyncPolicy::crd()).unwrap();
        let schema = "/spec/versions/0/schema/openAPIV3Schema";
        Self {
            crd: crd.pointer(schema).unwrap().clone(),
            values: serde_saphyr::from_str(&fs::read_to_string(values).unwrap()).unwrap(),
        }
    }

    /// What is wrong with the commands of a block. In a `console` block they follow `$ `, and the rest is output.
    pub fn shell(&self, block: &Block) -> Vec<String> {
        let text = block.text.replace("\\\n", " ");
        let lines = text.lines().filter_map(|line| match &*block.language {
            "console" => line.strip_prefix("$ "),
            _ => Some(line),
        });
        let commands = lines.flat_map(commands);
        commands
            .filter_map(|command| self.command(&command).err())
            .collect()
    }

    fn command(&self, words: &[String]) -> Result<(), String> {
        let shown = words.join(" ");
        let said = |what: &str| format!("{what} in `{shown}`");
        let program = words[0].rsplit('/').next().unwrap_or_default();
        match program {
            "warehouse-sync-operator" => parsed(OperatorCli::try_parse_from(words), &shown),
            "kubectl-wsp" => parsed(plugin::PluginCli::try_parse_from(words), &shown),
            "kubectl" if words.get(1).is_some_and(|word| word == "wsp") => {
                parsed(plugin::PluginCli::try_parse_from(&words[1..]), &shown)
            }
            "kubectl" => self.kubectl(words).map_err(|what| said(&what)),
            "helm" => self.helm(words).map_err(|what| said(&what)),
            "cargo" => cargo(words).map_err(|what| said(&what)),
            "bash" if root().join(&words[1]).is_file() => Ok(()),
            // What changes or reads nothing but the reader's own machine.
            "export" | "cd" | "echo" | "source" | "jq" | "openssl" | "curl" | "git" | "docker"
            | "crane" | "sha256sum" | "base64" => Ok(()),
            name if name.contains('=') => Ok(()),
            _ => Err(said(&format!(
                "nothing checks {program:?}; mark the block with {}",
                blocks::ILLUSTRATIVE
            ))),
        }
    }

    fn kubectl(&self, words: &[String]) -> Result<(), String> {
        for word in words {
            if let Some(condition) = word.strip_prefix("--for=condition=") {
                let source = fs::read_to_string(root().join("src/api/conditions.rs")).unwrap();
                if !source.contains(&format!("\"{condition}\"")) {
                    return Err(format!("no condition {condition}"));
                }
            }
            let key = word.split('=').next().unwrap_or_default();
            if key.contains("warehousesync.dev/") && !is_known_key(key) {
                return Err(format!("no annotation or label {key}"));
            }
            let field = word.strip_prefix("wsp.").filter(|_| words[1] == "explain");
            if let Some(path) = field {
                self.field(path)?;
            }
        }
        Ok(())
    }

    /// `spec.health` and the like, as `kubectl explain` finds it.
    fn field(&self, path: &str) -> Result<(), String> {
        let mut schema = &self.crd;
        for name in path.split('.') {
            schema = of_each(schema);
            schema = &schema["properties"][name];
            if schema.is_null() {
                return Err(format!("no field {path}"));
            }
        }
        Ok(())
    }

    fn helm(&self, words: &[String]) -> Result<(), String> {
        let sets = words.windows(2).filter(|pair| pair[0] == "--set");
        for pair in sets {
            // `a={x},b=1`: a comma between braces separates entries of a list.
            let mut depth = 0;
            let setting = pair[1].replace(
                |c| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    c == ',' && depth == 0
                },
                "\n",
            );
            for setting in setting.lines() {
                let path = setting.split('=').next().unwrap_or_default();
                let pointer = format!("/{}", path.replace('.', "/"));
                if self.values.pointer(&pointer).is_none() {
                    return Err(format!("no value {path}"));
                }
            }
        }
        Ok(())
    }

    /// What is wrong with YAML that shows a policy, a part of its spec or status, or values of the chart.
    pub fn manifest(&self, text: &str) -> Vec<String> {
        let documents: Vec<Value> = match serde_saphyr::from_multiple(text) {
            Ok(documents) => documents,
            Err(error) => return vec![format!("YAML that cannot be read: {error}")],
        };
        let mut wrong = Vec::new();
        for document in &documents {
            let Some(fields) = document.as_object() else {
                continue;
            };
            let is_policy = fields
                .get("kind")
                .is_some_and(|kind| kind == "WarehouseSyncPolicy");
            let is_part = !fields.contains_key("kind")
                && fields
                    .keys()
                    .all(|key| ["spec", "status"].contains(&&**key));
            if is_policy || is_part {
                for part in ["spec", "status"] {
                    unknown(
                        part,
                        &self.crd["properties"][part],
                        &document[part],
                        &mut wrong,
                    );
                }
            } else if fields.keys().any(|key| !self.values[key].is_null())
                && !fields.contains_key("kind")
            {
                let missing = fields.keys().filter(|key| self.values[*key].is_null());
                wrong.extend(missing.map(|key| format!("no value {key}")));
            }
        }
        wrong
    }
}

/// Fields that the CRD lacks.
fn unknown(path: &str, schema: &Value, value: &Value, wrong: &mut Vec<String>) {
    match value {
        Value::Array(entries) => {
            for entry in entries {
                unknown(path, &schema["items"], entry, wrong);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let below = &schema["properties"][name];
                let map = &schema["additionalProperties"];
                let path = format!("{path}.{name}");
                match (below.is_null(), map.is_object()) {
                    (false, _) => unknown(&path, below, value, wrong),
                    (true, true) => unknown(&path, map, value, wrong),
                    (true, false) => wrong.push(format!("no field {path}")),
                }
            }
        }
        _ => {}
    }
}

fn of_each(schema: &Value) -> &Value {
    let each = ["items", "additionalProperties"].map(|part| &schema[part]);
    let inside = each.into_iter().find(|part| part.is_object());
    inside.map_or(schema, of_each)
}

/// Prefixes end with a slash or are followed by an id.
fn is_known_key(key: &str) -> bool {
    [
        "warehousesync.dev/use",
        "warehousesync.dev/project",
        "warehousesync.dev/source",
        "warehousesync.dev/inputs",
        "warehousesync.dev/guard-revision",
        "reconcile.warehousesync.dev/requestedAt",
        "reconcile.warehousesync.dev/resetAt",
    ]
    .contains(&key)
        || ["approve.", "deny.", "request."]
            .iter()
            .any(|verb| key.starts_with(&format!("{verb}warehousesync.dev/")))
}

fn parsed<T>(parsed: Result<T, clap::Error>, shown: &str) -> Result<(), String> {
    match parsed {
        Err(error) if error.use_stderr() => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            Err(format!("{first} in `{shown}`"))
        }
        _ => Ok(()),
    }
}

fn cargo(words: &[String]) -> Result<(), String> {
    let places = [
        ("--example", vec!["examples"]),
        ("--test", vec!["tests"]),
        ("--bench", vec!["benches"]),
    ];
    for pair in words.windows(2) {
        let Some((_, folders)) = places.iter().find(|(flag, _)| pair[0] == *flag) else {
            continue;
        };
        let is_there = folders.iter().any(|folder| {
            let path = root().join(folder).join(&pair[1]);
            path.is_dir() || path.with_extension("rs").is_file()
        });
        if !is_there {
            return Err(format!("no {} {}", pair[0], pair[1]));
        }
    }
    Ok(())
}

/// The commands of a line, word by word: parts of pipes and lists, without comments and redirections.
pub fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let (mut quote, mut depth) = (None, 0_usize);
    let mut before = ' ';
    for c in line.chars() {
        let outside = quote.is_none() && depth == 0;
        match c {
            '#' if outside && word.is_none() => break,
            '\'' | '"' if depth == 0 && quote.is_none_or(|quote| quote == c) => {
                quote = if quote.is_none() { Some(c) } else { None };
                word.get_or_insert_default();
            }
            '(' if before == '$' || before == '<' || depth > 0 => {
                depth += 1;
                word.get_or_insert_default().push(c);
            }
            ')' if depth > 0 => {
                depth -= 1;
                word.get_or_insert_default().push(c);
            }
            '|' | '&' | ';' if outside => {
                commands.last_mut().unwrap().extend(word.take());
                commands.push(Vec::new());
            }
            c if c.is_whitespace() && outside => commands.last_mut().unwrap().extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
        before = c;
    }
    commands.last_mut().unwrap().extend(word);
    commands
        .into_iter()
        .map(|words| without_redirections(&words))
        .filter(|words| !words.is_empty())
        .collect()
}

fn without_redirections(words: &[String]) -> Vec<String> {
    let redirections: BTreeSet<&str> = [">", "<", ">>", "2>"].into();
    let mut kept = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if redirections.contains(&**word) {
            rest.next();
        } else {
            kept.push(word.clone());
        }
    }
    kept
}
