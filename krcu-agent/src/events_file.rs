//! Events file: writes every event that the judge takes as a line of text, for a bug report.
//!
//! The notation is `krcu_model::script`. If a write fails, the file ends, but the run goes on: the
//! verdicts do not depend on the file. The error is reported at the end.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use krcu_model::{Event, Watch, script};
use krcu_trace::private;

/// The file, and its first error.
#[derive(Debug)]
pub struct EventsFile {
    path: PathBuf,
    /// None once a write has failed.
    file: Option<BufWriter<File>>,
    failed: Option<io::Error>,
}

/// The events are not all in their file.
#[derive(Debug, thiserror::Error)]
#[error(
    "the events in {} are cut short ({source}), the report is not: name a file with room for them",
    path.display()
)]
pub struct CutShort {
    path: PathBuf,
    source: io::Error,
}

impl EventsFile {
    /// Creates the file.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> io::Result<EventsFile> {
        let file = BufWriter::new(private::file().create(true).truncate(true).open(path)?);
        Ok(EventsFile { path: path.to_owned(), file: Some(file), failed: None })
    }

    /// Writes the first lines: what the watch knew when it began, and the kernel's release for people to read.
    pub fn begin(&mut self, watch: &Watch, release: &str) {
        let version = env!("CARGO_PKG_VERSION");
        let release: String = release.chars().filter(|letter| !letter.is_control()).collect();
        let heading = script::write_with(watch, &[]);
        self.write(format_args!("{heading}# krcu {version} on Linux {release}\n"));
    }

    /// Writes the next line.
    pub fn event(&mut self, event: &Event) {
        if self.file.is_some() {
            self.write(format_args!("{}\n", script::line(event)));
        }
    }

    fn write(&mut self, text: core::fmt::Arguments<'_>) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_fmt(text)
        {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: io::Error) {
        self.failed = Some(error);
        if let Some(file) = self.file.take() {
            // Nothing more is written: what the buffer still holds has no room either.
            let _ = file.into_parts();
        }
    }

    /// Writes the rest of the buffer.
    ///
    /// # Errors
    /// When this or an earlier write failed.
    pub fn finish(mut self) -> Result<(), CutShort> {
        if let Some(file) = &mut self.file
            && let Err(error) = file.flush()
        {
            self.fail(error);
        }
        match self.failed {
            Some(source) => Err(CutShort { path: self.path, source }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use krcu_model::{
        event::{Cpu, Task, Time, What},
        state::Blind,
    };

    fn event(time: u64) -> Event {
        Event { time: Time(time), task: Task(1), cpu: Cpu(0), what: What::Quiet }
    }

    #[test]
    fn what_was_taken_reads_as_it_was() {
        let path = std::env::temp_dir().join(format!("krcu-events-file-{}", std::process::id()));
        let watch = Watch {
            attached: Time(3),
            possible_cpus: 2,
            blind: vec![Blind::CallbackRuns],
            ..Watch::default()
        };
        drop(std::fs::remove_file(&path));
        let mut written = EventsFile::create(&path).unwrap();
        written.begin(&watch, "6.1.0\n7 1@0 quiet");
        written.event(&event(5));
        written.event(&event(6));
        written.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions())
                & 0o7777,
            0o600
        );
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text.lines().nth(1), Some("watch attached=3 possible_cpus=2 blind=callback_runs"));
        assert_eq!(script::read(&text), Ok(script::Script { watch, events: vec![event(5), event(6)] }));
    }

    #[test]
    fn a_full_disk_is_told_in_the_end_and_stops_nothing() {
        // Few events fit into the buffer and fail only when it is emptied; many fail on the way.
        for events in [1, 100_000] {
            let mut written = EventsFile::create(Path::new("/dev/full")).unwrap();
            written.begin(&Watch::default(), "6.1");
            (0..events).for_each(|time| written.event(&event(time)));
            let error = written.finish().unwrap_err().to_string();
            assert!(error.contains("/dev/full") && error.contains("No space"), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
    }
}
