//! Memory: where the direct map, the array of `struct page` and the text of modules are, from the facts.
//!
//! x86-64 chooses the places as it boots, and keeps them in variables. arm64 has constants, which depend on its
//! configuration; it notes them in VMCOREINFO (arch/arm64/kernel/vmcore_info.c). There, `MODULES_VADDR` is where the direct map
//! ends, the kernel itself lies among its modules, and a pointer may have a tag in its upper byte.

use super::Facts;

/// The variables of x86-64.
pub(super) const VARIABLES: [&str; 3] = ["page_offset_base", "vmalloc_base", "vmemmap_base"];
/// The numbers of arm64.
pub(super) const NUMBERS: [&str; 3] = ["VA_BITS", "MODULES_VADDR", "VMEMMAP_START"];
/// The upper byte of an address of the kernel's, in whose place a pointer may have a tag.
const TAG_BITS: u64 = 0xff << 56;

/// What a kernel's memory is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// As on x86-64.
    Chosen,
    /// As on arm64.
    Noted,
}

impl Memory {
    /// The memory of a machine, by the name that `uname -m` prints.
    pub(super) fn of(arch: &str) -> Option<Memory> {
        match arch {
            "x86_64" => Some(Memory::Chosen),
            "aarch64" => Some(Memory::Noted),
            _ => None,
        }
    }
}

/// Constants of a kernel's memory; all zero where they are in variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Constants {
    /// The first address of the direct map.
    pub(super) page_offset: u64,
    /// The first address behind it.
    pub(super) direct_map_end: u64,
    /// The address of the first `struct page`.
    pub(super) vmemmap: u64,
    /// The bits that a tag replaces.
    pub(super) tag_bits: u64,
}

impl Constants {
    /// The constants that the kernel noted; `None` if one is missing.
    pub(super) fn of(facts: &Facts) -> Option<Constants> {
        let [bits, end, vmemmap] = NUMBERS.map(|name| facts.memory.get(name).copied());
        let size = 1_u64.checked_shl(u32::try_from(bits?).ok()?)?;
        Some(Constants {
            page_offset: size.wrapping_neg(),
            direct_map_end: end?,
            vmemmap: vmemmap?,
            tag_bits: TAG_BITS,
        })
    }
}

/// After which address modules lie, and where the kernel begins that lies among them; 0 if it lies before them. `None` if that is
/// not known.
pub(super) fn modules(facts: &Facts) -> Option<(u64, u64)> {
    let address = |name: &str| facts.addresses.get(name).copied();
    match Memory::of(&facts.arch)? {
        Memory::Chosen => Some((address("__end_rodata")?.checked_sub(1)?, 0)),
        Memory::Noted => {
            let start = Constants::of(facts)?.direct_map_end;
            address("__end_rodata")?;
            Some((start.checked_sub(1)?, address("_text")?))
        }
    }
}
