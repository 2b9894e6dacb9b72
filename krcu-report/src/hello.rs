//! Hello: the first line of either side, and which lines there are.

use serde::{Deserialize, Serialize};

use crate::{question::Question, rows::Report};

/// Version of the lines. It changes when what is written would be misread by a reader of the version before; a
/// member more does not change it.
pub const SCHEMA: u32 = 2;

/// Most bytes of what a client writes in one line, its end included.
pub const MOST_ASK_BYTES: usize = 512;

/// A line of the server: its `kind`, and the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Line {
    /// The first one.
    Hello(Hello),
    /// How things are.
    Report(Box<Report>),
    /// What a simulation needs, to a client that asked for a destroy ([`Detail::Destroy`]): once for each.
    Question(Box<Question>),
    /// The last one, to a client that is not served.
    Refused(Refused),
}

/// What every line of every version has: a line of another version is not to be read as one of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// [`SCHEMA`] of whoever wrote it.
    pub schema: u32,
}

/// Who reports, and of which kernel.
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
    /// The agent's process; 0 in a replay. Another number after a reconnection is another watch.
    pub pid: u32,
    /// When the last probe was attached, in nanoseconds since 1970 (CLOCK_REALTIME); 0 when not known.
    pub attached_unix_ns: u64,
    /// CPUs that the kernel could ever have; 0 when not known.
    pub possible_cpus: u32,
    /// Longest time between two reports, in milliseconds; 0 where nothing is promised, as in a replay.
    pub interval_ms: u32,
    /// What cannot be decided on this kernel, one sentence each.
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

/// What a client writes: `{"kind":"hello","schema":2,"detail":"overview"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Ask {
    /// The only thing that it can say.
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
    /// Little of what is listed.
    #[default]
    Overview,
    /// As much as is kept.
    All,
    /// The same, and what a simulation needs to say what each approach would have cost this destroy ([`Question`]).
    Destroy(u64),
}

/// How much of what is listed a report has.
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
    /// As much as is kept.
    pub const ALL: Bounds = Bounds { caches: 256, verdicts: 64, barriers: 64 };
}

impl Detail {
    /// What a client that wants so much gets.
    #[must_use]
    pub fn bounds(self) -> Bounds {
        match self {
            Detail::Overview => Bounds::OVERVIEW,
            Detail::All | Detail::Destroy(_) => Bounds::ALL,
        }
    }
}

impl Ask {
    /// For this version.
    #[must_use]
    pub fn new(detail: Detail) -> Ask {
        Ask::Hello { schema: SCHEMA, detail }
    }
}
