//! HTTP: answers GET of two paths, and nothing else. The number of connections, the size of their headers and
//! their time have bounds.
//!
//! A page in a browser on this host may have a name that leads here (DNS rebinding). Its requests carry that name, so
//! a request that asks for a name of somebody else is refused.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::{Bytes, Incoming},
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HOST},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::AbortHandle, time::timeout};

use krcu_report::{SinkState, words::shown};

use super::{health::Health, metrics, plain as older, published::Newest};

/// How long one connection may take, from its first byte to the last of the answer.
const WITHIN: Duration = Duration::from_secs(10);
/// The highest number of bytes of a request's headers.
const MOST_HEADER_BYTES: usize = 8 << 10;
/// If the newest report is older than this, the agent is stuck.
const FRESH: Duration = Duration::from_secs(30);

/// The type of sentences.
const TEXT: &str = "text/plain; charset=utf-8";
/// Clients that accept this type get OpenMetrics. All others get the Prometheus text format.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// The data of the answers.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) newest: Newest,
    pub(super) health: Arc<Health>,
    /// The names, besides addresses and `localhost`, that this host is asked by.
    pub(super) names: Arc<[String]>,
}

/// Begins to listen at this address.
///
/// # Errors
/// When the address is in use.
pub(super) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot serve metrics at {address}: give them another address (metrics.listen), or none")
    })
}

/// Answers connections until the future is dropped. One more than `most` closes the oldest: a request takes
/// milliseconds, so the oldest is one that holds its place without need.
pub(super) async fn serve(listener: TcpListener, most: usize, answers: Answers) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        while open.len() >= most.max(1)
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
            answers.health.metrics.displaced.one_more();
        }
        let answers = answers.clone();
        let connection = tokio::spawn(async move {
            let health = Arc::clone(&answers.health);
            let service = service_fn(move |request| {
                let response = answer(&request, &answers);
                async move { Ok::<_, Infallible>(response) }
            });
            // One that has said nothing when hyper's own time for headers is over would count as well-behaved.
            let connection = http1::Builder::new()
                .header_read_timeout(None::<Duration>)
                .max_buf_size(MOST_HEADER_BYTES)
                .keep_alive(false)
                // One that says all it has to and closes its half is answered all the same.
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service);
            if !matches!(timeout(WITHIN, connection).await, Ok(Ok(()))) {
                health.metrics.broken.one_more();
            }
        });
        open.push_back(connection.abort_handle());
        // What it has said already is answered before it can be the oldest.
        tokio::task::yield_now().await;
    }
}

/// Whether a request is for this host.
fn is_ours(request: &Request<Incoming>, names: &[String]) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_named = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(|host| is_own_name(host, names)),
        // An older client names no host; a browser always does.
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    is_named && request.uri().authority().is_none_or(|authority| is_own_name(authority.as_str(), names))
}

/// Whether this is an address, `localhost`, or one of the names; a port may follow.
fn is_own_name(host: &str, names: &[String]) -> bool {
    if host.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    bare.unwrap_or(name).parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn answer(request: &Request<Incoming>, answers: &Answers) -> Response<Full<Bytes>> {
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let is_open = accepted.is_some_and(|accepted| accepted.contains(OPEN_METRICS));
    let response = if is_ours(request, &answers.names) {
        respond(request.method(), request.uri().path(), is_open, answers)
    } else {
        let advice = "ask for an IP address, for localhost, or for a name of metrics.names\n";
        plain(StatusCode::MISDIRECTED_REQUEST, TEXT, advice.to_owned())
    };
    let counts = &answers.health.metrics;
    if response.status().is_client_error() {
        counts.refused.one_more();
    } else {
        counts.served.one_more();
    }
    response
}

fn respond(method: &Method, path: &str, is_open: bool, answers: &Answers) -> Response<Full<Bytes>> {
    let say = |status, text: &str| plain(status, TEXT, text.to_owned());
    if !matches!(path, "/metrics" | "/healthz") {
        return say(StatusCode::NOT_FOUND, "there is /metrics and /healthz\n");
    }
    if method != Method::GET {
        let mut response = say(StatusCode::METHOD_NOT_ALLOWED, "there is GET\n");
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET"));
        return response;
    }
    let newest = answers.newest.borrow().clone();
    let Some(newest) = newest else { return say(StatusCode::SERVICE_UNAVAILABLE, "no report yet\n") };
    if path == "/metrics" {
        return match metrics::text(&newest, &answers.health) {
            Ok(text) if is_open => plain(StatusCode::OK, metrics::CONTENT_TYPE, text),
            Ok(text) => plain(StatusCode::OK, older::CONTENT_TYPE, older::text(&text)),
            Err(_) => say(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n"),
        };
    }
    if newest.made.elapsed() > FRESH {
        return say(StatusCode::SERVICE_UNAVAILABLE, "stuck: there was no report for a while\n");
    }
    let told = newest.report.sinks.iter().find_map(|sink| sink.why.as_ref().map(|why| (sink, why)));
    match told {
        Some((sink, why)) => {
            let works = if sink.state == SinkState::Failed { " does not work" } else { "" };
            say(StatusCode::OK, &format!("ok, but the {}{works}: {}\n", sink.name, shown(why)))
        }
        None => say(StatusCode::OK, "ok\n"),
    }
}

fn plain(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests;
