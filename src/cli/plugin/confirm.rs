//! Confirmation before an action that deletes data is approved or requested.

use std::io::{BufRead, IsTerminal, Write};

use super::PluginError;
use crate::posthog::visible;

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
    let asked = prompt.write_all(question(what, word).as_bytes());
    asked
        .and_then(|()| prompt.flush())
        .map_err(PluginError::Input)?;
    let mut answer = String::new();
    let mut terminal = std::io::stdin().lock();
    terminal
        .read_line(&mut answer)
        .map_err(PluginError::Input)?;
    if is_answer(&answer, word) {
        return Ok(());
    }
    Err(PluginError::refused(
        "the name does not match. Nothing was changed",
    ))
}

/// Names come from a status, which may contain anything.
fn question(what: &str, word: &str) -> String {
    let asked = format!("{what} deletes data. To confirm, type {word}: ");
    visible::line(&asked).into_owned()
}

/// Whether `word` was typed, as it is or as it is shown.
fn is_answer(typed: &str, word: &str) -> bool {
    [word, &visible::line(word)].contains(&typed.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_hide_what_is_asked_and_can_be_typed_as_it_is_shown() {
        let name = "orders\u{1b}[8m\u{202e}\n";
        let asked = question("Resync of orders", name);
        let shown = r"orders\u{1b}[8m\u{202e}\n";
        assert_eq!(
            asked,
            format!("Resync of orders deletes data. To confirm, type {shown}: ")
        );
        assert!(is_answer(&format!("{shown}\n"), name) && is_answer("orders\n", "orders"));
        assert!(!is_answer("\n", "orders") && !is_answer("order\n", "orders"));
    }
}
