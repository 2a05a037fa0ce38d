//! Aligned tables of text.

use std::fmt;

/// Spaces between two columns.
const GAP: &str = "  ";

/// Rows of cells under headings. Amounts stand to the right of their column.
#[derive(Debug)]
pub struct Table {
    headings: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings; one that starts with `>` makes its column
    /// stand to the right.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        Self {
            right: headings.iter().map(|one| one.starts_with('>')).collect(),
            headings: headings
                .iter()
                .map(|one| one.trim_start_matches('>').to_owned())
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with one cell for each heading.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.headings.len(), "a row fills every column");
        // A line break or an escape code in a member's name must not reach the terminal.
        self.rows.push(cells.map(|cell| printable(&cell)).to_vec());
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, cells: &[String], widths: &[usize]) -> fmt::Result {
        let mut line = String::new();
        for ((cell, &width), &right) in cells.iter().zip(widths).zip(&self.right) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let space = " ".repeat(width - cell.chars().count());
            line += &if right {
                space + cell
            } else {
                cell.clone() + &space
            };
        }
        writeln!(f, "{}", line.trim_end())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| {
                std::iter::once(&self.headings)
                    .chain(&self.rows)
                    .map(|row| row[column].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        self.line(f, &self.headings, &widths)?;
        self.rows
            .iter()
            .try_for_each(|row| self.line(f, row, &widths))
    }
}

/// The text without control characters.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_amounts_stand_right() {
        let mut table = Table::new(&["ID", ">SATS", "STATE"]);
        table.row(["v1".into(), "1,500".into(), "Dispensed".into()]);
        table.row(["späti-2".into(), "20".into(), "-".into()]);
        let expected = "\
ID        SATS  STATE
v1       1,500  Dispensed
späti-2     20  -
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn control_characters_of_a_name_do_not_reach_the_terminal() {
        let mut table = Table::new(&["NAME"]);
        table.row(["a\u{1b}[2J\nb".into()]);
        assert_eq!(table.to_string(), "NAME\na\u{fffd}[2J\u{fffd}b\n");
    }
}
