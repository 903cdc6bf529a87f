//! Adds one annotation to a policy in a YAML file. Every other byte of the file stays the same.
//!
//! `tree` reads the file and the position of each part; `insert` decides what to write where; `check` parses the result
//! again and compares. A file that cannot be edited safely is refused: a person can write that line by hand.

mod check;
mod error;
mod insert;
mod tree;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

pub use error::FileError;

use super::annotation::Annotation;
use tree::{Content, Node};

/// Kind of a policy.
const KIND: &str = "WarehouseSyncPolicy";
/// Prefix of the `apiVersion` of a policy.
const GROUP: &str = "warehousesync.dev/";

/// A file, and the selected policy in it.
#[derive(Debug)]
pub(super) struct PolicyFile {
    path: PathBuf,
    text: String,
    documents: Vec<Node>,
    chosen: usize,
}

impl PolicyFile {
    /// Reads a file and finds the policy of this name and namespace, or the only one.
    pub(super) fn open(
        path: &Path,
        name: Option<&str>,
        namespace: Option<&str>,
    ) -> Result<Self, FileError> {
        // A symbolic link is kept: its target is replaced.
        let text = fs::canonicalize(path).and_then(|path| Ok((fs::read_to_string(&path)?, path)));
        let (text, path) = text.map_err(|source| FileError::Read {
            path: path.to_owned(),
            source,
        })?;
        match parsed(&text, name, namespace) {
            Ok((documents, chosen)) => Ok(Self {
                path,
                text,
                documents,
                chosen,
            }),
            Err(why) => Err(FileError::Unsafe { path, why }),
        }
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Name of the policy.
    pub(super) fn name(&self) -> &str {
        let meta = self.policy().and_then(|policy| policy.get("metadata"));
        text_of(meta, "name").unwrap_or_default()
    }

    /// Namespace of the policy, if the file contains it.
    pub(super) fn namespace(&self) -> Option<&str> {
        let meta = self.policy().and_then(|policy| policy.get("metadata"));
        text_of(meta, "namespace")
    }

    /// Value of an annotation of the policy.
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let meta = self.policy().and_then(|policy| policy.get("metadata"));
        text_of(meta.and_then(|meta| meta.get("annotations")), key)
    }

    /// Writes the file with one more annotation.
    pub(super) fn add(&self, annotation: &Annotation) -> Result<(), FileError> {
        let edited =
            edited(&self.text, &self.documents, self.chosen, annotation).map_err(|why| {
                FileError::Unsafe {
                    path: self.path.clone(),
                    why,
                }
            })?;
        replace(&self.path, &edited).map_err(|source| FileError::Write {
            path: self.path.clone(),
            source,
        })
    }

    fn policy(&self) -> Option<&Node> {
        self.documents.get(self.chosen)
    }
}

/// `text` with one more annotation on its only policy, or why it cannot be edited safely. Every other byte stays the
/// same.
pub fn annotated(text: &str, annotation: &str, value: &str) -> Result<String, String> {
    let (documents, chosen) = parsed(text, None, None)?;
    let (key, value) = (annotation.to_owned(), value.to_owned());
    edited(text, &documents, chosen, &Annotation { key, value })
}

fn edited(
    text: &str,
    documents: &[Node],
    chosen: usize,
    annotation: &Annotation,
) -> Result<String, String> {
    let policy = documents.get(chosen).ok_or("the policy does not exist")?;
    let insertion = insert::insertion(text, policy, annotation)?;
    let mut edited = text.to_owned();
    edited.insert_str(insertion.at, &insertion.text);
    check::only_added(text, &edited, chosen, annotation)?;
    Ok(edited)
}

fn parsed(
    text: &str,
    name: Option<&str>,
    namespace: Option<&str>,
) -> Result<(Vec<Node>, usize), String> {
    if let Some(line) = text.lines().position(|line| line.contains("{{")) {
        return Err(format!(
            "line {} looks like a template; edit the template's source by hand",
            line + 1
        ));
    }
    let documents = tree::read(text)?;
    let chosen = choose(&documents, name, namespace)?;
    Ok((documents, chosen))
}

/// The index of the selected policy.
fn choose(
    documents: &[Node],
    name: Option<&str>,
    namespace: Option<&str>,
) -> Result<usize, String> {
    let policies = documents.iter().enumerate().filter(|(_, document)| {
        text_of(Some(document), "kind") == Some(KIND)
            && text_of(Some(document), "apiVersion").is_some_and(|api| api.starts_with(GROUP))
    });
    let said = |document: &Node, field| text_of(document.get("metadata"), field).map(str::to_owned);
    let all: Vec<(usize, String)> = policies
        .filter(|(_, document)| {
            let own = said(document, "namespace");
            namespace.is_none() || own.is_none() || own.as_deref() == namespace
        })
        .filter_map(|(place, document)| Some((place, said(document, "name")?)))
        .collect();
    let names: Vec<&str> = all.iter().map(|(_, name)| name.as_str()).collect();
    let meant: Vec<_> = all
        .iter()
        .filter(|(_, own)| name.is_none_or(|name| name == own))
        .collect();
    match (meant.as_slice(), name) {
        ([(place, _)], _) => Ok(*place),
        ([], Some(name)) if !all.is_empty() => Err(format!(
            "it has no policy {name}, only {}",
            names.join(", ")
        )),
        ([], _) => Err(format!("it has no document of kind {KIND} with a name")),
        (_, None) => Err(format!(
            "it has several policies: write the name before the id, one of {}",
            names.join(", ")
        )),
        (_, Some(name)) => Err(format!(
            "it has several policies {name}: select one with --namespace"
        )),
    }
}

/// The text of a field.
fn text_of<'a>(node: Option<&'a Node>, key: &str) -> Option<&'a str> {
    match &node?.get(key)?.content {
        Content::Scalar { text, .. } => Some(text),
        Content::Map { .. } | Content::List(_) | Content::Alias => None,
    }
}

/// Replaces a file atomically: readers see the old or the new content, never a part.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    let permissions = fs::metadata(path)?.permissions();
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
