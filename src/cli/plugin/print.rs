//! What `kubectl wsp` writes to standard output.

use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;
use textwrap::core::display_width;

use super::PluginError;
use crate::{cli::output, posthog::redact};

/// Widest cell of a table, in characters.
const CELL: usize = 80;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For people, with more columns
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// Prints `value` for programs, or the text for people.
pub(super) fn print<A: Serialize>(
    format: Format,
    value: &A,
    text: impl FnOnce() -> String,
) -> Result<ExitCode, PluginError> {
    let printed = match format {
        Format::Table | Format::Wide => text(),
        Format::Json => output::json(value)?,
        Format::Yaml => output::yaml(value)?,
    };
    output::print(&printed)?;
    Ok(ExitCode::SUCCESS)
}

/// Rows under a header, in columns.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    // Names and texts come from a status, which may contain anything: it must not move the cursor.
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| redact::one_line(cell, CELL)))
        .collect();
    let header = header.map(str::to_owned);
    let all = || std::iter::once(&header).chain(&rows);
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = all().map(|row| display_width(&row[column]));
        cells.max().unwrap_or_default()
    });
    all().map(|row| line(row, &widths)).collect()
}

fn line<const N: usize>(row: &[String; N], widths: &[usize; N]) -> String {
    let cells = row.iter().zip(widths);
    let padded: Vec<String> = cells
        .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - display_width(cell))))
        .collect();
    format!("{}\n", padded.join("   ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "1"], ["日本", "22"]].map(|row| row.map(str::to_owned));
        assert_eq!(
            table(["NAME", "N"], &rows),
            "NAME   N\na      1\n日本   22\n"
        );
    }

    #[test]
    fn nothing_in_a_cell_moves_the_cursor() {
        let rows = [["a\u{1b}[2Jb\nc".to_owned()]];
        assert!(!table(["X"], &rows).contains('\u{1b}'));
        assert_eq!(table(["X"], &rows).lines().count(), 2);
    }
}
