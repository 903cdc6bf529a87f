//! Trains the second reader of error texts, `src/diagnose/classify/likeness.rs`: `cargo run --release --example train`. With the argument `folds` it
//! measures the model instead: ten parts are read in turn by a model that was trained on the other nine. Near-duplicates are in one part.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::{collections::HashMap, error::Error, fs, path::Path};

use serde::Deserialize;
use warehouse_sync_operator::{
    api::status::RootCause,
    diagnose::classify::{
        RULES, features,
        likeness::{CAUSES, FEATURES, Features, UNIT, best_but, is_harmless, scores},
    },
};

/// How much a misread text counts against large weights. From cross-validation.
const COST: f64 = 1.0;

/// Passes over the texts. More change nothing.
const PASSES: usize = 25;

/// How many parts are read in turn.
const PARTS: usize = 10;

#[derive(Deserialize)]
struct Row {
    text: String,
    cause: RootCause,
}

struct Text {
    features: Vec<u16>,
    words: Vec<u16>,
    cause: RootCause,
}

impl Text {
    fn new(text: &str, cause: RootCause) -> Self {
        let Features { all, words } = features(text);
        Self {
            features: all,
            words,
            cause,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seen = texts(&root.join("tests/classifier/seen"))?;
    let wordings = texts(&root.join("tests/classifier/wordings"))?;
    if std::env::args().any(|argument| argument == "folds") {
        measure(&seen, &wordings);
    } else {
        let examples = examples();
        let all: Vec<&Text> = seen.iter().chain(&wordings).chain(&examples).collect();
        let folder = root.join("src/diagnose/classify");
        fs::write(folder.join("likeness.weights"), train(&all))?;
        fs::write(folder.join("likeness.words"), words(&all))?;
    }
    Ok(())
}

/// The labelled texts of a folder, file by file.
fn texts(folder: &Path) -> Result<Vec<Text>, Box<dyn Error>> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    files.sort();
    let mut texts = Vec::new();
    for file in files {
        for line in fs::read_to_string(file)?.lines().filter(|l| !l.is_empty()) {
            let Row { text, cause } = serde_json::from_str(line)?;
            texts.push(Text::new(&text, cause));
        }
    }
    Ok(texts)
}

/// The examples of the rules and what they must not decide. Not measured with: many differ little from a text of the corpora.
fn examples() -> Vec<Text> {
    let pairs = RULES.iter().flat_map(|rule| {
        let counter = &rule.counter;
        [(&rule.example, rule.cause), (&counter.text, counter.cause)]
    });
    pairs.map(|(text, cause)| Text::new(text, cause)).collect()
}

/// A bit for each hash of a word.
fn words(texts: &[&Text]) -> Vec<u8> {
    let mut bits = vec![0; 1 << 13];
    for word in texts.iter().flat_map(|text| &text.words) {
        bits[usize::from(*word) / 8] |= 1 << (word % 8);
    }
    bits
}

/// The weights: for each cause, a support vector machine tells its texts from all others.
fn train(texts: &[&Text]) -> Vec<u8> {
    let mut weights = vec![0; FEATURES * CAUSES.len()];
    for (column, cause) in CAUSES.iter().copied().enumerate() {
        for (feature, weight) in one_against_all(texts, cause).into_iter().enumerate() {
            #[allow(clippy::cast_possible_truncation, reason = "clamped")]
            let rounded = (weight * f64::from(UNIT)).round().clamp(-127.0, 127.0) as i8;
            weights[feature * CAUSES.len() + column] = rounded.cast_unsigned();
        }
    }
    weights
}

/// Dual coordinate descent for the squared hinge loss, as in LIBLINEAR (Hsieh et al., ICML 2008), in a fixed order.
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn one_against_all(texts: &[&Text], cause: RootCause) -> Vec<f64> {
    let mut weights = vec![0.0; FEATURES];
    let mut alphas = vec![0.0; texts.len()];
    let diagonal = 0.5 / COST;
    for pass in 0..PASSES {
        for step in 0..texts.len() {
            // Neighbours in a file are alike, so not in their order.
            let at = (step * 4099 + pass * 977) % texts.len();
            let text = texts[at];
            let sign = if text.cause == cause { 1.0 } else { -1.0 };
            let unit = 1.0 / (text.features.len() as f64).sqrt();
            let sum: f64 = text.features.iter().map(|f| weights[usize::from(*f)]).sum();
            let gradient = sign * sum * unit - 1.0 + diagonal * alphas[at];
            let alpha = f64::max(alphas[at] - gradient / (1.0 + diagonal), 0.0);
            let change = (alpha - alphas[at]) * sign * unit;
            alphas[at] = alpha;
            if change != 0.0 {
                for feature in &text.features {
                    weights[usize::from(*feature)] += change;
                }
            }
        }
    }
    weights
}

/// Prints how the model alone reads texts that it was not trained on.
fn measure(seen: &[Text], wordings: &[Text]) {
    let groups = groups(seen);
    let (mut right, mut told, mut told_right) = (0, 0, 0);
    for part in 0..PARTS {
        let is_held = |at: &usize| groups[*at] % PARTS == part;
        let others = (0..seen.len()).filter(|at| !is_held(at));
        let training: Vec<&Text> = others.map(|at| &seen[at]).chain(wordings).collect();
        let weights = train(&training);
        for text in (0..seen.len()).filter(is_held).map(|at| &seen[at]) {
            let (best, _) = best_but(&scores(&text.features, &weights), None);
            let is_right = usize::from(best == text.cause);
            right += is_right;
            if is_harmless(best) {
                told += 1;
                told_right += is_right;
            }
        }
        println!("part {}: {right} right so far", part + 1);
    }
    println!(
        "{right} of {} right; {told_right} of {told} with a cause that a guess may name",
        seen.len()
    );
}

/// A number for each text: texts of which one shares half its features or more with the other have the same.
fn groups(texts: &[Text]) -> Vec<usize> {
    let mut group: Vec<usize> = (0..texts.len()).collect();
    let mut holders: HashMap<u16, Vec<usize>> = HashMap::new();
    for (at, text) in texts.iter().enumerate() {
        let mut shared: HashMap<usize, usize> = HashMap::new();
        for feature in &text.features {
            let holders = holders.entry(*feature).or_default();
            for other in holders.iter() {
                *shared.entry(*other).or_default() += 1;
            }
            holders.push(at);
        }
        for (other, shared) in shared {
            let both = text.features.len() + texts[other].features.len() - shared;
            let (own, others) = (group[at], group[other]);
            if 2 * shared >= both && own != others {
                for member in &mut group[..=at] {
                    if *member == own {
                        *member = others;
                    }
                }
            }
        }
    }
    group
}
