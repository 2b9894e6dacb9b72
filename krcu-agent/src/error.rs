//! Error: why a verb failed, and why krcu refuses to run on this kernel or for this user. Each message is one line and
//! says what to do.

use krcu_common::count::LINES;
use serde::Serialize;
use thiserror::Error;

use crate::{command::CommandError, probe::LoadError, say::causes};

/// Why a verb failed.
#[derive(Debug, Error)]
pub enum VerbError {
    /// krcu refuses: nothing was attached.
    #[error("{0}")]
    Usage(String),
    /// krcu failed.
    #[error("{}", causes(.0))]
    Failed(#[from] anyhow::Error),
}

impl VerbError {
    /// Whether krcu may not do this, and root may.
    #[must_use]
    pub fn needs_root(&self) -> bool {
        let VerbError::Failed(error) = self else { return false };
        matches!(error.downcast_ref(), Some(LoadError::Refused(Refusal::Privileges { .. })))
    }
}

impl From<CommandError> for VerbError {
    fn from(error: CommandError) -> VerbError {
        VerbError::Usage(error.to_string())
    }
}

/// A reason for which krcu cannot watch at all.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize)]
#[serde(rename_all = "snake_case", tag = "refusal", content = "detail")]
pub enum Refusal {
    /// krcu does not know the way from an object to its cache on this kind of machine.
    #[error(
        "krcu finds the cache of an object on x86_64 and aarch64 only, and this machine is {arch}: use another machine"
    )]
    Arch {
        /// The machine, as `uname -m` prints it.
        arch: String,
    },
    /// The machine may have more CPUs than the probes have lines of counters. Each CPU needs one.
    #[error(
        "this machine may have {cpus} CPUs, and krcu numbers the events of {LINES} at most: boot with `nr_cpus={LINES}`"
    )]
    Cpus {
        /// The number of possible CPUs.
        cpus: u32,
    },
    /// The process may not load or attach programs.
    #[error("krcu needs root, or the capabilities that are missing here ({missing}): run it with sudo")]
    Privileges {
        /// Names of the missing capabilities, separated by commas.
        missing: String,
    },
    /// A file system that has facts about the kernel is not mounted.
    #[error("{path} is not mounted: run `mount -t {kind} {kind} {path}`")]
    NotMounted {
        /// Where it should be mounted.
        path: &'static str,
        /// Its type.
        kind: &'static str,
    },
    /// The kernel was built without type information.
    #[error(
        "this kernel has no type information (/sys/kernel/btf/vmlinux): use one with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf,
    /// The type information cannot be used.
    #[error("the type information in /sys/kernel/btf/vmlinux cannot be read ({why}): report this kernel")]
    Btf {
        /// The reason.
        why: String,
    },
    /// The symbol table cannot be used.
    #[error(
        "the kernel's symbols in /proc/kallsyms cannot be read ({why}): use one with CONFIG_KALLSYMS_ALL=y"
    )]
    Kallsyms {
        /// The reason.
        why: String,
    },
    /// Every address in the symbol table reads as zero.
    #[error(
        "the kernel's addresses are hidden (/proc/kallsyms reads as zeros): run as root with `sysctl kernel.kptr_restrict=1`"
    )]
    Hidden,
    /// Symbols that the probes need are missing in the symbol table, or are there more than once.
    #[error(
        "this kernel has no single symbol {names}: use one with CONFIG_KALLSYMS_ALL=y and memory layout randomisation"
    )]
    Symbols {
        /// Their names, separated by commas.
        names: String,
    },
    /// The kernel does not note where its memory is.
    #[error(
        "the note VMCOREINFO in /proc/kcore has no {names}, without which krcu does not find the cache of an object: run it as root, \
         or with CAP_SYS_RAWIO, on a kernel with CONFIG_PROC_KCORE=y and CONFIG_VMCORE_INFO=y"
    )]
    Memory {
        /// Names of the missing numbers, separated by commas.
        names: String,
    },
    /// Members that the probes read are not in the type information.
    #[error("this kernel's type information lacks {names}, which krcu needs: report this kernel")]
    Layout {
        /// Their names, separated by commas.
        names: String,
    },
    /// The kernel's lockdown mode lets no program read its memory.
    #[error(
        "the kernel is locked down ({mode}), which keeps its memory from probes: boot with lockdown=integrity or none"
    )]
    Lockdown {
        /// The mode.
        mode: String,
    },
    /// The kernel interprets eBPF programs. Only compiled programs can be attached to functions.
    #[error("eBPF is not compiled on this kernel: run `sysctl net.core.bpf_jit_enable=1`")]
    Jit,
    /// Function tracing is switched off.
    #[error("function tracing is switched off: run `sysctl kernel.ftrace_enabled=1`")]
    Ftrace,
    /// The kernel's functions cannot call programs.
    #[error(
        "this kernel lets no function call an eBPF program (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS is off): use one that has it, on arm64 6.4 or later"
    )]
    DirectCalls,
    /// A probe that krcu cannot do without is not offered.
    #[error(
        "this kernel offers no probe on {names}, without which nothing can be decided: use another kernel"
    )]
    Probes {
        /// Their functions, each with the reason, separated by semicolons.
        names: String,
    },
}
