//! A trace that goes to another machine, over TCP on loopback and over standard input: what `krcu receive` writes replays to
//! the same report, and a connection that is cut is told by both ends.
#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::Arc,
    thread,
};

use krcu_agent::{
    disk::Queued,
    outcome::{Incomplete, Outcome},
    replay::replay,
    stream::{Address, Out},
};
use krcu_common::ABI_VERSION;
use krcu_model::{
    VerdictKind,
    event::Time,
    script::{self, Script},
};
use krcu_trace::{
    Accounted, FORMAT, How, Limits, Meta, Reader, Writer,
    meta::{Clock, Kernel, Run, Seen},
    stream::Sender,
};

/// What krcu saw on Linux 6.1 while a module with two caches came and went: one destroyed with deferred frees
/// outstanding, one without.
fn two() -> Script {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces/6.1-two.script");
    script::read(&fs::read_to_string(path).unwrap()).unwrap()
}

fn meta(script: &Script) -> Meta {
    Meta {
        format: FORMAT,
        abi: ABI_VERSION,
        krcu: "0.1.0".to_owned(),
        trace: "streamed".to_owned(),
        kernel: Kernel { possible_cpus: script.watch.possible_cpus, ..Kernel::default() },
        clock: Clock { monotonic_ns: script.watch.attached.0, realtime_ns: 1_796_000_000_000_000_000 },
        watch: Seen::of(&script.watch),
        probes: Vec::new(),
        undecidable: Vec::new(),
        command: Vec::new(),
        ended: None,
    }
}

/// Sends all events of the script, through the queue of a run.
fn begun(out: impl Write + Send + 'static, script: &Script) -> Writer {
    let sender = Sender::begin(out).unwrap();
    let queue = Arc::new(Queued::start(Arc::new(sender)).unwrap());
    let limits = Limits { rows: 100, ..Limits::default() };
    let mut writer = Writer::create_on(queue, Path::new("tcp:there"), meta(script), limits).unwrap();
    script.events.iter().for_each(|event| writer.event(event));
    writer
}

fn finish(writer: Writer) {
    writer.finish(How::Exit, Time(u64::MAX), Run::default()).unwrap();
}

/// A folder of one test, and the trace in it.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("krcu-stream-{test}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn trace(&self) -> PathBuf {
        self.0.join("a.krcu")
    }

    fn replayed(&self) -> Outcome {
        replay(&Reader::open(&self.trace()).unwrap()).unwrap().0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// `krcu receive` of this test.
struct Receiver {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Receiver {
    fn start(from: &str, folder: &Folder, input: Stdio) -> Receiver {
        let mut command = Command::new(env!("CARGO_BIN_EXE_krcu"));
        command.args(["receive", from, "-o"]).arg(folder.trace());
        let mut child = command.stdin(input).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Receiver { child, said }
    }

    /// The address that it says it listens at.
    fn address(&mut self) -> Address {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        let place = line.trim_end().strip_prefix("krcu: waiting for a stream at ").unwrap();
        place.parse().unwrap()
    }

    /// The status, and what it said last.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.said.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

#[test]
fn a_trace_comes_over_tcp_and_both_ends_know_that_it_is_whole() {
    let (script, folder) = (two(), Folder::new("whole"));
    let mut receiver = Receiver::start("tcp:127.0.0.1:0", &folder, Stdio::null());
    let out = Out::to(&receiver.address()).unwrap();
    finish(begun(out.writer().unwrap(), &script));
    out.confirmed().unwrap();
    let (status, said) = receiver.ended();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.starts_with("krcu: the whole trace is in ") && said.contains("krcu replay"), "{said}");
    let replayed = folder.replayed();
    assert_eq!(replayed.events, script.events.len() as u64);
    assert_eq!(replayed.incomplete, None);
    assert!(replayed.verdicts.iter().any(|verdict| verdict.verdict == VerdictKind::Pending));
}

#[test]
fn a_connection_that_is_cut_is_told_and_what_came_replays() {
    let (script, folder) = (two(), Folder::new("cut"));
    let mut receiver = Receiver::start("tcp:127.0.0.1:0", &folder, Stdio::null());
    let out = Out::to(&receiver.address()).unwrap();
    let mut writer = begun(out.writer().unwrap(), &script);
    let last = script.events.last().unwrap().time;
    writer.account(Accounted { at: last, ..Accounted::default() });
    // Everything is on its way; then the machine is gone.
    writer.sync();
    drop(writer);
    drop(out);
    let (status, said) = receiver.ended();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.starts_with("krcu: the sender went before the end of its trace: "), "{said}");
    let replayed = folder.replayed();
    assert_eq!(replayed.incomplete, Some(Incomplete::NoGoodbye));
    assert!(replayed.verdicts.iter().any(|verdict| verdict.verdict == VerdictKind::Pending));
}

#[test]
fn a_receiver_that_goes_is_told_by_the_sender() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap().to_string());
    // It takes all bytes and says nothing, as `nc` would.
    let other = thread::spawn(move || {
        let (mut taken, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        taken.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let out = Out::to(&address).unwrap();
    finish(begun(out.writer().unwrap(), &two()));
    let why = out.confirmed().unwrap_err().to_string();
    assert_eq!(why, "the receiver has not confirmed the trace: see there what it has of it");
    // What it took is a stream all the same.
    let folder = Folder::new("kept");
    let mut receiver = Receiver::start("-", &folder, Stdio::piped());
    receiver.child.stdin.take().unwrap().write_all(&other.join().unwrap()).unwrap();
    let (status, said) = receiver.ended();
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(folder.replayed().incomplete, None);
}

#[test]
fn what_is_no_stream_leaves_no_folder() {
    let folder = Folder::new("none");
    let mut receiver = Receiver::start("tcp:127.0.0.1:0", &folder, Stdio::null());
    let Address::Tcp(place) = receiver.address() else { panic!("not TCP") };
    let mut socket = TcpStream::connect(place).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let (status, said) = receiver.ended();
    assert_eq!(status, Some(1));
    assert_eq!(
        said,
        "krcu: no trace has come: this is no stream of `krcu record --stream`: it does not begin with its head\n"
    );
    assert!(!folder.trace().exists());
}

#[test]
fn a_stream_to_nobody_is_refused_before_anything_is_attached() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (to, expected) in [
        (format!("tcp:{free}"), format!("krcu: nobody takes a stream at tcp:{free}: ")),
        ("vsock:9000".to_owned(), "krcu: vsock:9000 names no machine: ".to_owned()),
    ] {
        let record =
            Command::new(env!("CARGO_BIN_EXE_krcu")).args(["record", "--stream", &to]).output().unwrap();
        let said = String::from_utf8(record.stderr).unwrap();
        assert_eq!(record.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&expected) && said.lines().count() == 1, "{said}");
    }
}
