//! Values that no text from `PostHog` may show, however it repeats them: as they are, in a URL, in JSON, in a debug print, in base64.
//!
//! Texts are masked where they arrive, before anything reads, cuts or shows them.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};

use super::redact::MASK;

/// Shortest value that is looked for, in bytes: shorter ones could be any word.
const SHORTEST: usize = 6;
/// Up to this length, in bytes, a value of nothing but small letters is no secret either, but a word.
const LONGEST_WORD: usize = 11;
/// Most values that are kept; the oldest goes. Rotated ones stay among them: `PostHog` may still repeat them.
const MOST: usize = 256;
/// How much of a text is searched, in bytes. Less is shown.
const MAX_INPUT: usize = 64 * 1024;

/// The values. Shared by all that read a project with one key.
#[derive(Default)]
pub struct Secrets(Mutex<VecDeque<Needle>>);

struct Needle {
    digest: [u8; 32],
    /// In any of these forms, each as [`plain`] makes it.
    forms: Vec<SecretSlice<u8>>,
}

impl Secrets {
    /// Masks this value from now on.
    pub fn add(&self, value: &str) {
        let value = value.trim();
        let is_word = value.len() <= LONGEST_WORD && value.bytes().all(|b| b.is_ascii_lowercase());
        if value.len() < SHORTEST || is_word {
            return;
        }
        let digest = Sha256::digest(value.as_bytes()).into();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().any(|needle| needle.digest == digest) {
            return;
        }
        if known.len() >= MOST {
            known.pop_front();
        }
        known.push_back(Needle {
            digest,
            forms: forms(value),
        });
    }

    /// `text` without the values.
    #[must_use]
    pub fn conceal<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() || text.len() < SHORTEST {
            return Cow::Borrowed(text);
        }
        let mut end = text.len().min(MAX_INPUT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let plain = plain(&text[..end]);
        let forms = known.iter().flat_map(|needle| &needle.forms);
        let mut found: Vec<Range<usize>> = forms
            .flat_map(|form| places(&plain, form.expose_secret()))
            .collect();
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_unstable_by_key(|place| (place.start, place.end));
        let (mut masked, mut at) = (String::with_capacity(text.len()), 0);
        for place in found {
            if place.start >= at {
                masked.push_str(&text[at..place.start]);
                masked.push_str(MASK);
            }
            at = at.max(place.end);
        }
        masked.push_str(&text[at..]);
        Cow::Owned(masked)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(***)")
    }
}

/// What a value is looked for as.
fn forms(value: &str) -> Vec<SecretSlice<u8>> {
    let bytes = |text: &str| {
        plain(text)
            .iter()
            .map(|(byte, _)| *byte)
            .collect::<Vec<u8>>()
    };
    let mut forms = vec![bytes(value)];
    for before in 0..3 {
        let mut padded = vec![0; before];
        padded.extend_from_slice(value.as_bytes());
        // The letters at both ends also have bits of the neighbouring bytes.
        let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for text in [
            STANDARD_NO_PAD.encode(&padded),
            URL_SAFE_NO_PAD.encode(&padded),
        ] {
            forms.push(bytes(&text[from..to]));
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms.sort_unstable();
    forms.dedup();
    forms.into_iter().map(SecretSlice::from).collect()
}

/// Where a form stands in a text. Also where the text ends after its first half.
fn places(text: &[(u8, Range<usize>)], form: &[u8]) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let mut at = 0;
    let least = SHORTEST.max(form.len().div_ceil(2));
    while at + least <= text.len() {
        let rest = &text[at..];
        let alike = rest
            .iter()
            .zip(form)
            .take_while(|((byte, _), own)| byte == *own);
        let length = alike.count();
        let is_cut_off = length >= least
            && rest[length..]
                .iter()
                .all(|(byte, _)| !byte.is_ascii_alphanumeric());
        if length == form.len() || is_cut_off {
            places.push(text[at].1.start..text[at + length - 1].1.end);
            at += length;
        } else {
            at += 1;
        }
    }
    places
}

/// A text in the form in which it is compared, with the place that each byte has in it: escapes of URLs, JSON, HTML and programming
/// languages are decoded; white space, control characters, `+` and `\` are left out, because some of them stand for each other.
fn plain(text: &str) -> Vec<(u8, Range<usize>)> {
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let (decoded, length) = match c {
            '%' => of_url(&text[at..]),
            '\\' => of_program(&text[at..]),
            '&' => of_html(&text[at..]),
            _ => None,
        }
        .unwrap_or((Decoded::Char(c), c.len_utf8()));
        let place = at..at + length;
        match decoded {
            Decoded::Byte(byte) => plain.push((byte, place)),
            Decoded::Char(c) => {
                let mut buffer = [0; 4];
                let bytes = c.encode_utf8(&mut buffer).as_bytes();
                plain.extend(bytes.iter().map(|byte| (*byte, place.clone())));
            }
        }
        at += length;
    }
    plain.retain(|(byte, _)| {
        !byte.is_ascii_whitespace() && !byte.is_ascii_control() && !b"+\\".contains(byte)
    });
    plain
}

enum Decoded {
    Byte(u8),
    Char(char),
}

/// `%41`, also if the percent sign is itself encoded.
fn of_url(text: &str) -> Option<(Decoded, usize)> {
    let mut sign = 1;
    while text.as_bytes()[sign..].starts_with(b"25")
        && text[sign + 2..].len() >= 2
        && hex(text, sign + 2, 2).is_some()
    {
        sign += 2;
    }
    let code = hex(text, sign, 2)?;
    Some((Decoded::Byte(u8::try_from(code).ok()?), sign + 2))
}

/// `\n`, `\xe9`, `\u00e9`, `\u{e9}`.
fn of_program(text: &str) -> Option<(Decoded, usize)> {
    let of = |code| char::from_u32(code).map(Decoded::Char);
    match text.as_bytes().get(1)? {
        b'n' | b'r' | b't' | b'b' | b'f' | b'v' | b'0' => Some((Decoded::Byte(0), 2)),
        b'x' => Some((of(hex(text, 2, 2)?)?, 4)),
        b'u' if text.as_bytes().get(2) == Some(&b'{') => {
            let length = text[3..]
                .find('}')
                .filter(|length| (1..=6).contains(length))?;
            Some((of(hex(text, 3, length)?)?, 4 + length))
        }
        b'u' => Some((of(hex(text, 2, 4)?)?, 6)),
        _ => None,
    }
}

fn of_html(text: &str) -> Option<(Decoded, usize)> {
    const KNOWN: [(&str, char); 8] = [
        ("&amp;", '&'),
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&quot;", '"'),
        ("&#34;", '"'),
        ("&#39;", '\''),
        ("&#x27;", '\''),
        ("&apos;", '\''),
    ];
    let known = KNOWN.iter().find(|(escaped, _)| text.starts_with(escaped));
    known.map(|(escaped, c)| (Decoded::Char(*c), escaped.len()))
}

fn hex(text: &str, at: usize, length: usize) -> Option<u32> {
    let digits = text.get(at..at + length)?;
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, proptest};

    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        let secrets = Secrets::default();
        for value in values {
            secrets.add(value);
        }
        secrets
    }

    #[test]
    fn a_value_is_masked_however_it_is_written() {
        let secrets = secrets(&["p\"s  7/é\t+&x%41\nz\\q"]);
        for written in [
            "p\"s  7/é\t+&x%41\nz\\q",
            r#"p\"s  7/\u00e9\t+&x%41\nz\\q"#,
            r#"p\\\"s  7\/\\u00e9\\t+&x%41\\nz\\\\q"#,
            r#"p\"s  7/\u{e9}\t+&x%41\nz\\q"#,
            "p%22s%20%207%2F%C3%A9%09%2B%26x%2541%0Az%5Cq",
            "p%22s++7/%c3%a9%09%2b%26x%2541%0az%5cq",
            "p&quot;s  7/é\t+&amp;x%41\nz\\q",
        ] {
            let said = format!("user {written}, refused");
            assert_eq!(secrets.conceal(&said), "user ***, refused", "{written}");
        }
    }

    #[test]
    fn base64_is_masked_wherever_the_value_stands_in_what_is_encoded() {
        let secrets = secrets(&["correct-horse-battery"]);
        for before in ["", "u", "us", "user:", "user1:", "user12:"] {
            let encoded = STANDARD_NO_PAD.encode(format!("{before}correct-horse-battery:more"));
            let shown = secrets.conceal(&encoded).into_owned();
            assert!(
                shown.contains(MASK) && shown.len() < 22,
                "{before}: {shown}"
            );
        }
    }

    #[test]
    fn what_is_cut_off_is_masked_and_so_is_what_stands_twice() {
        let secrets = secrets(&["correct-horse", "phx_12345678"]);
        for (said, shown) in [
            ("correct-horse correct-horse", "*** ***"),
            ("key correct-h…", "key ***…"),
            ("key corre", "key corre"),
            ("key correct-hand", "key correct-hand"),
            ("phx_12345678correct-horse", "******"),
            ("nothing of it", "nothing of it"),
        ] {
            assert_eq!(secrets.conceal(said), shown);
        }
    }

    #[test]
    fn words_are_no_secrets() {
        let secrets = secrets(&["password", "abc12", ""]);
        let said = "password authentication failed for abc12";
        assert_eq!(secrets.conceal(said), said);
    }

    #[test]
    fn the_oldest_value_goes() {
        let secrets = Secrets::default();
        for number in 0..=MOST {
            secrets.add(&format!("value-{number:04}"));
        }
        assert_eq!(secrets.conceal("value-0000 value-0001"), "value-0000 ***");
        assert_eq!(format!("{secrets:?}"), "Secrets(***)");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_value_stays(
            value in "[a-z]{3}[ -~é\\n\\t]{4,20}[0-9]{3}",
            before in "[\\PC%&\\\\]{0,12}",
        ) {
            let secrets = secrets(&[&value]);
            let said = format!("{before} {value}");
            prop_assert!(!secrets.conceal(&said).contains(&value));
            prop_assert!(secrets.conceal(&before).len() <= before.len() + MASK.len());
        }
    }
}
