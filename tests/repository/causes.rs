//! Places that distinguish root causes by themselves instead of using the row of the cause.

use proc_macro2::{Delimiter, TokenTree};

use crate::tokens::{ident, inside, is_colons, is_group, is_punct};

const ENUM: &str = "RootCause";

/// What a file does with causes beyond naming one as a value, each place in a few words.
pub fn decisions(tokens: &[TokenTree]) -> Vec<String> {
    let mut found = Vec::new();
    walk(tokens, false, &mut found);
    found
}

/// `in_pattern`: everything here belongs to a pattern, or to a list of alternatives.
fn walk(tokens: &[TokenTree], in_pattern: bool, found: &mut Vec<String>) {
    for place in 0..tokens.len() {
        if let Some(inner) = inside(&tokens[place]) {
            let is_list = is_group(tokens.get(place), Delimiter::Bracket);
            let is_matches = place >= 2
                && is_punct(&tokens[place - 1], '!')
                && ident(tokens.get(place - 2)).as_deref() == Some("matches");
            let before_arm = ends_pattern(tokens, place + 1);
            walk(
                &inner,
                in_pattern || is_list || is_matches || before_arm,
                found,
            );
        }
        if ident(tokens.get(place)).as_deref() != Some(ENUM) {
            continue;
        }
        if ident(tokens.get(place + 1)).as_deref() == Some("as") {
            found.push(format!("{ENUM} as …"));
        }
        if !is_colons(tokens, place + 1) {
            continue;
        }
        match ident(tokens.get(place + 3)) {
            None => found.push(format!("{ENUM}::{{…}}")),
            Some(name) if !is_variant(&name) => {}
            Some(name) => {
                let begin = path_begin(tokens, place);
                if in_pattern
                    || ends_pattern(tokens, place + 4)
                    || is_compared(tokens, begin, place + 4)
                    || is_kept(tokens, begin, place + 4)
                {
                    found.push(format!("{ENUM}::{name}"));
                }
            }
        }
    }
}

/// True for `CredentialsInvalid`, not for `ALL` and methods.
fn is_variant(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.contains(|c: char| c.is_ascii_lowercase())
}

/// Where the path begins whose last but one name is at `place`.
fn path_begin(tokens: &[TokenTree], mut place: usize) -> usize {
    while place >= 3 && is_colons(tokens, place - 2) && ident(tokens.get(place - 3)).is_some() {
        place -= 3;
    }
    place
}

/// True if the text before `place` is a pattern: an arm, one of several alternatives, or `let … = …`.
fn ends_pattern(tokens: &[TokenTree], place: usize) -> bool {
    let punct = |place: usize, wanted| {
        tokens
            .get(place)
            .is_some_and(|token| is_punct(token, wanted))
    };
    let is_or = punct(place, '|') && !punct(place + 1, '|');
    let is_arm = punct(place, '=') && !punct(place + 1, '=');
    let is_guard = ident(tokens.get(place)).as_deref() == Some("if") && {
        // The guard of an arm; an `if` of its own has a block first.
        let mut rest = place..tokens.len();
        let arrow = |at: usize| punct(at, '=') && punct(at + 1, '>');
        let ends = |at: &usize| arrow(*at) || is_group(tokens.get(*at), Delimiter::Brace);
        rest.find(ends).is_some_and(arrow)
    };
    is_or || is_arm || is_guard
}

fn is_compared(tokens: &[TokenTree], begin: usize, end: usize) -> bool {
    let equals = |place: usize| {
        let [first, second] = [place, place + 1].map(|place| tokens.get(place));
        let is =
            |token: Option<&TokenTree>, wanted| token.is_some_and(|token| is_punct(token, wanted));
        (is(first, '=') || is(first, '!')) && is(second, '=')
    };
    // Also behind a reference: `== &RootCause::Stuck`.
    let before = begin - usize::from(begin > 0 && is_punct(&tokens[begin - 1], '&'));
    (before >= 2 && equals(before - 2)) || equals(end)
}

/// True for `let x = RootCause::Stuck;` and constants: something to compare with.
fn is_kept(tokens: &[TokenTree], begin: usize, end: usize) -> bool {
    let ends = tokens.get(end).is_some_and(|token| is_punct(token, ';'));
    let statement = tokens[..begin]
        .iter()
        .rposition(|token| is_punct(token, ';'))
        .map_or(0, |at| at + 1);
    let names = tokens[statement..begin]
        .iter()
        .map(|token| ident(Some(token)));
    let assigns = begin > 0 && is_punct(&tokens[begin - 1], '=');
    ends && assigns
        && names
            .flatten()
            .any(|name| ["let", "const", "static"].contains(&name.as_str()))
}
