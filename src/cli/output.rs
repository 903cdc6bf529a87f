//! What goes to standard output.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use super::CliError;

/// Writes `text`. A reader that stops early, such as `head`, is no error. Colours are left out where nobody sees them.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::Print(error.to_string()))
        }
        _ => Ok(()),
    }
}

/// `value` as YAML.
pub(super) fn yaml<A: Serialize>(value: &A) -> Result<String, CliError> {
    serde_saphyr::to_string(value).map_err(|error| CliError::Print(error.to_string()))
}

/// `value` as JSON for people, with a line break at its end.
pub(super) fn json<A: Serialize>(value: &A) -> Result<String, CliError> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|error| CliError::Print(error.to_string()))?;
    text.push('\n');
    Ok(text)
}
