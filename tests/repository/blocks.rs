//! Code blocks of Markdown. Also used by `tests/operator/pages.rs`, which runs them.

/// A block of code between fences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What follows the fence: `sh`, `console`, `yaml` …
    pub language: String,
    /// Its lines.
    pub text: String,
    /// True below a line `<!-- illustrative -->`: it shows something, and is not checked.
    pub illustrative: bool,
    /// The test that does what the block shows, below a line `<!-- tested by tests/… -->`.
    pub tested_by: Option<String>,
}

/// Marks a block that the tests do not check.
pub const ILLUSTRATIVE: &str = "<!-- illustrative -->";

/// The text outside code blocks, and the blocks.
pub fn parts(text: &str) -> (Vec<&str>, Vec<Block>) {
    let (mut outside, mut blocks) = (Vec::new(), Vec::new());
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                let before = outside.iter().rev().find(|line: &&&str| !line.is_empty());
                open = Some(Block {
                    language: language.trim().to_owned(),
                    text: String::new(),
                    illustrative: before.is_some_and(|line| line.trim() == ILLUSTRATIVE),
                    tested_by: before.and_then(|line| tested_by(line)),
                });
                outside.push("");
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => outside.push(line),
        }
    }
    (outside, blocks)
}

fn tested_by(line: &str) -> Option<String> {
    let file = line.trim().strip_prefix("<!-- tested by ")?;
    file.strip_suffix(" -->").map(str::to_owned)
}

/// The blocks of code.
pub fn blocks(text: &str) -> Vec<Block> {
    parts(text).1
}
