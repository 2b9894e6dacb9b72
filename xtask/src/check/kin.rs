//! Kin: kernels of which the truth table expects the same as of another one. They differ from it in their architecture or
//! flavour, and not in what RCU and the slab allocator do.
//!
//! An ordinary run boots none of them, since arm64 has to be built for and is emulated: `cargo xtask truth --kernel SERIES` runs
//! one, and `cargo xtask truth --all` all.

use std::collections::BTreeSet;

use crate::architecture::Architecture;
use crate::check::choice::Choice;
use crate::debian::kernel::Series;

/// A kernel of which the same is expected.
pub(crate) struct Kin {
    /// Its series.
    pub(crate) series: &'static str,
    /// The series of the kernel that it is like.
    pub(crate) like: &'static str,
    /// Scenarios that do not run on it, each with the reason.
    pub(crate) except: &'static [(&'static str, &'static str)],
}

/// All of them. 6.1 of arm64 is not one: it lets no function call a program, and krcu refuses it.
pub(crate) const KIN: [Kin; 4] = [
    Kin { series: "6.12-arm64", like: "6.12", except: &[] },
    Kin { series: "7.x-arm64", like: "7.x", except: &[] },
    Kin { series: "6.1-rt", like: "6.1", except: &[] },
    Kin { series: "6.12-rt", like: "6.12", except: &[] },
];

/// The kernels of a choice that have kin of their own here.
pub(crate) fn chosen(choice: &Choice) -> impl Iterator<Item = &'static str> {
    let all = choice.all && choice.series.is_empty();
    let is_chosen = move |kin: &&Kin| all || choice.series.iter().any(|series| series == kin.series);
    KIN.iter().filter(is_chosen).map(|kin| kin.series)
}

/// What has to be built for besides this computer's architecture.
pub(crate) fn architectures(choice: &Choice) -> BTreeSet<Architecture> {
    let series = chosen(choice).filter_map(|series| series.parse::<Series>().ok());
    series.map(|series| series.architecture()).filter(|architecture| !architecture.is_ours()).collect()
}

/// The series whose expectations hold for a scenario on this one; none if it does not run there.
pub(crate) fn expected_as<'a>(series: &'a str, scenario: &str) -> Option<&'a str> {
    let Some(kin) = KIN.iter().find(|kin| kin.series == series) else { return Some(series) };
    let is_excepted = kin.except.iter().any(|(name, _)| *name == scenario);
    (!is_excepted).then_some(kin.like)
}

/// The kernel of the table that this one is like: itself, if it has a column.
pub(crate) fn like(series: &str) -> &str {
    KIN.iter().find(|kin| kin.series == series).map_or(series, |kin| kin.like)
}

#[cfg(test)]
mod tests {
    use super::{KIN, architectures, chosen, expected_as};
    use crate::architecture::Architecture;
    use crate::check::choice::Choice;
    use crate::check::scenarios::SERIES;
    use crate::check::truth;
    use crate::debian::kernel::Series;

    #[test]
    fn kin_is_of_a_kernel_of_the_table_and_its_exceptions_are_scenarios_of_that() {
        for kin in &KIN {
            assert_eq!(kin.series.parse::<Series>().unwrap().to_string(), kin.series);
            assert!(SERIES.contains(&kin.like) && !SERIES.contains(&kin.series), "{}", kin.series);
            for (name, why) in kin.except {
                let scenario = truth::scenarios().find(|scenario| scenario.name == *name).unwrap();
                let expected = |series: &&&str| **series == kin.like;
                assert!(
                    scenario.expectations.iter().flat_map(|one| one.series).any(|one| expected(&one)),
                    "{name}"
                );
                assert!(why.ends_with('.'), "{name}: {why}");
            }
        }
    }

    #[test]
    fn kin_runs_when_it_is_named_or_all_are_asked_for() {
        let series = |names: &[&str], all| {
            let series = names.iter().map(|name| (*name).to_owned()).collect();
            Choice { series, all, ..Choice::default() }
        };
        assert_eq!(chosen(&series(&[], false)).count(), 0);
        assert_eq!(chosen(&series(&["6.12", "6.12-rt"], false)).collect::<Vec<_>>(), ["6.12-rt"]);
        assert!(architectures(&series(&["6.12-rt"], false)).is_empty());
        assert_eq!(chosen(&series(&["6.12"], true)).count(), 0);
        assert_eq!(chosen(&series(&[], true)).count(), KIN.len());
        assert_eq!(architectures(&series(&[], true)).into_iter().collect::<Vec<_>>(), [Architecture::Arm64]);
        assert_eq!(expected_as("6.12-arm64", "pending"), Some("6.12"));
        assert_eq!(expected_as("6.18", "pending"), Some("6.18"));
    }
}
