//! Regressions: the caches that one version destroys without a fault and another one with.

use std::collections::BTreeMap;

use super::answer::{Answer, Row};

/// What is compared between versions.
fn subject<'a>(row: &Row<'a>) -> (&'a str, &'a str) {
    (row.text("module"), row.text("cache"))
}

/// The rows of the caches of which one row has faults and another one has none, out of an answer to `regressions`.
#[must_use]
pub fn of(answer: &Answer) -> Answer {
    let mut seen: BTreeMap<(&str, &str), (bool, bool)> = BTreeMap::new();
    for row in answer.rows() {
        let (clean, faulty) = seen.entry(subject(&row)).or_default();
        let has_fault = row.number("flagged").unwrap_or(0) > 0;
        *clean |= !has_fault;
        *faulty |= has_fault;
    }
    answer.only(|row| seen.get(&subject(row)) == Some(&(true, true)))
}
