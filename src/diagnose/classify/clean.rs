//! A text as it came, on its way to the rules: one case, one kind of quote, one kind of blank, bounded length.

use std::str::Chars;

/// How much of a long text is read, in bytes, at its beginning and again at its end: one of the two names the error, and the time per text stays
/// bounded.
pub const WINDOW: usize = 4 * 1024;

/// `raw` in lower case, with plain quotes, dashes and blanks, without invisible characters, escapes and stack frames.
/// Line ends survive, because quoted queries end there.
pub fn clean(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len().min(2 * WINDOW) + 8);
    if raw.len() <= 2 * WINDOW {
        part(raw, &mut out);
    } else {
        part(&raw[..boundary(raw, WINDOW)], &mut out);
        out.push('\n');
        part(&raw[boundary(raw, raw.len() - WINDOW)..], &mut out);
    }
    out
}

/// The end of the character at `at`, so that a cut never splits one.
fn boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

fn part(raw: &str, out: &mut String) {
    if is_traceback(raw) {
        // The frames of a traceback are indented; they show code, not what happened.
        for line in raw.lines().filter(|line| !line.starts_with("  ")) {
            characters(line, out);
            out.push('\n');
        }
    } else {
        characters(raw, out);
    }
}

fn is_traceback(raw: &str) -> bool {
    const HEAD: &[u8] = b"most recent call last";
    raw.contains("\n  ")
        && raw
            .as_bytes()
            .windows(HEAD.len())
            .any(|window| window.eq_ignore_ascii_case(HEAD))
}

fn characters(raw: &str, out: &mut String) {
    let mut rest = raw;
    while !rest.is_empty() {
        let plain = rest
            .bytes()
            .position(|byte| !is_plain(byte))
            .unwrap_or(rest.len());
        let start = out.len();
        out.push_str(&rest[..plain]);
        out[start..].make_ascii_lowercase();
        rest = other(&rest[plain..], out);
    }
}

/// Whether a byte is a character that stays as it is, but for its case.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'&')
}

/// Adds the character at the beginning of `text`, which is not plain; returns what follows.
fn other<'a>(text: &'a str, out: &mut String) -> &'a str {
    let mut rest = text.chars();
    match rest.next() {
        Some('\\') => escape(&mut rest, out),
        Some('\u{1b}') => colour(&mut rest, out),
        Some('&') => entity(&mut rest, out),
        Some(' ') => push(' ', out),
        Some(c) => foreign(c, out),
        None => {}
    }
    rest.as_str()
}

/// Adds a character, and a blank only where none is. A line end wins over blanks before it.
fn push(c: char, out: &mut String) {
    match c {
        '\n' => {
            while out.ends_with(' ') {
                out.pop();
            }
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
        }
        ' ' => {
            if !out.is_empty() && !out.ends_with([' ', '\n']) {
                out.push(' ');
            }
        }
        _ => out.push(c),
    }
}

/// Texts come through `repr` and JSON: `\n`, `\'`, `\u2019`.
fn escape(rest: &mut Chars<'_>, out: &mut String) {
    match rest.clone().next() {
        Some('n' | 'r' | 't' | 'N' | 'R' | 'T') => {
            rest.next();
            push(' ', out);
        }
        Some('u' | 'U') => {
            let code: String = rest.clone().skip(1).take(4).collect();
            let known = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
            if let Some(c) = known.filter(|_| code.len() == 4) {
                rest.nth(4);
                foreign(c, out);
            }
        }
        // A backslash before anything else is dropped.
        _ => {}
    }
}

/// A terminal's colour codes.
fn colour(rest: &mut Chars<'_>, out: &mut String) {
    if let Some(code) = rest.as_str().strip_prefix('[') {
        let code = code.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        *rest = code
            .strip_prefix(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(code)
            .chars();
    }
    push(' ', out);
}

/// The entities for quotes in answers written as HTML.
fn entity(rest: &mut Chars<'_>, out: &mut String) {
    const ENTITIES: [(&str, char); 5] = [
        ("#39;", '\''),
        ("#x27;", '\''),
        ("apos;", '\''),
        ("quot;", '"'),
        ("nbsp;", ' '),
    ];
    let text = rest.as_str();
    for (name, c) in ENTITIES {
        let head = text.get(..name.len());
        if head.is_some_and(|head| head.eq_ignore_ascii_case(name)) {
            *rest = text[name.len()..].chars();
            push(c, out);
            return;
        }
    }
    out.push('&');
}

/// Everything outside printable ASCII.
fn foreign(c: char, out: &mut String) {
    match c {
        '\n' | '\r' | '\u{2028}' | '\u{2029}' => push('\n', out),
        '‘' | '’' | '‚' | '‛' | '′' | '´' | '＇' => out.push('\''),
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' | '「' | '」' | '『' | '』' => {
            out.push('"');
        }
        '‐'..='―' | '−' => out.push('-'),
        '…' => out.push_str("..."),
        '。' | '．' => out.push('.'),
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => {}
        // The full-width forms of ASCII.
        '\u{ff01}'..='\u{ff5e}' => {
            if let Some(plain) = char::from_u32(u32::from(c) - 0xfee0) {
                push(plain.to_ascii_lowercase(), out);
            }
        }
        _ if c.is_whitespace() || c.is_control() => push(' ', out),
        _ => out.extend(c.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_blanks_and_escapes_are_made_plain() {
        for (raw, plain) in [
            ("  Couldn’t\t\tconnect ", "couldn't connect "),
            (r#"(2003, "Can\'t connect")"#, r#"(2003, "can't connect")"#),
            ("pass\u{200b}word", "password"),
            ("ＨＴＴＰ　４０１", "http 401"),
            ("a\\nb \\u2019", "a b '"),
            ("doesn&#39;t & more", "doesn't & more"),
            ("\u{1b}[31mred\u{1b}[0m", "red "),
            ("a \r\n\n b", "a\nb"),
        ] {
            assert_eq!(clean(raw), plain, "{raw}");
        }
    }

    #[test]
    fn frames_of_a_traceback_are_left_out() {
        let raw = "Traceback (most recent call last):\n  File \"a.py\", line 401, in rate_limit\n    raise Denied(1)\nValueError: bad";
        assert_eq!(
            clean(raw),
            "traceback (most recent call last):\nvalueerror: bad\n"
        );
    }

    #[test]
    fn of_a_long_text_both_ends_are_read() {
        let raw = format!("first {} last", "é".repeat(100_000));
        let plain = clean(&raw);
        assert!(plain.starts_with("first") && plain.ends_with("last"));
        assert!(plain.len() <= 2 * WINDOW + 8);
    }
}
