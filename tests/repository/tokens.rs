//! Source files as tokens, without what is compiled for tests only.

use std::{fs, path::Path};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::{root, rust_files};

/// Every file of `src` that is part of the program: its path below `src`, and its text.
pub fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let is_test = |file: &Path| {
        let name = file.file_name().unwrap().to_string_lossy();
        name == "tests.rs" || name.ends_with("_tests.rs")
    };
    let files = rust_files(&src).into_iter().filter(|file| !is_test(file));
    files
        .map(|file| {
            let name = file.strip_prefix(&src).unwrap().display().to_string();
            (name, fs::read_to_string(&file).unwrap())
        })
        .collect()
}

/// The tokens of a file, without items under `#[cfg(test)]`.
pub fn tokens(text: &str) -> Vec<TokenTree> {
    without_tests(text.parse().unwrap())
}

fn without_tests(stream: TokenStream) -> Vec<TokenTree> {
    let all: Vec<TokenTree> = stream.into_iter().collect();
    let mut kept = Vec::new();
    let mut place = 0;
    while place < all.len() {
        if is_punct(&all[place], '#') && all.get(place + 1).is_some_and(is_cfg_test) {
            // Up to the end of the item: its body, or a semicolon.
            let is_end = |token: &TokenTree| {
                is_punct(token, ';') || group(token, Delimiter::Brace).is_some()
            };
            let rest = all[place + 2..].iter().position(is_end);
            place += 2 + rest.map_or(0, |end| end + 1);
        } else {
            kept.push(all[place].clone());
            place += 1;
        }
    }
    kept
}

fn is_cfg_test(token: &TokenTree) -> bool {
    group(token, Delimiter::Bracket).is_some_and(|stream| stream.to_string() == "cfg (test)")
}

/// What is in a group.
pub fn inside(token: &TokenTree) -> Option<Vec<TokenTree>> {
    match token {
        TokenTree::Group(group) => Some(without_tests(group.stream())),
        _ => None,
    }
}

fn group(token: &TokenTree, delimiter: Delimiter) -> Option<TokenStream> {
    match token {
        TokenTree::Group(group) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

pub fn is_group(token: Option<&TokenTree>, delimiter: Delimiter) -> bool {
    token.is_some_and(|token| group(token, delimiter).is_some())
}

pub fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

pub fn ident(token: Option<&TokenTree>) -> Option<String> {
    match token {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

/// True if `::` stands at `place`.
pub fn is_colons(tokens: &[TokenTree], place: usize) -> bool {
    let colon = |place: usize| tokens.get(place).is_some_and(|token| is_punct(token, ':'));
    colon(place) && colon(place + 1)
}
