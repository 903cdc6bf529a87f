//! Globs with `?` or with several stars, all in one automaton that reads each character of a name once.
//!
//! The states are bits, as in Shift-And (Baeza-Yates and Gonnet, 1992): a bit says that one glob has matched up to
//! here. A step takes a few instructions for 64 states, for any globs. Automata of other kinds do not bound what an
//! author can cause: one that is deterministic doubles its states with each `*a?????`, and one that simulates its
//! states one by one, as the crate `regex` then does, takes a thousand times longer for a bad policy than for a good
//! one.

use super::error::{GlobError, MOST_CHARACTERS};

/// Each character is a state, and each glob has one more.
const WORDS: usize = 2 * MOST_CHARACTERS / 64;

/// The states that are reached, one bit each.
pub(super) type States = [u64; WORDS];

/// The globs of several lists.
#[derive(Debug, Clone, Default)]
pub(super) struct Automaton {
    /// How many words of [`States`] are used.
    words: usize,
    /// Where each glob begins.
    start: Vec<u64>,
    /// States before a star: they persist.
    lasting: Vec<u64>,
    /// States that no particular character leads to.
    any: Vec<u64>,
    /// The characters that globs name, in order, each with the states that it leads to.
    named: Vec<(char, Vec<u64>)>,
    /// Where each glob ends, and its list.
    ends: Vec<(usize, usize)>,
    /// Characters of all globs.
    characters: usize,
}

impl Automaton {
    /// Adds a glob of list `list`.
    pub(super) fn add(&mut self, pattern: &str, list: usize) -> Result<(), GlobError> {
        let length = pattern.chars().count();
        self.characters += length;
        if self.characters > MOST_CHARACTERS || length == 0 {
            return Err(GlobError::TooLarge);
        }
        // The bit after the last that is used: globs are added in order, and each ends with its highest.
        let mut state = self.ends.last().map_or(0, |(_, end)| end + 1);
        self.reserve(state + length + 1);
        set(&mut self.start, state);
        for c in pattern.chars() {
            match c {
                '*' => set(&mut self.lasting, state),
                '?' => {
                    state += 1;
                    set(&mut self.any, state);
                    for (_, led_to) in &mut self.named {
                        set(led_to, state);
                    }
                }
                named => {
                    state += 1;
                    let place = match self.named.binary_search_by_key(&named, |(c, _)| *c) {
                        Ok(place) => place,
                        Err(place) => {
                            self.named.insert(place, (named, self.any.clone()));
                            place
                        }
                    };
                    set(&mut self.named[place].1, state);
                }
            }
        }
        self.ends.push((list, state));
        Ok(())
    }

    fn reserve(&mut self, states: usize) {
        self.words = states.div_ceil(64);
        let all = [&mut self.start, &mut self.lasting, &mut self.any];
        let all = all
            .into_iter()
            .chain(self.named.iter_mut().map(|(_, row)| row));
        for row in all {
            row.resize(self.words, 0);
        }
    }

    /// True if it has no glob of list `list`.
    pub(super) fn lacks(&self, list: usize) -> bool {
        self.ends.iter().all(|(of, _)| *of != list)
    }

    /// Which states the whole of `name` leads to.
    pub(super) fn read(&self, name: &str) -> States {
        let mut states = [0; WORDS];
        states[..self.words].copy_from_slice(&self.start);
        for c in name.chars() {
            let led_to = match self.named.binary_search_by_key(&c, |(c, _)| *c) {
                Ok(place) => &self.named[place].1,
                Err(_) => &self.any,
            };
            let mut carried = 0;
            let mut left = 0;
            let rows = led_to.iter().zip(&self.lasting);
            for (word, (led_to, lasting)) in states.iter_mut().zip(rows) {
                let moved = *word << 1 | carried;
                carried = *word >> 63;
                *word = moved & led_to | *word & lasting;
                left |= *word;
            }
            if left == 0 {
                break;
            }
        }
        states
    }

    /// True if a glob of list `list` ends in one of these states.
    pub(super) fn accepts(&self, states: &States, list: usize) -> bool {
        let mut ends = self.ends.iter();
        ends.any(|(of, end)| *of == list && states[end / 64] >> (end % 64) & 1 == 1)
    }
}

fn set(row: &mut [u64], state: usize) {
    row[state / 64] |= 1 << (state % 64);
}
