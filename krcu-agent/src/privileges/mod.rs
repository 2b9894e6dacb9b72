//! Privileges: which ones krcu needs, what for, and how it gives them up once its probes are attached.
//!
//! To attach, it needs `CAP_BPF` (load programs, create maps), `CAP_PERFMON` (attach to functions, read the
//! kernel's memory from a program) and `CAP_SYSLOG` (see addresses). `probes.statistics` needs `CAP_SYS_ADMIN`.
//! Afterwards it needs none. The ring is mapped. The counters are read through open descriptors; since 5.19 the
//! kernel asks for `CAP_BPF` to create a map, and not to look something up in it. Closing the links detaches.
//!
//! The agent gives up three things, in this order: its capabilities, the folders that are not its own
//! (`folders`), and the system calls that it does not make (`calls`). `krcu check` gives up system calls only,
//! once it has started its command: the command must be able to do whatever it could do without krcu.

pub(crate) mod calls;
pub(crate) mod folders;
pub(crate) mod user;

use anyhow::Context as _;
use caps::CapSet;

/// Gives up every capability of this thread for ever. Threads that it starts later have none either.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn give_up() -> anyhow::Result<()> {
    nix::sys::prctl::set_no_new_privs().context("cannot give up new privileges")?;
    let may_bound = caps::has_cap(None, CapSet::Effective, caps::Capability::CAP_SETPCAP).unwrap_or(false);
    if may_bound {
        for capability in caps::runtime::thread_all_supported() {
            // One that the kernel does not know is not there to be dropped.
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
    }
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).with_context(|| format!("cannot give up the {set:?} capabilities"))?;
    }
    Ok(())
}
