//! Serves a trace or a script on a socket as an agent would, in real time and then for ever. It is for trying
//! the screens of a live agent on a machine where no agent can run. It serves one client at a time.
//!
//! `cargo run -p krcu-tui --example serve -- /tmp/krcu.sock krcu-model/tests/traces/6.12-pending.script`, and
//! `krcu-tui --socket /tmp/krcu.sock` beside it.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use krcu_report::{Ask, Detail, Hello, Line, Report};
use krcu_tui::connection::{Player, Tape, load};

const INTERVAL: Duration = Duration::from_millis(250);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [socket, trace] = arguments.as_slice() else { anyhow::bail!("say SOCKET and TRACE") };
    let tape = load(trace)?;
    let _ = fs::remove_file(socket);
    let listener =
        UnixListener::bind(socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
    for client in listener.incoming() {
        if let Err(error) = serve(&tape, client?) {
            eprintln!("the client is gone: {error:#}");
        }
    }
    Ok(())
}

fn serve(tape: &Tape, mut client: UnixStream) -> anyhow::Result<()> {
    let (wishes, wished) = mpsc::channel();
    let reader = BufReader::new(client.try_clone()?);
    thread::spawn(move || {
        for line in reader.lines().map_while(Result::ok) {
            let Ok(Ask::Hello { detail, .. }) = serde_json::from_str(&line) else { return };
            if wishes.send(detail).is_err() {
                return;
            }
        }
    });
    let interval_ms = u32::try_from(INTERVAL.as_millis())?;
    let hello = Hello { pid: process::id(), interval_ms, ..tape.label().hello.clone() };
    say(&mut client, &Line::Hello(hello))?;
    let mut player = Player::new(tape);
    let (mut detail, mut before, begin) = (Detail::Overview, Instant::now(), Instant::now());
    let mut asked = None;
    loop {
        detail = wished.try_iter().last().unwrap_or(detail);
        let report = player.report(detail.bounds());
        if let Detail::Destroy(destroy) = detail
            && asked != Some(destroy)
            && let Some(question) = player.question(destroy)
        {
            say(&mut client, &Line::Question(Box::new(question)))?;
            asked = Some(destroy);
        }
        // After the end of the trace nothing happens, but time goes on.
        let at_ns = u64::try_from(begin.elapsed().as_nanos())?.max(report.at_ns);
        say(&mut client, &Line::Report(Box::new(Report { at_ns, ..report })))?;
        thread::sleep(INTERVAL);
        player.play(u64::try_from(before.elapsed().as_nanos())?);
        before = Instant::now();
    }
}

fn say(client: &mut UnixStream, line: &Line) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    Ok(client.write_all(text.as_bytes())?)
}
