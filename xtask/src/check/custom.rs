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
    let choice = Choice { series: series.to_vec(), names: names.to_vec(), ..Choice::default() };
    if let Some(nowhere) = names.iter().find(|name| !series_of(name).iter().any(|on| choice.has_series(on))) {
        bail!(
            "{nowhere} does not run on the kernel {}: name one of {} with --kernel, or leave --kernel out",
            series.join(" or "),
            series_of(nowhere).join(", ")
        );
    }
    if let Some(idle) = series.iter().find(|series| !names.is_empty() && !runs_any(series, names)) {
        bail!(
            "nothing of {} runs on the kernel {idle}: name others for it, or leave it out",
            names.join(" and ")
        );
    }
    setup::ensure()?;
    build::all("release")?;
    let has_scenario =
        |series: &&str| SCENARIOS.iter().any(|one| choice.has(one, series) && one.is_on(series));
    let series = SERIES.into_iter().filter(has_scenario).map(str::parse);
    built::build(&series.collect::<Result<Vec<_>>>()?)?;
    let (tally, judged) = (Tally::default(), Mutex::default());
    let scenarios: Vec<&'static Scenario> = SCENARIOS.iter().collect();
    let mut parts = kernel_tests::parts(&scenarios, &choice, &tally, &judged);
    parts.extend(oracle::parts(&choice, &tally));
    schedule::run(parts, false);
    Ok(tally.close())
}

/// The kernels that a scenario, or the oracle, runs on.
fn series_of(name: &str) -> Vec<&'static str> {
    if name == oracle::NAME {
        return oracle::SERIES.to_vec();
    }
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
    SERIES.into_iter().filter(|series| scenario.is_some_and(|scenario| scenario.is_on(series))).collect()
}

/// Whether one of these names runs on a kernel.
fn runs_any(series: &str, names: &[String]) -> bool {
    names.iter().any(|name| series_of(name).contains(&series))
}

#[cfg(test)]
mod tests {
    use super::run;

    fn refused(series: &[&str], names: &[&str]) -> String {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        run(&owned(series), &owned(names)).unwrap_err().to_string()
    }

    #[test]
    fn a_kernel_on_which_nothing_of_the_names_runs_is_refused_before_anything_is_built() {
        assert_eq!(
            refused(&["7.x-test"], &["slub_kunit_built_in"]),
            "slub_kunit_built_in does not run on the kernel 7.x-test: name one of 6.12-single with --kernel, or leave --kernel out"
        );
        assert_eq!(
            refused(&["6.12-single"], &["rcuscale", "oracle"]),
            "oracle does not run on the kernel 6.12-single: name one of 6.12-test, 7.x-test, 6.12, 7.x with --kernel, or leave \
             --kernel out"
        );
        assert_eq!(
            refused(&["6.12-test", "6.12-kasan"], &["oracle"]),
            "nothing of oracle runs on the kernel 6.12-kasan: name others for it, or leave it out"
        );
    }

    #[test]
    fn what_is_not_known_is_refused_by_its_name() {
        assert!(refused(&["6.18"], &[]).starts_with("nothing of this runs on the kernel 6.18: name one of "));
        assert!(refused(&[], &["slub"]).starts_with("no scenario of the built kernels is called slub: "));
    }
}
