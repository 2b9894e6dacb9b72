//! Connection: the source of reports. A separate thread reads them, so that drawing delays nobody. It leaves
//! what it has read in an [`Inbox`], which has a bound; the newest reports win.

mod inbox;
mod player;
mod replay;
mod socket;
mod tape;

use std::fmt;

use krcu_report::{Hello, Report};

pub use inbox::Inbox;
pub use player::{Player, SPEEDS};
pub use replay::replay;
pub use socket::{DEFAULT_SOCKET, Socket, Timing, watch};
pub use tape::{Tape, load};

use crate::what_if::Answer;

/// A notice from the reading thread.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The state of the connection has changed.
    Link(Link),
    /// The agent, or the trace, introduces itself.
    Hello(Hello),
    /// A report of the current state.
    Report(Box<Report>),
    /// A report of an earlier state, on the way to the next report; for sparklines.
    Past(Box<Report>),
    /// The answer to a what-if.
    Answer(Box<Answer>),
    /// The state of the replay.
    Replay(ReplayStatus),
}

/// The state of the connection to the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// It has not been tried yet.
    #[default]
    Idle,
    /// The socket has accepted the connection, but no whole line has come yet. This is also the state of a
    /// frozen agent.
    Reached,
    /// The agent has introduced itself.
    Connected,
    /// The agent is not connected, and why. The program tries again soon.
    Lost(Why),
}

/// Why the agent is not connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no socket: no agent is running.
    NoSocket,
    /// There is a socket, but no process listens on it: an agent was killed.
    NobodyListens,
    /// This user may not open the socket.
    NotAllowed,
    /// The agent closed the connection.
    HungUp,
    /// The agent said why it does not serve this client.
    Refused(String),
    /// The agent speaks another version of the lines.
    Schema(u32),
    /// A line that no agent writes.
    Garbage(String),
    /// Any other error.
    Other(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NoSocket => f.write_str("no agent is running"),
            Why::NobodyListens => f.write_str("the agent is gone: no process listens on its socket"),
            Why::NotAllowed => f.write_str("this user may not open the socket"),
            Why::HungUp => f.write_str("the agent hung up"),
            Why::Refused(why) => write!(f, "the agent refused this client: {why}"),
            Why::Schema(schema) => write!(
                f,
                "the agent speaks version {schema} of the lines, and this \
                program another one"
            ),
            Why::Garbage(what) => write!(f, "this is not a line of a krcu agent: {what}"),
            Why::Other(error) => f.write_str(error),
        }
    }
}

/// The state of a replay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplayStatus {
    /// The name of the file.
    pub name: String,
    /// The current time, in nanoseconds since the last probe was attached.
    pub at_ns: u64,
    /// The end of the run.
    pub end_ns: u64,
    /// The number of events that were taken.
    pub events: u64,
    /// Whether it plays.
    pub is_playing: bool,
    /// The speed, as a place in [`SPEEDS`].
    pub speed: usize,
    /// Whether it is on its way to another time.
    pub is_seeking: bool,
    /// The event that the last step took.
    pub last: Option<String>,
    /// Why the replay ends before its trace does, once that is known.
    pub error: Option<String>,
}

/// A command for a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Play or pause.
    Play,
    /// Take one event.
    Step,
    /// Go to the next destroy.
    NextDestroy,
    /// Play faster (or slower, if negative).
    Speed(i32),
    /// Go this many thousandths of the run forward (or back, if negative).
    Skip(i32),
    /// Go to this many thousandths of the run.
    Seek(u16),
}

/// A source of reports that takes requests.
pub trait Source {
    /// Says how much detail the screen needs.
    fn want(&mut self, detail: krcu_report::Detail);

    /// Gives a command to the replay.
    fn command(&mut self, command: Command);
}
