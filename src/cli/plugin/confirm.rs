//! Confirmation before an action that deletes data is approved or requested.

use std::io::{BufRead, IsTerminal, Write};

use super::PluginError;

/// Asks the person to type `word` before `what` is done, unless `--yes` is given.
pub(super) fn confirm(yes: bool, what: &str, word: &str) -> Result<(), PluginError> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(PluginError::refused(format!(
            "{what} deletes data and needs confirmation: type {word:?} at a terminal, or add --yes. Nothing was changed"
        )));
    }
    // On standard error: a program may read standard output.
    let mut prompt = std::io::stderr();
    let asked = write!(prompt, "{what} deletes data. To confirm, type {word}: ");
    asked
        .and_then(|()| prompt.flush())
        .map_err(PluginError::Input)?;
    let mut answer = String::new();
    let mut terminal = std::io::stdin().lock();
    terminal
        .read_line(&mut answer)
        .map_err(PluginError::Input)?;
    if answer.trim() == word {
        return Ok(());
    }
    Err(PluginError::refused(
        "the name does not match. Nothing was changed",
    ))
}
