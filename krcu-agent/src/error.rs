//! Why a verb gives no status of its own, and why krcu refuses to run on this kernel or for this user: one line each,
//! which says what to do.

use krcu_common::count::LINES;
use serde::Serialize;
use thiserror::Error;

use crate::command::CommandError;

/// Why a verb did not get to its end.
#[derive(Debug, Error)]
pub enum VerbError {
    /// What was asked for cannot be: nothing was attached.
    #[error("{0}")]
    Usage(String),
    /// krcu failed.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl From<CommandError> for VerbError {
    fn from(error: CommandError) -> VerbError {
        VerbError::Usage(error.to_string())
    }
}

/// Something without which nothing can be watched.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize)]
#[serde(rename_all = "snake_case", tag = "refusal", content = "detail")]
pub enum Refusal {
    /// The machine is of a kind for which the way from an object to its cache is not written.
    #[error(
        "krcu finds the cache of an object on x86_64 only, and this machine is {arch}: use another machine"
    )]
    Arch {
        /// Machine, as `uname -m` prints it.
        arch: String,
    },
    /// The machine may have more CPUs than the probes have lines to count in.
    #[error(
        "this machine may have {cpus} CPUs, and krcu numbers the events of {LINES} at most: boot with `nr_cpus={LINES}`"
    )]
    Cpus {
        /// CPUs that may ever be there.
        cpus: u32,
    },
    /// The process may not load or attach programs.
    #[error("krcu needs root, or the capabilities that are missing here ({missing}): run it with sudo")]
    Privileges {
        /// Names of the missing capabilities, separated by commas.
        missing: String,
    },
    /// A file system that the kernel's facts are read from is not mounted.
    #[error("{path} is not mounted: run `mount -t {kind} {kind} {path}`")]
    NotMounted {
        /// Where it belongs.
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
        /// Why.
        why: String,
    },
    /// The symbol table cannot be used.
    #[error(
        "the kernel's symbols in /proc/kallsyms cannot be read ({why}): use one with CONFIG_KALLSYMS_ALL=y"
    )]
    Kallsyms {
        /// Why.
        why: String,
    },
    /// Every address in the symbol table reads as zero.
    #[error(
        "the kernel's addresses are hidden (/proc/kallsyms reads as zeros): run as root with `sysctl kernel.kptr_restrict=1`"
    )]
    Hidden,
    /// Symbols that the probes need are not in the symbol table, or not exactly once.
    #[error(
        "this kernel has no single symbol {names}: use one with CONFIG_KALLSYMS_ALL=y and memory layout randomisation"
    )]
    Symbols {
        /// Their names, separated by commas.
        names: String,
    },
    /// Members that the probes read are not in the type information.
    #[error("this kernel's type information lacks {names}, which krcu needs: report this kernel")]
    Layout {
        /// Their names, separated by commas.
        names: String,
    },
    /// The kernel keeps its memory from every program.
    #[error(
        "the kernel is locked down ({mode}), which keeps its memory from probes: boot with lockdown=integrity or none"
    )]
    Lockdown {
        /// The mode.
        mode: String,
    },
    /// Programs are interpreted, and so cannot be attached to functions.
    #[error("eBPF is not compiled on this kernel: run `sysctl net.core.bpf_jit_enable=1`")]
    Jit,
    /// Function tracing is switched off.
    #[error("function tracing is switched off: run `sysctl kernel.ftrace_enabled=1`")]
    Ftrace,
    /// A probe that krcu cannot do without is not offered.
    #[error(
        "this kernel offers no probe on {names}, without which nothing can be decided: use another kernel"
    )]
    Probes {
        /// What they would be attached to and why not, separated by semicolons.
        names: String,
    },
}
