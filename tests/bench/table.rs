//! What was measured, side by side.

use serde_json::Value;
use std::fmt;

/// One number about one server.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// What it is, with its unit last.
    pub(crate) what: &'static str,
    pub(crate) value: f64,
}

/// A figure; smaller is better, unless its name says otherwise.
pub(crate) fn figure(what: &'static str, value: f64) -> Figure {
    Figure { what, value }
}

/// The figures of each server: a column per server, and how many times the first one's figure the others'
/// are.
#[derive(Default)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Vec<Figure>)>,
}

impl Table {
    /// Adds figures to the column of a server.
    pub(crate) fn add(&mut self, server: &'static str, figures: Vec<Figure>) {
        match self.columns.iter_mut().find(|(name, _)| *name == server) {
            Some((_, column)) => column.extend(figures),
            None => self.columns.push((server, figures)),
        }
    }

    /// As one JSON object: server, then figure.
    pub(crate) fn to_json(&self) -> Value {
        let column = |figures: &[Figure]| -> Value {
            figures
                .iter()
                .map(|figure| (figure.what.to_owned(), Value::from(figure.value)))
                .collect()
        };
        self.columns
            .iter()
            .map(|(server, figures)| ((*server).to_owned(), column(figures)))
            .collect()
    }

    /// What was measured of anybody, in the order of measuring.
    fn rows(&self) -> Vec<&'static str> {
        let mut rows = Vec::new();
        for figure in self.columns.iter().flat_map(|(_, figures)| figures) {
            if !rows.contains(&figure.what) {
                rows.push(figure.what);
            }
        }
        rows
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let width = rows.iter().map(|row| row.len()).max().unwrap_or_default();
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
            for (index, (_, figures)) in self.columns.iter().enumerate() {
                let value = figures
                    .iter()
                    .find(|figure| figure.what == row)
                    .map(|figure| figure.value);
                write!(f, " {:>12}", value.map(shown).unwrap_or_default())?;
                if index > 0 {
                    let ratio = value
                        .zip(first)
                        .map(|(value, first): (f64, f64)| value / first);
                    let ratio = ratio.filter(|ratio| ratio.is_finite());
                    write!(
                        f,
                        " {:>8}",
                        ratio
                            .map(|ratio| format!("{ratio:.1}x"))
                            .unwrap_or_default()
                    )?;
                }
                first = first.or(value);
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Three digits are what a measurement is good for.
fn shown(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        medium if medium < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
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
            ],
        );
        table.add("prosody", vec![figure("login, CPU ms", 10.1)]);
        expect![[r"
                                   hearth      prosody    ratio
            login, CPU ms            1.00         10.1    10.1x
            empty server, MB         6.25                      
        "]]
        .assert_eq(&table.to_string());
    }
}
