//! Signals that are sent to this process, and to one of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::ExitStatusExt as _,
    process::{Command, Stdio},
};

use nix::unistd::getpid;

use super::*;

/// Set for the process that a test starts of itself.
const OTHER: &str = "TEST_OF_ENDING";

#[tokio::test(flavor = "current_thread")]
async fn an_interrupt_that_no_key_sent_reaches_the_command() {
    let mut signals = Signals::new().unwrap();
    // The shell says when its trap is set.
    let mut command = tokio::process::Command::new("/bin/sh");
    command.args(["-c", "trap 'exit 7' INT; echo; while :; do sleep 0.01; done"]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    tokio::io::AsyncReadExt::read_u8(&mut out).await.unwrap();
    kill(getpid(), signal::Signal::SIGINT).unwrap();
    let came = signals.next().await;
    assert!(matches!(came, Came::Interrupt { by_terminal: false }));
    came.forward(&child);
    assert_eq!(child.wait().await.unwrap().code(), Some(7));
    // One of the terminal's is not handed on: the command would have it twice.
    let mut child = tokio::process::Command::new("/bin/cat").stdin(Stdio::piped()).spawn().unwrap();
    Came::Interrupt { by_terminal: true }.forward(&child);
    drop(child.stdin.take());
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[test]
fn the_first_signal_ends_the_waiting_and_the_second_the_process() {
    if std::env::var_os(OTHER).is_some() {
        let mut ending = Ending::begin(false).unwrap();
        let event_loop = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        eprintln!("listening");
        event_loop.block_on(ending.came());
        assert!(ending.has_come());
        eprintln!("heard one");
        // An event loop that does not move any more, as while a slow disk is written to.
        loop {
            thread::park();
        }
    }
    let name = "signals::tests::the_first_signal_ends_the_waiting_and_the_second_the_process";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]).env(OTHER, "1").stderr(Stdio::piped());
    let mut other = command.stdout(Stdio::null()).spawn().unwrap();
    let mut said = BufReader::new(other.stderr.take().unwrap());
    let mut line = String::new();
    while line != "listening\n" {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended");
    }
    let pid = Pid::from_raw(i32::try_from(other.id()).unwrap());
    for signal in [signal::Signal::SIGTERM, signal::Signal::SIGINT] {
        kill(pid, signal).unwrap();
        line.clear();
        said.read_line(&mut line).unwrap();
        let expected = if signal == signal::Signal::SIGTERM { "heard one" } else { "krcu: another signal: " };
        assert!(line.starts_with(expected), "{line}");
    }
    let status = other.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(130), None));
    said.read_to_string(&mut line).unwrap();
}
