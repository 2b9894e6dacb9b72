//! The socket against clients as they come: the time is the test's own, and nothing is waited for that does not come.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

use krcu_report::{Report, WaitKind};
use tokio::{io::AsyncBufReadExt as _, io::BufReader, sync::watch};

use super::*;
use crate::agent::published::Published;

/// A server at a path of its own, and how to give it reports.
struct Server {
    path: PathBuf,
    newest: Option<watch::Sender<Option<Arc<Published>>>>,
    health: Arc<Health>,
    task: tokio::task::JoinHandle<()>,
    asked: mpsc::Receiver<Asked>,
}

impl Server {
    fn start(name: &str, most: usize) -> Server {
        let path = std::env::temp_dir().join(format!("krcu-socket-{name}-{}", std::process::id()));
        let bound = Bound::to(&path, "no-such-group").unwrap();
        let (newest, receiver) = watch::channel(None);
        let (asks, asked) = mpsc::channel(1);
        let health = Arc::new(Health::default());
        let hello = Arc::new(Hello { schema: SCHEMA, host: "here".to_owned(), ..Hello::default() });
        let serve = Serve { hello, newest: receiver, asks, health: Arc::clone(&health) };
        let task = tokio::spawn(async move { super::serve(&bound, most, serve).await });
        Server { path, newest: Some(newest), health, task, asked }
    }

    fn publish(&self, seq: u64) {
        // More than a socket's buffer holds, so that who does not read is written to no further.
        let waits = [(WaitKind::Destroy, krcu_report::Histogram::default())].into();
        let why = Some("x".repeat(1 << 20));
        let state = krcu_report::SinkState::Working;
        let row = krcu_report::SinkRow { name: "log".to_owned(), state, dropped: 0, why };
        let report = Report { schema: SCHEMA, seq, waits, sinks: vec![row], ..Report::default() };
        self.newest.as_ref().unwrap().send_replace(Some(Arc::new(Published::new(report))));
    }

    async fn connect(&self) -> Peer {
        let (read, write) = UnixStream::connect(&self.path).await.unwrap().into_split();
        Peer { read: BufReader::new(read), write }
    }

    async fn client(&self) -> Peer {
        let mut peer = self.connect().await;
        assert!(matches!(peer.line().await, Some(Line::Hello(hello)) if hello.host == "here"));
        peer.say(b"{\"kind\":\"hello\",\"schema\":3,\"detail\":\"overview\"}\n").await;
        peer
    }

    /// A client that asks about destroy 7, what the owner is asked for it, and the report after which it was.
    async fn client_of_destroy(&mut self) -> (Peer, Asked, u64) {
        self.publish(0);
        let mut client = self.client().await;
        assert_eq!(client.seq().await, Some(0));
        client.say(b"{\"kind\":\"hello\",\"schema\":3,\"detail\":{\"destroy\":7}}\n").await;
        for seq in 1.. {
            self.publish(seq);
            assert_eq!(client.seq().await, Some(seq));
            if let Ok(asked) = self.asked.try_recv() {
                return (client, asked, seq);
            }
        }
        unreachable!("there is always another report")
    }

    /// Until this count is so high: everything else that could happen has.
    async fn until(&self, count: fn(&SocketHealth) -> u64, at_least: u64) {
        while count(&self.health.socket) < at_least {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

struct Peer {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Peer {
    async fn say(&mut self, bytes: &[u8]) {
        self.write.write_all(bytes).await.unwrap();
    }

    async fn line(&mut self) -> Option<Line> {
        let mut line = String::new();
        let read = self.read.read_line(&mut line).await.unwrap_or(0);
        (read > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    async fn seq(&mut self) -> Option<u64> {
        match self.line().await? {
            Line::Report(report) => Some(report.seq),
            other => unreachable!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_client_gets_the_newest_report_and_the_last_one_before_the_end() {
    let mut server = Server::start("newest", 4);
    server.publish(3);
    let mut client = server.client().await;
    assert_eq!(client.seq().await, Some(3));
    server.publish(4);
    assert_eq!(client.seq().await, Some(4));
    server.publish(5);
    server.newest = None;
    assert_eq!(client.seq().await, Some(5));
    assert_eq!(client.line().await, None);
    server.task.await.unwrap();
    assert!(!server.path.exists(), "the socket's file is left");
    assert_eq!(server.health.socket.dropped(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn who_reads_slowly_misses_reports_and_holds_nobody_up() {
    let server = Server::start("slow", 4);
    server.publish(0);
    let (mut slow, mut quick) = (server.client().await, server.client().await);
    for seq in 0..20 {
        server.publish(seq);
        assert_eq!(quick.seq().await, Some(seq));
    }
    let mut seen = vec![slow.seq().await.unwrap()];
    while *seen.last().unwrap() != 19 {
        seen.push(slow.seq().await.unwrap());
    }
    assert!(seen.len() < 5, "{seen:?}");
    let missed = 20 - u64::try_from(seen.len()).unwrap();
    assert_eq!(server.health.socket.reports_lost.get(), missed);
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_no_hello_ends_the_conversation() {
    let server = Server::start("garbage", 4);
    let oversized = vec![b' '; MOST_ASK_BYTES];
    type Counted = fn(&SocketHealth) -> u64;
    let cases: [(&[u8], Counted); 5] = [
        (b"GET / HTTP/1.1\r\n\r\n", |health| health.garbage.get()),
        (b"\xff\x00\n", |health| health.garbage.get()),
        (b"{\"kind\":\"hello\",\"schema\":3,\"detail\":\"everything\"}\n", |health| health.garbage.get()),
        (b"\n", |health| health.garbage.get()),
        (&oversized, |health| health.oversized.get()),
    ];
    for (bytes, count) in cases {
        let before = count(&server.health.socket);
        let mut peer = server.connect().await;
        peer.say(bytes).await;
        assert!(matches!(peer.line().await, Some(Line::Hello(_))));
        assert_eq!(peer.line().await, None, "{bytes:?}");
        server.until(count, before + 1).await;
    }
    assert_eq!(server.health.socket.served.get(), 0);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn who_says_nothing_or_reads_nothing_is_let_go() {
    let server = Server::start("stalled", 4);
    server.publish(0);
    let mut silent = server.connect().await;
    assert!(matches!(silent.line().await, Some(Line::Hello(_))));
    server.until(|health| health.slow_hello.get(), 1).await;
    assert_eq!(silent.line().await, None);
    let _deaf = server.client().await;
    server.until(|health| health.stalled.get(), 1).await;
    assert_eq!(server.health.socket.dropped(), 2);
}

#[tokio::test(flavor = "current_thread")]
async fn one_too_many_is_told_so_and_a_place_that_is_left_is_given_again() {
    let server = Server::start("many", 2);
    server.publish(0);
    let (first, _second) = (server.client().await, server.client().await);
    let mut third = server.connect().await;
    assert!(
        matches!(third.line().await, Some(Line::Refused(refused)) if refused.why.contains("socket.clients"))
    );
    assert_eq!(third.line().await, None);
    drop(first);
    // It is noticed when the next report is written.
    server.publish(1);
    while server.health.socket.clients.get() > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        server.publish(2);
    }
    let mut again = server.client().await;
    assert!(again.seq().await.is_some());
}

#[tokio::test(flavor = "current_thread")]
async fn a_file_left_by_one_that_was_killed_is_taken_over_and_one_that_answers_is_not() {
    let server = Server::start("taken", 2);
    let error = Bound::to(&server.path, "").unwrap_err().to_string();
    assert!(error.contains("another agent answers"), "{error}");
    let left = server.path.with_extension("left");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    assert!(left.exists());
    let bound = Bound::to(&left, "").unwrap();
    let mode = fs::metadata(&left).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(bound);
    assert!(!left.exists());
    fs::write(&left, "a file").unwrap();
    let error = Bound::to(&left, "").unwrap_err().to_string();
    fs::remove_file(&left).unwrap();
    assert!(error.contains("no socket"), "{error}");
}

/// How often attributes of files in a folder have changed since the watch was added.
fn changes(watch: i32) -> usize {
    let mut events = [0_u8; 4096];
    // SAFETY: the buffer is as long as is said, and the kernel writes no more than that.
    let read = unsafe { libc::read(watch, events.as_mut_ptr().cast(), events.len()) };
    usize::try_from(read).unwrap_or(0)
}

#[tokio::test(flavor = "current_thread")]
async fn the_file_has_its_group_and_its_mode_from_its_creation_on() {
    let folder = std::env::temp_dir().join(format!("krcu-socket-made-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let name = std::ffi::CString::new(folder.to_str().unwrap()).unwrap();
    // SAFETY: it takes no pointer.
    let watch = unsafe { libc::inotify_init1(libc::IN_NONBLOCK) };
    // SAFETY: the name ends with a zero, and lives until the call has returned.
    assert!(unsafe { libc::inotify_add_watch(watch, name.as_ptr(), libc::IN_ATTRIB) } > 0);
    // Root may take any group; others have their own.
    let mut own = nix::unistd::getegid();
    if nix::unistd::geteuid().is_root() {
        own = nix::unistd::Group::from_name("daemon").unwrap().map_or(own, |group| group.gid);
    }
    let group = nix::unistd::Group::from_gid(own).unwrap().unwrap().name;
    let path = folder.join("socket");
    let bound = Bound::to(&path, &group).unwrap();
    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.permissions().mode() & 0o777, meta.gid()), (0o660, own.as_raw()));
    assert_eq!(changes(watch), 0, "the file was changed by its path");
    // What else is created has neither.
    fs::write(folder.join("other"), "").unwrap();
    assert_eq!(fs::metadata(folder.join("other")).unwrap().gid(), nix::unistd::getegid().as_raw());
    // The watch works.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(changes(watch) > 0);
    drop(bound);
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn who_asks_about_a_destroy_that_is_not_there_gets_reports_without_an_answer() {
    let mut server = Server::start("destroy", 2);
    let (mut client, asked, seq) = server.client_of_destroy().await;
    assert_eq!(asked.destroy, 7);
    asked.reply.send(None).unwrap();
    server.publish(seq + 1);
    assert_eq!(client.seq().await, Some(seq + 1));
}

#[tokio::test(flavor = "current_thread")]
async fn a_terminal_of_another_version_is_told_so() {
    let server = Server::start("version", 2);
    for schema in [1, SCHEMA + 1] {
        let before = server.health.socket.garbage.get();
        let mut peer = server.connect().await;
        peer.say(format!("{{\"kind\":\"hello\",\"schema\":{schema},\"detail\":\"all\"}}\n").as_bytes()).await;
        assert!(matches!(peer.line().await, Some(Line::Hello(_))));
        let Some(Line::Refused(refused)) = peer.line().await else { panic!("it is not refused") };
        assert!(refused.why.contains(&format!("the terminal version {schema}")), "{}", refused.why);
        assert!(peer.line().await.is_none());
        assert_eq!(server.health.socket.garbage.get(), before + 1);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_question_of_a_destroy_is_sent_once() {
    let mut server = Server::start("question", 2);
    let (mut client, asked, seq) = server.client_of_destroy().await;
    asked.reply.send(Some(Question { destroy: 7, ..Question::default() })).unwrap();
    let Some(Line::Question(question)) = client.line().await else { panic!("there is no question") };
    assert_eq!(question.destroy, 7);
    server.publish(seq + 1);
    assert_eq!(client.seq().await, Some(seq + 1));
    assert!(server.asked.try_recv().is_err(), "it is asked for once");
}
