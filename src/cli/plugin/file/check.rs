//! Whether an edited file has the same content as before, plus one annotation. This check is independent of how the
//! edit was made.

use super::{
    super::annotation::Annotation,
    tree::{self, Content, Node},
};

/// Refuses a result that is not the original with exactly this annotation added to the document at `place`.
pub(super) fn only_added(
    original: &str,
    edited: &str,
    place: usize,
    annotation: &Annotation,
) -> Result<(), String> {
    let (mut before, mut after) = (tree::read(original)?, tree::read(edited)?);
    let added =
        annotations(&mut after, place).map_or(0, |annotations| take(annotations, annotation));
    // If the annotation is the first one, the map may be new.
    without_empty(&mut before, place);
    without_empty(&mut after, place);
    let same = before.len() == after.len()
        && before
            .iter()
            .zip(&after)
            .all(|(one, other)| one.says_the_same(other));
    if added == 1 && same {
        return Ok(());
    }
    Err(
        "adding an annotation to YAML of this form would change more than that; write it by hand"
            .to_owned(),
    )
}

fn entries(node: &mut Node) -> Option<&mut Vec<(Node, Node)>> {
    match &mut node.content {
        Content::Map { entries, .. } => Some(entries),
        _ => None,
    }
}

fn metadata(documents: &mut [Node], place: usize) -> Option<&mut Vec<(Node, Node)>> {
    let fields = entries(documents.get_mut(place)?)?;
    let (_, metadata) = fields.iter_mut().find(|(key, _)| key.is("metadata"))?;
    entries(metadata)
}

fn annotations(documents: &mut [Node], place: usize) -> Option<&mut Vec<(Node, Node)>> {
    let fields = metadata(documents, place)?;
    let (_, annotations) = fields.iter_mut().find(|(key, _)| key.is("annotations"))?;
    entries(annotations)
}

/// Removes the annotation, and returns how often it occurred.
fn take(annotations: &mut Vec<(Node, Node)>, annotation: &Annotation) -> usize {
    let before = annotations.len();
    annotations.retain(|(key, value)| !(key.is(&annotation.key) && value.is(&annotation.value)));
    before - annotations.len()
}

/// Removes an empty map of annotations.
fn without_empty(documents: &mut [Node], place: usize) {
    let Some(fields) = metadata(documents, place) else {
        return;
    };
    fields.retain(|(key, value)| {
        let empty = match &value.content {
            Content::Map { entries, .. } => entries.is_empty(),
            // Nothing behind the colon.
            Content::Scalar { .. } => value.at.is_empty(),
            Content::List(_) | Content::Alias => false,
        };
        !(key.is("annotations") && empty)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "metadata:\n  name: a\n---\nmetadata:\n  name: b\n";

    fn check(edited: &str) -> Result<(), String> {
        let annotation = Annotation {
            key: "k".to_owned(),
            value: "v".to_owned(),
        };
        only_added(BEFORE, edited, 1, &annotation)
    }

    #[test]
    fn the_annotation_alone_is_accepted() {
        let edited = format!("{BEFORE}  annotations:\n    k: \"v\"\n");
        assert_eq!(check(&edited), Ok(()));
    }

    #[test]
    fn anything_else_is_refused() {
        for edited in [
            // Nothing was added, or the value differs.
            BEFORE.to_owned(),
            format!("{BEFORE}  annotations:\n    k: w\n"),
            // It was added elsewhere.
            format!("{BEFORE}annotations:\n  k: v\n"),
            BEFORE.replace("name: a\n", "name: a\n  annotations: {k: v}\n"),
            // It was added twice, or with another.
            format!("{BEFORE}  annotations:\n    k: v\n    k: v\n"),
            format!("{BEFORE}  annotations:\n    k: v\n    l: v\n"),
            // Something else changed.
            BEFORE.replace("name: b\n", "name: 'b'\n  annotations: {k: v}\n"),
            format!("{BEFORE}  annotations:\n    k: v\n---\n{{}}\n"),
            format!("{BEFORE}  annotations: {{k: v\n"),
        ] {
            assert!(check(&edited).is_err(), "{edited}");
        }
    }
}
