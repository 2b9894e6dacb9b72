//! Source: where events come from. A trace is opened by what it is, and read a part at a time.

pub(crate) mod lines;
mod recorded;
pub(crate) mod script;

use std::path::{Path, PathBuf};

use krcu_model::{Event, Watch};

/// What is known of a trace before its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The path that it was opened by.
    pub path: PathBuf,
    /// What the watcher knew when it began.
    pub watch: Watch,
    /// The kernel's release; empty when the trace does not say it.
    pub release: String,
    /// The host; `unknown` when the trace does not say it.
    pub host: String,
    /// The boot's identity; `unknown` when the trace does not say it.
    pub boot: String,
    /// What the trace itself says of how it ended, where it says anything.
    pub ending: Option<String>,
    /// Verdicts that such a source cannot decide, and why, a sentence each.
    pub undecidable: Vec<String>,
    /// All that a recorded trace says of itself; absent of a text.
    pub recorded: Option<Box<krcu_trace::Meta>>,
}

/// A trace that is being read.
pub struct Trace {
    /// What is known of it.
    pub meta: Meta,
    feed: Box<Feed>,
}

/// Hands each event over, until it is told to stop.
type Feed = dyn FnOnce(&mut dyn FnMut(Event) -> bool) -> Result<(), SourceError>;

/// Why a trace cannot be read, with the file and the place.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be opened or read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// It is none of the kinds that can be read.
    #[error("{}: {complaint}", path.display())]
    Kind {
        /// Which.
        path: PathBuf,
        /// Why.
        complaint: String,
    },
    /// A recorded trace cannot be read; says the file, the place and the reason itself.
    #[error(transparent)]
    Recorded(krcu_trace::TraceError),
    /// A line cannot be.
    #[error("{}: line {line}: {complaint}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        complaint: String,
    },
}

impl Trace {
    /// Opens the trace at this path.
    ///
    /// # Errors
    /// When it is not there, or is none.
    pub fn open(path: &Path) -> Result<Trace, SourceError> {
        if path.is_dir() { recorded::open(path) } else { script::open(path) }
    }

    /// A trace of these parts.
    pub(crate) fn new(
        meta: Meta,
        feed: impl FnOnce(&mut dyn FnMut(Event) -> bool) -> Result<(), SourceError> + 'static,
    ) -> Trace {
        Trace { meta, feed: Box::new(feed) }
    }

    /// Hands over each event, in the order in which the live verdict saw them; `each` says whether to go on.
    ///
    /// # Errors
    /// At the first part that cannot be read; what came before has been handed over.
    pub fn read(self, each: &mut dyn FnMut(Event) -> bool) -> Result<(), SourceError> {
        (self.feed)(each)
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl SourceError {
    pub(crate) fn file(path: &Path, error: std::io::Error) -> SourceError {
        SourceError::File { path: path.to_owned(), error }
    }
}
