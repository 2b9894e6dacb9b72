//! Which of a kernel's own modules own slab caches: read from what each of them asks the kernel for.
//!
//! A module that creates a cache imports a function that creates one, by name, or one of the kernel's that does it for
//! its caller. Reading a thousand modules takes seconds, and a kernel never changes, so the answer is kept by release.

use std::fs;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::cache;
use crate::debian::intree::InTree;
use crate::debian::kernel::{Image, Kernel};
use crate::debian::unwaited::imports;

/// Functions that create a slab cache, or do it for their caller: a protocol's sockets (`net/core/sock.c`), a bio set
/// (`block/bio.c`), fragments (`net/ipv4/inet_fragment.c`), a hypervisor's processors (`virt/kvm/kvm_main.c`), sense data
/// of a SCSI host (`drivers/scsi/hosts.c`).
const CREATORS: [&str; 10] = [
    "kmem_cache_create",
    "kmem_cache_create_usercopy",
    "__kmem_cache_create_args",
    "kmem_buckets_create",
    "proto_register",
    "bioset_init",
    "inet_frags_init",
    "kvm_init",
    "kvm_x86_vendor_init",
    "scsi_host_alloc",
];

/// What is kept of one kernel.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The [`CREATORS`] that were looked for.
    creators: Vec<String>,
    /// The modules found.
    owners: Vec<String>,
}

/// The names of the modules that may create a slab cache, in alphabetical order.
///
/// # Errors
///
/// When a module cannot be read or is no ELF file.
pub(crate) fn owners(kernel: &Kernel, image: &Image) -> Result<Vec<String>> {
    let path = cache::folder("owners")?.join(format!("{}.json", kernel.release));
    let kept = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
    if let Some(kept) = kept.filter(|kept| kept.creators == CREATORS) {
        return Ok(kept.owners);
    }
    let in_tree = InTree::read(image)?;
    let mut owners = Vec::new();
    for file in in_tree.closure(&in_tree.names())? {
        let bytes = in_tree.contents(&file)?;
        if imports_any(&bytes, &CREATORS).with_context(|| format!("reading {}", file.path))? {
            owners.push(file.name());
        }
    }
    owners.sort();
    let kept = Kept { creators: CREATORS.map(str::to_owned).to_vec(), owners };
    cache::write_file(&path, &serde_json::to_vec_pretty(&kept).context("writing the owners of caches")?)?;
    Ok(kept.owners)
}

/// Whether an ELF file has one of these names undefined, so that somebody else must define it.
fn imports_any(elf: &[u8], names: &[&str]) -> Result<bool> {
    let imports = imports(elf)?;
    Ok(names.iter().any(|name| imports.contains(*name)))
}

#[cfg(test)]
mod tests {
    use super::imports_any;

    #[test]
    fn what_a_program_asks_for_is_told_from_what_it_has() {
        assert!(imports_any(b"\x7fELF but short", &["kmem_cache_create"]).is_err());
        let elf = module(&[("kmem_cache_create", false), ("own_function", true)]);
        assert!(imports_any(&elf, &["kmem_cache_create"]).unwrap());
        assert!(!imports_any(&elf, &["own_function"]).unwrap());
        assert!(!imports_any(&elf, &["kmem_cache_create_usercopy"]).unwrap());
    }

    /// A relocatable ELF file with nothing but these symbols, each defined or not.
    fn module(symbols: &[(&str, bool)]) -> Vec<u8> {
        let mut strings = vec![0_u8];
        let mut table = vec![0_u8; 24];
        for (name, defined) in symbols {
            table.extend(u32::try_from(strings.len()).unwrap().to_le_bytes());
            // Global, a function where it is defined; the absolute section stands for "here".
            table.extend([if *defined { 0x12 } else { 0x10 }, 0]);
            table.extend(if *defined { 0xfff1_u16 } else { 0 }.to_le_bytes());
            table.extend([0_u8; 16]);
            strings.extend(name.bytes().chain([0]));
        }
        let (table_at, strings_at) = (64, 64 + table.len() as u64);
        let sections_at = (strings_at + strings.len() as u64).next_multiple_of(8);
        let section = |kind: u32, at: u64, size: u64, link: u32, info: u32, entry: u64| {
            let mut header = Vec::new();
            header.extend([0_u32, kind].into_iter().flat_map(u32::to_le_bytes));
            header.extend([0_u64, 0, at, size].into_iter().flat_map(u64::to_le_bytes));
            header.extend([link, info].into_iter().flat_map(u32::to_le_bytes));
            header.extend([1, entry].into_iter().flat_map(u64::to_le_bytes));
            header
        };
        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(16, 0);
        elf.extend([1_u16, 62].into_iter().flat_map(u16::to_le_bytes));
        elf.extend(1_u32.to_le_bytes());
        elf.extend([0, 0, sections_at].into_iter().flat_map(u64::to_le_bytes));
        elf.extend(0_u32.to_le_bytes());
        elf.extend([64_u16, 0, 0, 64, 3, 2].into_iter().flat_map(u16::to_le_bytes));
        elf.extend(&table);
        elf.extend(&strings);
        elf.resize(usize::try_from(sections_at).unwrap(), 0);
        elf.extend(section(0, 0, 0, 0, 0, 0));
        elf.extend(section(2, table_at, table.len() as u64, 2, 1, 24));
        elf.extend(section(3, strings_at, strings.len() as u64, 0, 0, 0));
        elf
    }
}
