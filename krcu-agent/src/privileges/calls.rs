//! Calls: the system calls that krcu makes once its probes are attached, by list. The kernel refuses every other one.
//!
//! A refused call fails with `EPERM`, and the kernel's log has a line for it (audit type 1326). krcu is not killed,
//! because a killed krcu loses events and the end of its trace; the line says that the list lacks a call, or that
//! somebody else's code runs in krcu. A filter is inherited, so it is set when nothing has to be started any more.

use std::{collections::BTreeMap, io};

use anyhow::Context as _;
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::user::User;

/// Who sets the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The agent: its sockets are open, it starts nothing, and it sends no signal.
    Agent,
    /// `check` and `record`, whose command runs. They pass signals on, wait for the command and start a second
    /// event loop.
    Command,
    /// The same, and `check` gives its trace to this user.
    Giving(User),
}

/// Memory, without that which can be executed: see [`RULES`].
const MEMORY: &[c_long] = &[libc::SYS_brk, libc::SYS_madvise, libc::SYS_mremap, libc::SYS_munmap];
/// Files that are open.
const DESCRIPTORS: &[c_long] = &[
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
];
/// Files by their paths.
const PATHS: &[c_long] =
    &[libc::SYS_getcwd, libc::SYS_newfstatat, libc::SYS_openat, libc::SYS_statx, libc::SYS_unlinkat];
/// Calls that not every architecture has: the older forms of some above, or the newer ones.
#[cfg(target_arch = "x86_64")]
const ONLY_HERE: &[c_long] = &[
    libc::SYS_epoll_wait,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_unlink,
];
#[cfg(target_arch = "aarch64")]
const ONLY_HERE: &[c_long] =
    &[libc::SYS_mkdirat, libc::SYS_readlinkat, libc::SYS_renameat, libc::SYS_renameat2];
/// Sockets that are open; none is opened or connected. The journal takes a long entry as a file in memory.
const SOCKETS: &[c_long] = &[
    libc::SYS_accept4,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_memfd_create,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
];
/// The event loop, clocks and threads.
const THREADS: &[c_long] = &[
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    // Refused by a filter of its own, in another way.
    libc::SYS_clone3,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_tgkill,
    libc::SYS_uname,
];
/// What [`Caller::Command`] needs besides.
const COMMAND: &[c_long] = &[
    libc::SYS_epoll_create1,
    libc::SYS_eventfd2,
    libc::SYS_kill,
    libc::SYS_pipe2,
    libc::SYS_socketpair,
    libc::SYS_wait4,
    libc::SYS_waitid,
];

/// A call that depends on one of its arguments: the argument's place, the bits of it that count, and their values.
type Rule = (c_long, u8, u64, &'static [u64]);

const EXECUTE: u64 = libc::PROT_EXEC as u64;
const ALL: u64 = u32::MAX as u64;
/// The commands of bpf() that read: look up an element, find the next key, describe a program. Sizes and numbers are
/// `enum bpf_cmd` of the kernel's `uapi/linux/bpf.h`.
const READS: &[u64] = &[1, 4, 15];
const RULES: &[Rule] = &[
    (libc::SYS_mmap, 2, EXECUTE, &[0]),
    (libc::SYS_mprotect, 2, EXECUTE, &[0]),
    (libc::SYS_bpf, 0, ALL, READS),
    // A thread, and no process.
    (libc::SYS_clone, 0, libc::CLONE_THREAD as u64, &[libc::CLONE_THREAD as u64]),
    (libc::SYS_ioctl, 1, ALL, &[libc::FIONBIO, libc::TCGETS, libc::TIOCGWINSZ]),
    (libc::SYS_prctl, 0, ALL, &[libc::PR_SET_NAME as u64]),
    // The limits are read, and not set.
    (libc::SYS_prlimit64, 2, u64::MAX, &[0]),
];

/// Refuses every system call that is not on the list, to all threads of this process, for ever.
///
/// # Errors
/// When the kernel refuses the filter. Then every call is allowed as before.
pub(crate) fn list_only(caller: Caller) -> anyhow::Result<()> {
    // The kernel asks for this of a process without CAP_SYS_ADMIN.
    nix::sys::prctl::set_no_new_privs().context("cannot give up new privileges")?;
    set(caller, libc::SECCOMP_FILTER_FLAG_TSYNC)
}

fn set(caller: Caller, flags: u64) -> anyhow::Result<()> {
    // A filter cannot look at what clone3() is asked for, because that lies in memory. The C library takes clone()
    // where the kernel has no clone3().
    let no_clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let absent = compile(no_clone3, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let listed = compile(rules(caller)?, refused, SeccompAction::Allow)?;
    install(&absent, flags)
        .and_then(|()| install(&listed, flags | libc::SECCOMP_FILTER_FLAG_LOG))
        .context("cannot give up system calls")
}

fn rules(caller: Caller) -> anyhow::Result<BTreeMap<c_long, Vec<SeccompRule>>> {
    let besides = if caller == Caller::Agent { &[] } else { COMMAND };
    let whole = [MEMORY, DESCRIPTORS, PATHS, ONLY_HERE, SOCKETS, THREADS, besides].into_iter().flatten();
    let mut rules: BTreeMap<_, _> = whole.map(|call| (*call, Vec::new())).collect();
    for (call, place, bits, values) in RULES {
        let rule = |value: &u64| {
            let equal = SeccompCmpOp::MaskedEq(*bits);
            let condition = SeccompCondition::new(*place, SeccompCmpArgLen::Qword, equal, *value)?;
            SeccompRule::new(vec![condition])
        };
        rules.insert(*call, values.iter().map(rule).collect::<Result<_, _>>()?);
    }
    if let Caller::Giving(User { uid, gid }) = caller {
        let is = |place, number: u32| {
            SeccompCondition::new(place, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, number.into())
        };
        rules.insert(libc::SYS_fchown, vec![SeccompRule::new(vec![is(1, uid)?, is(2, gid)?])?]);
    }
    Ok(rules)
}

/// The numbers of system calls are those of the architecture that this is built for.
#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

fn compile(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    others: SeccompAction,
    listed: SeccompAction,
) -> anyhow::Result<BpfProgram> {
    let filter = SeccompFilter::new(rules, others, listed, ARCH)?;
    filter.try_into().context("cannot make a filter for system calls")
}

/// Gives a filter to the kernel.
fn install(program: &BpfProgram, flags: u64) -> io::Result<()> {
    let mut program: Vec<libc::sock_filter> = program
        .iter()
        .map(|one| libc::sock_filter { code: one.code, jt: one.jt, jf: one.jf, k: one.k })
        .collect();
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let whole = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // SAFETY: the kernel reads the program during the call, as long as `program` lives, and writes nothing.
    let status =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const whole) };
    match status {
        0 => Ok(()),
        -1 => Err(match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENOSYS) => {
                io::Error::other("this kernel has no filter for them (CONFIG_SECCOMP_FILTER)")
            }
            error => error,
        }),
        thread => Err(io::Error::other(format!("thread {thread} has a filter of its own"))),
    }
}

#[cfg(test)]
mod tests;
