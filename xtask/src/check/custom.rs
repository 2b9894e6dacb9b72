//! `cargo xtask test --custom`: the kernel's own tests under krcu, on kernels that are built for it.

use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::{Result, bail};

use crate::check::choice::Choice;
use crate::check::kernel_tests;
use crate::check::scenarios::{Scenario, custom};
use crate::check::schedule;
use crate::check::tally::Tally;
use crate::debian::built;
use crate::toolchain::build;
use crate::toolchain::setup;

/// Runs the scenarios of kernels that are built for a purpose; builds those kernels first.
///
/// # Errors
///
/// When a kernel or a scenario is not known, and when something cannot be built.
pub(crate) fn run(series: &[String], names: &[String]) -> Result<ExitCode> {
    if let Some(unknown) = series.iter().find(|series| !custom::SERIES.contains(&series.as_str())) {
        bail!("no scenario runs on the built kernel {unknown}: name one of {}", custom::SERIES.join(", "));
    }
    let known = |name: &str| custom::SCENARIOS.iter().any(|scenario| scenario.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all: Vec<&str> = custom::SCENARIOS.iter().map(|scenario| scenario.name).collect();
        bail!("no scenario of the built kernels is called {unknown}: name one of {}", all.join(", "));
    }
    setup::ensure()?;
    build::all("release")?;
    let all = custom::SERIES.iter().map(|series| (*series).to_owned());
    let series: Vec<String> = if series.is_empty() { all.collect() } else { series.to_vec() };
    built::build(&series.iter().map(|series| series.parse()).collect::<Result<Vec<_>>>()?)?;
    let (tally, judged) = (Tally::default(), Mutex::default());
    let choice = Choice { series, names: names.to_vec(), kept: false };
    let scenarios: Vec<&'static Scenario> = custom::SCENARIOS.iter().collect();
    schedule::run(kernel_tests::parts(&scenarios, &choice, &tally, &judged), false);
    Ok(tally.close())
}
