//! The program itself in a pseudo-terminal: it ends when a signal says so and when its terminal is gone, and
//! gives the terminal back if there still is one.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail as the test does")]

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{fs::OpenOptionsExt as _, process::ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt},
    sys::{
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::{Pid, tcgetpgrp},
};

/// How long a test waits before it says that the program hangs: far more than the program needs.
const HANGS: Duration = Duration::from_secs(60);
/// The sequences that switch to the alternate screen and back.
const THERE: &str = "\x1b[?1049h";
const BACK: &str = "\x1b[?1049l";
/// The question for the cursor's position. The terminal of this test does not answer.
const ASKED: &str = "\x1b[6n";
/// The sequence that clears the screen.
const WIPED: &str = "\x1b[2J";

/// The program; if a failed test leaves it behind, it is ended.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, with the other end of its terminal.
struct Session {
    child: Program,
    terminal: File,
    ours: PtyMaster,
    before: Termios,
    /// What has been drawn.
    shown: String,
}

impl Session {
    /// Starts the program in its own session. With `leads`, the terminal is its controlling terminal, as in a
    /// window, so that the kernel sends it SIGHUP.
    fn start(leads: bool, arguments: &[&str]) -> Session {
        let program = [&[env!("CARGO_BIN_EXE_krcu-tui")], arguments].concat();
        Session::of(leads, &program, &[])
    }

    /// The same for any program, in another environment.
    fn of(leads: bool, program: &[&str], environment: &[(&str, &str)]) -> Session {
        // No program of another test may keep it open.
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let open = |name: &str| {
            File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(name)
        };
        let terminal = open(&ptsname_r(&master).unwrap()).unwrap();
        let end = || terminal.try_clone().unwrap();
        size(&terminal, 24, 80);
        let before = tcgetattr(&terminal).unwrap();
        let child = Command::new("setsid")
            .args(if leads { &["--ctty"][..] } else { &[] })
            .args(program)
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied())
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        Session { child: Program(child), terminal, ours: master, before, shown: String::new() }
    }

    /// Waits until this is drawn.
    fn until(&mut self, text: &str) {
        self.since(0, text);
    }

    /// Waits until this is drawn after this many bytes.
    fn since(&mut self, begin: usize, text: &str) {
        let mut chunk = [0; 4096];
        while !self.shown[begin..].contains(text) {
            let mut ours = [PollFd::new(self.ours.as_fd(), PollFlags::POLLIN)];
            let hangs = PollTimeout::try_from(HANGS).unwrap();
            assert_ne!(poll(&mut ours, hangs).unwrap(), 0, "{text:?} is not in {:?}", self.shown);
            let bytes = self.ours.read(&mut chunk).unwrap();
            self.shown.push_str(&String::from_utf8_lossy(&chunk[..bytes]));
        }
    }

    fn press(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.0.id()).unwrap()), signal).unwrap();
    }

    /// The job in the foreground of the terminal.
    fn foreground(&self) -> Pid {
        tcgetpgrp(&self.ours).unwrap()
    }

    /// Waits for its end. Returns its status, and the signal that ended it.
    fn end(mut child: Program) -> (Option<i32>, Option<i32>) {
        let id = Pid::from_raw(i32::try_from(child.0.id()).unwrap());
        let (send, ended) = mpsc::channel();
        thread::spawn(move || send.send(child.0.wait()));
        match ended.recv_timeout(HANGS) {
            Ok(status) => status.map(|status| (status.code(), status.signal())).unwrap(),
            Err(error) => {
                kill(id, Signal::SIGKILL).unwrap();
                panic!("{error}: it does not end");
            }
        }
    }

    /// The program ends with its terminal.
    fn closes(self) {
        let Session { child, terminal, ours, .. } = self;
        drop((terminal, ours));
        assert_eq!(Session::end(child), (Some(128 + Signal::SIGHUP as i32), None));
    }

    /// The program ends with this status, and the terminal is as before. Returns what was drawn until then.
    fn gives_back(self, status: i32) -> String {
        let Session { child, terminal, mut ours, before, mut shown } = self;
        assert_eq!(Session::end(child), (Some(status), None), "{shown:?}");
        assert_eq!(tcgetattr(&terminal).unwrap(), before);
        // Nobody has it open any more: the rest of the output comes, and then an error.
        drop(terminal);
        let mut rest = Vec::new();
        let _ = ours.read_to_end(&mut rest);
        shown.push_str(&String::from_utf8_lossy(&rest));
        assert_eq!(shown.matches(BACK).count(), shown.matches(THERE).count(), "{shown:?}");
        assert!(!shown.contains(ASKED), "{shown:?}");
        shown
    }
}

/// Sets the rows and columns of a terminal.
fn size(terminal: &File, rows: u16, columns: u16) {
    let (rows, columns) = (rows.to_string(), columns.to_string());
    let words = ["rows", &rows, "cols", &columns];
    let sized = Command::new("stty").args(words).stdin(terminal.try_clone().unwrap()).status().unwrap();
    assert!(sized.success());
}

fn trace() -> String {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces/6.1-pending.script");
    path.to_string_lossy().into_owned()
}

/// Sessions of a replay and of an attempt to reach an agent, once they have drawn.
fn started(leads: bool) -> [Session; 2] {
    let mut replayed = Session::start(leads, &["--replay", &trace()]);
    replayed.until("krcu_pending");
    let mut alone = Session::start(leads, &["--socket", "/nowhere/krcu.sock"]);
    alone.until("/nowhere/krcu.sock");
    [replayed, alone]
}

#[test]
fn q_gives_the_terminal_back() {
    for mut session in started(true) {
        session.press("q");
        session.gives_back(0);
    }
}

#[test]
fn another_size_is_drawn_whole_by_a_terminal_that_answers_nothing() {
    for mut session in started(true) {
        // The last of 30 rows; the kernel tells the leader of the terminal.
        size(&session.terminal, 30, 100);
        session.until("\x1b[30;");
        let begin = session.shown.len();
        session.press("\x0c");
        session.since(begin, WIPED);
        session.press("q");
        let shown = session.gives_back(0);
        assert_eq!(shown.matches(BACK).count(), 1, "{shown:?}");
    }
}

#[test]
fn a_panic_gives_the_terminal_back_once_and_is_read_then() {
    for thread in ["drawing", "another"] {
        // Built with the tests, as every example is.
        let program = Path::new(env!("CARGO_BIN_EXE_krcu-tui")).with_file_name("examples").join("panic");
        let mut session = Session::of(true, &[program.to_str().unwrap(), thread], &[]);
        session.until("waiting");
        session.press("x");
        let shown = session.gives_back(101);
        assert_eq!(shown.matches(BACK).count(), 1, "{thread}: {shown:?}");
        let (_, said) = shown.split_once(BACK).unwrap();
        assert!(said.contains("it was asked for"), "{thread}: {shown:?}");
        assert!(!said.contains("\x1b[H") && !said.contains("waiting"), "{thread}: {shown:?}");
    }
}

#[test]
fn a_shell_stops_it_and_has_its_terminal_until_it_lets_it_go_on() {
    let script = "set -m; \"$0\" --replay \"$1\"; echo stopped $?; read -r line; fg; echo status $?";
    let program = ["sh", "-c", script, env!("CARGO_BIN_EXE_krcu-tui"), &trace()];
    for by_key in [true, false] {
        let mut session = Session::of(true, &program, &[]);
        session.until("krcu_pending");
        if by_key {
            session.press("\x1a");
        } else {
            kill(session.foreground(), Signal::SIGTSTP).unwrap();
        }
        session.until("stopped 14");
        assert_eq!(session.shown.matches(BACK).count(), 1, "{:?}", session.shown);
        assert_eq!(tcgetattr(&session.terminal).unwrap(), session.before);
        // It draws everything, not only the changes.
        let begin = session.shown.len();
        session.press("\n");
        session.since(begin, "krcu_pending");
        session.press("q");
        let shown = session.gives_back(0);
        assert!(shown.ends_with("status 0\r\n"), "{shown:?}");
        assert_eq!(shown.matches(BACK).count(), 2, "{shown:?}");
    }
}

#[test]
fn one_that_goes_on_in_the_background_leaves_the_terminal_alone_and_can_be_ended() {
    let script =
        "set -m; \"$0\" --replay \"$1\"; bg; echo background; read -r line; kill %1; wait %1; echo ended $?";
    let program = ["sh", "-c", script, env!("CARGO_BIN_EXE_krcu-tui"), &trace()];
    let mut session = Session::of(true, &program, &[]);
    session.until("krcu_pending");
    session.press("\x1a");
    session.until("background");
    session.press("\n");
    let shown = session.gives_back(0);
    assert!(shown.ends_with("ended 143\r\n"), "{shown:?}");
    assert_eq!(shown.matches(THERE).count(), 1, "{shown:?}");
}

#[test]
fn where_no_shell_could_let_it_go_on_it_does_not_stop() {
    for mut session in started(true) {
        session.press("\x1a");
        session.signal(Signal::SIGTSTP);
        session.press("q");
        let shown = session.gives_back(0);
        assert_eq!(shown.matches(BACK).count(), 1, "{shown:?}");
    }
}

#[test]
fn a_terminal_is_asked_for_no_more_than_it_has() {
    let program = [env!("CARGO_BIN_EXE_krcu-tui"), "--replay", &trace()];
    let shown = Session::of(true, &program, &[("TERM", "dumb")]).gives_back(1);
    assert!(shown.contains("a dumb one") && !shown.contains(THERE), "{shown:?}");
    let mut console = Session::of(true, &program, &[("TERM", "linux")]);
    console.until("krcu_pending");
    console.press("q");
    assert!(console.gives_back(0).is_ascii());
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_given_back() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        for session in started(true) {
            session.signal(signal);
            session.gives_back(128 + signal as i32);
        }
    }
}

#[test]
fn a_window_that_closes_ends_it() {
    // The kernel hangs the terminal up, and sends SIGHUP to its leader.
    started(true).into_iter().for_each(Session::closes);
}

#[test]
fn a_terminal_that_is_gone_ends_who_gets_no_signal() {
    started(false).into_iter().for_each(Session::closes);
}
