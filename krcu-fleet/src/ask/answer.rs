//! Answer: the rows of a question in an order and a form that do not depend on who answered, and their digest.

use polars::prelude::{Column, DataFrame, NamedFrom as _, PolarsResult, Series};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::question::Kind;
use crate::time;

/// The rows of a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    columns: Vec<(&'static str, Kind)>,
    rows: Vec<Vec<Value>>,
}

impl Answer {
    /// An answer of these rows, which may be in any order.
    #[must_use]
    pub fn new(columns: Vec<(&'static str, Kind)>, rows: Vec<Vec<Value>>) -> Answer {
        let mut rows: Vec<(String, Vec<Value>)> = rows.into_iter().map(|row| (line(&row), row)).collect();
        rows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Answer { columns, rows: rows.into_iter().map(|(_, row)| row).collect() }
    }

    /// An answer of lines of JSON, an array of values each.
    ///
    /// # Errors
    /// With the first line that is no such row.
    pub fn of_lines(columns: Vec<(&'static str, Kind)>, lines: &str) -> Result<Answer, String> {
        let row = |text: &str| {
            let row: Vec<Value> = serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))?;
            let fits = row.len() == columns.len()
                && row.iter().zip(&columns).all(|(value, (_, kind))| {
                    value.is_null()
                        || match kind {
                            Kind::Number => value.is_i64(),
                            Kind::Text => value.is_string(),
                        }
                });
            if fits { Ok(row) } else { Err(format!("{text} is no row of this question")) }
        };
        let rows = lines.lines().map(row).collect::<Result<_, _>>()?;
        Ok(Answer::new(columns, rows))
    }

    /// The names of its columns.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.columns.iter().map(|(name, _)| *name)
    }

    /// How many rows it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its rows.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row { answer: self, values })
    }

    /// Those rows for which this holds.
    #[must_use]
    pub fn only(&self, holds: impl Fn(&Row<'_>) -> bool) -> Answer {
        let rows = self.rows().filter(holds).map(|row| row.values.to_vec()).collect();
        Answer { columns: self.columns.clone(), rows }
    }

    /// SHA-256 of all rows, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for row in &self.rows {
            hash.update(line(row).as_bytes());
            hash.update(b"\n");
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The rows as a frame, those with the largest value of this column first. People are told the time of day.
    ///
    /// # Errors
    /// When polars cannot.
    pub fn frame(&self, by: &str, for_people: bool) -> PolarsResult<DataFrame> {
        let mut rows: Vec<Row<'_>> = self.rows().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.number(by)));
        let column = |(place, (name, kind)): (usize, &(&str, Kind))| -> Column {
            let values = rows.iter().map(|row| &row.values[place]);
            match kind {
                Kind::Number if for_people && name.ends_with(UTC) => {
                    let shown = values.map(|value| time::moment(value.as_i64())).collect::<Vec<_>>();
                    Series::new(name.replace(UTC, "").into(), shown).into()
                }
                Kind::Number => {
                    Series::new((*name).into(), values.map(Value::as_i64).collect::<Vec<_>>()).into()
                }
                Kind::Text => {
                    Series::new((*name).into(), values.map(|value| value.as_str()).collect::<Vec<_>>()).into()
                }
            }
        };
        DataFrame::new(rows.len(), self.columns.iter().enumerate().map(column).collect())
    }
}

/// How the names of moments end.
const UTC: &str = "_utc_ns";

/// A row as one line, which orders rows and is what the digest is made of.
fn line(row: &[Value]) -> String {
    // Numbers, texts and nulls have a form in JSON.
    serde_json::to_string(row).unwrap_or_default()
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    answer: &'a Answer,
    values: &'a [Value],
}

impl<'a> Row<'a> {
    fn value(&self, name: &str) -> Option<&'a Value> {
        let place = self.answer.columns.iter().position(|(column, _)| *column == name)?;
        self.values.get(place)
    }

    /// The number in this column; none where it is absent.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.value(name).and_then(Value::as_i64)
    }

    /// The text in this column; empty where it is absent.
    #[must_use]
    pub fn text(&self, name: &str) -> &'a str {
        self.value(name).and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_rows_is_no_part_of_a_digest_and_everything_else_is() {
        let columns = || vec![("name", Kind::Text), ("count", Kind::Number)];
        let digest = |lines: &str| Answer::of_lines(columns(), lines).map(|answer| answer.digest());
        let one = digest("[\"a\",1]\n[null,2]\n").unwrap();
        assert_eq!(digest("[null, 2]\n[\"a\", 1]\n").unwrap(), one);
        for other in ["[\"a\",1]\n", "[\"a\",1]\n[\"null\",2]\n", "[\"a\",2]\n[null,1]\n"] {
            assert_ne!(digest(other).unwrap(), one);
        }
        for wrong in ["[\"a\",1.5]", "[\"a\"]", "[1,1]", "{}"] {
            assert!(digest(wrong).is_err(), "{wrong}");
        }
    }
}
