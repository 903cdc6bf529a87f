//! Why globs cannot be used.

/// How many characters the globs of one field that contain a `?` or more than one `*` may have together. The CRD has
/// the same limit.
pub const MOST_CHARACTERS: usize = 1024;

/// Why globs cannot be used. The CRD refuses them; an object may be older than the rule.
#[derive(Debug, thiserror::Error)]
pub enum GlobError {
    /// A glob has a character that is special in other kinds of globs.
    #[error("{0:?} has one of the characters [ ] {{ }} \\, which are not supported")]
    Unsupported(String),
    /// Matching would take too long.
    #[error(
        "the globs that contain ? or more than one * have more than {MOST_CHARACTERS} characters in total"
    )]
    TooLarge,
}
