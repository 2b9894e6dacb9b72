//! `cargo xtask test --custom`: the scenarios of kernels that are built for a purpose, and the oracle.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::{Result, bail};

use crate::check::choice::Choice;
use crate::check::kernel_tests;
use crate::check::oracle;
use crate::check::scenarios::Scenario;
use crate::check::scenarios::custom::{SCENARIOS, SERIES};
use crate::check::schedule;
use crate::check::tally::Tally;
use crate::debian::built;
use crate::toolchain::build;
use crate::toolchain::setup;

/// Runs those on these series of kernels and with these names; all where none is given. Builds their kernels first.
///
/// # Errors
///
/// When a name is not known, or the set-up or a build fails.
pub(crate) fn run(series: &[String], names: &[String]) -> Result<ExitCode> {
    let known: BTreeSet<&str> = SERIES.into_iter().chain(oracle::SERIES).collect();
    if let Some(unknown) = series.iter().find(|series| !known.contains(series.as_str())) {
        let known: Vec<&str> = known.into_iter().collect();
        bail!("nothing of this runs on the kernel {unknown}: name one of {}", known.join(", "));
    }
    let known = SCENARIOS.iter().map(|scenario| scenario.name).chain([oracle::NAME]);
    let known: Vec<&str> = known.collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("no scenario of the built kernels is called {unknown}: name one of {}", known.join(", "));
    }
    setup::ensure()?;
    build::all("release")?;
    let choice = Choice { series: series.to_vec(), names: names.to_vec(), ..Choice::default() };
    let has_scenario = |series: &&str| {
        let on = |scenario: &Scenario| scenario.expectations.iter().any(|one| one.series.contains(series));
        choice.has_series(series)
            && SCENARIOS.iter().any(|scenario| choice.has_name(scenario.name) && on(scenario))
    };
    let series = SERIES.into_iter().filter(has_scenario).map(str::parse);
    built::build(&series.collect::<Result<Vec<_>>>()?)?;
    let (tally, judged) = (Tally::default(), Mutex::default());
    let scenarios: Vec<&'static Scenario> = SCENARIOS.iter().collect();
    let mut parts = kernel_tests::parts(&scenarios, &choice, &tally, &judged);
    parts.extend(oracle::parts(&choice, &tally));
    schedule::run(parts, false);
    Ok(tally.close())
}
