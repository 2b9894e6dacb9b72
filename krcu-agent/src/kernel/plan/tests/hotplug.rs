//! The end of a destroy's look on a kernel without HOTPLUG_CPU, where `cpus_read_unlock()` is an empty inline function.
//!
//! The facts are those of Debian's kernels, edited as each case says: Debian's have HOTPLUG_CPU.

use super::{Facts, Function, Plan, Refusal, debian, planned};
use crate::kernel::catalog::UNLINK;

const ABSENT: Function = Function { btf: Some(false), symbols: Some(0), traceable: Some(false) };
const THERE: Function = Function { btf: Some(true), symbols: Some(1), traceable: Some(true) };

/// The kernel of a series without HOTPLUG_CPU, and what it says of `sysfs_slab_unlink()`.
fn without_hotplug(series: &str, unlink: Function) -> Facts {
    let mut facts = debian(series);
    facts.functions.insert("cpus_read_unlock".to_owned(), ABSENT);
    facts.functions.insert(UNLINK.to_owned(), unlink);
    facts
}

fn ends_of_the_look(facts: &Facts) -> Vec<(&'static str, &'static str)> {
    let all = planned(&Plan::of(facts)).into_iter();
    all.filter(|(program, _)| program.starts_with("shutdown_end")).collect()
}

#[test]
fn a_look_ends_where_the_cache_leaves_sysfs_if_processors_never_go() {
    for series in ["6.12", "6.18", "7.3"] {
        let facts = without_hotplug(series, THERE);
        let expected = [("shutdown_end_nested", UNLINK), ("shutdown_end", UNLINK)];
        assert_eq!(ends_of_the_look(&facts), expected, "{series}");
        assert_eq!(Plan::of(&facts).refusals, [], "{series}");
        assert_eq!(Plan::of(&facts).undecidable, [""; 0], "{series}");
        // Where both are there, the first comes sooner.
        let mut facts = debian(series);
        facts.functions.insert(UNLINK.to_owned(), THERE);
        assert_eq!(ends_of_the_look(&facts)[1], ("shutdown_end", "cpus_read_unlock"), "{series}");
    }
}

#[test]
fn krcu_refuses_where_nothing_tells_how_a_failed_destroy_ends() {
    // A failed destroy of 6.1 leaves the cache in sysfs. A kernel without sysfs has no such function.
    for facts in [without_hotplug("6.1", THERE), without_hotplug("6.12", ABSENT)] {
        let names = "cpus_read_unlock (absent or inlined)".to_owned();
        assert_eq!(Plan::of(&facts).refusals, [Refusal::Probes { names }]);
    }
}
