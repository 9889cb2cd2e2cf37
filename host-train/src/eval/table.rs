//! Tables for the terminal and for Markdown pages.

use crate::shown::shown;

/// How a column's cells are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// A table of text. Rows shorter than the heading are filled up with empty cells; cells beyond it are left out.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with a heading.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = (S, Align)>) -> Self {
        let columns = columns.into_iter().map(|(title, align)| (title.into(), align)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; what would be obeyed by a terminal is escaped, and long cells are cut (see [`shown`]).
    pub fn push<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut row: Vec<String> = cells.into_iter().map(|cell| shown(&cell.into()).to_string()).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// For the terminal: aligned columns under a ruled heading.
    pub fn to_text(&self) -> String {
        let widths = self.widths(|cell| cell.chars().count());
        let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
        let lines = std::iter::once(self.titles()).chain(std::iter::once(rule)).chain(self.rows.iter().cloned());
        let mut text = String::new();
        for cells in lines {
            text.push_str(self.aligned(&cells, &widths).join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// For a page in Markdown, aligned in its source too.
    pub fn to_markdown(&self) -> String {
        let escaped = |cells: &[String]| cells.iter().map(|cell| escape_markdown(cell)).collect::<Vec<_>>();
        let widths = self.widths(|cell| escape_markdown(cell).chars().count().max(3));
        let rule = self.columns.iter().zip(&widths).map(|((_, align), &width)| match align {
            Align::Left => "-".repeat(width),
            Align::Right => format!("{}:", "-".repeat(width - 1)),
        });
        let heading = [self.aligned(&escaped(&self.titles()), &widths), rule.collect()];
        let rows = self.rows.iter().map(|row| self.aligned(&escaped(row), &widths));
        heading.into_iter().chain(rows).map(|cells| format!("| {} |\n", cells.join(" | "))).collect()
    }

    fn titles(&self) -> Vec<String> {
        self.columns.iter().map(|(title, _)| title.clone()).collect()
    }

    fn widths(&self, width: impl Fn(&str) -> usize) -> Vec<usize> {
        let widest = |(index, (title, _)): (usize, &(String, Align))| {
            self.rows.iter().map(|row| width(&row[index])).fold(width(title), usize::max)
        };
        self.columns.iter().enumerate().map(widest).collect()
    }

    fn aligned(&self, cells: &[String], widths: &[usize]) -> Vec<String> {
        let columns = cells.iter().zip(widths).zip(&self.columns);
        let align = |((cell, &width), (_, align)): ((&String, &usize), &(String, Align))| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        };
        columns.map(align).collect()
    }
}

fn escape_markdown(cell: &str) -> String {
    cell.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([("method", Align::Left), ("8", Align::Right)]);
        table.push(["centre-out", "0.764"]);
        table.push(["policy"]);
        table
    }

    #[test]
    fn text_aligns_words_left_and_numbers_right() {
        let expected = "method          8\n----------  -----\ncentre-out  0.764\npolicy\n";
        assert_eq!(table().to_text(), expected);
    }

    #[test]
    fn markdown_marks_numbers_as_aligned_right() {
        let expected =
            "| method     |     8 |\n| ---------- | ----: |\n| centre-out | 0.764 |\n| policy     |       |\n";
        assert_eq!(table().to_markdown(), expected);
    }

    #[test]
    fn markdown_escapes_bars() {
        let mut table = Table::new([("a", Align::Left)]);
        table.push(["x|y"]);
        assert!(table.to_markdown().contains("| x\\|y |"));
    }
}
