//! What to insert for one more annotation, and where.
//!
//! Always a single insertion: after the line of a short value, or after a brace. If neither is possible, a person must
//! edit the file.

use granit_parser::ScalarStyle;

use super::{
    super::annotation::Annotation,
    tree::{Content, Node},
};

/// A text, and the position before which it is inserted.
#[derive(Debug)]
pub(super) struct Insertion {
    /// In bytes.
    pub at: usize,
    /// What.
    pub text: String,
}

/// The insertion that annotates `policy`.
pub(super) fn insertion(
    text: &str,
    policy: &Node,
    annotation: &Annotation,
) -> Result<Insertion, String> {
    let file = File { text };
    owned_here("the policy", policy)?;
    let (meta_key, meta) = only(policy, "metadata")?.ok_or("the policy has no metadata")?;
    owned_here("metadata", meta)?;
    let (name_key, name) = only(meta, "name")?.ok_or("the policy has no name")?;
    let Some((key, annotations)) = only(meta, "annotations")? else {
        return if is_flow(meta) {
            let text = format!(
                ", {}: {{{}}}",
                key_of("annotations", name_key),
                pair(annotation, name_key)?
            );
            Ok(Insertion {
                at: name.at.end,
                text,
            })
        } else {
            let indent = file.indent(name_key)?;
            // The indentation of `name` relative to `metadata`.
            let step = indent
                .len()
                .saturating_sub(file.indent(meta_key)?.len())
                .max(1);
            let deeper = format!("{indent}{}", " ".repeat(step));
            let pair = pair(annotation, name_key)?;
            file.behind(
                name,
                &[format!("{indent}annotations:"), format!("{deeper}{pair}")],
            )
        };
    };
    owned_here("annotations", annotations)?;
    match &annotations.content {
        Content::Map {
            flow: true,
            entries,
        } => {
            let quoted_as = entries.first().map_or(key, |(first, _)| first);
            Ok(file.within_braces(
                annotations,
                entries.is_empty(),
                &pair(annotation, quoted_as)?,
            ))
        }
        Content::Map { entries, .. } => file.among(entries, annotation),
        Content::Scalar {
            style: ScalarStyle::Plain,
            ..
        } if annotations.at.is_empty() && !is_flow(meta) => {
            let indent = file.indent(key)?;
            let pair = pair(annotation, key)?;
            file.behind(key, &[format!("{indent}  {pair}")])
        }
        _ => {
            Err("its annotations are not a map; write `annotations: {}` or remove them".to_owned())
        }
    }
}

/// The only entry of this name.
fn only<'a>(map: &'a Node, key: &str) -> Result<Option<&'a (Node, Node)>, String> {
    let Content::Map { entries, .. } = &map.content else {
        return Ok(None);
    };
    if entries.iter().filter(|(name, _)| name.is(key)).count() > 1 {
        return Err(format!("it has the field {key} twice"));
    }
    Ok(map.entry(key))
}

/// Refuses nodes that share content with other nodes.
fn owned_here(what: &str, node: &Node) -> Result<(), String> {
    let merges = node.get("<<").is_some();
    if node.anchored || merges || matches!(node.content, Content::Alias) {
        return Err(format!(
            "{what} uses anchors or aliases (&, *, <<), so a change here could also change another place"
        ));
    }
    Ok(())
}

fn is_flow(node: &Node) -> bool {
    matches!(node.content, Content::Map { flow: true, .. })
}

/// A key, in quotes if its neighbour has them: JSON needs them.
fn key_of(key: &str, neighbour: &Node) -> String {
    let style = match &neighbour.content {
        Content::Scalar { style, .. } => Some(*style),
        _ => None,
    };
    match style {
        Some(ScalarStyle::DoubleQuoted) => format!("\"{key}\""),
        _ => key.to_owned(),
    }
}

/// The annotation. Its value is a JSON string, which is also valid YAML for any content.
fn pair(annotation: &Annotation, neighbour: &Node) -> Result<String, String> {
    let value = serde_json::to_string(&annotation.value).map_err(|error| error.to_string())?;
    Ok(format!("{}: {value}", key_of(&annotation.key, neighbour)))
}

/// The text of the file.
struct File<'a> {
    text: &'a str,
}

impl File<'_> {
    /// After the last entry that is on one line, or before the first.
    fn among(
        &self,
        entries: &[(Node, Node)],
        annotation: &Annotation,
    ) -> Result<Insertion, String> {
        let (first, _) = entries.first().ok_or("its annotations are empty")?;
        let indent = self.indent(first)?;
        let pair = pair(annotation, first)?;
        let line = [format!("{indent}{pair}")];
        let places = entries.iter().rev();
        let mut fitting = places.filter_map(|(_, value)| self.behind(value, &line).ok());
        Ok(fitting.next().unwrap_or_else(|| Insertion {
            at: first.at.start,
            text: format!("{pair}{}{indent}", self.line_break()),
        }))
    }

    /// After the line of `node`, if only a comment follows on it.
    fn behind(&self, node: &Node, lines: &[String]) -> Result<Insertion, String> {
        let short = matches!(
            &node.content,
            Content::Scalar { style, .. }
                if matches!(style, ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted)
        );
        let own = self.text.get(node.at.clone()).unwrap_or_default();
        if !short || own.is_empty() || own.contains(['\n', '\r']) {
            return Err(
                "its metadata has no line after which it can be inserted; write the annotation by hand"
                    .to_owned(),
            );
        }
        let rest = self.text.get(node.at.end..).unwrap_or_default();
        let rest = &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())];
        // The colon of a key that has no value.
        let blank = rest.trim_start_matches(':').trim();
        if !blank.is_empty() && !blank.starts_with('#') {
            return Err(
                "a line of its metadata contains more than one field; write the annotation by hand"
                    .to_owned(),
            );
        }
        let text = lines
            .iter()
            .map(|line| format!("{}{line}", self.line_break()));
        Ok(Insertion {
            at: node.at.end + rest.len(),
            text: text.collect(),
        })
    }

    /// After the opening brace of a map.
    fn within_braces(&self, map: &Node, empty: bool, pair: &str) -> Insertion {
        let at = map.at.start + 1;
        let spaced = self
            .text
            .get(at..)
            .is_some_and(|rest| rest.starts_with(char::is_whitespace));
        let text = match (empty, spaced) {
            (true, true) => format!(" {pair}"),
            (true, false) => pair.to_owned(),
            (false, true) => format!(" {pair},"),
            (false, false) => format!("{pair}, "),
        };
        Insertion { at, text }
    }

    /// The spaces before a key at the beginning of a line.
    fn indent(&self, key: &Node) -> Result<String, String> {
        let before = self.text.get(..key.at.start).unwrap_or_default();
        let line = before.rsplit(['\n', '\r']).next().unwrap_or_default();
        let line = line.trim_start_matches('\u{feff}');
        if line.chars().all(|c| c == ' ') {
            Ok(line.to_owned())
        } else {
            Err(
                "a field of its metadata does not begin its line; write the annotation by hand"
                    .to_owned(),
            )
        }
    }

    /// The line break of the file's first line.
    fn line_break(&self) -> &'static str {
        match self.text.find('\n') {
            Some(at) if self.text[..at].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }
}
