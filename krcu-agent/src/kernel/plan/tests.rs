//! Facts recorded on real kernels → plans. What is expected comes from another source: the tables of
//! kernel-facts.md, sections 4.1 and 10 (offsets) and 14 (probes), read from the kernels' binaries.

use krcu_common::config::{OBJECT_IS_HEAD_LESS_OFFSET, OBJECT_IS_POINTER, SLAB_BY_FLAG, SLAB_BY_TYPE};

use super::*;
use crate::kernel::facts::{Privileges, Source};

mod architectures;
mod functions_below;
mod hotplug;
mod hurry;
mod probes;
mod request;

pub(crate) fn debian(series: &str) -> Facts {
    let text = match series {
        "6.1" => include_str!("../../../tests/facts/debian-6.1-cloud-amd64.json"),
        "6.12" => include_str!("../../../tests/facts/debian-6.12-cloud-amd64.json"),
        "6.18" => include_str!("../../../tests/facts/debian-6.18-cloud-amd64.json"),
        "7.3" => include_str!("../../../tests/facts/debian-7.3-cloud-amd64.json"),
        _ => panic!("no facts of {series}"),
    };
    serde_json::from_str(text).unwrap()
}

const SERIES: [&str; 4] = ["6.1", "6.12", "6.18", "7.3"];

#[test]
fn offsets_are_those_of_the_table() {
    // series, slab_cache; kmem_cache: name, flags, object_size, refcount; is slab: how, where, value
    for (series, slab_cache, name, flags, size, refcount, (how, at, value)) in [
        ("6.1", 24, 96, 8, 28, 64, (SLAB_BY_FLAG, 0, 9)),
        ("6.12", 8, 96, 8, 28, 64, (SLAB_BY_TYPE, 48, 0xf5)),
        ("6.18", 8, 104, 16, 36, 76, (SLAB_BY_TYPE, 48, 0xf5)),
        ("7.3", 8, 88, 8, 28, 60, (SLAB_BY_TYPE, 48, 0xf5)),
    ] {
        let config = Plan::of(&debian(series)).config;
        assert_eq!(config.page_bytes, 64, "{series}");
        assert_eq!(config.page_compound_offset, 8, "{series}");
        assert_eq!(config.slab_cache_offset, slab_cache, "{series}");
        assert_eq!(config.cache_name_offset, name, "{series}");
        assert_eq!(config.cache_flags_offset, flags, "{series}");
        assert_eq!(config.cache_object_size_offset, size, "{series}");
        assert_eq!(config.cache_refcount_offset, refcount, "{series}");
        assert_eq!(
            (config.slab_test, config.slab_test_offset, config.slab_test_value),
            (how, at, value),
            "{series}"
        );
    }
}

#[test]
fn objects_blocks_and_sheaves_are_read_as_each_kernel_has_them() {
    // series, object by; nr_records, records; sheaf: cache, size, objects; SLAB_KMALLOC
    for (series, object, block, sheaf, kmalloc) in [
        ("6.1", OBJECT_IS_HEAD_LESS_OFFSET, (0, 16), (0, 0, 0), 0x1000),
        ("6.12", OBJECT_IS_POINTER, (32, 40), (0, 0, 0), 0x8),
        ("6.18", OBJECT_IS_POINTER, (32, 40), (16, 24, 32), 0x8),
        ("7.3", OBJECT_IS_POINTER, (32, 40), (16, 24, 32), 0x8),
    ] {
        let config = Plan::of(&debian(series)).config;
        assert_eq!(config.object_argument, object, "{series}");
        assert_eq!((config.bulk_count_offset, config.bulk_records_offset), block, "{series}");
        let offsets = (config.sheaf_cache_offset, config.sheaf_size_offset, config.sheaf_objects_offset);
        assert_eq!(offsets, sheaf, "{series}");
        assert_eq!(config.kmalloc_flag, kmalloc, "{series}");
    }
}

fn planned(plan: &Plan) -> Vec<(&'static str, &'static str)> {
    plan.probes.iter().filter(|probe| probe.is_planned()).map(|probe| (probe.program, probe.target)).collect()
}

#[test]
fn each_required_function_is_named_when_it_is_missing() {
    for series in SERIES {
        for name in ["kmem_cache_destroy", "__kmem_cache_shutdown", "kvfree_call_rcu"] {
            let mut facts = debian(series);
            facts.functions.insert(
                name.to_owned(),
                Function { btf: Some(false), symbols: Some(0), traceable: Some(false) },
            );
            let plan = Plan::of(&facts);
            let [Refusal::Probes { names }] = plan.refusals.as_slice() else {
                panic!("{series} {name}: {:?}", plan.refusals)
            };
            assert_eq!(names, &format!("{name} (absent or inlined)"), "{series}");
        }
    }
}

#[test]
fn each_address_is_named_when_it_is_missing() {
    for name in ["page_offset_base", "vmalloc_base", "vmemmap_base"] {
        let mut facts = debian("6.12");
        facts.addresses.remove(name);
        assert_eq!(Plan::of(&facts).refusals, [Refusal::Symbols { names: name.to_owned() }]);
    }
    let mut facts = debian("6.12");
    facts.addresses.remove("__end_rodata");
    let plan = Plan::of(&facts);
    assert_eq!((plan.refusals.len(), plan.config.rodata_start, plan.config.rodata_end), (0, 0, 0));
    assert_eq!(plan.undecidable.len(), 1);
}

#[test]
fn each_member_is_named_when_it_is_missing() {
    type Remove = fn(&mut Facts);
    let removals: [(&str, Remove); 8] = [
        ("struct page", |facts| facts.layout.page_bytes = None),
        ("page.compound_info or page.compound_head", |facts| facts.layout.page_compound = None),
        ("PGTY_slab and page.page_type, or PG_slab and page.flags", |facts| {
            facts.layout.page_type_slab = None;
        }),
        ("slab.slab_cache", |facts| facts.layout.slab_cache = None),
        ("kmem_cache.flags", |facts| facts.layout.cache_flags = None),
        ("kmem_cache.refcount", |facts| facts.layout.cache_refcount = None),
        ("kmem_cache.name", |facts| facts.layout.cache_name = None),
        ("kvfree_call_rcu() with a pointer as its second argument", |facts| {
            facts.layout.second_argument = None;
        }),
    ];
    for (name, remove) in removals {
        let mut facts = debian("7.3");
        remove(&mut facts);
        assert_eq!(Plan::of(&facts).refusals, [Refusal::Layout { names: name.to_owned() }]);
    }
}

#[test]
fn a_system_in_the_way_is_refused_with_what_to_do() {
    type Change = fn(&mut Facts);
    let changes: [(Change, &str); 10] = [
        (|facts| facts.arch = "riscv64".to_owned(), "use another machine"),
        (|facts| facts.possible_cpus = Some(1025), "boot with `nr_cpus=1024`"),
        (|facts| facts.privileges = Some(Privileges::from_bits(0)), "run it with sudo"),
        (|facts| facts.lockdown = Some("confidentiality".to_owned()), "boot with lockdown=integrity or none"),
        (|facts| facts.jit = Some(false), "run `sysctl net.core.bpf_jit_enable=1`"),
        (|facts| facts.ftrace = Some(false), "run `sysctl kernel.ftrace_enabled=1`"),
        (|facts| facts.btf = Source::Missing, "use one with CONFIG_DEBUG_INFO_BTF=y"),
        (|facts| facts.btf = Source::NotMounted, "run `mount -t sysfs sysfs /sys`"),
        (|facts| facts.kallsyms = Source::Hidden, "`sysctl kernel.kptr_restrict=1`"),
        (|facts| facts.kallsyms = Source::NotMounted, "run `mount -t proc proc /proc`"),
    ];
    for (change, what_to_do) in changes {
        let mut facts = debian("6.12");
        change(&mut facts);
        let [refusal] = Plan::of(&facts).refusals.try_into().unwrap();
        let text: String = Refusal::to_string(&refusal);
        assert!(text.ends_with(what_to_do), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn less_than_root_is_enough_with_three_capabilities() {
    let mut facts = debian("6.12");
    facts.privileges = Some(Privileges { bpf: true, perfmon: true, sys_admin: false, syslog: true });
    assert_eq!(Plan::of(&facts).refusals, []);
    facts.privileges = Some(Privileges { bpf: true, perfmon: false, sys_admin: false, syslog: false });
    assert_eq!(
        Plan::of(&facts).refusals,
        [Refusal::Privileges { missing: "CAP_PERFMON, CAP_SYSLOG".to_owned() }]
    );
}

#[test]
fn without_tracefs_every_probe_is_tried() {
    for series in SERIES {
        let mut facts = debian(series);
        let offered = planned(&Plan::of(&facts));
        for function in facts.functions.values_mut() {
            function.traceable = None;
        }
        let plan = Plan::of(&facts);
        assert_eq!(planned(&plan), offered, "{series}");
        assert_eq!(plan.refusals, [], "{series}");
        assert!(plan.probes.iter().any(|probe| matches!(probe.offer, Offer::CouldNotLook(_))), "{series}");
    }
}

#[test]
fn blocks_are_watched_in_the_function_below_when_theirs_cannot_be() {
    let mut facts = debian("6.12");
    facts.functions.get_mut("kvfree_rcu_bulk").unwrap().traceable = Some(false);
    let mut unread = debian("6.12");
    unread.layout.bulk_count = None;
    for facts in [&facts, &unread] {
        let plan = Plan::of(facts);
        let programs: Vec<&str> = planned(&plan).into_iter().map(|(program, _)| program).collect();
        assert!(programs.contains(&"freed_array") && programs.contains(&"freed_array_end"));
        assert!(!programs.iter().any(|program| program.starts_with("freed_bulk")), "{programs:?}");
        assert_eq!(plan.undecidable, [""; 0]);
    }
    facts.functions.get_mut("kmem_cache_free_bulk").unwrap().symbols = Some(2);
    let plan = Plan::of(&facts);
    // Objects are freed at once by the same function.
    let [blocks] = without(ALLOCATIONS, &plan).try_into().unwrap();
    assert!(str::starts_with(&blocks, "Whether objects freed in blocks were freed"), "{blocks}");
}

const GRACE: &str = "Whether a deferred free ran before its grace period had ended cannot be decided.";

const ALLOCATIONS: &str =
    "Where leaked objects were allocated (--alloc-stacks) cannot be told for all of them.";

const CALLBACK_RUNS: &str =
    "Whether a callback of call_rcu() had run when a destroy looked cannot be decided.";

/// What else cannot be decided, on a kernel where this cannot.
fn without(this: &str, plan: &Plan) -> Vec<String> {
    let (said, other): (Vec<String>, Vec<String>) =
        plan.undecidable.iter().cloned().partition(|sentence| sentence == this);
    assert_eq!(said.len(), 1, "{:?}", plan.undecidable);
    other
}

fn inline(facts: &mut Facts, name: &str) {
    let inlined = Function { btf: Some(true), symbols: Some(0), traceable: Some(false) };
    facts.functions.insert(name.to_owned(), inlined);
}

#[test]
fn without_one_end_of_a_grace_period_no_free_is_called_early() {
    for name in ["rcu_gp_fqs_loop", "rcu_gp_cleanup"] {
        for series in SERIES {
            let mut facts = debian(series);
            inline(&mut facts, name);
            let plan = Plan::of(&facts);
            assert_eq!(plan.refusals, [], "{series} {name}");
            assert_eq!(without(GRACE, &plan), [""; 0], "{series} {name}");
        }
    }
}

#[test]
fn expedited_grace_periods_are_seen_at_either_function() {
    for series in SERIES {
        let mut facts = debian(series);
        facts.functions.get_mut("wait_rcu_exp_gp").unwrap().traceable = Some(false);
        let plan = Plan::of(&facts);
        let expedited = ["expedited_end", "expedited_begin"].map(|program| (program, "rcu_exp_wait_wake"));
        assert!(expedited.iter().all(|place| planned(&plan).contains(place)), "{series}");
        assert_eq!(plan.undecidable, [""; 0], "{series}");
        facts.functions.get_mut("rcu_exp_wait_wake").unwrap().traceable = Some(false);
        assert_eq!(without(GRACE, &Plan::of(&facts)), [""; 0], "{series}");
    }
}

#[test]
fn without_both_ends_of_a_callback_none_is_known_to_have_run() {
    type Change = fn(&mut Facts);
    let changes: [Change; 3] = [
        |facts| facts.layout.callback_list_head = None,
        |facts| inline(facts, "rcu_cblist_dequeue"),
        |facts| inline(facts, "rcu_segcblist_insert_done_cbs"),
    ];
    for series in SERIES {
        for change in &changes {
            let mut facts = debian(series);
            change(&mut facts);
            let plan = Plan::of(&facts);
            assert_eq!(without(CALLBACK_RUNS, &plan), [""; 0], "{series}");
            assert_eq!(plan.refusals, [], "{series}");
        }
    }
}

#[test]
fn the_numbers_of_grace_periods_are_read_where_the_kernel_keeps_them() {
    // series; rcu_state: gp_seq, expedited_sequence
    for (series, gp_seq, expedited) in [
        ("6.1", 333_504, 333_752),
        ("6.12", 366_848, 367_096),
        ("6.18", 366_848, 367_096),
        ("7.3", 333_504, 333_728),
    ] {
        let mut facts = debian(series);
        facts.addresses.insert("rcu_state".to_owned(), 0xffff_ffff_9000_0000);
        let config = Plan::of(&facts).config;
        let read = (config.gp_seq_address, config.expedited_sequence_address);
        assert_eq!(read, (0xffff_ffff_9000_0000 + gp_seq, 0xffff_ffff_9000_0000 + expedited), "{series}");
        // They are evidence only: without them nothing is undecidable.
        facts.addresses.remove("rcu_state");
        facts.layout.rcu_expedited_sequence = None;
        let plan = Plan::of(&facts);
        assert_eq!((plan.config.gp_seq_address, plan.config.expedited_sequence_address), (0, 0), "{series}");
        assert_eq!((plan.refusals, plan.undecidable), (vec![], Vec::<String>::new()), "{series}");
    }
}

#[test]
fn nodes_beyond_those_that_can_exist_are_not_read() {
    for series in SERIES {
        assert_eq!(Plan::of(&debian(series)).config.nodes, 1, "{series}");
        let mut facts = debian(series);
        facts.possible_nodes = None;
        let plan = Plan::of(&facts);
        assert_eq!(plan.config.nodes, 0, "{series}");
        let sentence = "Whether a destroy left objects behind, and how many, cannot be read; only a cache that is released was emptied.";
        assert_eq!(plan.undecidable, [sentence]);
    }
    for series in SERIES {
        let mut facts = debian(series);
        facts.possible_nodes = Some(4);
        let config = Plan::of(&facts).config;
        // An array of pointers, or in 7.x of pairs of them.
        let step = if series == "7.3" { 16 } else { 8 };
        assert_eq!((config.nodes, config.cache_node_step), (4, step), "{series}");
    }
}

#[test]
fn a_kernel_that_does_not_batch_says_what_is_lost() {
    let mut facts = debian("6.18");
    for name in catalog::BATCHING.iter().copied().chain(["kvfree_rcu_bulk"]) {
        let absent = Function { btf: Some(false), symbols: Some(0), traceable: Some(false) };
        facts.functions.insert(name.to_owned(), absent);
    }
    let plan = Plan::of(&facts);
    assert_eq!(plan.refusals, []);
    assert_eq!(plan.undecidable.len(), 1);
    assert!(plan.undecidable[0].starts_with("Each kfree_rcu() is a callback of its own here"));
}

#[test]
fn a_withdrawn_probe_says_what_is_lost_once() {
    let mut plan = Plan::of(&debian("6.12"));
    plan.withdraw("rcu_barrier_end", "busy".to_owned());
    plan.withdraw("rcu_barrier_begin", "busy".to_owned());
    assert_eq!(plan.undecidable.len(), 1);
    let withdrawn: Vec<&str> = plan
        .probes
        .iter()
        .filter(|probe| probe.offer == Offer::NotOffered("busy".to_owned()))
        .map(|probe| probe.program)
        .collect();
    assert_eq!(withdrawn, ["rcu_barrier_end", "rcu_barrier_begin"]);
}
