//! Keep: the files that a run leaves besides its report, claimed before anything is attached.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use krcu_model::Watch;
use krcu_trace::{CutShort, Limits, Meta, Writer};

use crate::{events_file::EventsFile, sinks::Sinks};

/// Where the events of a run are kept.
#[derive(Debug)]
pub(crate) struct Keep {
    events: Option<EventsFile>,
    /// The folder of a trace, in which nothing is yet.
    pub(super) trace: Option<PathBuf>,
    limits: Limits,
}

impl Keep {
    /// Creates the file of the events and the folder of the trace, those that are named.
    ///
    /// # Errors
    /// When one of them cannot be made, or the folder is there.
    pub(crate) fn claim(events: Option<&Path>, trace: Option<&Path>, limits: Limits) -> anyhow::Result<Keep> {
        let events = events.map(|path| {
            let file = EventsFile::create(path);
            file.with_context(|| {
                format!("cannot write the events to {}: name a file that can be", path.display())
            })
        });
        let events = events.transpose()?;
        if let Some(folder) = trace {
            fs::create_dir(folder).with_context(|| {
                format!("cannot write the trace to {}: name a folder that can be made", folder.display())
            })?;
        }
        Ok(Keep { events, trace: trace.map(Path::to_owned), limits })
    }

    /// Begins both, and says why there is no trace where one was to be: a disk without room ends no run.
    ///
    /// # Errors
    /// When it cannot be said what the trace begins with.
    pub(crate) fn begin(
        self,
        watch: &Watch,
        release: &str,
        meta: impl FnOnce() -> anyhow::Result<Meta>,
    ) -> anyhow::Result<(Sinks, Option<CutShort>)> {
        let mut sinks = Sinks { events: self.events, ..Sinks::default() };
        if let Some(events) = &mut sinks.events {
            events.begin(watch, release);
        }
        let Some(folder) = self.trace else { return Ok((sinks, None)) };
        match Writer::create(&folder, meta()?, self.limits) {
            Ok(writer) => {
                sinks.trace = Some(writer);
                Ok((sinks, None))
            }
            Err(error) => Ok((sinks, Some(CutShort::new(&folder, error)))),
        }
    }
}
