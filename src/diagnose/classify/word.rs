//! What belongs to a word.

/// Whether a byte belongs to a word. All of a foreign character's bytes do.
pub const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
