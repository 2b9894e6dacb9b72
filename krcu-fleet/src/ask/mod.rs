//! Ask: the questions to a fleet, and who answers them.

pub mod answer;
pub mod engine;
pub mod question;
pub mod regressions;
pub mod sql;

use std::time::Duration;

use anyhow::Result;
use krcu_analysis::fleet::committed::{self, Committed};
use krcu_ship::layout::Fleet;

use crate::time;

/// What the ledger vouches for, of traces that began so long ago or later.
///
/// # Errors
/// When it cannot be read.
pub fn facts(fleet: &Fleet, since: Option<Duration>) -> Result<Committed> {
    let first = since.map(time::day_before);
    committed::of_days(fleet, |day| first.as_deref().is_none_or(|first| day >= first))
}
