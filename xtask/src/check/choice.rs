//! Which scenarios a person has chosen, on which kernels.

use crate::check::kin;
use crate::check::scenarios::Scenario;
use crate::check::truth;

/// Which scenarios to run.
#[derive(Debug, Default, Clone)]
pub(crate) struct Choice {
    /// Series; all when empty.
    pub(crate) series: Vec<String>,
    /// Names of scenarios; all when empty.
    pub(crate) names: Vec<String>,
    /// Boot nothing: judge what the last run of each scenario has left.
    pub(crate) kept: bool,
    /// Only what an ordinary run plays.
    pub(crate) ordinary: bool,
    /// Also the cells of the truth table that an ordinary run leaves out, and kernels of which the same is expected as of others
    /// ([`crate::check::kin`]).
    pub(crate) all: bool,
}

impl Choice {
    /// Whether it leaves out a kernel or a scenario.
    pub(crate) fn is_partial(&self) -> bool {
        !(self.series.is_empty() && self.names.is_empty())
    }

    /// Whether a kernel is among the chosen ones.
    pub(crate) fn has_series(&self, series: &str) -> bool {
        self.series.is_empty() || self.series.iter().any(|chosen| chosen == series)
    }

    /// Whether a scenario is among the chosen ones.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|chosen| chosen == name)
    }

    /// Whether a scenario is to be played on a kernel for which something is expected of it.
    pub(crate) fn has(&self, scenario: &Scenario, series: &str) -> bool {
        self.has_series(series)
            && self.has_name(scenario.name)
            && (!self.ordinary || truth::is_ordinary(scenario, kin::like(series)))
    }
}
