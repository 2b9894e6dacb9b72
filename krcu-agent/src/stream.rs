//! Stream: where a trace goes, or comes from, that is not written to this machine's disk: TCP, the socket between a
//! virtual machine and its host (vsock), or standard output and input.

use std::{
    fmt,
    fs::File,
    io::{self, IsTerminal as _, Read, Write, stderr, stdin, stdout},
    net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs as _},
    os::fd::AsFd as _,
    str::FromStr,
    time::Duration,
};

use anyhow::{Context as _, bail};
use socket2::{Domain, SockAddr, Socket, Type};

/// How long one end waits for the other one: to take bytes, or to confirm the end.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the receiver answers when it has the whole trace on its disk.
pub const WHOLE: &[u8] = b"whole\n";
/// How an address is written.
const FORMS: &str = "write tcp:HOST:PORT, vsock:CID:PORT (2 is the host of a virtual machine), or -";

/// The other end of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Standard output, or input.
    Standard,
    /// A host, with the port behind the last colon.
    Tcp(String),
    /// A context, or any if it is to be listened for, and a port.
    Vsock(Option<u32>, u32),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        let wrong = || format!("`{text}` is no place for a stream: {FORMS}");
        if text == "-" {
            return Ok(Address::Standard);
        }
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        match kind {
            "tcp" => {
                let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
                let is_port = port.parse::<u16>().is_ok();
                if host.is_empty() || !is_port { Err(wrong()) } else { Ok(Address::Tcp(rest.to_owned())) }
            }
            "vsock" => {
                let number = |text: &str| text.parse().map_err(|_| wrong());
                match rest.split_once(':') {
                    Some((context, port)) => Ok(Address::Vsock(Some(number(context)?), number(port)?)),
                    None => Ok(Address::Vsock(None, number(rest)?)),
                }
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Standard => f.write_str("standard output"),
            Address::Tcp(place) => write!(f, "tcp:{place}"),
            Address::Vsock(Some(context), port) => write!(f, "vsock:{context}:{port}"),
            Address::Vsock(None, port) => write!(f, "vsock:{port}"),
        }
    }
}

/// The end of a stream that is written to.
#[derive(Debug)]
pub enum Out {
    /// Standard output.
    Standard(File),
    /// A connection.
    Socket(Socket),
}

impl Out {
    /// Connects to a receiver. If that is standard output, everything else that this process and its command write there
    /// goes to standard error from now on.
    ///
    /// # Errors
    /// When nobody listens there, or standard output is a terminal.
    pub fn to(address: &Address) -> anyhow::Result<Out> {
        let refused = || {
            format!(
                "nobody takes a stream at {address}: start `krcu receive` there first, or name another place"
            )
        };
        let socket = match address {
            Address::Standard => {
                if stdout().is_terminal() {
                    bail!(
                        "a stream is no text for a terminal: add `| krcu receive - -o NAME.krcu`, or name another place"
                    );
                }
                let file = stdout().as_fd().try_clone_to_owned().context("cannot use standard output")?;
                nix::unistd::dup2_stdout(stderr()).context("cannot use standard output")?;
                return Ok(Out::Standard(file.into()));
            }
            Address::Tcp(place) => TcpStream::connect(place).with_context(refused)?.into(),
            Address::Vsock(Some(context), port) => {
                let socket = vsock()?;
                socket.connect(&SockAddr::vsock(*context, *port)).with_context(refused)?;
                socket
            }
            Address::Vsock(None, _) => bail!("{address} names no machine: {FORMS}"),
        };
        Ok(Out::Socket(patient(socket, PATIENCE)?))
    }

    /// The same end once more, to write to.
    ///
    /// # Errors
    /// When there are too many open files.
    pub fn writer(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Out::Standard(file) => Box::new(file.try_clone()?),
            Out::Socket(socket) => Box::new(socket.try_clone()?),
        })
    }

    /// Waits until the receiver says that it has all of it. Nobody says so for standard output.
    ///
    /// # Errors
    /// When the receiver does not say so.
    pub fn confirmed(&self) -> anyhow::Result<()> {
        let Out::Socket(socket) = self else { return Ok(()) };
        let mut answer = Vec::new();
        let mut answers = socket.take(u64::try_from(WHOLE.len()).unwrap_or(u64::MAX));
        socket
            .shutdown(Shutdown::Write)
            .and_then(|()| answers.read_to_end(&mut answer))
            .context("the receiver has not confirmed the trace")?;
        if answer != WHOLE {
            bail!("the receiver has not confirmed the trace: see there what it has of it");
        }
        Ok(())
    }
}

/// Where a sender can connect.
#[derive(Debug)]
pub enum Listener {
    /// Standard input.
    Standard,
    /// A port.
    Socket(Socket),
}

/// The end of a stream that is read.
#[derive(Debug)]
pub enum In {
    /// Standard input.
    Standard,
    /// A connection.
    Socket(Socket),
}

impl Listener {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the address is in use, or is not this machine's.
    pub fn at(address: &Address) -> anyhow::Result<Listener> {
        let refused =
            || format!("cannot listen at {address}: name an address of this machine and a free port");
        let socket = match address {
            Address::Standard if stdin().is_terminal() => {
                bail!(
                    "a stream does not come from a terminal: add `< FILE`, or name tcp:ADDRESS:PORT or vsock:PORT"
                )
            }
            Address::Standard => return Ok(Listener::Standard),
            Address::Tcp(place) => {
                let places: Vec<_> = place.to_socket_addrs().with_context(refused)?.collect();
                TcpListener::bind(places.as_slice()).with_context(refused)?.into()
            }
            Address::Vsock(context, port) => {
                let socket = vsock()?;
                let here = SockAddr::vsock(context.unwrap_or(libc::VMADDR_CID_ANY), *port);
                socket.bind(&here).and_then(|()| socket.listen(1)).with_context(refused)?;
                socket
            }
        };
        Ok(Listener::Socket(socket))
    }

    /// Where a sender connects to; absent for standard input.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        let Listener::Socket(socket) = self else { return None };
        let here = socket.local_addr().ok()?;
        match (here.as_socket(), here.as_vsock_address()) {
            (Some(address), _) => Some(format!("tcp:{address}")),
            (None, Some((_, port))) => Some(format!("vsock:{port}")),
            (None, None) => None,
        }
    }

    /// Waits for one sender, which may then be silent for this long.
    ///
    /// # Errors
    /// When it cannot be accepted.
    pub fn accept(self, silence: Duration) -> anyhow::Result<In> {
        match self {
            Listener::Standard => Ok(In::Standard),
            Listener::Socket(socket) => {
                let (sender, _) = socket.accept().context("cannot accept the sender")?;
                Ok(In::Socket(patient(sender, silence)?))
            }
        }
    }
}

impl In {
    /// Where its bytes come from.
    #[must_use]
    pub fn reader(&self) -> Box<dyn Read + '_> {
        match self {
            In::Standard => Box::new(stdin().lock()),
            In::Socket(socket) => Box::new(socket),
        }
    }

    /// Confirms the trace to the sender.
    ///
    /// # Errors
    /// When the sender is gone.
    pub fn confirm(&self) -> io::Result<()> {
        match self {
            In::Standard => Ok(()),
            In::Socket(socket) => {
                let mut sender: &Socket = socket;
                sender.write_all(WHOLE)
            }
        }
    }
}

/// A socket that waits for the other end this long.
fn patient(socket: Socket, time: Duration) -> anyhow::Result<Socket> {
    // No time at all would mean for ever.
    let time = Some(time.max(Duration::from_secs(1)));
    socket
        .set_write_timeout(time)
        .and_then(|()| socket.set_read_timeout(time))
        .context("cannot set how long the connection waits")?;
    Ok(socket)
}

fn vsock() -> anyhow::Result<Socket> {
    Socket::new(Domain::VSOCK, Type::STREAM, None)
        .context("this kernel has no vsock: load its module, vsock, or name tcp:HOST:PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_or_refused_with_its_forms() {
        let tcp = |place: &str| Address::Tcp(place.to_owned());
        for (text, expected) in [
            ("-", Address::Standard),
            ("tcp:host:9000", tcp("host:9000")),
            ("tcp:[::1]:0", tcp("[::1]:0")),
            ("vsock:2:9000", Address::Vsock(Some(2), 9000)),
            ("vsock:9000", Address::Vsock(None, 9000)),
        ] {
            assert_eq!(text.parse(), Ok(expected));
        }
        for text in [
            "",
            "tcp",
            "tcp:9000",
            "tcp::9000",
            "tcp:host:port",
            "tcp:host:65536",
            "vsock:a:1",
            "udp:a:1",
            "file",
        ] {
            let why = text.parse::<Address>().unwrap_err();
            assert_eq!(why, format!("`{text}` is no place for a stream: {FORMS}"));
        }
    }
}
