//! Report: one HTML page about the whole fleet, which needs nothing else to be read.

mod heat;
mod page;

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use krcu_analysis::fleet::{
    committed::Committed,
    ledger::{Entry, Outcome},
};
use krcu_ship::layout::Fleet;

use crate::{
    ask::{self, answer::Answer, engine, question::Ask, regressions},
    time,
};

/// All that the page tells.
#[derive(Debug)]
pub(crate) struct Told {
    /// When it was written.
    pub(crate) written: String,
    /// The rows of the ledger.
    pub(crate) entries: Vec<Entry>,
    /// Faults by signature.
    pub(crate) flagged: Answer,
    /// The same by kernel.
    pub(crate) first_seen: Answer,
    /// Caches with and without faults, by version.
    pub(crate) regressions: Answer,
    /// Waits by kernel and class.
    pub(crate) barriers: Answer,
    /// The same by day.
    pub(crate) by_day: Answer,
    /// Where frees are deferred.
    pub(crate) sites: Answer,
    /// What was not seen.
    pub(crate) losses: Answer,
    /// What was watched.
    pub(crate) runs: Answer,
}

/// Writes the page.
///
/// # Errors
/// When the facts cannot be read, or the file not be written.
pub fn write(fleet: &Fleet, since: Option<Duration>, output: &Path) -> Result<()> {
    let facts = ask::facts(fleet, since)?;
    let told = told(&facts)?;
    let refused = told.entries.iter().filter(|entry| entry.outcome == Outcome::Refused).count();
    fs::write(output, page::html(&told))
        .with_context(|| format!("{} cannot be written", output.display()))?;
    println!("{}", output.display());
    if refused > 0 {
        eprintln!("note: {refused} traces were refused; the page names them");
    }
    Ok(())
}

fn told(facts: &Committed) -> Result<Told> {
    let answer = |ask: Ask, by: &[&str]| -> Result<Answer> {
        let by: Vec<String> = by.iter().map(|word| (*word).to_owned()).collect();
        let question = ask.question(&by).map_err(anyhow::Error::msg)?;
        Ok(engine::ask(&question, facts)?)
    };
    Ok(Told {
        written: time::moment(Some(time::now_utc_ns())),
        entries: facts.entries.clone(),
        flagged: answer(Ask::Flagged, &[])?,
        first_seen: answer(Ask::FirstSeen, &[])?,
        regressions: regressions::of(&answer(Ask::Regressions, &[])?),
        barriers: answer(Ask::Barriers, &[])?,
        by_day: answer(Ask::Barriers, &["day"])?,
        sites: answer(Ask::Sites, &[])?,
        losses: answer(Ask::Losses, &[])?,
        runs: answer(Ask::Runs, &[])?,
    })
}
