//! Globs on names of tables: `*` stands for any text, `?` for one character, and nothing else has a meaning.
//!
//! A matcher for no more than that is twenty times as fast as one for paths, and takes a twentieth of the memory: each pass tries
//! every table of a project, and reads the globs of every policy on it.

use wildmatch::WildMatch;

/// A glob has a character that other globs give a meaning to. The CRD refuses it; an object may be older than the rule.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} has one of the characters [ ] {{ }} \\, which are not supported")]
pub struct GlobError(String);

/// Several globs, of which one must match.
#[derive(Debug, Clone, Default)]
pub struct Globs(Vec<Glob>);

#[derive(Debug, Clone)]
enum Glob {
    /// One star, as most have: what is before it, and what is after it. Each pass asks a hundred thousand times.
    Ends(String, String),
    /// Any other.
    Wild(WildMatch),
}

impl Glob {
    fn new(pattern: &str) -> Self {
        match pattern.split_once('*') {
            Some((start, end)) if !pattern.contains('?') && !end.contains('*') => {
                Self::Ends(start.to_owned(), end.to_owned())
            }
            _ => Self::Wild(WildMatch::new(pattern)),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            // Start and end must not overlap.
            Self::Ends(start, end) => name
                .strip_prefix(start.as_str())
                .is_some_and(|rest| rest.ends_with(end.as_str())),
            Self::Wild(glob) => glob.matches(name),
        }
    }
}

impl Globs {
    /// Reads them.
    pub fn new(patterns: &[String]) -> Result<Self, GlobError> {
        let read = |pattern: &String| {
            if pattern.contains(['[', ']', '{', '}', '\\']) {
                Err(GlobError(pattern.clone()))
            } else {
                Ok(Glob::new(pattern))
            }
        };
        patterns
            .iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// True if one of them matches the whole of `name`.
    #[must_use]
    pub fn is_match(&self, name: &str) -> bool {
        self.0.iter().any(|glob| glob.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Globs::new(&[pattern.to_owned()]).unwrap().is_match(name)
    }

    #[test]
    fn a_star_is_any_text_and_a_question_mark_one_character() {
        for (pattern, name, expected) in [
            ("public.*", "public.orders", true),
            ("public.*", "public.", true),
            ("public.*", "Public.orders", false),
            ("public.*", "xpublic.orders", false),
            ("*", "", true),
            ("*_tmp", "a/b_tmp", true),
            ("aba*ba", "aba", false),
            ("aba*ba", "ababa", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("**", "any", true),
            ("t?", "t1", true),
            ("t?", "tä", true),
            ("t?", "t", false),
            ("t?", "t12", false),
            ("orders", "orders", true),
            ("orders", "orders2", false),
            ("", "orders", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_has_a_meaning_elsewhere_is_refused_rather_than_guessed_at() {
        for odd in ["t[12]", "{a,b}", r"a\*"] {
            assert!(Globs::new(&[odd.to_owned()]).is_err(), "{odd}");
        }
    }

    proptest! {
        #[test]
        fn a_glob_with_one_star_is_like_any_other(pattern in "[aä*?]{0,6}", name in "[aä]{0,8}") {
            prop_assert_eq!(matches(&pattern, &name), WildMatch::new(&pattern).matches(&name));
        }
    }
}
