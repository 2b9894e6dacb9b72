//! Probes that are attached on request only.

use super::{ALLOCATIONS, Plan, debian, planned};

#[test]
fn allocations_are_watched_on_request_by_programs_that_see_frees_after_the_deferred_ones() {
    // series; the allocator of several objects, which lost its wrapper to allocation tags in 6.10
    for (series, several) in [
        ("6.1", "kmem_cache_alloc_bulk"),
        ("6.12", "kmem_cache_alloc_bulk_noprof"),
        ("6.18", "kmem_cache_alloc_bulk_noprof"),
        ("7.3", "kmem_cache_alloc_bulk_noprof"),
    ] {
        let facts = debian(series);
        let (usual, asked) = (Plan::of(&facts), Plan::asked(&facts, true));
        assert_eq!((usual.config.alloc_stacks, asked.config.alloc_stacks), (0, 1));
        assert_eq!(asked.undecidable, usual.undecidable, "{series}");
        let usual = planned(&usual);
        let all = planned(&asked);
        let more: Vec<_> = all.iter().copied().filter(|probe| !usual.contains(probe)).collect();
        let expected = [
            ("freed_at_once_bulk_nested", "kmem_cache_free_bulk"),
            ("freed_at_once_bulk", "kmem_cache_free_bulk"),
            ("freed_at_once", "kmem_cache_free"),
            ("freed_at_once_nested", "kmem_cache_free"),
            ("freed_at_once_kfree", "kfree"),
            ("freed_at_once_kfree_nested", "kfree"),
            ("allocated", "kmem_cache_alloc"),
            ("allocated_nested", "kmem_cache_alloc"),
            ("allocated_bulk_nested", several),
            ("allocated_bulk", several),
        ];
        assert_eq!(more, expected, "{series}");
        // What is attached last at a function runs first: a deferred free is announced before.
        let place = |name: &str| all.iter().position(|(program, _)| *program == name);
        if let Some(deferred) = place("freed_array_nested") {
            assert!(place("freed_at_once_bulk") < Some(deferred), "{series}");
        }
        assert!(place("allocated_bulk") < place("cache_created_nested"), "{series}");
    }
    let mut facts = debian("7.3");
    facts.tracepoints.insert("kfree".to_owned(), Some(false));
    for asked in [false, true] {
        assert_eq!(Plan::asked(&facts, asked).undecidable, [ALLOCATIONS]);
    }
}
