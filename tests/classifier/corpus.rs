//! Labelled texts, and how many of them are read rightly.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use serde::Deserialize;
use warehouse_sync_operator::{
    api::status::{
        Confidence,
        RootCause::{
            self, BillingLimit, CredentialsInvalid, DataTypeMismatch, PlatformInternal,
            PrimaryKeyDuplicate, RateLimited, Transient,
        },
    },
    diagnose::classify::classify,
};

/// Causes for which a proposal wipes the data, if they are as sure as can be.
const WIPES: [RootCause; 2] = [DataTypeMismatch, PrimaryKeyDuplicate];

/// Causes on which something is sent without a person being asked, or a person is sent the wrong way.
const ACTED_ON: [RootCause; 5] = [
    Transient,
    RateLimited,
    PlatformInternal,
    CredentialsInvalid,
    BillingLimit,
];

/// A text with its label. Where it comes from, `source`, is for people.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    id: String,
    text: String,
    #[serde(default)]
    source_type: Option<String>,
    cause: RootCause,
    /// The file that contains it.
    #[serde(skip)]
    pub family: String,
}

/// The rows of a folder beside this file; none if there is no such folder.
pub fn read(folder: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/classifier")
        .join(folder);
    let mut files: Vec<_> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "jsonl")
        })
        .collect();
    files.sort();
    let mut rows = Vec::new();
    for file in files {
        let family = file.file_stem().unwrap().to_string_lossy().into_owned();
        for line in fs::read_to_string(&file)
            .unwrap()
            .lines()
            .filter(|line| !line.trim().is_empty())
        {
            let row: Row = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{}: {error}: {line}", file.display()));
            rows.push(Row {
                family: family.clone(),
                ..row
            });
        }
    }
    rows
}

/// A text that was read otherwise than its label says.
pub struct Miss {
    id: String,
    text: String,
    expected: RootCause,
    got: RootCause,
    confidence: Confidence,
    rule: &'static str,
}

impl Miss {
    fn is_unsafe(&self) -> bool {
        let wipes = WIPES.contains(&self.got) && self.confidence == Confidence::High;
        ACTED_ON.contains(&self.got) || wipes
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            text,
            expected,
            got,
            confidence: _,
            rule,
        } = self;
        let mark = if self.is_unsafe() { "UNSAFE " } else { "" };
        let text: String = text.chars().take(400).collect();
        write!(
            f,
            "  {mark}{id}: {expected:?} was read as {got:?} by {rule}: {text:?}"
        )
    }
}

/// How a corpus was read.
#[derive(Default)]
pub struct Score {
    /// How many texts there are.
    pub total: usize,
    /// Those that were misread.
    pub misses: Vec<Miss>,
    families: BTreeMap<String, (usize, usize)>,
}

impl Score {
    /// Reads all rows.
    pub fn of(rows: &[Row]) -> Self {
        let mut score = Self::default();
        for row in rows {
            let reading = classify(&row.text, row.source_type.as_deref());
            let family = score.families.entry(row.family.clone()).or_default();
            score.total += 1;
            family.1 += 1;
            if reading.shown_cause() == row.cause {
                family.0 += 1;
            } else {
                score.misses.push(Miss {
                    id: row.id.clone(),
                    text: row.text.clone(),
                    expected: row.cause,
                    got: reading.shown_cause(),
                    confidence: reading.confidence,
                    rule: reading.rule,
                });
            }
        }
        score
    }

    /// The share of texts that were read rightly; all of none.
    pub fn accuracy(&self) -> f64 {
        share(self.total - self.misses.len(), self.total)
    }

    /// How many texts were taken for a cause that is acted on, and have another.
    pub fn unsafe_misses(&self) -> usize {
        self.misses.iter().filter(|miss| miss.is_unsafe()).count()
    }

    /// Prints the figures.
    pub fn print(&self, name: &str) {
        let unknown = self
            .misses
            .iter()
            .filter(|miss| miss.got == RootCause::Unknown)
            .count();
        println!(
            "{name}: {} of {} right ({:.2} %), {} unsafe, {unknown} Unknown instead of a cause",
            self.total - self.misses.len(),
            self.total,
            100.0 * self.accuracy(),
            self.unsafe_misses(),
        );
        for (family, (right, total)) in &self.families {
            println!(
                "  {family}: {right} of {total} ({:.2} %)",
                100.0 * share(*right, *total)
            );
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "corpora are small")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}
