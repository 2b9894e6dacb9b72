//! Script: the text that `krcu check --events` writes, read some thousand lines at a time.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use krcu_model::{Event, Watch, script};

use super::{Meta, SourceError, Trace};

/// The first line of a script, by which it is known.
const HEADING: &str = "krcu-script 1";
/// Lines that are read together.
const LINES: usize = 4096;
/// Bytes of the longest line that is read: a stack of 64 frames with long names has a tenth of it.
const LONGEST_LINE: u64 = 1 << 16;
/// What stands before the kernel's release, in the comment that krcu writes.
const RELEASE: &str = " on Linux ";

/// Opens a script.
pub(super) fn open(path: &Path) -> Result<Trace, SourceError> {
    let file = File::open(path).map_err(|error| SourceError::file(path, error))?;
    let mut lines = Lines { path: path.to_owned(), reader: BufReader::new(file), number: 0 };
    if lines.next().transpose()?.is_none_or(|first| first.trim_end() != HEADING) {
        let complaint = format!("this is no trace: its first line is not `{HEADING}`");
        return Err(SourceError::Kind { path: path.to_owned(), complaint });
    }
    let mut events = Events { lines, ready: VecDeque::new(), release: String::new(), watch: None };
    // What the watcher knew stands before the first event.
    let failed = events.fill().err();
    let watch = events.watch.clone().unwrap_or_default();
    if let Some(error) = failed {
        return Err(error);
    }
    let meta = Meta {
        path: path.to_owned(),
        watch,
        release: events.release.clone(),
        host: "unknown".to_owned(),
        boot: "unknown".to_owned(),
        ending: None,
        undecidable: Vec::new(),
    };
    Ok(Trace::new(meta, move |each| events.feed(each)))
}

struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    number: usize,
}

impl Lines {
    fn error(&self, line: usize, complaint: String) -> SourceError {
        SourceError::Line { path: self.path.clone(), line, complaint }
    }
}

impl Iterator for Lines {
    type Item = Result<String, SourceError>;

    fn next(&mut self) -> Option<Result<String, SourceError>> {
        let mut bytes = Vec::new();
        match self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes) {
            Err(error) => return Some(Err(SourceError::file(&self.path, error))),
            Ok(0) => return None,
            Ok(_) => self.number += 1,
        }
        if bytes.len() as u64 == LONGEST_LINE && !bytes.ends_with(b"\n") {
            return Some(Err(self.error(self.number, format!("it is longer than {LONGEST_LINE} bytes"))));
        }
        Some(String::from_utf8(bytes).map_err(|_| self.error(self.number, "it is not UTF-8".to_owned())))
    }
}

struct Events {
    lines: Lines,
    ready: VecDeque<Event>,
    release: String,
    watch: Option<Watch>,
}

impl Events {
    fn fill(&mut self) -> Result<(), SourceError> {
        let before = self.lines.number;
        let mut text = format!("{HEADING}\n");
        for line in self.lines.by_ref().take(LINES) {
            let line = line?;
            if let Some((_, release)) = line.strip_prefix('#').and_then(|rest| rest.split_once(RELEASE)) {
                self.release = release.trim().to_owned();
            }
            text.push_str(&line);
            if !line.ends_with('\n') {
                text.push('\n');
            }
        }
        let at = |line: usize, complaint| self.lines.error(before + line.saturating_sub(1), complaint);
        let script = script::read(&text).map_err(|error| at(error.line, error.complaint))?;
        if self.watch.is_none() {
            self.watch = Some(script.watch);
        } else if script.watch != Watch::default() {
            return Err(at(2, "`watch` comes before the first event".to_owned()));
        }
        self.ready.extend(script.events);
        Ok(())
    }
}

impl Events {
    fn feed(mut self, each: &mut dyn FnMut(Event) -> bool) -> Result<(), SourceError> {
        loop {
            while let Some(event) = self.ready.pop_front() {
                if !each(event) {
                    return Ok(());
                }
            }
            let before = self.lines.number;
            self.fill()?;
            if self.lines.number == before {
                return Ok(());
            }
        }
    }
}
