//! Structure and drift: what the folders may use, where requests may be sent, and whether generated files are up to date.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue has failed"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kube::CustomResourceExt as _;
use serde_json::{Value, json};
use warehouse_sync_operator::{
    api::{WarehouseSyncPolicy, conditions::Reason, notification::Occasion, status::RootCause},
    cli::crd_yaml,
    decide::{
        Guard,
        guards::chain::{CHAIN, ChainEntry, Holds},
        plan::Kind,
    },
    diagnose::{
        Cause,
        causes::{Remedy, Scope},
    },
    report::EventReason,
};

#[path = "repository/blocks.rs"]
mod blocks;
#[path = "repository/causes.rs"]
mod causes;
#[path = "repository/circles.rs"]
mod circles;
#[path = "repository/commands.rs"]
mod commands;
#[path = "repository/links.rs"]
mod links;
#[path = "repository/markdown.rs"]
mod markdown;
#[path = "repository/reference.rs"]
mod reference;
#[path = "repository/sentences.rs"]
mod sentences;
#[path = "repository/tokens.rs"]
mod tokens;
#[path = "repository/voice.rs"]
mod voice;
#[path = "repository/workflows.rs"]
mod workflows;

/// The pipeline, top to bottom: a folder may use those before it.
const FOLDERS: [&str; 10] = [
    "api",
    "posthog",
    "observe",
    "diagnose",
    "decide",
    "report",
    "execute",
    "controller",
    "serve",
    "cli",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The files in these places (`.` is the repository), by extension: each with its path and its text, in the order of the paths.
fn files(places: &[&str], extensions: &[&str]) -> Vec<(String, String)> {
    fn walk(path: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && (name.starts_with('.') || name == "target") {
            return;
        }
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                walk(&entry.unwrap().path(), extensions, found);
            }
        } else if extensions.iter().any(|e| name.ends_with(&format!(".{e}"))) {
            found.push(path.to_owned());
        }
    }
    let mut found = Vec::new();
    for place in places {
        let place = if *place == "." {
            root()
        } else {
            root().join(place)
        };
        walk(&place, extensions, &mut found);
    }
    found.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    found
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).unwrap()))
        .collect()
}

/// In hundredths of a percent. Lower it when texts were rewritten.
const MOST_OF_THE_OLD_DIALECT: usize = 30;

#[test]
fn texts_are_written_in_plain_words() {
    let counted = voice::count(&voice::Words::read());
    let share = voice::share(&counted);
    assert!(
        share <= MOST_OF_THE_OLD_DIALECT,
        "{}.{:02} % of the sentences have words that {} lists, more than {}.{:02} %. The worst files (VOICE=src/api shows all of some):\n{}",
        share / 100,
        share % 100,
        voice::WORDS,
        MOST_OF_THE_OLD_DIALECT / 100,
        MOST_OF_THE_OLD_DIALECT % 100,
        voice::report(&counted)
    );
    assert!(
        std::env::var_os("VOICE").is_none(),
        "{}",
        voice::report(&counted)
    );
}

#[test]
fn words_of_the_old_dialect_are_found_and_their_likenesses_are_not() {
    let words = voice::Words::read();
    for sentence in [
        "It is made anew.",
        "A person is told when a run hangs.",
        "The Secret is not released for this use.",
        "No approval counts until then.",
        "Of 3 tables it cannot be told how they are.",
        "What another policy begins during a pass is seen before its calls.",
        "A repair is under way.",
    ] {
        assert!(!words.found(sentence).is_empty(), "{sentence}");
    }
    for sentence in [
        "It never destroys data that nobody approved.",
        "The Lease is released at SIGTERM.",
        "A manewver in a recommended order.",
        "A standby takes over within 2 s.",
    ] {
        assert_eq!(words.found(sentence), [""; 0], "{sentence}");
    }
}

#[test]
fn the_reference_is_what_the_code_says() {
    for (path, page) in reference::pages().unwrap() {
        let there = fs::read_to_string(root().join(&path)).unwrap_or_default();
        assert!(
            there == page,
            "{} has drifted: cargo run --example render",
            path.display()
        );
    }
}

#[test]
fn every_command_of_a_how_to_guide_is_run_by_a_test_or_marked() {
    let untested = commands::untested();
    assert!(
        untested.is_empty(),
        "list the page in tests/operator/pages.rs, or write above the block `<!-- tested by tests/… -->` or {:?}: {untested:#?}",
        blocks::ILLUSTRATIVE
    );
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let broken = links::broken();
    assert!(
        broken.is_empty(),
        "these links lead to no file or no heading, or from docs/ to a file outside it by a relative path:\n{}",
        broken.join("\n")
    );
    let missing = links::not_in_the_book();
    assert!(missing.is_empty(), "docs/SUMMARY.md lacks {missing:?}");
}

#[test]
fn the_readme_has_its_quick_start_within_a_screen_and_a_half() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (before, _) = readme.split_once("## Quick start").unwrap();
    let lines = before.lines().count();
    assert!(lines <= 60, "README.md: {lines} lines before Quick start");
}

#[test]
fn every_command_and_manifest_of_the_documentation_is_understood() {
    let wrong = commands::wrong();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_command_of_the_documentation_is_found() {
    let known = commands::Known::read();
    let sh = |text: &str| blocks::blocks(&format!("```sh\n{text}\n```\n")).remove(0);
    for text in [
        "kubectl wsp aprove production rs-36xpf4",
        "warehouse-sync-operator run --no-such-flag",
        "kubectl explain wsp.spec.helth",
        "kubectl annotate wsp production reconcile.warehousesync.dev/resetat=1",
        "kubectl wait --for=condition=Helthy wsp/production",
        "helm upgrade operator charts/warehouse-sync-operator --set 'namespaces={a,b},no.such=1'",
        "cargo test --test no-such-test",
        "cd docs && no-such-program",
    ] {
        assert_eq!(known.shell(&sh(text)).len(), 1, "{text}");
    }
    for text in [
        "kubectl wsp approve production rs-36xpf4    # as yourself",
        "warehouse-sync-operator explain --batch < texts.jsonl > causes.jsonl",
        "warehouse-sync-operator crd | kubectl apply -f -",
        "kubectl annotate wsp production request.warehousesync.dev/0196=Resync --overwrite",
        "kubectl explain wsp.status.findings.cause",
        "helm upgrade operator charts/warehouse-sync-operator --set 'namespaces={a,b},replicas=2'",
    ] {
        assert_eq!(known.shell(&sh(text)), [""; 0], "{text}");
    }
    assert_eq!(
        known.manifest("spec: {health: {stuck: {afterr: 6h}}}"),
        ["no field spec.health.stuck.afterr"]
    );
    let illustrative = "<!-- illustrative -->\n```sh\nno-such-program\n```\n";
    assert!(blocks::blocks(illustrative)[0].illustrative);
}

#[test]
fn the_crd_in_the_repository_is_what_the_binary_prints() {
    let file = fs::read_to_string(root().join("crds/warehousesyncpolicies.yaml")).unwrap();
    assert!(
        file == crd_yaml().unwrap(),
        "crds/warehousesyncpolicies.yaml has drifted: cargo run --example render"
    );
}

#[test]
fn no_folder_uses_one_below_it() {
    for (place, folder) in FOLDERS.iter().enumerate() {
        for file in rust_files(&root().join("src").join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            for below in &FOLDERS[place + 1..] {
                let used = [format!("crate::{below}"), format!("crate::{{{below}")];
                let in_group = text.split("use crate::{").skip(1).any(|group| {
                    let group = group.split("};").next().unwrap_or_default();
                    group
                        .lines()
                        .any(|line| line.trim_start().starts_with(&format!("{below}::")))
                });
                assert!(
                    !used.iter().any(|path| text.contains(path.as_str())) && !in_group,
                    "{} uses {below}, which is below {folder}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn no_files_know_one_another_in_a_circle() {
    let circles = circles::circles(&circles::Files::new(&tokens::sources()).knows());
    let named: Vec<&str> = circles.iter().map(|(_, circle)| circle.as_str()).collect();
    assert!(
        named.is_empty(),
        "files of src know one another in a circle: {}. Move the types that both need to a file below, and what drives both to one above",
        named.join("; ")
    );
}

#[test]
fn a_circle_of_files_is_found_through_groups_paths_and_re_exports() {
    let circle = |files: &[(&str, &str)]| {
        let files: Vec<_> = files
            .iter()
            .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
            .collect();
        let circles = circles::circles(&circles::Files::new(&files).knows());
        let said: Vec<String> = circles.into_iter().map(|(_, circle)| circle).collect();
        said.join("\n")
    };
    let lib = ("lib.rs", "pub mod a; pub mod z;");
    let shows = (
        "a/mod.rs",
        "mod b; mod c; pub mod d; pub use b::B; pub use c::{C as Other, more};",
    );
    let defines = ("a/c.rs", "pub struct C; pub fn more() {}");
    let knows_c = ("a/b.rs", "use super::Other; pub struct B(Other);");
    assert_eq!(
        circle(&[lib, shows, defines, knows_c]),
        "",
        "a module that shows its children is in no circle"
    );
    for (text, takes) in [
        ("use crate::{a::B, z}; pub struct C(B);", "B"),
        (
            "use super::{self as up, d::{self, E}}; pub struct C(up::B);",
            "B",
        ),
        ("pub struct C(super::b::B);", "B"),
        ("pub fn c() { println!(\"{:?}\", crate::a::B) }", "B"),
    ] {
        let said = circle(&[lib, shows, ("a/c.rs", text), knows_c]);
        let expected = format!("a/b.rs takes C from a/c.rs; a/c.rs takes {takes} from a/b.rs");
        assert_eq!(said.replace("Other", "C"), expected, "{text}");
    }
    let in_test = "pub struct C; #[cfg(test)] mod tests { use super::super::B; }";
    assert_eq!(
        circle(&[lib, shows, ("a/c.rs", in_test), knows_c]),
        "",
        "tests may know anything"
    );
    let folders = [
        lib,
        ("a/mod.rs", "pub mod e; pub fn up() { e::down() }"),
        ("a/e.rs", "pub fn down() { super::up() }"),
    ];
    assert_eq!(
        circle(&folders),
        "a/e.rs takes up from a/mod.rs; a/mod.rs takes down from a/e.rs"
    );
}

#[test]
fn only_the_row_of_a_cause_decides_by_it() {
    for (file, text) in tokens::sources() {
        let holds_rows =
            file.starts_with("diagnose/causes/") || text.contains("pub enum RootCause");
        let decisions = causes::decisions(&tokens::tokens(&text));
        assert!(
            holds_rows || decisions.is_empty(),
            "src/{file} decides by {}: let the row of each cause say it (a field in src/diagnose/causes/cause.rs, its values in rows.rs), and match on that",
            decisions.join(", ")
        );
    }
}

#[test]
fn decisions_by_cause_are_found_and_values_are_not() {
    for text in [
        "if cause == RootCause::Stuck {}",
        "let is = status::RootCause::Stuck != cause;",
        "match cause { RootCause::Stuck => 1, _ => 2 }",
        "match (id, cause) { (None, RootCause::Stuck) => 1, _ => 2 }",
        "match cause { RootCause::Stuck | RootCause::Stale if old => 1, _ => 2 }",
        "matches!(cause, Some(RootCause::Stuck))",
        "if let Finding { cause: RootCause::Stuck, .. } = finding {}",
        "[RootCause::Stuck].contains(&cause)",
        "use crate::api::status::RootCause::{Stuck, Stale};",
        "use RootCause as R;",
        "let stuck = RootCause::Stuck; cause == stuck",
        "const STUCK: RootCause = RootCause::Stuck;",
    ] {
        assert!(
            !causes::decisions(&tokens::tokens(text)).is_empty(),
            "{text}"
        );
    }
    for text in [
        "Problem { cause: RootCause::Stuck, ..problem }",
        "Problem::of_source(title, id, RootCause::Stuck, rule)",
        "failure.map_or(RootCause::Unknown, |failure| failure.cause)",
        "problem.cause = RootCause::Unknown;",
        "Cause::of(RootCause::Stuck).advice",
        "for cause in RootCause::ALL {}",
        "let problem = wide(RootCause::Stuck);",
        "if gone { return wide(RootCause::Stuck); } if late { return None; }",
        "#[cfg(test)] mod tests { fn a() { cause == RootCause::Stuck } }",
    ] {
        assert_eq!(causes::decisions(&tokens::tokens(text)), [""; 0], "{text}");
    }
}

#[test]
fn requests_to_posthog_are_sent_only_where_they_may_be() {
    for file in rust_files(&root().join("src")) {
        let name = file
            .strip_prefix(root().join("src"))
            .unwrap()
            .display()
            .to_string();
        let text = fs::read_to_string(&file).unwrap();
        let may = name.starts_with("posthog/")
            || name == "execute/calls.rs"
            || name == "controller/timed.rs";
        assert!(
            may || !text.contains(".send(request)"),
            "{name} sends requests"
        );
        let makes_permits = text.contains("Permit(") && name != "decide/safety.rs";
        assert!(!makes_permits, "{name} makes permits");
    }
}

#[test]
fn calls_that_write_are_sent_and_permitted_in_one_place() {
    for file in rust_files(&root().join("src")) {
        let name = file.strip_prefix(root().join("src")).unwrap();
        let name = name.display().to_string();
        let text = fs::read_to_string(&file).unwrap();
        for (call, only) in [
            ("calls::send(", "execute/send.rs"),
            ("calls::execute(", "none"),
            ("safety::permit(", "execute/gate.rs"),
            ("safety::permit_approved(", "execute/gate.rs"),
            ("Approved::new", "decide/approval/progress.rs"),
            ("use crate::execute::calls::send", "none"),
        ] {
            assert!(
                name == only || !text.contains(call),
                "{name} has {call}..), which only {only} may: every call that writes takes the road of execute/send.rs"
            );
        }
    }
}

#[test]
fn the_chain_of_guards_is_in_the_documentation() {
    let names = |kinds: &[Kind]| {
        let names: Vec<String> = kinds.iter().map(|kind| format!("{kind:?}")).collect();
        names.join(", ")
    };
    let row = |line: &ChainEntry| {
        let holds = match line.holds {
            Holds::Start => "the start".to_owned(),
            Holds::EverySend => "every call".to_owned(),
            Holds::EverySendOf(kinds) => {
                format!("every call of {}; else the start", names(kinds))
            }
        };
        let exempt = match line.exempt {
            [] => "–".to_owned(),
            kinds => names(kinds),
        };
        [format!("`{}`", line.guard.as_str()), holds, exempt]
    };
    let wanted: Vec<[String; 3]> = CHAIN.iter().map(row).collect();
    let rows = section("docs/guards.md", "## The chain");
    for row in &rows {
        says_what_to_do("docs/guards.md", row, 4);
    }
    let documented = rows.into_iter().map(|row| {
        let [guard, _, holds, exempt] = row.try_into().unwrap();
        [guard, holds, exempt]
    });
    let documented: Vec<[String; 3]> = documented.collect();
    assert!(
        documented == wanted,
        "docs/guards.md: the chain of guards has drifted; beside what each guard is about, it must be {wanted:#?}"
    );
}

/// A guard is a file, a variant, a line of the chain, and a row in the documentation.
#[test]
fn every_guard_has_a_file_of_its_own() {
    let folder = root().join("src/decide/guards");
    for &guard in Guard::ALL {
        let mut file = String::new();
        for letter in guard.as_str().chars() {
            if letter.is_uppercase() && !file.is_empty() {
                file.push('_');
            }
            file.push(letter.to_ascii_lowercase());
        }
        let path = folder.join(format!("{file}.rs"));
        let text = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            text.contains("pub fn check("),
            "{} lacks the guard {guard:?}",
            path.display()
        );
    }
}

/// A name with two meanings makes a reader look up which one is meant.
#[test]
fn no_name_of_a_public_type_has_two_meanings() {
    let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&file).unwrap();
        for name in text.lines().filter_map(public_type) {
            files.entry(name).or_default().push(file.clone());
        }
    }
    assert!(files.len() > 100, "public types are not found any more");
    files.retain(|_, files| files.len() > 1);
    assert!(files.is_empty(), "rename one of each: {files:#?}");
}

/// The name of the type that a line of a module defines for others, if it does.
fn public_type(line: &str) -> Option<String> {
    let rest = line.strip_prefix("pub ")?;
    let (kind, rest) = rest.split_once(' ')?;
    let ends = |c: char| !c.is_alphanumeric() && c != '_';
    ["struct", "enum", "trait", "type", "union"]
        .contains(&kind)
        .then(|| rest.split(ends).next().unwrap_or_default().to_owned())
}

#[test]
fn every_reason_is_in_the_documentation() {
    let docs = fs::read_to_string(root().join("docs/conditions.md")).unwrap();
    let missing: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !docs.contains(&format!("| `{reason}` |")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/conditions.md lacks a row of the table of reasons for {missing:?}"
    );
    let reasons = section("docs/conditions.md", "## Reasons");
    for row in &reasons {
        let name = row[0].trim_matches('`');
        assert!(
            Reason::ALL.iter().any(|reason| reason.as_str() == name),
            "docs/conditions.md: the table of reasons lists {name}, which is no reason: remove it"
        );
        says_what_to_do("docs/conditions.md", row, 4);
    }
}

#[test]
fn every_event_is_in_the_documentation_with_what_to_do() {
    let rows = section("docs/conditions.md", "## Events");
    for reason in EventReason::ALL {
        let name = format!("`{}`", reason.as_str());
        assert!(
            rows.iter().any(|row| row[0] == name),
            "docs/conditions.md: the table of events lacks {name}, with its type, when it comes, and what to do"
        );
    }
    for row in &rows {
        let name = row[0].trim_matches('`');
        assert!(
            EventReason::ALL
                .iter()
                .any(|reason| reason.as_str() == name),
            "docs/conditions.md: the table of events lists {name}, which is no event: remove it"
        );
        says_what_to_do("docs/conditions.md", row, 4);
    }
}

#[test]
fn every_condition_is_in_the_documentation() {
    let docs = fs::read_to_string(root().join("docs/conditions.md")).unwrap();
    let source = fs::read_to_string(root().join("src/api/conditions.rs")).unwrap();
    let constants = source.lines().filter(|line| line.starts_with("pub const "));
    let types: Vec<&str> = constants
        .map(|line| line.split('"').nth(1).unwrap())
        .collect();
    assert!(types.contains(&"Ready"), "{types:?}");
    let (table, _) = docs.split_once("## Reasons").unwrap();
    for type_ in &types {
        assert!(
            table.contains(&format!("\n| {type_} | ")),
            "docs/conditions.md: the first table lacks the condition {type_}"
        );
    }
    let rows = table.lines().filter(|line| line.starts_with("| ")).count();
    assert_eq!(
        rows,
        types.len() + 1,
        "docs/conditions.md: the first table has a row too many"
    );
}

/// The rows of the table below a heading of a file.
fn section(file: &str, heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let (_, below) = text.split_once(heading).unwrap();
    rows_in(below.split("\n## ").next().unwrap())
}

fn says_what_to_do(file: &str, row: &[String], cells: usize) {
    assert!(
        row.len() == cells && row.iter().all(|cell| !cell.is_empty()),
        "{file}: a row of this table has {cells} cells, the last says what to do: {row:?}"
    );
}

#[test]
fn every_cause_is_in_the_documentation_with_its_meaning_and_action() {
    let docs = fs::read_to_string(root().join("docs/diagnosis.md")).unwrap();
    let rows: Vec<String> = RootCause::ALL
        .iter()
        .map(|cause| {
            let action = match Cause::of(*cause).remedy {
                Remedy::Safe(action) => format!("{action:?}"),
                Remedy::NeedsApproval(action) => format!("{action:?} (approval)"),
                Remedy::Nothing => "–".to_owned(),
            };
            format!("| `{}` | {} | {action} |", cause.as_str(), cause.meaning())
        })
        .collect();
    let table = rows.join("\n");
    assert!(
        docs.contains(&table),
        "docs/diagnosis.md: the table of causes has drifted; it must be\n{table}"
    );
}

#[test]
fn the_causes_of_a_whole_source_are_in_the_documentation() {
    let docs = fs::read_to_string(root().join("docs/diagnosis.md")).unwrap();
    let of_connection = RootCause::ALL
        .iter()
        .filter(|cause| Cause::of(**cause).scope == Scope::Connection);
    let names: Vec<String> = of_connection
        .map(|cause| format!("`{}`", cause.as_str()))
        .collect();
    let sentence = format!(
        "the newest result of every table has the same cause, one of {}, and none",
        names.join(", ")
    );
    assert!(
        docs.contains(&sentence),
        "docs/diagnosis.md: the row of one finding for a source has drifted; it must say \"{sentence}\""
    );
}

/// The cells of each row of the tables in a file whose first cell is code.
fn rows(file: &str) -> Vec<Vec<String>> {
    rows_in(&fs::read_to_string(root().join(file)).unwrap())
}

fn rows_in(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|');
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    text.lines()
        .filter(|line| line.starts_with("| `"))
        .map(cells)
        .collect()
}

#[test]
fn every_cause_is_in_the_table_of_remediation_with_what_is_done_about_it() {
    let rows = rows("docs/remediation.md");
    for &cause in RootCause::ALL {
        let name = format!("`{}`", cause.as_str());
        let row = rows.iter().find(|row| row[0] == name);
        let row = row.unwrap_or_else(|| panic!("docs/remediation.md lacks {name}"));
        let (own, proposed) = match Cause::of(cause).remedy {
            Remedy::Safe(action) => (Some(action), None),
            Remedy::NeedsApproval(action) => (None, Some(action)),
            Remedy::Nothing => (None, None),
        };
        for (cell, action) in [(&row[1], own), (&row[2], proposed)] {
            match action {
                Some(action) => assert!(cell.starts_with(&format!("`{action:?}`")), "{row:?}"),
                None => assert_eq!(cell, "–", "{row:?}"),
            }
        }
        assert!(!row[3].is_empty(), "{row:?}");
    }
    assert_eq!(rows.len(), RootCause::ALL.len());
}

#[test]
fn every_guard_is_in_the_documentation_and_what_status_says() {
    let crd = serde_json::to_value(WarehouseSyncPolicy::crd()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let field = |path: &str| {
        let names = path.trim_start_matches("spec.").split('.');
        names.fold(spec.clone(), |schema, name| {
            schema["properties"][name].clone()
        })
    };
    let source: String = rust_files(&root().join("src"))
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let rows: Vec<_> = rows("docs/guards.md")
        .into_iter()
        .filter(|row| row[0].starts_with("`spec."))
        .collect();
    for row in &rows {
        let path = row[0].trim_matches('`');
        let default = match &field(path)["default"] {
            serde_json::Value::String(text) => format!("`{text}`"),
            serde_json::Value::Null => "none".to_owned(),
            other => format!("`{other}`"),
        };
        assert_eq!(row[1], default, "{path}");
        // What status says begins with words of the code.
        if let Some(said) = row[3].strip_prefix('`') {
            let words = said.split([':', '`']).next().unwrap();
            let words = words
                .split(" is ")
                .next()
                .unwrap()
                .split(',')
                .next()
                .unwrap();
            let words = words.rsplit('.').next().unwrap();
            assert!(source.contains(words), "no code says {words:?}");
        }
    }
    let documented: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    for part in [
        "remediation",
        "remediation.limits",
        "remediation.limits.backoff",
        "remediation.limits.breaker",
    ] {
        let fields = field(&format!("spec.{part}"));
        for (name, schema) in fields["properties"].as_object().unwrap() {
            let path = format!("spec.{part}.{name}");
            let is_leaf = schema.get("properties").is_none();
            assert!(
                !is_leaf || documented.contains(&path.as_str()),
                "docs/guards.md lacks {path}"
            );
        }
    }
}

#[test]
fn every_event_of_notifications_is_in_the_documentation_with_its_type() {
    let docs = fs::read_to_string(root().join("docs/notifications.md")).unwrap();
    for occasion in Occasion::ALL {
        let (name, type_) = (occasion.as_str(), occasion.event_type());
        for row in [
            format!("| `{name}` | `{type_}` |"),
            format!("| `{name}` | "),
        ] {
            assert!(docs.contains(&row), "docs/notifications.md lacks {row}");
        }
    }
}

#[test]
fn the_example_that_checks_signatures_accepts_the_genuine_and_refuses_the_rest() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("without python3 the example is not run");
        return;
    }
    let docs = fs::read_to_string(root().join("docs/notifications.md")).unwrap();
    let example = docs.split("```python\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    // The example of the reference libraries of Standard Webhooks.
    let calls = r#"
key, at = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", 1649367553
body = b'{"email":"test@example.com","username":"test_user"}'
headers = {"webhook-id": "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", "webhook-timestamp": str(at),
           "webhook-signature": "v1,bm9uc2Vuc2U= v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="}
print(is_genuine(key, headers, body, at), is_genuine(key, headers, body + b" ", at),
      is_genuine(key, headers | {"webhook-id": "x"}, body, at), is_genuine(key, headers, body))
"#;
    let program = format!("{example}{calls}");
    let output = Command::new("python3").args(["-c", &program]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "True False False False", "{output:?}");
}

/// A tag of somebody else's repository can be moved to other code, a commit cannot.
/// Tests in `cell`: a file, and after a colon the names of tests in it.
fn tests_named(cell: &str) -> Vec<(String, Vec<String>)> {
    let quoted = |text: &str| {
        text.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let parts = cell.split(';').filter_map(|part| {
        let mut names: Vec<String> = quoted(part);
        (!names.is_empty()).then(|| (names.remove(0), names))
    });
    parts.collect()
}

#[test]
fn each_line_about_who_reaches_what_names_tests_that_exist() {
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let (_, below) = text.split_once("## What each role can reach").unwrap();
    let lines = below.split("\n## ").next().unwrap().lines();
    let rows: Vec<Vec<&str>> = lines
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").map(str::trim).collect())
        .skip(1)
        .collect();
    assert!(rows.len() > 15, "{}", rows.len());
    for row in &rows {
        assert_eq!(row.len(), 4, "{row:?}");
        let tests = tests_named(row[3]);
        // What is out of the operator's hands says so.
        assert!(
            !tests.is_empty() || row[3] == "–" && row[2] == "–",
            "{row:?} names no test"
        );
        for (file, names) in tests {
            let code = fs::read_to_string(root().join(&file))
                .unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(
                !names.is_empty(),
                "{file} without the name of a test: {row:?}"
            );
            for name in names {
                let is_test = code
                    .split("#[test]")
                    .skip(1)
                    .any(|rest| rest.trim_start().starts_with(&format!("fn {name}(")));
                assert!(is_test, "docs/security.md: {file} has no test {name}");
            }
        }
    }
}

#[test]
fn every_action_of_the_workflows_is_pinned_to_a_commit_with_its_version_beside_it() {
    let mut pinned = 0;
    for entry in fs::read_dir(root().join(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let uses = text.lines().filter_map(|line| {
            let line = line.trim_start().trim_start_matches("- ");
            line.strip_prefix("uses: ")
        });
        for used in uses.filter(|used| !used.starts_with("./")) {
            let (commit, version) = used.split_once('@').unwrap().1.split_once(' ').unwrap();
            let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(is_commit, "{}: {used}", path.display());
            assert!(version.starts_with("# v"), "{}: {used}", path.display());
            pinned += 1;
        }
    }
    assert!(pinned > 0, "no workflow uses an action");
}

#[test]
fn the_workflows_are_valid_and_run_scripts_that_exist() {
    assert_eq!(workflows::problems(), Vec::<String>::new());
}

#[test]
fn every_address_of_the_project_is_that_of_one_file() {
    assert_eq!(workflows::other_addresses(), Vec::<String>::new());
}

#[test]
fn a_move_replaces_every_address() {
    let (github, image) = ("acme/syncs", "registry.example.com/acme/syncs");
    let (left, names) = workflows::after_a_move(github, image);
    // The name and namespace of a Deployment.
    let addresses = left
        .lines()
        .filter(|line| !line.starts_with("tests/chart/install.rs:"));
    assert_eq!(addresses.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(names.ends_with(&format!("image={image}\n")), "{names}");
}

#[test]
fn the_image_is_built_by_the_toolchain_of_the_repository() {
    let read = |file| fs::read_to_string(root().join(file)).unwrap();
    let toolchain = read("rust-toolchain.toml");
    let version = toolchain.split("channel = \"").nth(1).unwrap();
    let version = version.split('"').next().unwrap();
    let dockerfile = read("Dockerfile");
    for wanted in [
        format!("library/rust:{version}-"),
        format!("RUSTUP_TOOLCHAIN={version}\n"),
    ] {
        assert!(dockerfile.contains(&wanted), "Dockerfile lacks {wanted}");
    }
}

/// The fields of `spec.health` by their paths, with their schemas.
fn fields_of_health() -> Vec<(String, Value)> {
    fn leaves(path: &str, schema: &Value, found: &mut Vec<(String, Value)>) {
        match schema["properties"].as_object() {
            None => found.push((path.trim_start_matches('.').to_owned(), schema.clone())),
            Some(fields) => {
                for (name, field) in fields {
                    leaves(&format!("{path}.{name}"), field, found);
                }
            }
        }
    }
    let crd = serde_json::to_value(WarehouseSyncPolicy::crd()).unwrap();
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/health";
    let mut found = Vec::new();
    leaves("", crd.pointer(schema).unwrap(), &mut found);
    found
}

/// The API server warns of any other format of a number, at each install.
#[test]
fn the_crd_has_only_formats_of_numbers_that_the_api_server_knows() {
    fn formats(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                if ["integer", "number"]
                    .iter()
                    .any(|kind| fields.get("type") == Some(&json!(kind)))
                {
                    found.extend(
                        fields
                            .get("format")
                            .map(|format| format.as_str().unwrap().to_owned()),
                    );
                }
                fields.values().for_each(|field| formats(field, found));
            }
            Value::Array(all) => all.iter().for_each(|one| formats(one, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    formats(
        &serde_json::to_value(WarehouseSyncPolicy::crd()).unwrap(),
        &mut found,
    );
    found.retain(|format| !["int32", "int64", "float", "double"].contains(&format.as_str()));
    assert_eq!(found, [""; 0]);
}

#[test]
fn every_bound_of_a_duration_of_health_is_tested_against_the_api_server() {
    let file = "tests/operator/crd_refusals.rs";
    let rows = fs::read_to_string(root().join(file)).unwrap();
    let bounded = fields_of_health().into_iter();
    let bounded = bounded.filter(|(_, schema)| !schema["x-kubernetes-validations"].is_null());
    let missing: Vec<_> = bounded
        .map(|(path, _)| format!("health.{path} | "))
        .filter(|row| !rows.contains(&format!("\n{row}")))
        .collect();
    assert!(missing.is_empty(), "{file} lacks rows for {missing:?}");
}
