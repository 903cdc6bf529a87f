//! What goes to standard output and standard error.

use std::io::{ErrorKind, IsTerminal, Write};

use serde::Serialize;

use super::CliError;
use crate::posthog::visible;

/// Widest line of a report, in characters: longer ones are hard to read. Also the width if there is no terminal.
const WIDEST: usize = 100;
/// Narrowest line: below that, a column of names leaves no space for a text.
const NARROWEST: usize = 50;

/// Writes `text` with invisible characters escaped. A reader that stops early, such as `head`, is not an error. Colours
/// are used only at a terminal.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut out = anstream::stdout().lock();
    let text = visible::lines(text);
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// The result of a write. A closed pipe is not an error.
pub(super) fn written(result: std::io::Result<()>) -> Result<(), CliError> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::Print(error.to_string()))
        }
        _ => Ok(()),
    }
}

/// Why a program cannot start: kube and reqwest use one crypto provider for the process.
pub const ANOTHER_PROVIDER: &str = "error: another crypto provider is already installed";

/// Writes a line to standard error. If that is closed, the line is dropped.
pub fn print_error(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", visible::line(line));
}

/// Writes lines to standard error, because standard output is for programs. If that is closed, they are dropped.
pub(super) fn print_aside(lines: &str) {
    let _ = writeln!(std::io::stderr(), "{}", visible::lines(lines));
}

/// Clears the terminal and moves to its top.
pub(super) fn clear_screen() -> Result<(), CliError> {
    let mut out = anstream::stdout().lock();
    written(out.write_all(b"\x1b[H\x1b[2J\x1b[3J"))
}

/// How wide a line may be.
pub(super) fn width() -> usize {
    if std::io::stdout().is_terminal() {
        textwrap::termwidth().clamp(NARROWEST, WIDEST)
    } else {
        WIDEST
    }
}

/// `value` as YAML.
pub(super) fn yaml<A: Serialize>(value: &A) -> Result<String, CliError> {
    serde_saphyr::to_string(value).map_err(|error| CliError::Print(error.to_string()))
}

/// `value` as indented JSON, with a trailing line break.
pub(super) fn json<A: Serialize>(value: &A) -> Result<String, CliError> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|error| CliError::Print(error.to_string()))?;
    text.push('\n');
    Ok(visible::json(&text).into_owned())
}
