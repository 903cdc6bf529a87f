//! Links between the pages of the repository.

use std::path::{Component, Path, PathBuf};

use crate::{files, markdown, root};

/// How pages of `docs/` link to files outside it: a relative link would leave the rendered book.
const BLOB: &str = "https://github.com/warehouse-sync-operator/warehouse-sync-operator/blob/main/";

/// Links that lead nowhere, as `page: link`.
pub fn broken() -> Vec<String> {
    let pages = files(&["."], &["md"]);
    let mut broken = Vec::new();
    for (page, text) in &pages {
        for link in markdown::links(text) {
            if !leads_somewhere(page, text, &link, &pages) {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    broken
}

fn leads_somewhere(page: &str, text: &str, link: &str, pages: &[(String, String)]) -> bool {
    let (link, from) = match link.strip_prefix(BLOB) {
        Some(path) => (path, Path::new("")),
        None if link.contains("://") => return true,
        None => (link, Path::new(page).parent().unwrap()),
    };
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let has = |text: &str| anchor.is_empty() || markdown::anchors(text).iter().any(|a| a == anchor);
    if path.is_empty() {
        return has(text);
    }
    let target = normal(&from.join(path));
    let leaves_the_book =
        page.starts_with("docs/") && from != Path::new("") && { !target.starts_with("docs") };
    if leaves_the_book || !root().join(&target).exists() {
        return false;
    }
    let linked = pages.iter().find(|(page, _)| Path::new(page) == target);
    linked.map_or(anchor.is_empty(), |(_, text)| has(text))
}

/// Without `..` and `.`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// Pages of `docs/` that the table of contents lacks.
pub fn not_in_the_book() -> Vec<String> {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let listed = markdown::links(&summary);
    files(&["docs"], &["md"])
        .into_iter()
        .map(|(page, _)| page.trim_start_matches("docs/").to_owned())
        .filter(|page| page != "SUMMARY.md" && !listed.contains(page))
        .collect()
}
