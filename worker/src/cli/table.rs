//! Tables for people: columns side by side, numbers at the right.
//!
//! Owns: widths, and how many rows are shown of a long list.
//! Never: decides what is in a cell.

use std::fmt;

/// Of a longer list only so many rows are shown; `--json` has them all.
const ROWS_MAX: usize = 40;

/// A heading and its cells. A column whose heading begins with `#` holds numbers.
#[derive(Clone, Debug)]
pub(super) struct Table {
    headings: Vec<(&'static str, bool)>,
    rows: Vec<Vec<String>>,
    rows_max: usize,
}

impl Table {
    /// A table that shows all its rows.
    pub(super) fn new(headings: &[&'static str]) -> Self {
        let heading = |text: &&'static str| match text.strip_prefix('#') {
            Some(number) => (number, true),
            None => (*text, false),
        };
        Self { headings: headings.iter().map(heading).collect(), rows: Vec::new(), rows_max: usize::MAX }
    }

    /// A table that may be long.
    pub(super) fn long(headings: &[&'static str]) -> Self {
        Self { rows_max: ROWS_MAX, ..Self::new(headings) }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.headings.len(), "a row has a cell for each heading");
        self.rows.push(cells);
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn shown(&self) -> &[Vec<String>] {
        &self.rows[..self.rows.len().min(self.rows_max)]
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.shown().iter().map(|row| row[column].chars().count());
        cells.chain([self.headings[column].0.len()]).max().unwrap_or(0)
    }

    fn line<'a>(&self, widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
        let mut line = String::new();
        for ((cell, &width), (_, number)) in cells.zip(widths).zip(&self.headings) {
            let padded = if *number { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
            line.push_str(&padded);
        }
        line.trim_end().to_owned()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<_> = (0..self.headings.len()).map(|column| self.width(column)).collect();
        writeln!(f, "{}", self.line(&widths, self.headings.iter().map(|(text, _)| *text)))?;
        for row in self.shown() {
            writeln!(f, "{}", self.line(&widths, row.iter().map(String::as_str)))?;
        }
        let hidden = self.rows.len() - self.shown().len();
        if hidden > 0 {
            writeln!(f, "… and {hidden} more; `--json` shows all")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_at_the_right_and_lines_end_without_spaces() {
        let mut table = Table::new(&["name", "#rows", "note"]);
        table.row(["a", "12,345", ""].map(str::to_owned));
        table.row(["longer", "7", "new"].map(str::to_owned));

        assert_eq!(table.to_string(), "name      rows  note\na       12,345\nlonger       7  new\n");
    }

    #[test]
    fn a_long_list_says_how_many_are_not_shown() {
        let mut table = Table::long(&["#n"]);
        (0..50).for_each(|n| table.row([n.to_string()]));

        let text = table.to_string();

        assert_eq!(text.lines().count(), 42);
        assert!(text.ends_with("39\n… and 10 more; `--json` shows all\n"), "{text}");
    }
}
