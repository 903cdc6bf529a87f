//! The progress line at a terminal during a long read.

use std::io::{IsTerminal, Write};

/// One line on standard error that replaces itself. Nothing if standard error is not a terminal.
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

    /// Shows `what` instead of the previous text.
    pub(super) fn show(self, what: &str) {
        self.write(&format!("\r\x1b[K{what} …"));
    }

    /// Clears the line for the next output.
    pub(super) fn clear(self) {
        self.write("\r\x1b[K");
    }

    fn write(self, text: &str) {
        if self.shown {
            let mut terminal = std::io::stderr();
            // The command continues even if progress cannot be shown.
            let _ = terminal.write_all(text.as_bytes());
            let _ = terminal.flush();
        }
    }
}
