//! What was measured, side by side.

use serde_json::Value;
use std::fmt;

/// One fact about one server.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// What it is, with its unit last.
    pub(crate) what: String,
    pub(crate) cell: Cell,
}

/// What stands in the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Number(f64),
    /// Why there is no number, in a few words.
    Note(&'static str),
}

impl Cell {
    fn number(&self) -> Option<f64> {
        match self {
            Cell::Number(number) => Some(*number),
            Cell::Note(_) => None,
        }
    }
}

/// A figure; smaller is better, unless its name says otherwise.
pub(crate) fn figure(what: impl Into<String>, value: f64) -> Figure {
    let (what, cell) = (what.into(), Cell::Number(value));
    Figure { what, cell }
}

/// Why a server has no figure.
pub(crate) fn note(what: impl Into<String>, why: &'static str) -> Figure {
    let (what, cell) = (what.into(), Cell::Note(why));
    Figure { what, cell }
}

/// The note of a server that lacks the feature in question.
pub(crate) const NOT_OFFERED: &str = "not offered";

/// The figures of each server: a column per server, and how many times the first one's figure the others'
/// are.
#[derive(Default)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Vec<Figure>)>,
    /// What a reader should know of them, each once.
    remarks: Vec<String>,
}

impl Table {
    /// Adds figures to the column of a server.
    pub(crate) fn add(&mut self, server: &'static str, figures: Vec<Figure>) {
        match self.columns.iter_mut().find(|(name, _)| *name == server) {
            Some((_, column)) => column.extend(figures),
            None => self.columns.push((server, figures)),
        }
    }

    /// Adds a sentence below the table.
    pub(crate) fn remark(&mut self, text: String) {
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }

    /// The cell of a server, if there is one.
    pub(crate) fn cell(&self, server: &str, what: &str) -> Option<&Cell> {
        let (_, column) = self.columns.iter().find(|(name, _)| *name == server)?;
        Some(&column.iter().find(|figure| figure.what == what)?.cell)
    }

    /// As one JSON object: server, then figure; a note is a string.
    pub(crate) fn to_json(&self) -> Value {
        let column = |figures: &[Figure]| -> Value {
            let value = |cell: &Cell| match cell {
                Cell::Number(number) => Value::from(*number),
                Cell::Note(note) => Value::from(*note),
            };
            let figures = figures.iter();
            figures
                .map(|figure| (figure.what.clone(), value(&figure.cell)))
                .collect()
        };
        let columns = self.columns.iter();
        let mut all: serde_json::Map<String, Value> = columns
            .map(|(server, figures)| ((*server).to_owned(), column(figures)))
            .collect();
        all.insert("remarks".to_owned(), Value::from(self.remarks.clone()));
        all.into()
    }

    /// What was measured of anybody, in the order of measuring.
    fn rows(&self) -> Vec<&str> {
        let mut rows: Vec<&str> = Vec::new();
        for figure in self.columns.iter().flat_map(|(_, figures)| figures) {
            if !rows.contains(&figure.what.as_str()) {
                rows.push(&figure.what);
            }
        }
        rows
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let lengths = rows.iter().map(|row| row.chars().count());
        let width = lengths.max().unwrap_or_default();
        write!(f, "{:width$}", "")?;
        for (index, (server, _)) in self.columns.iter().enumerate() {
            write!(f, " {server:>12}")?;
            if index > 0 {
                write!(f, " {:>8}", "ratio")?;
            }
        }
        writeln!(f)?;
        for row in rows {
            write!(f, "{row:width$}")?;
            let mut first = None;
            for (index, (server, _)) in self.columns.iter().enumerate() {
                let cell = self.cell(server, row);
                write!(f, " {:>12}", cell.map(shown).unwrap_or_default())?;
                let number = cell.and_then(Cell::number);
                if index == 0 {
                    first = number;
                    continue;
                }
                let ratio = number.zip(first).map(|(number, first)| number / first);
                let ratio = ratio.filter(|ratio| ratio.is_finite());
                let ratio = ratio.map(|ratio| format!("{ratio:.1}x"));
                write!(f, " {:>8}", ratio.unwrap_or_default())?;
            }
            writeln!(f)?;
        }
        for remark in &self.remarks {
            writeln!(f, "{remark}")?;
        }
        Ok(())
    }
}

/// Three digits are what a measurement is good for.
fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Note(note) => (*note).to_owned(),
        Cell::Number(value) => match value.abs() {
            small if small < 10.0 => format!("{value:.2}"),
            medium if medium < 100.0 => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn servers_stand_side_by_side() {
        let mut table = Table::default();
        table.add(
            "hearth",
            vec![
                figure("login, CPU ms", 1.0),
                figure("empty server, MB", 6.25),
                note("page, CPU µs", NOT_OFFERED),
            ],
        );
        table.add(
            "prosody",
            vec![figure("login, CPU ms", 10.1), figure("page, CPU µs", 15.0)],
        );
        table.remark("One disk.".to_owned());
        table.remark("One disk.".to_owned());
        expect![[r"
                                   hearth      prosody    ratio
            login, CPU ms            1.00         10.1    10.1x
            empty server, MB         6.25                      
            page, CPU µs      not offered         15.0         
            One disk.
        "]]
        .assert_eq(&table.to_string());
    }
}
