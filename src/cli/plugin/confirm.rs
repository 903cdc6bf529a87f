//! Asking twice before something that wipes a table is approved or asked for.

use std::io::{BufRead, IsTerminal, Write};

use super::PluginError;

/// Lets a person type `word` before `what` is done, unless they have said yes on the command line.
pub(super) fn confirm(yes: bool, what: &str, word: &str) -> Result<(), PluginError> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(PluginError::refused(format!(
            "{what} wipes data, so somebody has to type {word:?} at a terminal; where there is none, add --yes. Nothing was changed"
        )));
    }
    // On standard error: what is on standard output may be read by a program.
    let mut prompt = std::io::stderr();
    let asked = write!(prompt, "{what} wipes data. To go on, type {word}: ");
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
        "that is another name. Nothing was changed",
    ))
}
