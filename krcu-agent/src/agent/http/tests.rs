//! The metrics' port against what may come to it.

use krcu_model::VerdictKind;
use krcu_report::{Report, Ring, SCHEMA, SinkRow};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};

use super::*;
use crate::agent::published::Published;

async fn start(report: Option<Report>, most: usize) -> (SocketAddr, Arc<Health>) {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let health = Arc::new(Health::default());
    let (sender, newest) = watch::channel(report.map(|report| Arc::new(Published::new(report))));
    // What is there stays there.
    std::mem::forget(sender);
    let names = ["farm1.example".to_owned()].into();
    tokio::spawn(serve(listener, most, Answers { newest, health: Arc::clone(&health), names }));
    (address, health)
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn report() -> Report {
    Report {
        schema: SCHEMA,
        outstanding: 777,
        verdict_counts: [(VerdictKind::Pending, 2), (VerdictKind::Clean, 5)].into(),
        ring: Some(Ring { bytes: 4096, used_bytes: 8 }),
        ..Report::default()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn get_of_two_paths_is_answered_and_nothing_else() {
    let (address, health) = start(Some(report()), 4).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let open = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n";
    let metrics = ask(address, open).await;
    assert!(
        metrics.starts_with("HTTP/1.1 200 OK\r\n") && metrics.contains(metrics::CONTENT_TYPE),
        "{metrics}"
    );
    for line in [
        "krcu_outstanding_objects 777.0\n",
        "krcu_verdicts{verdict=\"pending\"} 2\n",
        "krcu_verdicts_flagged 2.0\n",
        "krcu_ring_size_bytes 4096.0\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    let older = ask(address, &get("/metrics")).await;
    assert!(older.contains("content-type: text/plain; version=0.0.4"), "{older}");
    assert!(older.contains("# TYPE krcu_build_info gauge\n") && !older.contains("# EOF"), "{older}");
    assert!(ask(address, &get("/healthz")).await.ends_with("\r\n\r\nok\n"));
    for path in ["/", "/metrics/", "/metrics/../healthz", "//metrics", "/etc/passwd"] {
        assert!(ask(address, &get(path)).await.starts_with("HTTP/1.1 404 "), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"] {
        let request = format!("{method} /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        let answer = ask(address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET"), "{method}: {answer}");
    }
    assert_eq!((health.metrics.served.get(), health.metrics.refused.get()), (3, 10));
}

#[tokio::test(flavor = "current_thread")]
async fn health_says_what_does_not_work_and_what_works_in_part() {
    let answers = [(SinkState::Failed, "the recorder does not work"), (SinkState::Working, "the recorder")];
    for (state, words) in answers {
        let why = Some("one\nreason".to_owned());
        let row = SinkRow { name: "recorder".to_owned(), state, dropped: 0, why };
        let (address, _) = start(Some(Report { sinks: vec![row], ..report() }), 1).await;
        let answer = ask(address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert!(answer.ends_with(&format!("\r\n\r\nok, but {words}: one\u{fffd}reason\n")), "{answer}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_no_http_or_too_long_is_refused() {
    let (address, health) = start(Some(report()), 4).await;
    assert!(ask(address, "\u{1}\u{2}nothing\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    let long = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(2 * MOST_HEADER_BYTES)
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be closed while it is still being written.
    let _ = stream.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "), "{answer:?}");
    while health.metrics.broken.get() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_connection_that_says_nothing_gives_its_place_back() {
    let (address, health) = start(Some(report()), 1).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut answer = String::new();
    silent.read_to_string(&mut answer).await.unwrap();
    assert_eq!((answer.as_str(), health.metrics.broken.get()), ("", 1));
}

#[tokio::test(flavor = "current_thread")]
async fn connections_that_are_held_keep_nobody_out() {
    let (address, health) = start(Some(report()), 2).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    // No time has to pass: the oldest of them goes.
    let answer = ask(address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.ends_with("ok\n"), "{answer}");
    assert_eq!((health.metrics.displaced.get(), health.metrics.broken.get()), (7, 0));
    let mut answer = String::new();
    held[0].read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "");
}

#[tokio::test(flavor = "current_thread")]
async fn a_request_for_another_host_is_refused() {
    let (address, health) = start(Some(report()), 4).await;
    let get = |first: &str, hosts: &[&str]| {
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        format!("{first}\r\n{hosts}\r\n")
    };
    let first = "GET /healthz HTTP/1.1";
    let own =
        ["127.0.0.1", "127.0.0.1:9747", "10.1.2.3", "[::1]:9747", "[::1]", "localhost:9747", "LOCALHOST"];
    for host in own.into_iter().chain(["farm1.example", "farm1.example:9747", "FARM1.example"]) {
        let answer = ask(address, &get(first, &[host])).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    let foreign =
        ["evil.example", "evil.example:9747", "localhost.evil.example", "127.0.0.1.evil.example", ""];
    for host in foreign {
        let answer = ask(address, &get(first, &[host])).await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{host}: {answer}");
    }
    // Not named at all, named twice, and named by the request's own line.
    let others = [
        get(first, &[]),
        get(first, &["localhost", "evil.example"]),
        get("GET http://evil.example/healthz HTTP/1.1", &["localhost"]),
    ];
    for request in &others {
        assert!(ask(address, request).await.starts_with("HTTP/1.1 4"), "{request}");
    }
    assert!(ask(address, &get("GET /healthz HTTP/1.0", &[])).await.starts_with("HTTP/1.0 200 "));
    assert_eq!(health.metrics.served.get(), 11);
}

#[tokio::test(flavor = "current_thread")]
async fn who_asks_and_closes_his_half_is_answered() {
    let (address, health) = start(Some(report()), 1).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It has been taken, and is waited for.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");
    assert_eq!((health.metrics.served.get(), health.metrics.broken.get()), (1, 0));
}

#[tokio::test(flavor = "current_thread")]
async fn before_the_first_report_it_is_not_well() {
    let (address, _) = start(None, 1).await;
    assert!(
        ask(address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.starts_with("HTTP/1.1 503 ")
    );
}
