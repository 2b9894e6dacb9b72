//! Keep: the files that a run writes besides its report. They are created before the probes are attached.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use krcu_model::Watch;
use krcu_trace::{
    CutShort, Limits, Meta, Writer,
    disk::{Direct, Disk},
    private,
    stream::Sender,
};

use crate::{
    disk::{Queued, SYNC_EVERY},
    events_file::EventsFile,
    sinks::Sinks,
    stream::Address,
};

/// The places where a run keeps its events.
#[derive(Debug)]
pub(crate) struct Keep {
    events: Option<EventsFile>,
    trace: Option<Place>,
    limits: Limits,
}

/// Where a trace goes.
#[derive(Debug)]
enum Place {
    /// A folder, still empty.
    Folder(PathBuf),
    /// A stream, and its name for messages.
    Stream(Arc<dyn Disk>, PathBuf),
}

impl Keep {
    /// Creates the file of the events and the folder of the trace, as far as they are named.
    ///
    /// # Errors
    /// When one of them cannot be created, or the folder exists already.
    pub(crate) fn claim(events: Option<&Path>, trace: Option<&Path>, limits: Limits) -> anyhow::Result<Keep> {
        let events = events.map(|path| {
            let file = EventsFile::create(path);
            file.with_context(|| {
                format!("cannot write the events to {}: name a file that can be", path.display())
            })
        });
        let events = events.transpose()?;
        if let Some(folder) = trace {
            private::folder(folder).with_context(|| match folder.exists() {
                true => format!("{} is there already: name a new folder for the trace", folder.display()),
                false => {
                    format!("cannot write the trace to {}: name a folder that can be made", folder.display())
                }
            })?;
        }
        Ok(Keep { events, trace: trace.map(|folder| Place::Folder(folder.to_owned())), limits })
    }

    /// A trace goes to this stream, which messages call by this name.
    pub(crate) fn stream(stream: Sender, name: &Address, limits: Limits) -> Keep {
        let place = Place::Stream(Arc::new(stream), PathBuf::from(name.to_string()));
        Keep { events: None, trace: Some(place), limits }
    }

    /// The folder of the trace, if it has one.
    pub(super) fn folder(&self) -> Option<&Path> {
        match &self.trace {
            Some(Place::Folder(folder)) => Some(folder),
            _ => None,
        }
    }

    /// Begins to write both. If the trace cannot be begun, returns the reason: a full disk does not end the
    /// run.
    ///
    /// # Errors
    /// When a clock cannot be read, whose time is in the head of the trace.
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
        let (disk, folder): (Arc<dyn Disk>, PathBuf) = match self.trace {
            Some(Place::Folder(folder)) => (Arc::new(Direct), folder),
            Some(Place::Stream(disk, name)) => (disk, name),
            None => return Ok((sinks, None)),
        };
        let meta = meta()?;
        let limits = Limits { sync: Some(SYNC_EVERY), ..self.limits };
        let begin = || -> io::Result<Writer> {
            let disk = Arc::new(Queued::start(disk)?);
            let writer = Writer::create_on(disk.clone(), &folder, meta, limits)?;
            disk.settle()?;
            Ok(writer)
        };
        match begin() {
            Ok(writer) => {
                sinks.trace = Some(writer);
                Ok((sinks, None))
            }
            Err(error) => Ok((sinks, Some(CutShort::new(&folder, error)))),
        }
    }
}
