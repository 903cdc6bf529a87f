//! Globs on names of tables: `*` matches any text, `?` one character; no other character is special.
//!
//! The author of a policy also decides how much work matching its globs is, for every table at every poll. Therefore
//! matching takes time proportional to the length of the name, and the globs of a list are bounded.

mod automaton;
mod error;

use std::cell::OnceCell;

use automaton::Automaton;
pub use error::{GlobError, MOST_CHARACTERS};

/// Several lists of globs. A list matches a name if one of its globs does. Little memory: each of 10,000 policies may have some.
#[derive(Debug, Clone, Default)]
pub struct Globs {
    /// Of each list, the globs that are cheap to match.
    simple: Box<[Box<[Simple]>]>,
    /// The other globs of all lists. Boxed, because most policies have none.
    others: Option<Box<Automaton>>,
}

/// A glob without `?` and with at most one star, as most are.
#[derive(Debug, Clone)]
enum Simple {
    /// No star.
    Exactly(Box<str>),
    /// What is before the star, and what is after it.
    Ends(Box<str>, Box<str>),
}

impl Simple {
    fn new(pattern: &str) -> Option<Self> {
        if pattern.contains('?') {
            return None;
        }
        match pattern.split_once('*') {
            None => Some(Self::Exactly(pattern.into())),
            Some((_, end)) if end.contains('*') => None,
            Some((start, end)) => Some(Self::Ends(start.into(), end.into())),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exactly(pattern) => **pattern == *name,
            // Start and end must not overlap.
            Self::Ends(start, end) => name
                .strip_prefix(&**start)
                .is_some_and(|rest| rest.ends_with(&**end)),
        }
    }
}

impl Globs {
    /// Reads one list.
    pub fn new(patterns: &[String]) -> Result<Self, GlobError> {
        Self::lists([patterns])
    }

    /// Reads several lists.
    pub fn lists<'a>(lists: impl IntoIterator<Item = &'a [String]>) -> Result<Self, GlobError> {
        let mut others: Option<Box<Automaton>> = None;
        let mut all = Vec::new();
        for (list, patterns) in lists.into_iter().enumerate() {
            let mut simple = Vec::new();
            for pattern in patterns {
                if pattern.contains(['[', ']', '{', '}', '\\']) {
                    return Err(GlobError::Unsupported(pattern.clone()));
                }
                match Simple::new(pattern) {
                    Some(glob) => simple.push(glob),
                    None => others.get_or_insert_default().add(pattern, list)?,
                }
            }
            all.push(simple.into_boxed_slice());
        }
        Ok(Self {
            simple: all.into_boxed_slice(),
            others,
        })
    }

    /// True if one of all lists matches the whole of `name`.
    #[must_use]
    pub fn is_match(&self, name: &str) -> bool {
        self.first(name, |_| true).is_some()
    }

    /// The first list that matches the whole of `name`, of those that are `wanted`.
    pub fn first(&self, name: &str, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let states = OnceCell::new();
        let mut lists = self.simple.iter().enumerate();
        let found = lists.find(|(list, simple)| {
            wanted(*list)
                && (simple.iter().any(|glob| glob.matches(name))
                    || self.others.as_ref().is_some_and(|others| {
                        !others.lacks(*list)
                            && others.accepts(states.get_or_init(|| others.read(name)), *list)
                    }))
        });
        found.map(|(list, _)| list)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prop_assert_eq, proptest};
    use wildmatch::WildMatch;

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
    fn special_characters_of_other_globs_are_refused() {
        for odd in ["t[12]", "{a,b}", r"a\*"] {
            assert!(Globs::new(&[odd.to_owned()]).is_err(), "{odd}");
        }
    }

    #[test]
    fn globs_that_take_too_long_are_refused() {
        let long = |count: usize| vec![format!("?{}", "a".repeat(63)); count];
        assert!(Globs::new(&long(16)).is_ok());
        assert!(matches!(Globs::new(&long(17)), Err(GlobError::TooLarge)));
        let lists = [long(8), long(9)];
        let lists = lists.iter().map(Vec::as_slice);
        assert!(matches!(Globs::lists(lists), Err(GlobError::TooLarge)));
        // As many globs as the limit allows.
        let short = vec!["?".to_owned(); MOST_CHARACTERS];
        assert!(Globs::new(&short).unwrap().is_match("a"));
        // Names of tables, and globs with one star, are cheap.
        let cheap = ["a".repeat(256), format!("{}*", "a".repeat(255))];
        let many: Vec<String> = cheap.into_iter().cycle().take(64).collect();
        assert!(Globs::new(&many).is_ok());
    }

    #[test]
    fn the_first_matching_list_that_is_wanted_is_used() {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let lists = [own(&["a*"]), own(&["*b?"]), own(&[]), own(&["?b*", "ab?"])];
        let globs = Globs::lists(lists.iter().map(Vec::as_slice)).unwrap();
        for (name, without, expected) in [
            ("abc", 9, Some(0)),
            ("abc", 0, Some(1)),
            ("abcd", 0, Some(3)),
            ("xbc", 1, Some(3)),
            ("xc", 9, None),
        ] {
            assert_eq!(
                globs.first(name, |list| list != without),
                expected,
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_glob_matches_as_those_of_earlier_versions_did(pattern in "[abä*?]{0,9}", name in "[abäx]{0,12}") {
            prop_assert_eq!(matches(&pattern, &name), WildMatch::new(&pattern).matches(&name));
        }

        #[test]
        fn other_globs_do_not_change_the_result(
            patterns in vec("[ab*?]{1,40}", 1..12),
            name in "[ab]{0,80}",
        ) {
            let alone = patterns.iter().any(|pattern| WildMatch::new(pattern).matches(&name));
            prop_assert_eq!(Globs::new(&patterns).unwrap().is_match(&name), alone);
            let lists = Globs::lists(patterns.iter().map(std::slice::from_ref)).unwrap();
            let first = patterns.iter().position(|pattern| WildMatch::new(pattern).matches(&name));
            prop_assert_eq!(lists.first(&name, |_| true), first);
        }

        #[test]
        fn no_text_makes_it_panic(patterns in vec("\\PC{0,60}", 0..40), name in "\\PC{0,80}") {
            if let Ok(globs) = Globs::new(&patterns) {
                let _ = globs.is_match(&name);
            }
        }
    }
}
