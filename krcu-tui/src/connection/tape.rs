//! Tape: the events of a trace or of a script, which can be read from the beginning as often as needed.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::{Context as _, anyhow, ensure};
use krcu_model::{
    Event, Watch,
    event::{Time, sum},
    script,
};
use krcu_report::{Accounts, Hello, Outside, ProbeRow, ProbeState, SCHEMA};
use krcu_trace::{How, Meta, Reader, Salvage, TraceError};

/// What a replay needs in addition to the events.
#[derive(Clone, Debug, Default)]
pub struct Label {
    /// The name of the file.
    pub name: String,
    /// The introduction of the run.
    pub hello: Hello,
    /// What was known when the run began.
    pub watch: Watch,
    /// What only the run knew, about its end.
    pub outside: Outside,
}

/// How a script begins.
const HEADING: &str = "krcu-script 1";
/// The most bytes of a script, which is read as a whole.
const MOST_BYTES: u64 = 256 << 20;

/// A trace or a script.
#[derive(Debug)]
pub enum Tape {
    /// A folder that `krcu check -o` or `krcu record -o` wrote.
    Trace(Box<Reader>, Box<Label>),
    /// A file that `krcu check --events` wrote.
    Script(Vec<Event>, Box<Label>),
}

/// Opens a folder as a trace, a file as a script.
///
/// # Errors
/// When it is neither, or its first event cannot be read.
pub fn load(path: &Path) -> anyhow::Result<Tape> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    if path.is_dir() {
        let reader = Reader::open(path)?;
        let label = of_meta(name, reader.meta())?;
        reader.salvage()?;
        return Ok(Tape::Trace(Box::new(reader), Box::new(label)));
    }
    let text = text(path)?;
    let script = script::read(&text).with_context(|| format!("{} is not a script", path.display()))?;
    let release =
        text.lines().filter(|line| line.starts_with('#')).find_map(|line| line.split_once(" on Linux "));
    let hello = Hello {
        schema: SCHEMA,
        release: release.map_or_else(String::new, |(_, release)| release.trim().to_owned()),
        possible_cpus: script.watch.possible_cpus,
        ..Hello::default()
    };
    let label = Label { name, hello, watch: script.watch, outside: Outside::default() };
    Ok(Tape::Script(script.events, Box::new(label)))
}

/// The text of a script. It may be any file, even one without an end.
fn text(path: &Path) -> anyhow::Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(cannot)?;
    let mut bytes = Vec::new();
    file.by_ref().take(HEADING.len() as u64).read_to_end(&mut bytes).with_context(cannot)?;
    ensure!(
        bytes == HEADING.as_bytes(),
        "{} is not a script: its first line is not `{HEADING}`",
        path.display()
    );
    file.take(MOST_BYTES).read_to_end(&mut bytes).with_context(cannot)?;
    ensure!(
        (bytes.len() as u64) < MOST_BYTES,
        "{} is larger than {} MiB: record a trace instead",
        path.display(),
        MOST_BYTES >> 20
    );
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
        anyhow!("{}: line {line}: it is not UTF-8", path.display())
    })
}

fn of_meta(name: String, meta: &Meta) -> anyhow::Result<Label> {
    let watch = meta.watch()?;
    let hello = Hello {
        schema: SCHEMA,
        krcu: meta.krcu.clone(),
        abi: meta.abi,
        host: meta.kernel.host.clone().unwrap_or_default(),
        release: meta.kernel.release.clone(),
        boot: meta.kernel.boot_id.clone().unwrap_or_default(),
        pid: 0,
        attached_unix_ns: attached_unix_ns(meta),
        possible_cpus: meta.kernel.possible_cpus,
        interval_ms: 0,
        undecidable: meta.undecidable.clone(),
    };
    let probes = meta.probes.iter().map(|probe| ProbeRow {
        program: probe.program.clone(),
        function: probe.target.clone(),
        way: String::new(),
        state: match probe.offer.as_str() {
            "offered" => ProbeState::Attached,
            "not_needed" => ProbeState::NotNeeded,
            "not_offered" => ProbeState::NotOffered,
            _ => ProbeState::NotLookedAt,
        },
        why: probe.why.clone(),
        runs: None,
        run_time_ns: None,
        missed: 0,
    });
    let mut outside = Outside { probes: probes.collect(), ..Outside::default() };
    if let Some(end) = meta.ended.as_ref().filter(|end| end.how != How::CutShort) {
        outside.without_site = end.run.without_site;
        outside.losses = Some(end.run.lost);
        let sum = |of: fn(&krcu_trace::meta::Account) -> u64| sum(end.run.accounts.iter().map(of));
        outside.accounts = Some(Accounts {
            seen: sum(|account| account.seen),
            delivered: sum(|account| account.delivered),
            filtered: sum(|account| account.filtered),
            lost: sum(|account| account.lost),
        });
    }
    Ok(Label { name, hello, watch, outside })
}

/// When the last probe was attached, by the trace's pair of clocks.
fn attached_unix_ns(meta: &Meta) -> u64 {
    let clock = meta.clock;
    let base = clock.realtime_ns.saturating_sub(clock.monotonic_ns);
    if clock.realtime_ns == 0 { 0 } else { base.saturating_add(meta.watch.attached_ns) }
}

/// The events from the beginning on. If a trace ends before its run does, or cannot be read to its end, gaps for
/// what is unknown come at the end.
pub enum Rest<'a> {
    /// The events of a trace.
    Trace(Box<Salvage<'a>>),
    /// The events of a script; or nothing, of a trace whose first event could not be read again.
    Script(std::slice::Iter<'a, Event>),
}

impl Tape {
    /// What is known in addition to the events.
    #[must_use]
    pub fn label(&self) -> &Label {
        match self {
            Tape::Trace(_, label) | Tape::Script(_, label) => label,
        }
    }

    /// All events, from the beginning.
    #[must_use]
    pub fn rest(&self) -> Rest<'_> {
        match self {
            Tape::Trace(reader, _) => match reader.salvage() {
                Ok(salvage) => Rest::Trace(Box::new(salvage)),
                Err(_) => Rest::Script([].iter()),
            },
            Tape::Script(events, _) => Rest::Script(events.iter()),
        }
    }

    /// The time of the last event, and why the trace ends too early, if it does. Reads a trace to its end if
    /// its end is not written down.
    #[must_use]
    pub fn end(&self) -> (Time, Option<String>) {
        if let Tape::Trace(reader, label) = self
            && let Some(end) = reader.meta().ended.as_ref()
        {
            return (Time(end.at_ns).max(label.watch.attached), None);
        }
        let mut rest = self.rest();
        let mut end = self.label().watch.attached;
        while let Some(event) = rest.next_event() {
            end = end.max(event.time);
        }
        (end, rest.broken().map(|(_, why)| why))
    }
}

impl Rest<'_> {
    /// The next event.
    pub fn next_event(&mut self) -> Option<Event> {
        match self {
            Rest::Script(events) => events.next().cloned(),
            Rest::Trace(salvage) => salvage.next(),
        }
    }

    /// If the trace could not be read to its end, and that is known by now: the time of the last event, and
    /// why.
    #[must_use]
    pub fn broken(&self) -> Option<(Time, String)> {
        match self {
            Rest::Script(_) => None,
            Rest::Trace(salvage) => salvage.damage().map(|error| (salvage.last_time(), why(error))),
        }
    }
}

/// What is wrong with a trace, then where it is wrong: a line may not have room for both.
fn why(error: &TraceError) -> String {
    let file = error.file.file_name().unwrap_or(error.file.as_os_str());
    format!("{} ({}{})", error.reason, file.to_string_lossy(), error.place)
}
