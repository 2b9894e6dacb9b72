//! Script: the text that `krcu check --events` writes, read some thousand lines at a time.

use std::{collections::VecDeque, path::Path};

use krcu_model::{Event, Watch, script};

use super::{Meta, SourceError, Trace, lines::Lines};

/// The first line of a script, by which it is known.
const HEADING: &str = "krcu-script 1";
/// Lines that are read together.
const LINES: usize = 4096;
/// What stands before the kernel's release, in the comment that krcu writes.
const RELEASE: &str = " on Linux ";

/// What stands before a sentence on what cannot be decided, in the comments that an import writes.
pub(crate) const UNDECIDABLE: &str = "# undecidable: ";

/// Opens a script.
pub(super) fn open(path: &Path) -> Result<Trace, SourceError> {
    let mut lines = Lines::open(path)?;
    if lines.next().transpose()?.is_none_or(|first| first.trim_end() != HEADING) {
        let complaint = format!("this is no trace: its first line is not `{HEADING}`");
        return Err(SourceError::Kind { path: path.to_owned(), complaint });
    }
    let mut events = Events {
        lines,
        ready: VecDeque::new(),
        release: String::new(),
        undecidable: Vec::new(),
        watch: None,
    };
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
        undecidable: events.undecidable.clone(),
        recorded: None,
    };
    Ok(Trace::new(meta, move |each| events.feed(each)))
}

struct Events {
    lines: Lines,
    ready: VecDeque<Event>,
    release: String,
    undecidable: Vec<String>,
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
            if let (None, Some(sentence)) = (&self.watch, line.strip_prefix(UNDECIDABLE)) {
                self.undecidable.push(sentence.trim().to_owned());
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
