//! Connection: where reports come from. A thread of its own reads them, so that drawing holds nobody up; what it has
//! read waits in an [`Inbox`] that has a bound, and of reports the newest win.

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

use crate::what_if::WhatIf;

/// Something that came.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The agent is reached, or not.
    Link(Link),
    /// Who reports.
    Hello(Hello),
    /// How things are.
    Report(Box<Report>),
    /// How things were, on the way to the report that follows: for sparklines.
    Past(Box<Report>),
    /// What else a destroy would have cost.
    Answer(Box<WhatIf>),
    /// How the replay stands.
    Replay(ReplayStatus),
}

/// How the agent is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Nobody has tried yet.
    #[default]
    Idle,
    /// Its socket has taken the connection, and nothing whole has come yet: whoever is frozen is like this, too.
    Reached,
    /// It has said who it is.
    Connected,
    /// It is not, and why; another attempt comes soon.
    Lost(Why),
}

/// Why an agent is not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no socket: no agent is running.
    NoSocket,
    /// There is a socket that nobody listens on: an agent was killed.
    NobodyListens,
    /// The socket is not for this user.
    NotAllowed,
    /// The agent hung up.
    HungUp,
    /// The agent said why it does not serve.
    Refused(String),
    /// The agent speaks another version of the lines.
    Schema(u32),
    /// What came is no line of an agent.
    Garbage(String),
    /// Anything else.
    Other(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NoSocket => f.write_str("no agent is running"),
            Why::NobodyListens => f.write_str("the agent is gone: nobody listens on its socket"),
            Why::NotAllowed => f.write_str("the socket is not for this user"),
            Why::HungUp => f.write_str("the agent hung up"),
            Why::Refused(why) => write!(f, "the agent does not serve: {why}"),
            Why::Schema(schema) => write!(f, "the agent speaks schema {schema}, this program another one"),
            Why::Garbage(what) => write!(f, "what came is no line of an agent: {what}"),
            Why::Other(error) => f.write_str(error),
        }
    }
}

/// How a replay stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplayStatus {
    /// The file.
    pub name: String,
    /// Where it is, in nanoseconds since the last probe was attached.
    pub at_ns: u64,
    /// Where it ends.
    pub end_ns: u64,
    /// Events taken.
    pub events: u64,
    /// Whether it plays.
    pub is_playing: bool,
    /// How fast, by its place in [`SPEEDS`].
    pub speed: usize,
    /// Whether it is on its way to another place.
    pub is_seeking: bool,
    /// What a step has just taken.
    pub last: Option<String>,
    /// Why it ends before its trace does, once it is known to.
    pub error: Option<String>,
}

/// What is asked of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Plays, or pauses.
    Play,
    /// One event.
    Step,
    /// To the next destroy.
    NextDestroy,
    /// Faster, or slower.
    Speed(i32),
    /// So many thousandths of the run on, or back.
    Skip(i32),
    /// To this many thousandths of the run.
    Seek(u16),
}

/// Whoever brings reports, to be asked for something.
pub trait Source {
    /// How much is wanted.
    fn want(&mut self, detail: krcu_report::Detail);

    /// Something of a replay.
    fn command(&mut self, command: Command);
}
