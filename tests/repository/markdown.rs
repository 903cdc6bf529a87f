//! Markdown as the tests of the documentation read it: paragraphs, headings and links. Code blocks are in `blocks.rs`.

use std::sync::LazyLock;

use regex::Regex;

use crate::blocks::parts;

/// Paragraphs, list items, headings and cells of tables, each as one text.
pub fn paragraphs(text: &str) -> Vec<String> {
    static ITEM: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(?:[-*]|\d+\.) ").unwrap());
    let mut paragraphs = vec![String::new()];
    for line in parts(text).0 {
        let line = line.trim();
        if line.starts_with('|') {
            paragraphs.extend(line.split('|').map(str::to_owned));
            paragraphs.push(String::new());
        } else if line.is_empty() || line.starts_with('#') {
            paragraphs.push(line.trim_start_matches('#').to_owned());
            paragraphs.push(String::new());
        } else {
            if ITEM.is_match(line) {
                paragraphs.push(String::new());
            }
            let paragraph = paragraphs.last_mut().unwrap();
            paragraph.push(' ');
            paragraph.push_str(line);
        }
    }
    paragraphs
}

/// The anchors of the headings, as GitHub and mdBook make them.
pub fn anchors(text: &str) -> Vec<String> {
    let link = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    let explicit = Regex::new(r#"<a id="([^"]+)">"#).unwrap();
    let explicit = explicit.captures_iter(text).map(|id| id[1].to_owned());
    let mut anchors: Vec<String> = explicit.collect();
    for heading in parts(text).0.iter().filter(|line| line.starts_with('#')) {
        let heading = heading.trim_start_matches('#').trim();
        let heading = link.replace_all(heading, "$1").to_lowercase();
        let anchor: String = heading
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect();
        let again = anchors.iter().filter(|known| **known == anchor).count();
        anchors.push(match again {
            0 => anchor,
            again => format!("{anchor}-{again}"),
        });
    }
    anchors
}

/// The targets of links and images, outside code.
pub fn links(text: &str) -> Vec<String> {
    let code = Regex::new("`[^`]*`").unwrap();
    let link = Regex::new(r"\]\(<?([^)\s>]+)>?\)").unwrap();
    let text = parts(text).0.join("\n");
    let text = code.replace_all(&text, "");
    let targets = link.captures_iter(&text).map(|found| found[1].to_owned());
    targets.collect()
}
