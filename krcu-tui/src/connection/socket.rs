//! Socket: reads an agent's socket, in a thread that connects again whenever the connection is lost.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use krcu_report::{Ask, Detail, Line, SCHEMA, Version};

use super::{Command, Inbox, Link, Notice, Source, Why};
use crate::what_if::Simulator;

/// The agent's default socket.
pub const DEFAULT_SOCKET: &str = "/run/krcu/krcu.sock";

/// The longest line that is accepted; a report has some hundred thousand bytes.
const MOST_BYTES: usize = 16 << 20;
/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 16;

/// How long this thread waits.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The wait between two attempts to connect: this at first, then doubled each time up to `most`.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// How soon a new request is sent, or the end noticed.
    pub wish: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            first: Duration::from_millis(250),
            most: Duration::from_secs(2),
            wish: Duration::from_millis(200),
        }
    }
}

/// An agent that is watched, until this is dropped. Nobody waits for the thread: if the agent is frozen, the
/// thread may be stuck in its connect call.
#[derive(Debug)]
pub struct Socket {
    detail: Arc<Mutex<Detail>>,
    is_over: Arc<AtomicBool>,
    /// When this is dropped, it wakes the thread between two attempts.
    _wake: Sender<()>,
}

/// Watches the agent of this socket.
#[must_use]
pub fn watch(path: &Path, detail: Detail, timing: Timing, inbox: &Inbox) -> Socket {
    let detail = Arc::new(Mutex::new(detail));
    let is_over = Arc::new(AtomicBool::new(false));
    let (wake, woken) = mpsc::channel();
    let reader = Reader {
        path: path.to_owned(),
        inbox: inbox.clone(),
        detail: Arc::clone(&detail),
        is_over: Arc::clone(&is_over),
        timing,
    };
    let thread = thread::Builder::new().name("socket".to_owned()).spawn(move || {
        let mut pause = timing.first;
        while !reader.is_over() {
            let (was_served, why) = reader.connection();
            reader.inbox.put(Notice::Link(Link::Lost(why)));
            pause = if was_served { timing.first } else { (pause * 2).min(timing.most) };
            if woken.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    });
    if let Err(error) = &thread {
        inbox.put(Notice::Link(Link::Lost(Why::Other(format!("cannot start a thread: {error}")))));
    }
    Socket { detail, is_over, _wake: wake }
}

impl Source for Socket {
    fn want(&mut self, detail: Detail) {
        *self.detail.lock().unwrap_or_else(PoisonError::into_inner) = detail;
    }

    fn command(&mut self, _: Command) {}
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

struct Reader {
    path: PathBuf,
    inbox: Inbox,
    detail: Arc<Mutex<Detail>>,
    is_over: Arc<AtomicBool>,
    timing: Timing,
}

impl Reader {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn wish(&self) -> Detail {
        *self.detail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection, to its end. Returns whether anything came, and why it ended.
    fn connection(&self) -> (bool, Why) {
        let mut stream = match UnixStream::connect(&self.path) {
            Ok(stream) => stream,
            Err(error) => return (false, why(&error)),
        };
        let mut asked = self.wish();
        let limits = stream
            .set_read_timeout(Some(self.timing.wish))
            .and_then(|()| stream.set_write_timeout(Some(Duration::from_secs(2))));
        if let Err(error) = limits.and_then(|()| ask(&mut stream, asked)) {
            return (false, why(&error));
        }
        let (mut was_served, mut is_silent) = (false, false);
        let (mut lines, mut simulator) = (Lines::default(), Simulator::default());
        let mut chunk = vec![0; CHUNK_BYTES];
        while !self.is_over() {
            match stream.read(&mut chunk) {
                Ok(0) => return (was_served, Why::HungUp),
                Ok(bytes) => {
                    let taken = lines
                        .take(&chunk[..bytes], &mut |line| self.line(line, &mut was_served, &mut simulator));
                    if let Err(why) = taken {
                        return (was_served, why);
                    }
                }
                // An agent whose last act is to close the connection is not called silent before that.
                Err(error) if is_silence(&error) => {
                    if !was_served && !std::mem::replace(&mut is_silent, true) {
                        self.inbox.put(Notice::Link(Link::Reached));
                    }
                }
                Err(error) => return (was_served, why(&error)),
            }
            let wish = self.wish();
            if wish != asked {
                asked = wish;
                if let Err(error) = ask(&mut stream, asked) {
                    return (was_served, why(&error));
                }
            }
        }
        (was_served, Why::HungUp)
    }

    fn line(&self, line: &[u8], was_served: &mut bool, simulator: &mut Simulator) -> Result<(), Why> {
        match parse(line)? {
            Line::Refused(refused) => return Err(Why::Refused(refused.why)),
            Line::Hello(hello) => {
                self.inbox.put(Notice::Link(Link::Connected));
                self.inbox.put(Notice::Hello(hello));
            }
            Line::Report(report) => self.inbox.put(Notice::Report(report)),
            Line::Question(question) => {
                let inbox = self.inbox.clone();
                // If no thread can be started, there is no answer, and the user can ask again.
                let _ = simulator.ask(*question, move |answer| inbox.put(Notice::Answer(Box::new(answer))));
            }
        }
        *was_served = true;
        Ok(())
    }
}

/// Parses a line, if it has this version. A line of another version may have other members, or the same names
/// with other meanings.
fn parse(line: &[u8]) -> Result<Line, Why> {
    match serde_json::from_slice::<Version>(line) {
        Ok(Version { schema }) if schema != SCHEMA => Err(Why::Schema(schema)),
        // A line without a version has the error of its own.
        _ => serde_json::from_slice(line).map_err(|error| Why::Garbage(error.to_string())),
    }
}

/// The bytes that have come, cut into lines.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], line: &mut dyn FnMut(&[u8]) -> Result<(), Why>) -> Result<(), Why> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(&rest[..end]);
            line(&self.begun)?;
            self.begun.clear();
            rest = &rest[end + 1..];
        }
        self.begun.extend_from_slice(rest);
        if self.begun.len() > MOST_BYTES {
            return Err(Why::Garbage(format!("a line has more than {MOST_BYTES} bytes")));
        }
        Ok(())
    }
}

fn ask(stream: &mut UnixStream, detail: Detail) -> io::Result<()> {
    let mut line = serde_json::to_string(&Ask::new(detail)).map_err(io::Error::other)?;
    line.push('\n');
    stream.write_all(line.as_bytes())
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn why(error: &io::Error) -> Why {
    match error.kind() {
        io::ErrorKind::NotFound => Why::NoSocket,
        io::ErrorKind::ConnectionRefused => Why::NobodyListens,
        io::ErrorKind::PermissionDenied => Why::NotAllowed,
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Why::HungUp,
        _ => Why::Other(error.to_string()),
    }
}
