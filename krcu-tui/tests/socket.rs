//! The socket, with a server in this test: what is sent, what arrives, and what happens when the server goes
//! away.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail as the test does")]

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process, thread,
    time::{Duration, Instant},
};

use krcu_report::{Detail, Hello, Line, Refused, Report, SCHEMA};
use krcu_tui::{
    connection::{Inbox, Link, Notice, Source as _, Timing, Why, watch},
    state::{App, Freshness},
};

/// Nothing here takes so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);
const QUICK: Timing = Timing {
    first: Duration::from_millis(5),
    most: Duration::from_millis(20),
    wish: Duration::from_millis(5),
};

/// A separate folder for each test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let folder = env::temp_dir().join(format!("krcu-tui-{test}-{}", process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("krcu.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A client that this test serves.
struct Client(BufReader<UnixStream>);

impl Client {
    fn of(listener: &UnixListener) -> Client {
        let stream = listener.accept().unwrap().0;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(BufReader::new(stream))
    }

    fn asked(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    fn say(&mut self, line: &Line) {
        let text = serde_json::to_string(line).unwrap() + "\n";
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }
}

fn hello(pid: u32) -> Line {
    Line::Hello(Hello { schema: SCHEMA, pid, interval_ms: 250, ..Hello::default() })
}

fn report(seq: u64, at_ns: u64) -> Line {
    Line::Report(Box::new(Report { schema: SCHEMA, seq, at_ns, ..Report::default() }))
}

/// Takes notices until this one has come.
fn until(inbox: &Inbox, app: &mut App, is_there: impl Fn(&Notice) -> bool) {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let mut found = false;
        for notice in inbox.take() {
            found |= is_there(&notice);
            app.take(notice, 0);
        }
        if found {
            return;
        }
        thread::yield_now();
    }
    panic!("it did not come: {app:?}");
}

fn is_lost(why: &Why) -> impl Fn(&Notice) -> bool {
    let lost = Notice::Link(Link::Lost(why.clone()));
    move |notice| *notice == lost
}

#[test]
fn an_agent_that_comes_later_is_found_and_one_that_comes_back_is_another() {
    let folder = Folder::new("comes-back");
    let (inbox, mut app) = (Inbox::default(), App::default());
    let _socket = watch(&folder.socket(), Detail::Overview, QUICK, &inbox);
    until(&inbox, &mut app, is_lost(&Why::NoSocket));
    assert_eq!(app.freshness(0), Freshness::Nothing);

    let listener = UnixListener::bind(folder.socket()).unwrap();
    let mut client = Client::of(&listener);
    assert_eq!(client.asked(), "{\"kind\":\"hello\",\"schema\":3,\"detail\":\"overview\"}\n");
    client.say(&hello(7));
    client.say(&report(0, 1_000_000_000));
    client.say(&report(1, 2_000_000_000));
    until(&inbox, &mut app, |notice| matches!(notice, Notice::Report(report) if report.seq == 1));
    assert_eq!((app.freshness(0), app.histories.all.len()), (Freshness::Live, 1));
    assert_eq!(app.freshness(3001), Freshness::Frozen(3001), "three seconds of silence");

    // It is killed: its last report is still shown, with its age.
    drop((client, listener));
    until(&inbox, &mut app, is_lost(&Why::HungUp));
    assert_eq!(app.report.as_ref().map(|report| report.seq), Some(1));
    assert_eq!(app.freshness(500), Freshness::Lost(500));
    until(&inbox, &mut app, is_lost(&Why::NobodyListens));

    fs::remove_file(folder.socket()).unwrap();
    let listener = UnixListener::bind(folder.socket()).unwrap();
    let mut client = Client::of(&listener);
    client.asked();
    client.say(&hello(8));
    until(&inbox, &mut app, |notice| matches!(notice, Notice::Hello(hello) if hello.pid == 8));
    assert_eq!((app.report.is_none(), app.histories.all.len()), (true, 0), "another watch has no past");
}

#[test]
fn what_is_wanted_later_is_asked_for_on_the_same_connection() {
    let folder = Folder::new("wish");
    let (inbox, mut app) = (Inbox::default(), App::default());
    let listener = UnixListener::bind(folder.socket()).unwrap();
    let mut socket = watch(&folder.socket(), Detail::All, QUICK, &inbox);
    let mut client = Client::of(&listener);
    assert!(client.asked().contains("\"all\""));
    client.say(&hello(7));
    until(&inbox, &mut app, |notice| matches!(notice, Notice::Hello(_)));
    socket.want(Detail::Destroy(3));
    assert_eq!(client.asked(), "{\"kind\":\"hello\",\"schema\":3,\"detail\":{\"destroy\":3}}\n");
}

#[test]
fn a_server_that_says_nothing_is_reached_and_kept() {
    let folder = Folder::new("silent");
    let (inbox, mut app) = (Inbox::default(), App::default());
    // It is frozen: the kernel accepts the connection for it.
    let listener = UnixListener::bind(folder.socket()).unwrap();
    let _socket = watch(&folder.socket(), Detail::Overview, QUICK, &inbox);
    until(&inbox, &mut app, |notice| *notice == Notice::Link(Link::Reached));
    assert_eq!((app.freshness(3000), app.freshness(3001)), (Freshness::Nothing, Freshness::Frozen(3001)));
    // It continues, with half a line and then the other half, on the same connection.
    let mut client = Client::of(&listener);
    client.asked();
    let line = serde_json::to_string(&hello(7)).unwrap() + "\n";
    let (half, rest) = line.split_at(line.len() / 2);
    client.0.get_mut().write_all(half.as_bytes()).unwrap();
    client.0.get_mut().write_all(rest.as_bytes()).unwrap();
    until(&inbox, &mut app, |notice| matches!(notice, Notice::Hello(hello) if hello.pid == 7));
    assert_eq!((&app.link, app.freshness(3001)), (&Link::Connected, Freshness::Frozen(3001)));
    client.say(&report(0, 1));
    until(&inbox, &mut app, |notice| matches!(notice, Notice::Report(_)));
    assert_eq!(app.freshness(3000), Freshness::Live);
}

#[test]
fn who_does_not_serve_is_told_with_his_reason() {
    let refused = Line::Refused(Refused { schema: SCHEMA, why: "64 clients are served".to_owned() });
    let refused = serde_json::to_string(&refused).unwrap();
    let newer = Line::Hello(Hello { schema: SCHEMA + 1, ..Hello::default() });
    let newer = serde_json::to_string(&newer).unwrap();
    // A version that gives everything else other names.
    let renamed = r#"{"kind":"hello","schema":9,"program":"krcu 9"}"#.to_owned();
    let older = r#"{"kind":"hello","schema":1,"krcu":"0.1.0"}"#.to_owned();
    let unknown = r#"{"kind":"greeting","schema":4}"#.to_owned();
    let nameless = r#"{"kind":"hello","pid":7}"#.to_owned();
    let no_hello = Why::Garbage("missing field `schema`".to_owned());
    for (name, line, why) in [
        ("refused", refused, Why::Refused("64 clients are served".to_owned())),
        ("schema", newer, Why::Schema(SCHEMA + 1)),
        ("renamed", renamed, Why::Schema(9)),
        ("older", older, Why::Schema(1)),
        ("unknown", unknown, Why::Schema(4)),
        ("nameless", nameless, no_hello),
    ] {
        let folder = Folder::new(name);
        let (inbox, mut app) = (Inbox::default(), App::default());
        let listener = UnixListener::bind(folder.socket()).unwrap();
        let _socket = watch(&folder.socket(), Detail::Overview, QUICK, &inbox);
        let mut client = Client::of(&listener);
        client.asked();
        client.0.get_mut().write_all((line + "\n").as_bytes()).unwrap();
        until(&inbox, &mut app, is_lost(&why));
    }
}

#[test]
fn garbage_is_no_report_and_lines_may_come_in_pieces() {
    let folder = Folder::new("garbage");
    let (inbox, mut app) = (Inbox::default(), App::default());
    let listener = UnixListener::bind(folder.socket()).unwrap();
    let _socket = watch(&folder.socket(), Detail::Overview, QUICK, &inbox);
    let mut client = Client::of(&listener);
    client.asked();
    let text =
        serde_json::to_string(&hello(7)).unwrap() + "\n" + &serde_json::to_string(&report(5, 1)).unwrap();
    for piece in text.as_bytes().chunks(7) {
        client.0.get_mut().write_all(piece).unwrap();
    }
    until(&inbox, &mut app, |notice| matches!(notice, Notice::Hello(_)));
    assert!(app.report.is_none(), "the line has not ended");
    client.0.get_mut().write_all(b"\n").unwrap();
    until(&inbox, &mut app, |notice| matches!(notice, Notice::Report(report) if report.seq == 5));
    client.0.get_mut().write_all(b"{\"kind\":\"rep\0rt\"}\n").unwrap();
    until(&inbox, &mut app, |notice| matches!(notice, Notice::Link(Link::Lost(Why::Garbage(_)))));
}
