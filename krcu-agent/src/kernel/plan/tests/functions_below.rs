//! Functions of 6.1 that are watched one floor below those that everybody calls.

use super::{Facts, Plan, debian, inline, planned};

const USERCOPY: &str =
    "Caches created by kmem_cache_create_usercopy() during the run cannot be told from older ones.";

#[test]
fn a_creation_is_seen_where_it_is_merged_or_made_or_else_by_its_caller() {
    let creators = |facts: &Facts| -> Vec<(&str, &str)> {
        let all = planned(&Plan::of(facts));
        all.into_iter().filter(|(program, _)| ["cache_created", "cache_made"].contains(program)).collect()
    };
    for name in ["__kmem_cache_create", "__kmem_cache_alias"] {
        let mut facts = debian("6.1");
        inline(&mut facts, name);
        assert_eq!(creators(&facts), [("cache_created", "kmem_cache_create")], "without {name}");
        assert_eq!(Plan::of(&facts).undecidable, [USERCOPY]);
    }
    // One function sees all.
    let mut facts = debian("6.12");
    facts.functions.extend(
        debian("6.1")
            .functions
            .into_iter()
            .filter(|(name, _)| name.starts_with("__kmem_cache_") && !name.ends_with("args")),
    );
    assert_eq!(creators(&facts), [("cache_created", "__kmem_cache_create_args")]);
    assert_eq!(Plan::of(&facts).undecidable, [""; 0]);
}

#[test]
fn arrays_are_those_of_the_work_where_only_it_frees_them() {
    for (series, in_work) in [("6.1", 1), ("6.12", 0), ("6.18", 0), ("7.3", 0)] {
        assert_eq!(Plan::of(&debian(series)).config.arrays_in_work, in_work, "{series}");
    }
    let mut facts = debian("6.1");
    inline(&mut facts, "kfree_rcu_work");
    assert_eq!(Plan::of(&facts).config.arrays_in_work, 0);
}
