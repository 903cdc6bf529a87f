//! What a person at a terminal sees while a long read is under way.

use std::io::{IsTerminal, Write};

/// One line on standard error that replaces itself. Nothing where no person looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    shown: bool,
}

impl Progress {
    /// A line on standard error, if that is a terminal.
    pub(super) fn new() -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
        }
    }

    /// Shows `what` in place of what was shown before.
    pub(super) fn says(self, what: &str) {
        self.write(&format!("\r\x1b[K{what} …"));
    }

    /// Leaves an empty line to what comes next.
    pub(super) fn clears(self) {
        self.write("\r\x1b[K");
    }

    fn write(self, text: &str) {
        if self.shown {
            let mut terminal = std::io::stderr();
            // Progress that cannot be shown is no reason to end.
            let _ = terminal.write_all(text.as_bytes());
            let _ = terminal.flush();
        }
    }
}
