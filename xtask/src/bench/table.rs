//! A scenario's results as a table: Markdown for people, JSON for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use super::spread::Spread;

/// One scenario's results.
#[derive(Clone, Debug)]
pub struct Table {
    /// The scenario's name.
    pub name: &'static str,
    /// What was done and what the figures mean, in a few sentences.
    pub about: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows in order.
    pub rows: Vec<Row>,
}

/// One figure per row.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its JSON name, unit included.
    pub key: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// Decimal places.
    pub digits: usize,
}

/// A tracer or case with its figures.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name of the tracer or case.
    pub of: String,
    /// One value per column.
    pub values: Vec<Value>,
}

/// A cell's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Not measured or not applicable.
    Absent,
    /// Median and range of several measurements.
    Spread(Spread),
    /// A single measurement or a sum.
    Number(f64),
}

impl From<Option<Spread>> for Value {
    fn from(spread: Option<Spread>) -> Self {
        spread.map_or(Self::Absent, Self::Spread)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number as f64)
    }
}

impl From<Option<f64>> for Value {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::Absent, Self::Number)
    }
}

impl Table {
    /// As a Markdown section: name, description, rows.
    pub fn section(&self) -> String {
        format!("## {}\n\n{}\n\n{}", self.name, self.about, self.markdown())
    }

    /// Returns the table with only these columns and rows, by their titles; none means all.
    pub fn select(&self, columns: &[&str], rows: &[&str]) -> Self {
        let is_wanted = |column: &Column| columns.is_empty() || columns.contains(&column.title);
        let mut table = self.clone();
        table.columns.retain(is_wanted);
        table.rows.retain(|row| rows.is_empty() || rows.contains(&row.of.as_str()));
        for row in &mut table.rows {
            let mut columns = self.columns.iter();
            row.values.retain(|_| columns.next().is_some_and(is_wanted));
        }
        table
    }

    /// The rows alone, as an aligned Markdown table.
    pub fn markdown(&self) -> String {
        let mut cells = vec![self.heading()];
        cells.extend(self.rows.iter().map(|row| {
            let values =
                row.values.iter().zip(&self.columns).map(|(value, column)| value.text(column.digits));
            std::iter::once(row.of.clone()).chain(values).collect()
        }));
        let widths: Vec<usize> = (0..=self.columns.len())
            .map(|at| cells.iter().map(|row| row[at].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for (number, row) in cells.iter().enumerate() {
            line(&mut text, row, &widths);
            if number == 0 {
                let rule = |(at, width): (usize, &usize)| {
                    if at == 0 {
                        "-".repeat(*width)
                    } else {
                        format!("{}:", "-".repeat(width.saturating_sub(1)))
                    }
                };
                line(&mut text, &widths.iter().enumerate().map(rule).collect::<Vec<_>>(), &widths);
            }
        }
        text
    }

    fn heading(&self) -> Vec<String> {
        let titles = self.columns.iter().map(|column| column.title.to_owned());
        std::iter::once(String::new()).chain(titles).collect()
    }

    /// As JSON: one object per row.
    pub fn json(&self) -> Json {
        let rows: Vec<Json> = self
            .rows
            .iter()
            .map(|row| {
                let mut object = Map::from_iter([("of".to_owned(), json!(row.of))]);
                let values = row.values.iter().zip(&self.columns);
                object.extend(values.map(|(value, column)| (column.key.to_owned(), value.json())));
                Json::Object(object)
            })
            .collect();
        json!({ "name": self.name, "about": self.about, "rows": rows })
    }
}

impl Value {
    fn text(&self, digits: usize) -> String {
        match self {
            Self::Absent => "·".to_owned(),
            Self::Number(number) => grouped(*number, digits),
            Self::Spread(Spread { median, rounds: 1, .. }) => grouped(*median, digits),
            Self::Spread(Spread { median, min, max, .. }) => {
                format!("{} ({}–{})", grouped(*median, digits), grouped(*min, digits), grouped(*max, digits))
            }
        }
    }

    fn json(&self) -> Json {
        match self {
            Self::Absent => Json::Null,
            Self::Number(number) => json!(number),
            Self::Spread(spread) => json!(spread),
        }
    }
}

fn line(text: &mut String, cells: &[String], widths: &[usize]) {
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let pad = " ".repeat(width - cell.chars().count());
        // Names are left-aligned, figures right-aligned.
        let _ = if at == 0 { write!(text, "| {cell}{pad} ") } else { write!(text, "| {pad}{cell} ") };
    }
    text.push_str("|\n");
}

/// A number with thousands separators.
fn grouped(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    fraction.map_or(grouped.clone(), |fraction| format!("{grouped}.{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            name: "throughput",
            about: "What is kept.".to_owned(),
            columns: vec![
                Column { key: "kept", title: "kept", digits: 2 },
                Column { key: "lost", title: "lost", digits: 0 },
            ],
            rows: vec![
                Row {
                    of: "probe json".to_owned(),
                    values: vec![Spread::of([0.9, 0.8, 1.0]).into(), 0_u64.into()],
                },
                Row {
                    of: "tcpstates".to_owned(),
                    values: vec![Spread::of([0.31]).into(), 1_234_567.0.into()],
                },
                Row { of: "perf".to_owned(), values: vec![None::<Spread>.into(), Value::Absent] },
            ],
        }
    }

    #[test]
    fn markdown_cells_are_aligned() {
        let expected = "\
## throughput

What is kept.

|            |             kept |      lost |
| ---------- | ---------------: | --------: |
| probe json | 0.90 (0.80–1.00) |         0 |
| tcpstates  |             0.31 | 1,234,567 |
| perf       |                · |         · |
";
        assert_eq!(table().section(), expected);
    }

    #[test]
    fn columns_and_rows_can_be_selected() {
        let table = table().select(&["lost"], &["tcpstates"]);
        assert_eq!(table.markdown().lines().nth(2), Some("| tcpstates | 1,234,567 |"));
        assert_eq!(self::table().select(&[], &[]).markdown(), self::table().markdown());
    }

    #[test]
    fn json_has_every_figure() {
        let json = table().json();
        assert_eq!(json["rows"][0]["kept"]["min"], 0.8);
        assert_eq!(json["rows"][1]["lost"], 1_234_567.0);
        assert_eq!(json["rows"][2]["of"], "perf");
        assert_eq!(json["rows"][2]["kept"], Json::Null);
    }

    #[test]
    fn thousands_are_separated() {
        for (number, digits, text) in
            [(0.0, 0, "0"), (999.0, 0, "999"), (1000.0, 0, "1,000"), (-12_345.678, 1, "-12,345.7")]
        {
            assert_eq!(grouped(number, digits), text);
        }
    }
}
