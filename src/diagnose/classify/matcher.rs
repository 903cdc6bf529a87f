//! Finds all phrases of all rules in one scan, then evaluates only the rules that have one of theirs in the text.

use std::{collections::HashMap, sync::LazyLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::{
    mask::Masked,
    rule::{Rule, When},
    rules::RULES,
    word::is_word,
};

/// How far the parts of a phrase may stand apart, in bytes.
const GAP: usize = 90;

/// Built once; what [`super::classify`] asks.
pub static MATCHER: LazyLock<Matcher> = LazyLock::new(|| Matcher::new(&RULES));

/// All rules, ready to be asked.
pub struct Matcher {
    automaton: Option<AhoCorasick>,
    fragments: Vec<Fragment>,
    rules: Vec<Compiled>,
}

/// A piece of a phrase without gaps.
#[derive(PartialEq, Eq, Hash, Clone)]
struct Fragment {
    text: String,
    open_left: bool,
    open_right: bool,
    /// The rules worth asking when this was found.
    wakes: Vec<Wake>,
}

impl Fragment {
    /// Whether the word may continue with this byte. A word without a join does not continue with one: `deadlock_events` is a name.
    fn continues(&self, byte: Option<&u8>) -> bool {
        self.open_right && (byte != Some(&b'_') || self.text.contains('_'))
    }
}

/// A rule that is worth asking: its rank, and behind it which phrase of its first condition begins here. One number, so
/// that they sort fast.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Wake(u32);

impl Wake {
    fn new(rank: u16, place: u16) -> Self {
        Self(u32::from(rank) << 16 | u32::from(place))
    }

    const fn rank(self) -> usize {
        (self.0 >> 16) as usize
    }

    const fn place(self) -> usize {
        (self.0 & 0xffff) as usize
    }
}

struct Compiled {
    rule: &'static Rule,
    tests: Vec<Test>,
}

/// Fragments in their order.
type Phrase = Vec<u16>;

enum Test {
    Any(Vec<Phrase>),
    Near(Near),
    All(Vec<Phrase>),
    Without(Vec<Phrase>),
    Whole(Vec<Phrase>),
    Start(Vec<Phrase>),
    Source(&'static [String]),
}

/// Two lists of fragments, each in ascending order.
struct Near {
    one: Vec<u16>,
    other: Vec<u16>,
}

#[derive(Clone, Copy)]
struct Hit {
    fragment: u16,
    start: usize,
    end: usize,
}

impl Matcher {
    fn new(all: &'static [Rule]) -> Self {
        let mut builder = Builder::default();
        let rules: Vec<Compiled> = all
            .iter()
            .enumerate()
            .map(|(rank, rule)| builder.rule(u16::try_from(rank).unwrap_or(u16::MAX), rule))
            .collect();
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(builder.fragments.iter().map(|fragment| &fragment.text))
            .ok();
        Self {
            automaton,
            fragments: builder.fragments,
            rules,
        }
    }

    /// The first rule that decides the text.
    pub fn first(&self, text: &Masked, source_type: Option<&str>) -> Option<&'static Rule> {
        let hits = self.hits(text);
        let mut awake = Vec::with_capacity(2 * hits.len());
        for hit in &hits {
            awake.extend_from_slice(&self.fragments[usize::from(hit.fragment)].wakes);
        }
        awake.sort_unstable();
        awake.dedup();
        let seen = Seen::new(&hits, text, source_type, self.fragments.len());
        awake
            .chunk_by(|one, other| one.rank() == other.rank())
            .filter_map(|phrases| Some((self.rules.get(phrases.first()?.rank())?, phrases)))
            .find(|(compiled, phrases)| seen.decides(compiled, phrases))
            .map(|(compiled, _)| compiled.rule)
    }

    fn hits(&self, text: &Masked) -> Vec<Hit> {
        let Some(automaton) = &self.automaton else {
            return Vec::new();
        };
        let bytes = text.text.as_bytes();
        let denies = DENIALS.iter().any(|word| text.text.contains(word));
        let mut hits = Vec::with_capacity(64);
        for found in automaton.find_overlapping_iter(&text.text) {
            let place = found.pattern().as_usize();
            let fragment = &self.fragments[place];
            let (start, end) = (found.start(), found.end());
            let whole = (fragment.open_left || ends_word(bytes, start))
                && (ends_word(bytes, end) || fragment.continues(bytes.get(end)));
            if whole && !(denies && is_negated(&text.text[..start])) {
                hits.push(Hit {
                    fragment: u16::try_from(place).unwrap_or(u16::MAX),
                    start,
                    end,
                });
            }
        }
        hits
    }
}

/// Whether no word goes on over this place.
fn ends_word(bytes: &[u8], at: usize) -> bool {
    let is_letter = |byte: Option<&u8>| byte.is_some_and(|byte| is_word(*byte) && *byte < 0x80);
    at == 0 || !(is_letter(bytes.get(at - 1)) && is_letter(bytes.get(at)))
}

/// Without one of these, a text denies nothing.
const DENIALS: [&str; 4] = ["not ", "never ", "without ", "non "];

/// Whether a text that goes on here says that the following is not so.
fn is_negated(before: &str) -> bool {
    let Some(before) = before.strip_suffix(' ') else {
        return false;
    };
    let mut words = before.rsplit(' ');
    match words.next() {
        // A failed attempt does not negate the rest: `could not connect to`.
        Some("not") => !matches!(
            words.next(),
            Some("could" | "can" | "did" | "would" | "may")
        ),
        Some("never" | "without" | "non") => true,
        Some("a" | "an" | "the" | "been" | "being" | "any" | "currently" | "yet" | "really") => {
            matches!(words.next(), Some("not" | "never" | "without"))
        }
        Some("to" | "by") => words.next() == Some("due") && words.next() == Some("not"),
        _ => false,
    }
}

#[derive(Default)]
struct Builder {
    fragments: Vec<Fragment>,
    known: HashMap<(String, bool, bool), u16>,
}

impl Builder {
    fn rule(&mut self, rank: u16, rule: &'static Rule) -> Compiled {
        let tests: Vec<Test> = rule.when.iter().map(|when| self.test(when)).collect();
        let keys: Vec<u16> = match tests.first() {
            Some(Test::Any(phrases) | Test::Whole(phrases) | Test::Start(phrases)) => phrases
                .iter()
                .filter_map(|phrase| phrase.first())
                .copied()
                .collect(),
            Some(Test::All(phrases)) => phrases
                .iter()
                .take(1)
                .filter_map(|phrase| phrase.first())
                .copied()
                .collect(),
            Some(Test::Near(near)) => near.one.clone(),
            _ => Vec::new(),
        };
        for (place, fragment) in keys.into_iter().enumerate() {
            let place = u16::try_from(place).unwrap_or(u16::MAX);
            self.fragments[usize::from(fragment)]
                .wakes
                .push(Wake::new(rank, place));
        }
        Compiled { rule, tests }
    }

    fn test(&mut self, when: &'static When) -> Test {
        match when {
            When::Any(phrases) => Test::Any(self.phrases(phrases)),
            When::Near(one, other) => Test::Near(Near {
                one: self.words(one),
                other: self.words(other),
            }),
            When::All(phrases) => Test::All(self.phrases(phrases)),
            When::Without(phrases) => Test::Without(self.phrases(phrases)),
            When::Whole(phrases) => Test::Whole(self.phrases(phrases)),
            When::Start(phrases) => Test::Start(self.phrases(phrases)),
            When::Code(codes) => Test::Any(self.signs("code", codes)),
            When::SqlState(states) => Test::Any(self.signs("sqlstate", states)),
            When::Http(statuses) => Test::Any(self.signs("http", statuses)),
            When::Source(types) => Test::Source(types),
        }
    }

    fn signs<T: std::fmt::Display>(&mut self, kind: &str, values: &[T]) -> Vec<Phrase> {
        values
            .iter()
            .map(|value| vec![self.fragment(&format!("{kind}:{value}"))])
            .collect()
    }

    fn words(&mut self, words: &[String]) -> Vec<u16> {
        let mut fragments: Vec<u16> = words
            .iter()
            .map(|word| self.fragment(&expanded(word)))
            .collect();
        fragments.sort_unstable();
        fragments
    }

    fn phrases(&mut self, phrases: &[String]) -> Vec<Phrase> {
        phrases
            .iter()
            .map(|phrase| {
                expanded(phrase)
                    .split(" .. ")
                    .map(|part| self.fragment(part))
                    .collect()
            })
            .collect()
    }

    fn fragment(&mut self, part: &str) -> u16 {
        let open_left = part.starts_with('*');
        let open_right = part.ends_with('*');
        let text = part.trim_matches('*').to_owned();
        let next = u16::try_from(self.fragments.len()).unwrap_or(u16::MAX);
        let place = *self
            .known
            .entry((text.clone(), open_left, open_right))
            .or_insert(next);
        if place == next {
            self.fragments.push(Fragment {
                text,
                open_left,
                open_right,
                wakes: Vec::new(),
            });
        }
        place
    }
}

/// A phrase with `isn't` written as `is not`, as masked texts have it.
fn expanded(phrase: &str) -> String {
    phrase.replace("can't", "cannot").replace("n't", " not")
}

struct Seen<'a> {
    hits: &'a [Hit],
    /// A bit for each fragment that was hit.
    bits: Vec<u64>,
    text: &'a Masked,
    source_type: Option<&'a str>,
}

impl<'a> Seen<'a> {
    fn new(
        hits: &'a [Hit],
        text: &'a Masked,
        source_type: Option<&'a str>,
        fragments: usize,
    ) -> Self {
        let mut bits = vec![0_u64; fragments / 64 + 1];
        for hit in hits {
            bits[usize::from(hit.fragment) / 64] |= 1 << (hit.fragment % 64);
        }
        Self {
            hits,
            bits,
            text,
            source_type,
        }
    }

    /// Whether all conditions of a rule hold. Of the first one only the phrases that triggered the rule are checked.
    fn decides(&self, compiled: &Compiled, awake: &[Wake]) -> bool {
        let Some((first, others)) = compiled.tests.split_first() else {
            return false;
        };
        let holds = match first {
            Test::Any(phrases) => awake
                .iter()
                .filter_map(|wake| phrases.get(wake.place()))
                .any(|phrase| self.has(phrase)),
            _ => self.holds(first),
        };
        holds && others.iter().all(|test| self.holds(test))
    }

    fn holds(&self, test: &Test) -> bool {
        match test {
            Test::Any(phrases) => phrases.iter().any(|phrase| self.has(phrase)),
            Test::Near(near) => self.are_near(near),
            Test::All(phrases) => phrases.iter().all(|phrase| self.has(phrase)),
            Test::Without(phrases) => !phrases.iter().any(|phrase| self.has(phrase)),
            Test::Whole(phrases) => phrases.iter().any(|phrase| self.is_whole(phrase)),
            Test::Start(phrases) => phrases.iter().any(|phrase| self.starts(phrase)),
            Test::Source(types) => self
                .source_type
                .is_some_and(|source| types.iter().any(|known| known.eq_ignore_ascii_case(source))),
        }
    }

    fn has(&self, phrase: &[u16]) -> bool {
        let hit =
            |fragment: &u16| self.bits[usize::from(*fragment) / 64] & (1 << (fragment % 64)) != 0;
        if phrase.len() == 1 || !phrase.iter().all(hit) {
            return phrase.iter().all(hit);
        }
        // The latest end of each part so far.
        let mut ends = [None::<usize>; 6];
        for hit in self.hits {
            for (part, fragment) in phrase.iter().enumerate().take(ends.len()).rev() {
                if hit.fragment != *fragment {
                    continue;
                }
                let follows = part
                    .checked_sub(1)
                    .is_none_or(|last| ends[last].is_some_and(|end| self.is_near(end, hit.start)));
                if follows {
                    if part + 1 == phrase.len() {
                        return true;
                    }
                    ends[part] = Some(hit.end);
                }
            }
        }
        false
    }

    fn are_near(&self, near: &Near) -> bool {
        let (one, other) = (self.found(&near.one), self.found(&near.other));
        self.follows(&one, &other) || self.follows(&other, &one)
    }

    fn found(&self, fragments: &[u16]) -> Vec<Hit> {
        self.hits
            .iter()
            .filter(|hit| fragments.binary_search(&hit.fragment).is_ok())
            .copied()
            .collect()
    }

    /// Whether one of `then` stands near behind one of `first`. Hits are in the order of their ends, so the last that ends
    /// before a place is the nearest.
    fn follows(&self, first: &[Hit], then: &[Hit]) -> bool {
        then.iter().any(|hit| {
            let before = first.partition_point(|other| other.end <= hit.start);
            first[..before]
                .last()
                .is_some_and(|other| self.is_near(other.end, hit.start))
        })
    }

    /// Whether two places are near each other, in this order, and in one sentence.
    fn is_near(&self, end: usize, start: usize) -> bool {
        start >= end
            && start - end <= GAP
            && self
                .text
                .text
                .get(end..start)
                .is_some_and(|between| !between.contains(". "))
    }

    fn starts(&self, phrase: &[u16]) -> bool {
        self.hits
            .iter()
            .any(|hit| hit.start == 0 && phrase == [hit.fragment])
    }

    fn is_whole(&self, phrase: &[u16]) -> bool {
        let text = self.text.text.get(..self.text.body).unwrap_or_default();
        let length = text.trim_end_matches(['.', ' ']).len();
        self.hits
            .iter()
            .any(|hit| hit.start == 0 && hit.end >= length && phrase == [hit.fragment])
    }
}

#[cfg(test)]
impl Matcher {
    /// Of the phrases, those that no text holds.
    pub fn unbacked<'a>(
        &self,
        phrases: impl Iterator<Item = &'a str>,
        texts: impl Iterator<Item = Masked>,
    ) -> Vec<&'a str> {
        let places: HashMap<_, _> = self
            .fragments
            .iter()
            .zip(0_u16..)
            .map(|(known, place)| {
                (
                    (known.text.as_str(), known.open_left, known.open_right),
                    place,
                )
            })
            .collect();
        let place = |part: &str| {
            let key = (
                part.trim_matches('*'),
                part.starts_with('*'),
                part.ends_with('*'),
            );
            places.get(&key).copied()
        };
        let mut missing: Vec<(&str, Option<Phrase>)> = phrases
            .map(|phrase| (phrase, expanded(phrase).split(" .. ").map(place).collect()))
            .collect();
        for text in texts {
            let hits = self.hits(&text);
            let seen = Seen::new(&hits, &text, None, self.fragments.len());
            missing.retain(|(_, parts)| !parts.as_ref().is_some_and(|parts| seen.has(parts)));
        }
        missing.into_iter().map(|(phrase, _)| phrase).collect()
    }
}
