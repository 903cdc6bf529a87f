//! The voice: texts that people read avoid the words in `voice/words.txt`. This counts the sentences that have one.

use std::{fmt::Write as _, fs, sync::LazyLock};

use regex::{Regex, RegexBuilder};

use crate::{files, markdown, root};

/// The word list.
pub const WORDS: &str = "tests/repository/voice/words.txt";

/// What is read: the places where this repository writes to people.
const PLACES: [&str; 12] = [
    "src",
    "docs",
    "charts",
    "deploy",
    "crds",
    "tests",
    "examples",
    "benches",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
];

/// Generated copies, whose sentences would count more than once; what others wrote; a released file that never changes; and the word list.
const NOT_READ: [&str; 8] = [
    "docs/crd.md",
    "docs/cli.md",
    "deploy/crd.yaml",
    "charts/warehouse-sync-operator/files/crd.yaml",
    "tests/simulation/messages.txt",
    "tests/fuzz/seeds/",
    "tests/operator/admission-revision-1.yaml",
    WORDS,
];

/// A phrase to avoid, and what to write instead.
struct Phrase {
    pattern: Regex,
    instead: String,
}

/// The word list, read.
pub struct Words {
    /// All phrases in one, because most sentences have none.
    any: Regex,
    avoided: Vec<Phrase>,
    allowed: Vec<Regex>,
}

/// Pieces of texts.
struct Pieces {
    rust: Regex,
    line_end: Regex,
    yaml_key: Regex,
    yaml_comment: Regex,
    code: Regex,
    blank: Regex,
    end_of_sentence: Regex,
    word: Regex,
}

static PIECES: LazyLock<Pieces> = LazyLock::new(|| {
    let regex = |pattern| Regex::new(pattern).unwrap();
    Pieces {
        rust: regex(
            r##"(?s)(?<comment>//[^\n]*(?:\n[ \t]*//[^\n]*)*)|r#"(?<raw>.*?)"#|r?"(?<string>(?:\\.|[^"\\])*)"|'(?:\\.[^']*|[^'\\])'"##,
        ),
        line_end: regex(r"\\\n\s*"),
        yaml_key: regex(r#"^[\s-]*"?[\w./-]+"?: [|>]?[-"]?"#),
        yaml_comment: regex(r"^\s*#+ ?"),
        code: regex("`[^`]*`"),
        blank: regex(r"\s+"),
        end_of_sentence: regex(r"[.!?;] "),
        word: regex("[A-Za-z]{2,}"),
    }
});

impl Words {
    /// Reads the list; its first lines describe the format.
    pub fn read() -> Self {
        Self::parse(&fs::read_to_string(root().join(WORDS)).unwrap())
    }

    /// The same, from a text.
    pub fn parse(text: &str) -> Self {
        let (mut avoided, mut allowed): (Vec<Phrase>, Vec<Regex>) = (Vec::new(), Vec::new());
        let mut patterns = Vec::new();
        let lines = text.lines().filter(|line| !line.is_empty());
        for line in lines.filter(|line| !line.starts_with('#')) {
            if let Some(line) = line.strip_prefix('!') {
                allowed.push(words(line));
            } else {
                let (pattern, instead) = line
                    .split_once(" => ")
                    .unwrap_or_else(|| panic!("{WORDS}: no ` => ` in {line:?}"));
                patterns.push(pattern);
                avoided.push(Phrase {
                    pattern: words(pattern),
                    instead: instead.to_owned(),
                });
            }
        }
        Self {
            any: words(&patterns.join("|")),
            avoided,
            allowed,
        }
    }

    /// The avoided words of a sentence, each with its replacement.
    pub fn found(&self, sentence: &str) -> Vec<String> {
        if !self.any.is_match(sentence) {
            return Vec::new();
        }
        let mut sentence = sentence.to_owned();
        for allowed in &self.allowed {
            sentence = allowed.replace_all(&sentence, "").into_owned();
        }
        let found = self.avoided.iter().filter_map(|phrase| {
            let found = phrase.pattern.find(&sentence)?;
            Some(format!("\"{}\" => {}", found.as_str(), phrase.instead))
        });
        found.collect()
    }
}

fn words(pattern: &str) -> Regex {
    RegexBuilder::new(&format!(r"\b(?:{pattern})\b"))
        .case_insensitive(true)
        .unicode(false)
        .build()
        .unwrap_or_else(|error| panic!("{WORDS}: {error}"))
}

/// The sentences of one file, and those with avoided words.
pub struct Counted {
    file: String,
    sentences: usize,
    found: Vec<String>,
}

/// Every file that is read, the one with the most avoided words first.
pub fn count(words: &Words) -> Vec<Counted> {
    let mut counted: Vec<Counted> = Vec::new();
    let read = files(&PLACES, &["rs", "md", "yaml", "txt", "tpl", "json"]);
    for (file, text) in read {
        if NOT_READ.iter().any(|path| file.starts_with(path)) {
            continue;
        }
        let sentences: Vec<String> = paragraphs(&file, &text)
            .iter()
            .flat_map(|paragraph| sentences(paragraph))
            .collect();
        let found = sentences.iter().filter_map(|sentence| {
            let found = words.found(sentence);
            (!found.is_empty()).then(|| format!("{}: {sentence}", found.join(", ")))
        });
        counted.push(Counted {
            found: found.collect(),
            sentences: sentences.len(),
            file,
        });
    }
    counted.sort_by_key(|one| std::cmp::Reverse(one.found.len()));
    counted
}

/// In hundredths of a percent, rounded up.
pub fn share(counted: &[Counted]) -> usize {
    let found: usize = counted.iter().map(|one| one.found.len()).sum();
    let all: usize = counted.iter().map(|one| one.sentences).sum();
    (found * 10_000).div_ceil(all)
}

/// The worst files with some of their sentences, or with `VOICE=part of a path` every sentence of those files.
pub fn report(counted: &[Counted]) -> String {
    let wanted = std::env::var("VOICE").ok();
    let mut report = String::new();
    let of = counted.iter().filter(|one| match &wanted {
        Some(wanted) => one.file.contains(wanted.as_str()),
        None => true,
    });
    let (files, lines) = if wanted.is_some() {
        (usize::MAX, usize::MAX)
    } else {
        (20, 3)
    };
    for one in of.take(files).filter(|one| !one.found.is_empty()) {
        let _ = writeln!(
            report,
            "{}: {} of {}",
            one.file,
            one.found.len(),
            one.sentences
        );
        for line in one.found.iter().take(lines) {
            let _ = writeln!(report, "    {line}");
        }
    }
    report
}

fn paragraphs(file: &str, text: &str) -> Vec<String> {
    match file.rsplit('.').next() {
        Some("rs") => rust(text),
        Some("md") => markdown::paragraphs(text),
        _ => yaml(text),
    }
}

/// YAML, JSON and templates: keys and comment signs go, what remains reads like Markdown.
fn yaml(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| {
        let value = PIECES.yaml_key.replace(line, "\n\n");
        PIECES.yaml_comment.replace(&value, "").into_owned()
    });
    markdown::paragraphs(&lines.collect::<Vec<_>>().join("\n"))
}

/// Comments and string literals of a Rust file. Lines of one comment are one paragraph.
fn rust(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for piece in PIECES.rust.captures_iter(text) {
        if let Some(comment) = piece.name("comment") {
            let lines = comment.as_str().lines();
            let lines = lines.map(|line| line.trim_start().trim_start_matches(['/', '!']));
            found.extend(markdown::paragraphs(&lines.collect::<Vec<_>>().join("\n")));
        } else if let Some(string) = piece.name("string").or(piece.name("raw")) {
            let string = PIECES.line_end.replace_all(string.as_str(), "");
            found.push(string.replace("\\n", " ").replace("\\\"", "\""));
        }
    }
    found
}

/// Sentences of three words or more. Text in backquotes is a name, not a word.
fn sentences(paragraph: &str) -> Vec<String> {
    let text = PIECES.code.replace_all(paragraph, "X");
    let text = PIECES.blank.replace_all(&text, " ").into_owned();
    let sentences = PIECES.end_of_sentence.split(&text).map(str::trim);
    sentences
        .filter(|sentence| PIECES.word.find_iter(sentence).take(3).count() == 3)
        .map(str::to_owned)
        .collect()
}
