//! Hello: the first line of each side, and the list of all lines.

use serde::{Deserialize, Serialize};

use crate::{question::Question, rows::Report};

/// Version of the lines. It changes when a reader of the previous version would misread what is written. A
/// new member does not change it.
pub const SCHEMA: u32 = 3;

/// The most bytes in one line of a client, including the end of the line.
pub const MOST_ASK_BYTES: usize = 512;

/// A line of the server: its `kind`, and the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Line {
    /// The first one.
    Hello(Hello),
    /// The current state.
    Report(Box<Report>),
    /// The data for a simulation. A client that asks for a destroy ([`Detail::Destroy`]) gets it once for
    /// that destroy.
    Question(Box<Question>),
    /// The last line, for a client that is not served.
    Refused(Refused),
}

/// The part that every line of every version has. A reader must check it before it reads the rest of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
}

/// The program that reports, and the kernel that it watches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of krcu.
    pub krcu: String,
    /// Version of the events that the probes write (`krcu_common::ABI_VERSION`).
    pub abi: u32,
    /// The machine's name, as `uname -n` prints it; empty when not known.
    pub host: String,
    /// The kernel, as `uname -r` prints it.
    pub release: String,
    /// `/proc/sys/kernel/random/boot_id`; empty when not known.
    pub boot: String,
    /// The agent's process; 0 in a replay. If the number differs after a reconnection, it is another watch.
    pub pid: u32,
    /// When the last probe was attached, in nanoseconds since 1970 (CLOCK_REALTIME); 0 when not known.
    pub attached_unix_ns: u64,
    /// CPUs that the kernel could ever have; 0 when not known.
    pub possible_cpus: u32,
    /// Longest time between two reports, in milliseconds; 0 if there is no such promise, as in a replay.
    pub interval_ms: u32,
    /// What cannot be decided on this kernel, with one sentence for each thing.
    pub undecidable: Vec<String>,
}

/// Why a client is not served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// [`SCHEMA`].
    pub schema: u32,
    /// One sentence.
    pub why: String,
}

/// What a client writes: `{"kind":"hello","schema":3,"detail":"overview"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Ask {
    /// The only line of a client.
    Hello {
        /// [`SCHEMA`].
        schema: u32,
        /// How much it wants to know.
        detail: Detail,
    },
}

/// How much a client wants to know: `"overview"`, `"all"`, or `{"destroy":3}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// Short lists.
    #[default]
    Overview,
    /// Lists as long as the reporter keeps them.
    All,
    /// The same, and the data for a simulation of what each approach would have cost this destroy
    /// ([`Question`]).
    Destroy(u64),
}

/// How long the lists of a report are at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// [`Report::caches`].
    pub caches: usize,
    /// [`Report::verdicts`].
    pub verdicts: usize,
    /// [`Report::barriers_running`], and [`Report::barriers_finished`].
    pub barriers: usize,
}

impl Bounds {
    /// Enough for one screen.
    pub const OVERVIEW: Bounds = Bounds { caches: 16, verdicts: 8, barriers: 16 };
    /// Lists as long as the reporter keeps them.
    pub const ALL: Bounds = Bounds { caches: 256, verdicts: 64, barriers: 64 };
}

impl Detail {
    /// The bounds for a client that wants this detail.
    #[must_use]
    pub fn bounds(self) -> Bounds {
        match self {
            Detail::Overview => Bounds::OVERVIEW,
            Detail::All | Detail::Destroy(_) => Bounds::ALL,
        }
    }
}

impl Ask {
    /// A line of this version.
    #[must_use]
    pub fn new(detail: Detail) -> Ask {
        Ask::Hello { schema: SCHEMA, detail }
    }
}
