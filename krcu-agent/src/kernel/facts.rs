//! Facts: what this kernel offers. They are gathered once, and only by reading files.
//!
//! Every fact has a value for "could not look". A test system often boots with half of its file systems not
//! mounted, and "not seen" is not the same as "not there". krcu mounts and changes nothing in order to look. The
//! facts of a kernel are a small JSON document; tests use such documents of kernels that are not running.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::btf::Btf;
use super::catalog;
use super::files;
use super::layout::Layout;
use super::memory;
use super::vmcoreinfo;

const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYSLOG: u32 = 34;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// What the running kernel offers, and what this process may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Kernel release, as `uname -r` prints it. Shown, never compared.
    pub release: Option<String>,
    /// Machine, as `uname -m` prints it.
    pub arch: String,
    /// CPUs that can ever be present.
    pub possible_cpus: Option<u32>,
    /// NUMA nodes that can ever be present (`nr_node_ids`).
    pub possible_nodes: Option<u32>,
    /// What this process may do.
    pub privileges: Option<Privileges>,
    /// The kernel's lockdown: `none`, `integrity` or `confidentiality`.
    pub lockdown: Option<String>,
    /// Whether eBPF is compiled to machine code; fentry and fexit need it.
    pub jit: Option<bool>,
    /// Whether function tracing is switched on (`kernel.ftrace_enabled`); fentry and fexit need it.
    pub ftrace: Option<bool>,
    /// Whether the kernel's functions can call a program's trampoline; fentry and fexit need it.
    #[serde(default)]
    pub direct_calls: Option<bool>,
    /// Whether the kernel's type information was read.
    pub btf: Source,
    /// Whether the symbol table was read.
    pub kallsyms: Source,
    /// Whether the list of the functions that can be probed was read, from tracefs.
    #[serde(default = "was_read")]
    pub tracefs: Source,
    /// Bytes of a page.
    #[serde(default = "four_kib")]
    pub page_size: Option<u64>,
    /// Where the kernel's memory is, as it notes for whoever reads a dump of it: the numbers that the plan may need, by name.
    #[serde(default)]
    pub memory: BTreeMap<String, u64>,
    /// Addresses of the kernel's variables and sections that the probes need; 0 is never stored.
    pub addresses: BTreeMap<String, u64>,
    /// Every function that krcu knows, and what this kernel says about it.
    pub functions: BTreeMap<String, Function>,
    /// Every tracepoint that krcu uses, and whether the type information has it.
    pub tracepoints: BTreeMap<String, Option<bool>>,
    /// The offsets of the members that the probes read.
    pub layout: Layout,
}

/// The result of reading a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// It was read.
    Read,
    /// The file system is mounted, but has no such file.
    Missing,
    /// Its file system is not mounted.
    NotMounted,
    /// The file is there, but every address in it is zero (`kptr_restrict`).
    Hidden,
    /// The file is there, but reading it was refused, or its content is wrong: the reason.
    Unreadable(String),
}

/// What facts that were written down before they had this say.
fn was_read() -> Source {
    Source::Read
}

/// What facts that were written down before they had this say: they are of x86-64.
fn four_kib() -> Option<u64> {
    Some(4096)
}

/// Effective capabilities that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// `CAP_BPF`: load programs, create maps.
    pub bpf: bool,
    /// `CAP_PERFMON`: attach to the kernel's functions, read its memory from a program.
    pub perfmon: bool,
    /// `CAP_SYS_ADMIN`: includes both of them, and whatever else older kernels ask it for.
    pub sys_admin: bool,
    /// `CAP_SYSLOG`: see the addresses in `/proc/kallsyms`.
    pub syslog: bool,
}

impl Privileges {
    /// From the effective set, a bit for each capability.
    #[must_use]
    pub fn from_bits(bits: u64) -> Privileges {
        let has = |capability: u32| bits >> capability & 1 == 1;
        Privileges {
            bpf: has(CAP_BPF),
            perfmon: has(CAP_PERFMON),
            sys_admin: has(CAP_SYS_ADMIN),
            syslog: has(CAP_SYSLOG),
        }
    }
}

/// What this kernel says about one function. `None` means that the source could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Whether the type information has it.
    pub btf: Option<bool>,
    /// How many symbols of the kernel proper have its name.
    pub symbols: Option<u32>,
    /// Whether ftrace lists it: then it has a place for a probe.
    pub traceable: Option<bool>,
}

impl Facts {
    /// The addresses of the functions by which modules hand callbacks to RCU, as far as they are known.
    #[must_use]
    pub fn callback_queues(&self) -> Vec<u64> {
        catalog::CALLBACK_QUEUES.iter().filter_map(|name| self.addresses.get(*name)).copied().collect()
    }

    /// Gathers the facts of the kernel whose file systems are mounted under `root`, `/` for the
    /// running one.
    #[must_use]
    pub fn gather(root: &Path) -> Facts {
        let functions: Vec<&str> = catalog::functions().collect();
        let (btf, types) = read_btf(root);
        let (kallsyms, symbols) = read_symbols(root);
        let (tracefs, traceable) = read_traceable(root, &functions);
        let function = |name: &str| Function {
            btf: types.as_ref().map(|types| types.has_function(name)),
            symbols: symbols.as_ref().and_then(|symbols| symbols.found.get(name)).map(|(count, _)| *count),
            traceable: traceable.as_ref().and_then(|listed| listed.get(name).copied()),
        };
        let tracepoint =
            |name: &str| types.as_ref().map(|types| types.has_typedef(&format!("btf_trace_{name}")));
        let text = |path: &str| fs::read_to_string(root.join(path)).ok();
        let address = |name: &&str| {
            let (count, address) = *symbols.as_ref()?.found.get(*name)?;
            (count == 1 && address != 0).then(|| ((*name).to_owned(), address))
        };
        let is_there = |name: &&str| symbols.as_ref().is_some_and(|symbols| symbols.has(name));
        Facts {
            direct_calls: symbols.as_ref().map(|_| catalog::DIRECT_CALLS.iter().any(is_there)),
            release: text("proc/sys/kernel/osrelease").map(|line| line.trim().to_owned()),
            arch: text("proc/sys/kernel/arch")
                .map_or_else(|| std::env::consts::ARCH.to_owned(), |line| line.trim().to_owned()),
            possible_cpus: text("sys/devices/system/cpu/possible").and_then(|list| files::end_of_list(&list)),
            possible_nodes: text("sys/devices/system/node/possible")
                .and_then(|list| files::end_of_list(&list)),
            privileges: text("proc/self/status")
                .and_then(|status| files::effective_capabilities(&status))
                .map(Privileges::from_bits),
            lockdown: text("sys/kernel/security/lockdown")
                .and_then(|line| files::chosen(&line).map(str::to_owned)),
            jit: text("proc/sys/net/core/bpf_jit_enable").map(|line| line.trim() != "0"),
            ftrace: text("proc/sys/kernel/ftrace_enabled").map(|line| line.trim() != "0"),
            page_size: fs::read(root.join("proc/self/auxv"))
                .ok()
                .and_then(|vector| files::page_size(&vector)),
            memory: noted(root),
            addresses: catalog::ADDRESSES.iter().filter_map(address).collect(),
            functions: functions.iter().map(|name| ((*name).to_owned(), function(name))).collect(),
            tracepoints: catalog::tracepoints().map(|name| (name.to_owned(), tracepoint(name))).collect(),
            layout: types.as_ref().map(Layout::read).unwrap_or_default(),
            btf,
            kallsyms,
            tracefs,
        }
    }
}

/// The numbers of the kernel's note that the plan may need.
fn noted(root: &Path) -> BTreeMap<String, u64> {
    let mut numbers = vmcoreinfo::read(&root.join("proc/kcore")).unwrap_or_default();
    numbers.retain(|name, _| memory::NUMBERS.contains(&name.as_str()));
    numbers
}

fn read_btf(root: &Path) -> (Source, Option<Btf>) {
    match fs::read(root.join("sys/kernel/btf/vmlinux")) {
        Ok(bytes) => match Btf::parse(bytes) {
            Ok(types) => (Source::Read, Some(types)),
            Err(error) => (Source::Unreadable(error.to_string()), None),
        },
        Err(error) => (unread(&error, &root.join("sys/kernel")), None),
    }
}

fn read_symbols(root: &Path) -> (Source, Option<files::Symbols>) {
    match fs::read_to_string(root.join("proc/kallsyms")) {
        Ok(text) => {
            let names: Vec<&str> =
                catalog::functions().chain(catalog::ADDRESSES).chain(catalog::DIRECT_CALLS).collect();
            let symbols = files::symbols(&text, &names);
            (if symbols.hidden { Source::Hidden } else { Source::Read }, Some(symbols))
        }
        Err(error) => (unread(&error, &root.join("proc/self")), None),
    }
}

/// The functions that can be probed, of these.
fn read_traceable(root: &Path, functions: &[&str]) -> (Source, Option<BTreeMap<String, bool>>) {
    let mut why = Source::NotMounted;
    for folder in ["sys/kernel/tracing", "sys/kernel/debug/tracing"] {
        match fs::read_to_string(root.join(folder).join("available_filter_functions")) {
            Ok(text) => return (Source::Read, Some(files::traceable(&text, functions))),
            // That it may not be read says more than that it is not in the other place.
            Err(error) if error.kind() != io::ErrorKind::NotFound && why == Source::NotMounted => {
                why = Source::Unreadable(error.to_string());
            }
            Err(_) => {}
        }
    }
    (why, None)
}

/// Why a file was not read. `sign` is a file that exists if the file system is mounted.
fn unread(error: &io::Error, sign: &Path) -> Source {
    match error.kind() {
        io::ErrorKind::NotFound if sign.exists() => Source::Missing,
        io::ErrorKind::NotFound => Source::NotMounted,
        _ => Source::Unreadable(error.to_string()),
    }
}
