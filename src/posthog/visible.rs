//! Which characters people see. What prints nothing, changes the direction of writing or joins its neighbours invisibly lets one name
//! look like another; it is shown escaped, as `\u{202e}`. Letters of all scripts, with their marks, and emoji stay as they are.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write},
};

/// True if `c` is seen behind another character. Spaces are not, but for the plain one.
#[must_use]
pub fn is_visible(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic() || (!is_blank(c) && prints(c, "a"))
}

/// True if `c` is seen where a word begins: a mark has nothing there that it could belong to.
#[must_use]
pub fn is_visible_first(c: char) -> bool {
    c.is_ascii_graphic() || (!is_blank(c) && prints(c, ""))
}

/// As the standard library knows it: not what Unicode counts as Other (control, format, private use, unassigned) or as Separator.
fn prints(c: char, before: &str) -> bool {
    let mut text = [0; 8];
    let (head, tail) = text.split_at_mut(before.len());
    head.copy_from_slice(before.as_bytes());
    let length = before.len() + c.encode_utf8(tail).len();
    let text = std::str::from_utf8(&text[..length]).unwrap_or_default();
    text.escape_debug().nth(before.len()) == Some(c)
}

/// What Unicode counts as a letter, a mark or a symbol, and draws as nothing: most of `Default_Ignorable_Code_Point`, and blanks.
const fn is_blank(c: char) -> bool {
    matches!(
        c,
        '\u{34f}' // joins graphemes
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // fillers of Hangul
            | '\u{17b4}' | '\u{17b5}' // vowels of Khmer that are not written
            | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' // choose variants
            | '\u{2800}' // no dot of Braille
            | '\u{13441}' | '\u{13442}' | '\u{16fe4}' | '\u{1d159}' // blanks in Egyptian, Khitan and music
    )
}

/// How this program and its log begin and end a style. None of them hides a text.
const STYLES: [&str; 10] = [
    "\u{1b}[0m",
    "\u{1b}[1m",
    "\u{1b}[2m",
    "\u{1b}[3m",
    "\u{1b}[31m",
    "\u{1b}[32m",
    "\u{1b}[33m",
    "\u{1b}[34m",
    "\u{1b}[35m",
    "\u{1b}[36m",
];

/// `text`, of one or more lines, with invisible characters escaped. The colours that this program gives it stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'), rust)
}

/// `text` on one line, with invisible characters and line breaks escaped. The colours that this program gives it stay.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\t', rust)
}

/// The same for a text that is JSON and stays it, with the same meaning.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |c| matches!(c, '\n' | '\t'),
        |c, into| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                _ = write!(into, "\\u{unit:04x}");
            }
        },
    )
}

fn rust(c: char, into: &mut String) {
    if c == '\n' {
        into.push_str("\\n");
    } else {
        _ = write!(into, "{}", c.escape_unicode());
    }
}

fn escaped(
    text: &str,
    stays: impl Fn(char) -> bool,
    escape: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    let begins_style = |at: usize| STYLES.iter().any(|style| text[at..].starts_with(style));
    let is_seen =
        |(at, c): (usize, char)| is_visible(c) || stays(c) || (c == '\u{1b}' && begins_style(at));
    if text.char_indices().all(is_seen) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        if is_seen((at, c)) {
            shown.push(c);
        } else {
            escape(c, &mut shown);
        }
    }
    Cow::Owned(shown)
}

/// Where a log goes. Each entry becomes one line, with invisible characters escaped.
#[derive(Debug)]
pub struct Visible<W> {
    /// Where it goes.
    pub to: W,
    /// Whether lines are JSON.
    pub is_json: bool,
}

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        let shown = if self.is_json {
            json(&text)
        } else {
            match text.strip_suffix('\n') {
                Some(text) => Cow::Owned(line(text).into_owned() + "\n"),
                None => line(&text),
            }
        };
        self.to.write_all(shown.as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    /// Each with its kind.
    const HIDDEN: [(char, &str); 45] = [
        ('\0', "null"),
        ('\u{1b}', "escape"),
        ('\u{7f}', "delete"),
        ('\u{85}', "next line"),
        ('\u{ad}', "soft hyphen"),
        ('\u{34f}', "combining grapheme joiner"),
        ('\u{61c}', "Arabic letter mark"),
        ('\u{115f}', "Hangul choseong filler"),
        ('\u{1160}', "Hangul jungseong filler"),
        ('\u{17b4}', "Khmer inherent vowel"),
        ('\u{180b}', "Mongolian variation selector"),
        ('\u{180e}', "Mongolian vowel separator"),
        ('\u{200b}', "zero-width space"),
        ('\u{200c}', "zero-width non-joiner"),
        ('\u{200d}', "zero-width joiner"),
        ('\u{200e}', "left-to-right mark"),
        ('\u{200f}', "right-to-left mark"),
        ('\u{2028}', "line separator"),
        ('\u{2029}', "paragraph separator"),
        ('\u{202a}', "left-to-right embedding"),
        ('\u{202e}', "right-to-left override"),
        ('\u{2060}', "word joiner"),
        ('\u{2061}', "function application"),
        ('\u{2066}', "left-to-right isolate"),
        ('\u{2069}', "pop directional isolate"),
        ('\u{206a}', "inhibit symmetric swapping"),
        ('\u{2800}', "Braille blank"),
        ('\u{3164}', "Hangul filler"),
        ('\u{e000}', "private use"),
        ('\u{fdd0}', "noncharacter"),
        ('\u{fe00}', "variation selector"),
        ('\u{fe0f}', "variation selector of emoji"),
        ('\u{feff}', "byte order mark"),
        ('\u{ffa0}', "halfwidth Hangul filler"),
        ('\u{fff9}', "interlinear annotation anchor"),
        ('\u{fffb}', "interlinear annotation terminator"),
        ('\u{1d159}', "musical null notehead"),
        ('\u{1d173}', "musical begin beam"),
        ('\u{e0001}', "language tag"),
        ('\u{e0041}', "tag of a letter"),
        ('\u{e007f}', "cancel tag"),
        ('\u{e0100}', "variation selector supplement"),
        ('\u{e0fff}', "unassigned"),
        ('\u{f0000}', "private use plane"),
        ('\u{10ffff}', "the last"),
    ];

    /// Words of many scripts, with marks and emoji.
    const SEEN: [&str; 18] = [
        "public.orders_2026-10",
        r#"{"a": [1, 'b'], `c\d`}"#,
        "größe",
        "gro\u{308}ße",
        "заказы",
        "παραγγελίες",
        "הזמנות",
        "الطلبات",
        "سَفَارِش",
        "आदेश",
        "கட்டளைகள்",
        "คำสั่งซื้อ",
        "การสั่งซื้อ",
        "注文",
        "订单",
        "주문",
        "ትዕዛዞች",
        "🚀👍🏽€→½",
    ];

    #[test]
    fn what_is_not_seen_is_escaped() {
        for (c, what) in HIDDEN {
            assert!(!is_visible(c) && !is_visible_first(c), "{what}");
            let shown = format!("a\\u{{{:x}}}b", u32::from(c));
            assert_eq!(lines(&format!("a{c}b")), shown, "{what}");
        }
    }

    #[test]
    fn colours_stay_and_nothing_else_commands_the_terminal() {
        let red = "\u{1b}[1m\u{1b}[31mERRORS\u{1b}[0m";
        assert_eq!((lines(red), line(red)), (red.into(), red.into()));
        for hides in [
            "\u{1b}[8m",
            "\u{1b}[30m",
            "\u{1b}[0;8m",
            "\u{1b}[2J",
            "\u{1b}]0;title",
            "\u{1b}]8;;https://evil.example\u{1b}\\",
            "\u{1b}",
        ] {
            assert!(!lines(hides).contains('\u{1b}'), "{hides:?}");
            assert!(!line(hides).contains('\u{1b}'), "{hides:?}");
            assert!(!json(hides).contains('\u{1b}'), "{hides:?}");
        }
    }

    #[test]
    fn letters_of_all_scripts_and_emoji_stay() {
        for word in SEEN {
            assert_eq!(lines(word), word);
            assert!(word.chars().next().is_some_and(is_visible_first), "{word}");
        }
    }

    #[test]
    fn a_mark_that_belongs_to_nothing_is_not_seen() {
        for mark in ['\u{301}', '\u{5b4}', '\u{64e}', '\u{20dd}'] {
            assert!(is_visible(mark) && !is_visible_first(mark), "{mark:?}");
        }
    }

    #[test]
    fn a_log_line_is_written_whole_and_escaped() {
        let entry = "\u{1b}[2mnow\u{1b}[0m a\u{202e}b\u{e0041}";
        for (is_json, logged, wanted) in [
            (
                false,
                format!("{entry}\n"),
                "\u{1b}[2mnow\u{1b}[0m a\\u{202e}b\\u{e0041}\n",
            ),
            (
                true,
                format!("{entry}\n"),
                "\u{1b}[2mnow\u{1b}[0m a\\u202eb\\udb40\\udc41\n",
            ),
            // A text from outside begins no entry of its own.
            (
                false,
                "refused: x\r\n2026-11-30 INFO approved\n".to_owned(),
                "refused: x\\u{d}\\n2026-11-30 INFO approved\n",
            ),
        ] {
            let mut log = Visible {
                to: Vec::new(),
                is_json,
            };
            log.write_all(logged.as_bytes()).unwrap();
            log.flush().unwrap();
            assert_eq!(String::from_utf8(log.to).unwrap(), wanted);
        }
    }

    proptest! {
        #[test]
        fn every_shown_character_is_visible(text in "[\\PC\\p{C}\u{200b}-\u{200f}\u{e0000}-\u{e0fff}]{0,60}") {
            let shown = lines(&text);
            let all = shown.chars().all(|c| matches!(c, '\n' | '\t') || is_visible(c));
            prop_assert!(all, "{:?}", shown);
            prop_assert_eq!(lines(&shown), shown.as_ref());
            prop_assert!(line(&text).lines().count() <= 1);
        }

        #[test]
        fn json_keeps_its_meaning(text in "[\\PC\\p{C}\u{200b}-\u{200f}\u{e0000}-\u{e0fff}]{0,60}") {
            let written = serde_json::to_string(&text).unwrap();
            let shown = json(&written);
            prop_assert!(shown.chars().all(is_visible));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
    }
}
