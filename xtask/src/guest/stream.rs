//! The machine's output on its way to whoever asked for it: live, whole, and without the mark that ends it.

use std::io::{self, Read, Write as _};
use std::os::unix::net::UnixListener;

/// Where an output stream of the machine goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Our own standard output.
    Stdout,
    /// Our own standard error.
    Stderr,
    /// Kept, not shown.
    Keep,
}

/// What came over one stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Everything before the mark.
    pub(crate) bytes: Vec<u8>,
    /// Whether the mark came, that is, whether nothing is missing.
    pub(crate) whole: bool,
}

/// Waits for the machine to connect, then copies its output until the mark or the end.
pub(crate) fn receive(listener: &UnixListener, mark: &[u8], sink: Sink) -> Received {
    let mut received = Received::default();
    let Ok((mut socket, _)) = listener.accept() else {
        return received;
    };
    let mut shown = 0;
    let mut buffer = [0_u8; 16384];
    loop {
        let count = match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        received.bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        received.whole = received.bytes.ends_with(mark);
        let certain = if received.whole {
            received.bytes.len() - mark.len()
        } else {
            received.bytes.len() - started_mark(&received.bytes, mark)
        };
        show(sink, received.bytes.get(shown..certain).unwrap_or_default());
        shown = certain.max(shown);
        if received.whole {
            received.bytes.truncate(shown);
            return received;
        }
    }
    show(sink, received.bytes.get(shown..).unwrap_or_default());
    received
}

/// How many bytes at the end of `bytes` may be the beginning of `mark`.
fn started_mark(bytes: &[u8], mark: &[u8]) -> usize {
    (1..mark.len())
        .rev()
        .find(|&length| mark.get(..length).is_some_and(|start| bytes.ends_with(start)))
        .unwrap_or(0)
}

fn show(sink: Sink, bytes: &[u8]) {
    // A reader that went away (`| head`) is no reason to end the machine's run.
    match sink {
        Sink::Stdout => {
            let mut stdout = io::stdout().lock();
            drop(stdout.write_all(bytes).and_then(|()| stdout.flush()));
        }
        Sink::Stderr => drop(io::stderr().lock().write_all(bytes)),
        Sink::Keep => {}
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::process;

    use super::{Received, Sink, receive, started_mark};

    fn send(name: &str, pieces: &[&[u8]]) -> Received {
        let path = env::temp_dir().join(format!("krcu-stream-{name}-{}", process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let mut socket = UnixStream::connect(&path).unwrap();
        for piece in pieces {
            socket.write_all(piece).unwrap();
        }
        drop(socket);
        let received = receive(&listener, b"\x01end", Sink::Keep);
        fs::remove_file(&path).unwrap();
        received
    }

    #[test]
    fn the_mark_is_taken_off_and_its_absence_noticed() {
        let whole = send("whole", &[b"some \x01e output\n", b"\x01e", b"nd"]);
        assert_eq!(whole, Received { bytes: b"some \x01e output\n".to_vec(), whole: true });
        let cut = send("cut", &[b"some output\n\x01en"]);
        assert_eq!(cut, Received { bytes: b"some output\n\x01en".to_vec(), whole: false });
    }

    #[test]
    fn a_started_mark_is_held_back() {
        assert_eq!(started_mark(b"abc", b"\x01end"), 0);
        assert_eq!(started_mark(b"abc\x01", b"\x01end"), 1);
        assert_eq!(started_mark(b"abc\x01en", b"\x01end"), 3);
    }
}
