//! The filter on a thread of its own: what is on the list works, and nothing else does.

use std::{fs, thread};

use nix::errno::Errno;

use super::*;

/// What a call answers in a thread that has the filter.
fn within<T: Send + 'static>(caller: Caller, act: impl FnOnce() -> T + Send + 'static) -> T {
    let filtered = move || {
        nix::sys::prctl::set_no_new_privs().unwrap();
        // No flag: only this thread.
        set(caller, 0).unwrap();
        act()
    };
    thread::spawn(filtered).join().unwrap()
}

/// What a raw call answers; it must have no effect on memory.
fn raw(call: c_long, arguments: [c_long; 3]) -> Result<c_long, Errno> {
    let [first, second, third] = arguments;
    // SAFETY: none of the calls that the tests make writes to memory of this process.
    Errno::result(unsafe { libc::syscall(call, first, second, third, 0, 0, 0) })
}

#[test]
fn every_call_that_is_not_on_the_list_is_refused() {
    let inet = [libc::AF_INET, libc::SOCK_STREAM, 0].map(c_long::from);
    let unix = [libc::AF_UNIX, libc::SOCK_STREAM, 0].map(c_long::from);
    let code = c_long::from(libc::PROT_READ | libc::PROT_EXEC);
    let refused = [
        (libc::SYS_socket, inet),
        (libc::SYS_socket, unix),
        (libc::SYS_connect, [-1, 0, 0]),
        (libc::SYS_execve, [0; 3]),
        (libc::SYS_execveat, [-1, 0, 0]),
        (libc::SYS_fork, [0; 3]),
        (libc::SYS_vfork, [0; 3]),
        // A process, not a thread.
        (libc::SYS_clone, [c_long::from(libc::SIGCHLD), 0, 0]),
        (libc::SYS_mmap, [0, 4096, code]),
        (libc::SYS_mprotect, [0, 0, code]),
        // BPF_MAP_CREATE, BPF_MAP_UPDATE_ELEM, BPF_PROG_LOAD, BPF_OBJ_PIN.
        (libc::SYS_bpf, [0, 0, 0]),
        (libc::SYS_bpf, [2, 0, 0]),
        (libc::SYS_bpf, [5, 0, 0]),
        (libc::SYS_bpf, [6, 0, 0]),
        (libc::SYS_perf_event_open, [0; 3]),
        (libc::SYS_ptrace, [0; 3]),
        (libc::SYS_mount, [0; 3]),
        (libc::SYS_setns, [-1, 0, 0]),
        (libc::SYS_unshare, [0; 3]),
        (libc::SYS_init_module, [0; 3]),
        (libc::SYS_finit_module, [-1, 0, 0]),
        (libc::SYS_delete_module, [0; 3]),
        (libc::SYS_reboot, [0; 3]),
        (libc::SYS_setuid, [0; 3]),
        (libc::SYS_capset, [0; 3]),
        (libc::SYS_chown, [0; 3]),
        (libc::SYS_chmod, [0; 3]),
        (libc::SYS_kill, [c_long::from(std::process::id()), 0, 0]),
        (libc::SYS_io_uring_setup, [0; 3]),
        (libc::SYS_prctl, [c_long::from(libc::PR_SET_DUMPABLE), 0, 0]),
        (libc::SYS_ioctl, [0, 0x5412, 0]),
    ];
    for (call, arguments) in refused {
        let answer = within(Caller::Agent, move || raw(call, arguments));
        assert_eq!(answer, Err(Errno::EPERM), "call {call} {arguments:?}");
    }
    assert_eq!(within(Caller::Agent, || raw(libc::SYS_clone3, [0; 3])), Err(Errno::ENOSYS));
}

#[test]
fn what_krcu_does_after_attaching_is_allowed() {
    let folder = std::env::temp_dir().join(format!("krcu-calls-{}", std::process::id()));
    let work = move || {
        fs::create_dir_all(&folder).unwrap();
        let (old, new) = (folder.join("old"), folder.join("new"));
        fs::write(&old, "text").unwrap();
        fs::rename(&old, &new).unwrap();
        fs::File::open(&new).unwrap().sync_all().unwrap();
        assert_eq!(fs::read_to_string(&new).unwrap(), "text");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
        // A thread begins with the filter of the one that starts it.
        let named = thread::Builder::new().name("another".to_owned());
        let other = named.spawn(|| raw(libc::SYS_socket, [1, 1, 0])).unwrap();
        assert_eq!(other.join().unwrap(), Err(Errno::EPERM));
        // Reads of a map: the descriptor is refused, and not the call.
        [1, 4, 15].map(|command| raw(libc::SYS_bpf, [command, 0, 0]))
    };
    for answer in within(Caller::Agent, work) {
        assert!(!matches!(answer, Ok(_) | Err(Errno::EPERM | Errno::ENOSYS)), "{answer:?}");
    }
}

#[test]
fn a_run_with_a_command_waits_for_it_and_starts_an_event_loop() {
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    let work = move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        child.wait().unwrap();
        raw(libc::SYS_execve, [0; 3])
    };
    assert_eq!(within(Caller::Command, work), Err(Errno::EPERM));
}

#[test]
fn a_run_that_gives_its_trace_away_gives_it_to_one_user() {
    let user = User { uid: 1000, gid: 100 };
    let give = |caller, uid, gid| within(caller, move || raw(libc::SYS_fchown, [-1, uid, gid]));
    // No file is open as -1: the call was let through.
    assert_eq!(give(Caller::Giving(user), 1000, 100), Err(Errno::EBADF));
    for (caller, uid, gid) in
        [(Caller::Giving(user), 1001, 100), (Caller::Giving(user), 1000, 0), (Caller::Command, 1000, 100)]
    {
        assert_eq!(give(caller, uid, gid), Err(Errno::EPERM), "{caller:?} {uid} {gid}");
    }
}
