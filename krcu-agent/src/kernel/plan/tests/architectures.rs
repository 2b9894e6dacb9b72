//! Other architectures: where their memory is, and what is refused. What is expected comes from the kernel's sources
//! (arch/arm64/include/asm/memory.h) and from what the recorded kernel printed, not from the plan.

use super::{Facts, Plan, Refusal, Source, debian};

fn arm64() -> Facts {
    serde_json::from_str(include_str!("../../../../tests/facts/debian-6.12-cloud-arm64.json")).unwrap()
}

fn arm64_16k() -> Facts {
    serde_json::from_str(include_str!("../../../../tests/facts/debian-7.3-arm64-16k.json")).unwrap()
}

#[test]
fn the_memory_of_arm64_is_where_its_note_says() {
    // Bits of the smallest layout that the kernel may run with: VA_BITS_MIN.
    for (facts, smallest, page_shift) in [(arm64(), 48, 12), (arm64_16k(), 47, 14)] {
        let plan = Plan::of(&facts);
        assert_eq!(plan.refusals, []);
        assert_eq!(plan.undecidable, [""; 0]);
        let config = plan.config;
        // Of 52 bits, PAGE_OFFSET is -(1 << 52). The direct map ends at -(1 << (VA_BITS_MIN - 1)), where modules begin.
        let (size, rest) = (1_u64 << 52, 1_u64 << (smallest - 1));
        assert_eq!((config.page_offset, config.direct_map_end), (size.wrapping_neg(), rest.wrapping_neg()));
        // VMEMMAP_END is 1 GiB below the highest address; before it there is room for the pages of the direct map.
        let room = ((size - rest) >> page_shift) * 64;
        assert_eq!(config.vmemmap, 0xffff_ffff_c000_0000 - room);
        assert_eq!(config.tag_bits, 0xff << 56);
        assert_eq!((config.page_shift, config.line_shift), (page_shift, page_shift - 6));
        assert_eq!(config.short_way, config.words_type);
        assert_eq!(config.page_offset_base_address | config.vmemmap_base_address, 0);
        // The kernel lies among its modules.
        assert_eq!(config.modules_after, rest.wrapping_neg() - 1);
        let (start, end) = (config.kernel_start, config.rodata_end);
        assert!(config.modules_after < start && start < config.rodata_start && config.rodata_start < end);
        assert_eq!(config.plain_functions(), (0, 0), "an instruction has no such number");
    }
}

#[test]
fn larger_pages_change_two_numbers() {
    for (size, page_shift, line_shift) in [(4096, 12, 6), (16384, 14, 8), (65536, 16, 10)] {
        let mut facts = arm64();
        facts.page_size = Some(size);
        let plan = Plan::of(&facts);
        assert_eq!((plan.config.page_shift, plan.config.line_shift), (page_shift, line_shift));
        assert_eq!(plan.refusals, []);
    }
}

#[test]
fn a_layout_that_is_not_noted_is_refused_by_its_names() {
    for name in ["VA_BITS", "MODULES_VADDR", "VMEMMAP_START"] {
        let mut facts = arm64();
        facts.memory.remove(name);
        let plan = Plan::of(&facts);
        assert_eq!(plan.refusals, [Refusal::Memory { names: name.to_owned() }]);
        assert_eq!((plan.config.page_offset, plan.config.vmemmap), (0, 0));
    }
    let mut facts = arm64();
    facts.memory.clear();
    let sentence = Plan::of(&facts).refusals[0].to_string();
    assert!(sentence.contains("has no VA_BITS, MODULES_VADDR, VMEMMAP_START"), "{sentence}");
    assert!(sentence.contains("CONFIG_PROC_KCORE=y"), "{sentence}");
    // A size of more bits than an address has.
    let mut facts = arm64();
    facts.memory.insert("VA_BITS".to_owned(), 64);
    assert_eq!(Plan::of(&facts).config.page_offset, 0);
}

#[test]
fn without_the_ends_of_the_kernel_no_text_is_a_module_s() {
    for name in ["_text", "__end_rodata"] {
        let mut facts = arm64();
        facts.addresses.remove(name);
        let config = Plan::of(&facts).config;
        assert_eq!((config.modules_after, config.kernel_start), (u64::MAX, 0), "{name}");
    }
}

#[test]
fn on_x86_64_modules_lie_above_the_kernel() {
    for series in super::SERIES {
        let facts = debian(series);
        let config = Plan::of(&facts).config;
        assert_eq!(config.modules_after, config.rodata_end - 1, "{series}");
        assert_eq!((config.kernel_start, config.tag_bits, config.vmemmap), (0, 0, 0), "{series}");
        assert_eq!((config.page_shift, config.line_shift), (12, 6), "{series}");
        assert_eq!(config.vmemmap_base_address, facts.addresses["vmemmap_base"], "{series}");
    }
}

#[test]
fn what_a_kernel_must_have_and_what_to_change_is_said() {
    type Change = fn(&mut Facts);
    let changes: [(&str, Change); 4] = [
        ("CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS", |facts| facts.direct_calls = Some(false)),
        ("use another machine", |facts| facts.arch = "riscv64".to_owned()),
        ("nr_cpus=", |facts| facts.possible_cpus = Some(4096)),
        ("sysctl kernel.kptr_restrict=1", |facts| facts.kallsyms = Source::Hidden),
    ];
    for (what, change) in changes {
        let mut facts = arm64();
        change(&mut facts);
        let refusals = Plan::of(&facts).refusals;
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        assert!(refusals[0].to_string().contains(what), "{refusals:?}");
    }
}
