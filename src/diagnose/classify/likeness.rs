//! A second reader: which known texts does a text read like?
//!
//! A linear model over words, pairs of words and pieces of words. `examples/train.rs` trains it on the labelled texts in `tests/classifier`. It
//! is needed in two places: where no rule matches, and before the operator acts on a rule that is not of confidence High. What it says is a guess, so the
//! operator never acts on it: it can only name a cause that nothing is done about, or turn a cause into Unknown.

use std::sync::LazyLock;

use super::{mask::Masked, rule::NO_RULE};
use crate::{
    api::status::{Confidence, RootCause},
    diagnose::causes::{Cause, Origin, Remedy, StrongerSignal},
    observe::Reading,
};

/// The `rule` of a reading that known texts decided.
pub const LIKENESS: &str = "likeness";

/// The causes that the model knows, in the order of its weights: those that a text may name.
pub static CAUSES: LazyLock<Vec<RootCause>> = LazyLock::new(|| {
    let is_named = |cause: &RootCause| match Cause::of(*cause).origin {
        Origin::Error | Origin::Note => true,
        Origin::Observation | Origin::Data | Origin::Request => false,
    };
    RootCause::ALL.iter().copied().filter(is_named).collect()
});

/// How many features the model distinguishes: a feature is a hash of 13 bits.
pub const FEATURES: usize = 1 << 13;

/// A weight of 1.0.
pub const UNIT: f32 = 16.0;

/// A weight for each feature and cause, as signed bytes.
static WEIGHTS: &[u8] = include_bytes!("likeness.weights");

/// A bit for each hash of a word: whether a known text has it.
static KNOWN_WORDS: &[u8; 1 << 13] = include_bytes!("likeness.words");

/// Longer texts, in bytes, are not read: with that many features they resemble everything.
const LONGEST: usize = 1024;

/// What the best score must reach. A score of 1 is a typical text of its cause, one of −1 is none of it. The numbers are from cross-validation:
/// `docs/classifier.md`.
struct Bar {
    /// Below, a text is like none that is known.
    score: f32,
    /// How much better it is than what it competes with.
    lead: f32,
}

/// To name a cause where no rule does. It competes with the second best.
const NAMES: Bar = Bar {
    score: -0.3,
    lead: 0.2,
};

/// To contradict a rule. It competes with the cause that the rule names.
const CONTRADICTS: Bar = Bar {
    score: -0.2,
    lead: 0.5,
};

/// `by_rules`, or what known texts say where the rules are silent or the operator would act on them.
pub fn review(by_rules: Reading, text: &Masked) -> Reading {
    let is_silent = by_rules.rule == NO_RULE;
    let would_act =
        by_rules.confidence != Confidence::High && Cause::of(by_rules.cause).needs_the_whole_text();
    if !(is_silent || would_act) || text.text.len() > LONGEST {
        return by_rules;
    }
    let features = features(&text.text);
    if !is_familiar(&features.words) {
        return by_rules;
    }
    let scores = scores(&features.all, WEIGHTS);
    let (best, score) = best_but(&scores, None);
    let (bar, competitor) = if is_silent {
        (NAMES, best_but(&scores, Some(best)).1)
    } else {
        (CONTRADICTS, score_of(&scores, by_rules.cause))
    };
    let is_clear = score >= bar.score && score - competitor >= bar.lead;
    let resembles = Some(best).filter(|best| is_harmless(*best));
    if !is_clear || (is_silent && resembles.is_none()) {
        return by_rules;
    }
    Reading {
        cause: RootCause::Unknown,
        resembles,
        confidence: Confidence::Low,
        rule: LIKENESS,
        ..by_rules
    }
}

/// Whether a guess may name this cause: a failure that the operator does nothing about and proposes nothing for.
pub fn is_harmless(cause: RootCause) -> bool {
    let facts = Cause::of(cause);
    facts.origin == Origin::Error
        && facts.remedy == Remedy::Nothing
        && facts.doubt == StrongerSignal::Nothing
}

/// What the model sees of a text.
pub struct Features {
    /// Hashes of its words, pairs of words and pieces of words, each once, in ascending order; all below [`FEATURES`].
    pub all: Vec<u16>,
    /// Hashes of its words, of 16 bits.
    pub words: Vec<u16>,
}

/// The features of a masked text.
pub fn features(masked: &str) -> Features {
    let belongs = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':' || !c.is_ascii();
    let spelled = masked
        .split(|c| !belongs(c))
        .map(|word| word.trim_matches(':'))
        .filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()));
    // One that every text has.
    let (mut all, mut words) = (vec![hash("text", "", "")], Vec::new());
    let mut last = "";
    for word in spelled {
        all.push(hash("word", word, ""));
        words.extend(all.last());
        if !last.is_empty() {
            all.push(hash("pair", last, word));
        }
        let framed: Vec<char> = format!("_{word}_").chars().collect();
        for length in 3..=5 {
            for piece in framed.windows(length) {
                let piece: String = piece.iter().collect();
                all.push(hash("piece", &piece, ""));
            }
        }
        last = word;
    }
    for feature in &mut all {
        *feature %= 1 << 13;
    }
    all.sort_unstable();
    all.dedup();
    Features { all, words }
}

/// FNV-1a, folded to 16 bits.
fn hash(kind: &str, one: &str, other: &str) -> u16 {
    let mut hash = 0x811c_9dc5_u32;
    for part in [kind, one, other] {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
    let [high, low] = [hash >> 16, hash & 0xffff];
    u16::try_from(high ^ low).unwrap_or_default()
}

/// Whether known texts have at least four of five of these words. The others decide nothing, so the rest would decide alone.
fn is_familiar(words: &[u16]) -> bool {
    let is_known = |word: &&u16| KNOWN_WORDS[usize::from(**word) / 8] >> (**word % 8) & 1 == 1;
    5 * words.iter().filter(is_known).count() >= 4 * words.len()
}

/// How much a text with these features is like the texts of each of the [`CAUSES`].
#[allow(clippy::cast_precision_loss, reason = "far below 2^24")]
pub fn scores(features: &[u16], weights: &[u8]) -> Vec<f32> {
    let mut sums = vec![0_i32; CAUSES.len()];
    for feature in features {
        let row = weights.chunks_exact(sums.len()).nth((*feature).into());
        for (sum, weight) in sums.iter_mut().zip(row.unwrap_or_default()) {
            *sum += i32::from(weight.cast_signed());
        }
    }
    // Long texts have no more weight than short ones.
    let length = (features.len().max(1) as f32).sqrt();
    sums.iter().map(|sum| *sum as f32 / UNIT / length).collect()
}

/// The best cause and its score, leaving one out.
pub fn best_but(scores: &[f32], left_out: Option<RootCause>) -> (RootCause, f32) {
    let rows = CAUSES.iter().copied().zip(scores.iter().copied());
    rows.filter(|(cause, _)| Some(*cause) != left_out)
        .max_by(|one, other| one.1.total_cmp(&other.1))
        .unwrap_or((RootCause::Unknown, f32::MIN))
}

fn score_of(scores: &[f32], cause: RootCause) -> f32 {
    let mut rows = CAUSES.iter().zip(scores);
    rows.find(|row| *row.0 == cause)
        .map_or(f32::MIN, |row| *row.1)
}

/// What the model says on its own.
#[cfg(test)]
pub fn alone(features: &Features) -> RootCause {
    best_but(&scores(&features.all, WEIGHTS), None).0
}
