//! A table for a terminal.

use std::io::Write as _;

use serde::Serialize;

use super::json;
use crate::identity::shown;

/// Between two columns.
const GAP: &str = "   ";

/// Lines with columns as wide as their widest cell. Cells come from users, so control characters
/// and bidi marks are escaped, and the middle of a long one is left out.
pub(super) fn render<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> String {
    align(headings, rows.map(|row| row.map(|cell| shown(&cell))))
}

/// Prints rows as JSON, or as a table.
///
/// # Errors
/// The output's.
pub(super) fn print<T: Serialize, const COLUMNS: usize>(
    as_json: bool,
    rows: &[T],
    headings: [&str; COLUMNS],
    row: impl Fn(&T) -> [String; COLUMNS],
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match as_json {
        true => json::write(&mut out, rows),
        false => Ok(out.write_all(render(headings, rows.iter().map(row)).as_bytes())?),
    }
}

/// As [`render`], with cells that are whole: for text that is the operator's, on one line.
pub(super) fn align<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> String {
    let mut lines = vec![headings.map(str::to_owned)];
    lines.extend(rows);
    let width = |column: usize| lines.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| width(column).unwrap_or(0));
    lines
        .iter()
        .map(|row| {
            let cells = row.iter().zip(widths);
            let line: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            format!("{}\n", line.join(GAP).trim_end())
        })
        .collect()
}
