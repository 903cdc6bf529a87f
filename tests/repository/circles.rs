//! Which file knows which: what a file imports or names by a path, resolved through re-exports to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenTree};

use crate::tokens::{ident, inside, is_colons, is_group, is_punct, tokens};

/// Names from the root of the crate down, for example `diagnose`, `causes`, `Cause`.
type Names = Vec<String>;

/// A module: a file and its items.
struct Module {
    file: String,
    tokens: Vec<TokenTree>,
    uses: Vec<Use>,
    defines: BTreeSet<String>,
}

/// One name that a `use` brings in.
struct Use {
    names: Names,
    /// What it is called here; `*` for all.
    called: String,
    is_public: bool,
}

/// The files of a crate.
pub struct Files {
    modules: BTreeMap<Names, Module>,
    all: BTreeSet<Names>,
}

/// What a file takes from others: the file, and the names.
pub type Knows = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

impl Files {
    /// From the paths of files below `src` and their texts. Binaries are crates of their own.
    pub fn new(sources: &[(String, String)]) -> Self {
        let of_library =
            |file: &&(String, String)| file.0 != "main.rs" && !file.0.starts_with("bin/");
        let files = sources.iter().filter(of_library);
        let mut modules: BTreeMap<Names, Module> = files
            .map(|(file, text)| {
                let tokens = tokens(text);
                let module = Module {
                    file: file.clone(),
                    uses: Vec::new(),
                    defines: defined(&tokens),
                    tokens,
                };
                (module_of(file), module)
            })
            .collect();
        let all: BTreeSet<Names> = modules.keys().cloned().collect();
        for (path, module) in &mut modules {
            let base = |name: &str| base(name, path, &all);
            collect_uses(&module.tokens, &base, &mut module.uses);
        }
        Self { modules, all }
    }

    /// Which file knows which.
    pub fn knows(&self) -> Knows {
        let mut knows = Knows::new();
        for (path, module) in &self.modules {
            let mut note = |names: &[String]| {
                let target = self.file_of(names, 8);
                if let Some(target) = target.filter(|target| *target != module.file) {
                    let takes = knows.entry(module.file.clone()).or_default();
                    let from = takes.entry(target).or_default();
                    from.insert(names.last().cloned().unwrap_or_default());
                }
            };
            for used in &module.uses {
                let is_own = used.names.len() > path.len() && used.names.starts_with(path);
                // A module only shows what its children define.
                let only_shows = used.is_public && is_own;
                // What is taken from a module that is brought in shows below.
                if !only_shows && !self.modules.contains_key(&used.names) {
                    note(&used.names);
                }
            }
            let base = |name: &str| {
                let mut uses = module.uses.iter();
                let alias = uses.find(|used| used.called == name);
                alias.map_or_else(
                    || base(name, path, &self.all),
                    |used| Some(used.names.clone()),
                )
            };
            for names in paths(&module.tokens, &base) {
                note(&names);
            }
        }
        knows
    }

    /// The file that defines what these names stand for; none if they lead out of the crate.
    fn file_of(&self, names: &[String], deep: usize) -> Option<String> {
        let longest = (0..=names.len())
            .rev()
            .find(|length| self.modules.contains_key(&names[..*length]))?;
        let module = &self.modules[&names[..longest]];
        let Some(name) = names.get(longest).filter(|_| deep > 0) else {
            return (longest > 0).then(|| module.file.clone());
        };
        let onward = |used: &Use| [&used.names[..], &names[longest + 1..]].concat();
        let mut shown = module.uses.iter().filter(|used| used.is_public);
        if let Some(used) = shown.clone().find(|used| used.called == *name) {
            return self.file_of(&onward(used), deep - 1);
        }
        if !module.defines.contains(name) {
            let of_all = shown.find_map(|used| {
                let child = self
                    .modules
                    .get(&used.names)
                    .filter(|_| used.called == "*")?;
                child.defines.contains(name).then(|| child.file.clone())
            });
            if of_all.is_some() {
                return of_all;
            }
        }
        (longest > 0).then(|| module.file.clone())
    }
}

/// Groups of files that know one another in a circle, each with one circle in words.
pub fn circles(knows: &Knows) -> Vec<(BTreeSet<String>, String)> {
    let reached: BTreeMap<&String, BTreeSet<&String>> = knows
        .keys()
        .map(|file| (file, reached_from(file, knows)))
        .collect();
    let mut groups: Vec<(BTreeSet<String>, String)> = Vec::new();
    for (file, others) in &reached {
        if !others.contains(file) || groups.iter().any(|(group, _)| group.contains(*file)) {
            continue;
        }
        let back = |other: &&&String| reached.get(**other).is_some_and(|back| back.contains(file));
        let group: BTreeSet<String> = others
            .iter()
            .filter(back)
            .map(|file| (*file).clone())
            .collect();
        groups.push((group, in_words(file, knows)));
    }
    groups
}

fn reached_from<'a>(file: &'a String, knows: &'a Knows) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![file];
    while let Some(file) = next.pop() {
        for other in knows
            .get(file)
            .into_iter()
            .flatten()
            .map(|(other, _)| other)
        {
            if reached.insert(other) {
                next.push(other);
            }
        }
    }
    reached
}

/// The shortest circle through a file.
fn in_words(file: &String, knows: &Knows) -> String {
    let mut ways = vec![vec![file]];
    let mut seen = BTreeSet::new();
    let step = |(from, to): (&&String, &&String)| {
        let names: Vec<_> = knows[*from][*to].iter().map(String::as_str).collect();
        format!("{from} takes {} from {to}", names.join(", "))
    };
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for other in way
                .last()
                .and_then(|last| knows.get(*last))
                .into_iter()
                .flatten()
                .map(|(other, _)| other)
            {
                let further = [&way[..], &[other]].concat();
                if other == file {
                    let steps = further.iter().zip(&further[1..]).map(step);
                    return steps.collect::<Vec<_>>().join("; ");
                }
                if seen.insert(other) {
                    longer.push(further);
                }
            }
        }
        ways = longer;
    }
    panic!("{file} is in no circle")
}

fn module_of(file: &str) -> Names {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let names = path.split('/').map(str::to_owned);
    names.filter(|name| name != "lib").collect()
}

/// What the first name of a path stands for in a module.
fn base(name: &str, path: &[String], all: &BTreeSet<Names>) -> Option<Names> {
    match name {
        "crate" => Some(Vec::new()),
        "self" => Some(path.to_vec()),
        "super" => Some(path[..path.len().checked_sub(1)?].to_vec()),
        child => {
            let child = [path, &[child.to_owned()]].concat();
            all.contains(&child).then_some(child)
        }
    }
}

/// The names of the items of a file.
fn defined(tokens: &[TokenTree]) -> BTreeSet<String> {
    let kinds = [
        "struct",
        "enum",
        "trait",
        "type",
        "fn",
        "const",
        "static",
        "union",
        "macro_rules",
    ];
    let mut names = BTreeSet::new();
    for place in 0..tokens.len() {
        if ident(tokens.get(place)).is_some_and(|kind| kinds.contains(&kind.as_str())) {
            names.extend(ident(tokens.get(place + 1)));
        }
    }
    names
}

type Base<'a> = &'a dyn Fn(&str) -> Option<Names>;

fn collect_uses(tokens: &[TokenTree], base: Base<'_>, uses: &mut Vec<Use>) {
    for place in 0..tokens.len() {
        if let Some(inner) = inside(&tokens[place]) {
            collect_uses(&inner, base, uses);
        }
        if ident(tokens.get(place)).as_deref() != Some("use") {
            continue;
        }
        let end = tokens[place..]
            .iter()
            .position(|token| is_punct(token, ';'));
        let tree = &tokens[place + 1..end.map_or(tokens.len(), |end| place + end)];
        let before = place.checked_sub(1).and_then(|before| tokens.get(before));
        let is_public = ident(before).as_deref() == Some("pub")
            || (is_group(before, Delimiter::Parenthesis) && place > 1);
        let first = ident(tree.first()).unwrap_or_default();
        if let Some(names) = base(&first) {
            use_tree(&tree[1..], names, is_public, uses);
        }
    }
}

/// The rest of a `use` behind names that are known.
fn use_tree(tree: &[TokenTree], mut names: Names, is_public: bool, uses: &mut Vec<Use>) {
    let mut place = 0;
    let mut called = names.last().cloned().unwrap_or_default();
    while place < tree.len() {
        if is_colons(tree, place) {
            place += 2;
            let next = tree.get(place);
            if let Some(name) = ident(next) {
                match name.as_str() {
                    "super" => drop(names.pop()),
                    "self" => {}
                    _ => names.push(name.clone()),
                }
                called = name;
            } else if let Some(group) = next.and_then(inside) {
                for part in group
                    .split(|token| is_punct(token, ','))
                    .filter(|part| !part.is_empty())
                {
                    let mut deeper = names.clone();
                    let first = ident(part.first()).unwrap_or_default();
                    if is_punct(&part[0], '*') {
                        uses.push(Use {
                            names: deeper,
                            called: "*".to_owned(),
                            is_public,
                        });
                        continue;
                    }
                    match first.as_str() {
                        "self" => {}
                        "super" => drop(deeper.pop()),
                        _ => deeper.push(first),
                    }
                    use_tree(&part[1..], deeper, is_public, uses);
                }
                return;
            } else {
                uses.push(Use {
                    names,
                    called: "*".to_owned(),
                    is_public,
                });
                return;
            }
        } else if ident(tree.get(place)).as_deref() == Some("as") {
            called = ident(tree.get(place + 1)).unwrap_or_default();
            break;
        }
        place += 1;
    }
    if called == "self" || called == "super" {
        called = names.last().cloned().unwrap_or_default();
    }
    uses.push(Use {
        names,
        called,
        is_public,
    });
}

/// The paths that are named outside of `use`, from names that are known.
fn paths(tokens: &[TokenTree], base: Base<'_>) -> Vec<Names> {
    let mut found = Vec::new();
    let mut place = 0;
    while place < tokens.len() {
        if let Some(inner) = inside(&tokens[place]) {
            found.extend(paths(&inner, base));
        }
        let Some(first) = ident(tokens.get(place)) else {
            place += 1;
            continue;
        };
        if first == "use" {
            let end = tokens[place..]
                .iter()
                .position(|token| is_punct(token, ';'));
            place += end.unwrap_or(tokens.len());
            continue;
        }
        let begins = place < 2 || !is_colons(tokens, place - 2);
        if let Some(mut names) = base(&first).filter(|_| begins && is_colons(tokens, place + 1)) {
            while let Some(name) =
                ident(tokens.get(place + 3)).filter(|_| is_colons(tokens, place + 1))
            {
                match name.as_str() {
                    "super" => drop(names.pop()),
                    _ => names.push(name),
                }
                place += 3;
            }
            found.push(names);
        }
        place += 1;
    }
    found
}
