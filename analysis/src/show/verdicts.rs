//! Verdicts for a person: a paragraph each, with the evidence.

use std::fmt::Write as _;

use anyhow::Result;
use krcu_report::words::shown;
use polars::prelude::*;

use super::units;

/// Every verdict of the table of that name.
///
/// # Errors
/// When a column is missing.
pub fn text(frame: &DataFrame) -> Result<String> {
    let mut text = String::new();
    let mut flagged = 0u32;
    for row in 0..frame.height() {
        let row = Row { frame, row };
        let is_flagged = row.flag("flagged")?;
        flagged += u32::from(is_flagged);
        let word = row.text("verdict")?;
        let word = if is_flagged { word.to_uppercase() } else { word };
        let module = row.text("module")?;
        let _ = writeln!(text, "{word:<14} {}  {module}", row.text("cache")?);
        let at = units::moment(row.signed("destroyed_at_ns")?);
        row.line(&mut text, "destroyed by", &format!("{}, {at} into the run", row.text("destroyed_by")?));
        let queued = row.count("queued_by_kfree_rcu")?.unwrap_or(0);
        if queued > 0 {
            let age = row.count("oldest_age_ns")?.map(|age| format!(", the oldest {}", units::span(age)));
            let age = age.unwrap_or_default();
            row.line(&mut text, "outstanding", &format!("{}{age}", units::count(queued)));
        }
        let own = row.count("waited_for_own")?.unwrap_or(0);
        let other = row.count("waited_for_other")?.unwrap_or(0);
        if own + other > 0 {
            let wait = row.count("wait_ns")?.map(units::span).unwrap_or_default();
            let told =
                format!("{wait} for {} of its own and {} of others", units::count(own), units::count(other));
            row.line(&mut text, "waited", &told);
        }
        for (name, column) in [("leaked", "leaked"), ("late frees", "late_frees")] {
            if let Some(number) = row.count(column)?.filter(|number| *number > 0) {
                row.line(&mut text, name, &units::count(number));
            }
        }
        for (name, column) in [("queued at", "queued_at"), ("notes", "notes"), ("what to do", "advice")] {
            row.line(&mut text, name, &row.text(column)?);
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{flagged} of {} verdicts flagged", frame.height());
    Ok(text)
}

struct Row<'a> {
    frame: &'a DataFrame,
    row: usize,
}

impl Row<'_> {
    fn text(&self, name: &str) -> PolarsResult<String> {
        Ok(shown(self.frame.column(name)?.str()?.get(self.row).unwrap_or("")).into_owned())
    }

    fn flag(&self, name: &str) -> PolarsResult<bool> {
        Ok(self.frame.column(name)?.bool()?.get(self.row).unwrap_or(false))
    }

    fn count(&self, name: &str) -> PolarsResult<Option<u64>> {
        Ok(self.frame.column(name)?.u64()?.get(self.row))
    }

    fn signed(&self, name: &str) -> PolarsResult<i64> {
        Ok(self.frame.column(name)?.i64()?.get(self.row).unwrap_or(0))
    }

    fn line(&self, text: &mut String, name: &str, told: &str) {
        if !told.is_empty() {
            let _ = writeln!(text, "               {name:<13} {told}");
        }
    }
}
