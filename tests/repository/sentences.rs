//! Sentences in the code: each is written once, and those of decisions are where a reader looks for them.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenTree};

use crate::tokens::{inside, is_group, is_punct, sources, tokens};

/// Fewer words are a term or a label.
const SENTENCE: usize = 5;

/// A term must change in one place. So no sentence of the program is written twice.
#[test]
fn no_sentence_is_written_twice() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in sources() {
        for sentence in sentences(&tokens(&text)) {
            places.entry(sentence).or_default().push(file.clone());
        }
    }
    assert!(places.len() > 300, "sentences are not found any more");
    places.retain(|_, files| files.len() > 1);
    assert!(
        places.is_empty(),
        "write each of these once, in `words` of the lowest folder that needs it: {places:#?}"
    );
}

/// The recipe "change a text" in `CONTRIBUTING.md` says where to look for a sentence of a decision.
#[test]
fn decisions_take_their_sentences_from_words() {
    let has_its_own = |file: &str| {
        ["decide/words/", "decide/guards/"]
            .iter()
            .any(|folder| file.starts_with(folder))
            || ["decide/proposal/steps.rs", "decide/proposal/commands.rs"].contains(&file)
    };
    for (file, text) in sources() {
        if file.starts_with("decide/") && !has_its_own(&file) {
            let found = sentences(&tokens(&text));
            assert!(
                found.is_empty(),
                "src/{file} builds sentences; they belong into src/decide/words: {found:#?}"
            );
        }
    }
}

/// The sentences in string literals, without attributes, and with `{}` for what is filled in.
fn sentences(tokens: &[TokenTree]) -> Vec<String> {
    let mut found = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let is_attribute = place > 0
            && is_group(Some(token), Delimiter::Bracket)
            && (is_punct(&tokens[place - 1], '#')
                || (place > 1
                    && is_punct(&tokens[place - 1], '!')
                    && is_punct(&tokens[place - 2], '#')));
        if is_attribute {
            continue;
        }
        if let Some(inner) = inside(token) {
            found.extend(sentences(&inner));
        } else if let TokenTree::Literal(literal) = token {
            found.extend(sentence(&literal.to_string()));
        }
    }
    found
}

/// A literal, if it is a sentence.
fn sentence(literal: &str) -> Option<String> {
    let text = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut plain = String::new();
    let mut depth = 0_usize;
    for letter in text.chars() {
        match letter {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                plain.push_str("{}");
            }
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    let is_word = |word: &&str| {
        word.len() > 1
            && word
                .chars()
                .all(|c| c.is_alphabetic() || "',.:;'’".contains(c))
    };
    let words = plain.split_whitespace().filter(is_word).count();
    (words >= SENTENCE).then(|| plain.split_whitespace().collect::<Vec<_>>().join(" "))
}
