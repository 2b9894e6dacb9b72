//! Ask: the questions to a fleet, and who answers them.

pub mod answer;
pub mod engine;
pub mod question;
pub mod regressions;
pub mod sql;

use std::time::Duration;

use anyhow::{Result, bail};
use krcu_analysis::fleet::committed::{self, Committed};
use krcu_ship::layout::Fleet;

use crate::time;

/// What the ledger vouches for, of traces that began so long ago or later.
///
/// # Errors
/// When it cannot be read, or when all of it is older.
pub fn facts(fleet: &Fleet, since: Option<Duration>) -> Result<Committed> {
    let first = since.map(time::day_before);
    let facts = committed::of_days(fleet, |day| first.as_deref().is_none_or(|first| day >= first))?;
    if let Some(first) = first
        && facts.entries.is_empty()
        && let Some(last) = committed::days(fleet)?.last()
    {
        bail!(
            "no trace of {first} or later was replayed, and the newest one is of {last}: name a longer --since"
        );
    }
    if let Some(refused) = facts.entries.first()
        && facts.files.is_empty()
    {
        bail!(
            "every trace of these days was refused, the first, {}, because: {}; copy them anew, and run `krcu fleet replay --again`",
            refused.trace,
            refused.why.as_deref().unwrap_or("unknown")
        );
    }
    Ok(facts)
}
