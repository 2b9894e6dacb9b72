//! Tape: the events of a trace or of a script, from the begin and as often as one likes.

use std::{fs, path::Path};

use anyhow::Context as _;
use krcu_model::{
    Event, Watch,
    event::{Cpu, Task, Time, What},
    report::{Accounts, Hello, Losses, Outside, ProbeRow, ProbeState, SCHEMA},
    script,
};
use krcu_trace::{Events, How, Meta, Reader};

/// What a replay needs besides events.
#[derive(Clone, Debug, Default)]
pub struct Label {
    /// The file.
    pub name: String,
    /// Whose events they are.
    pub hello: Hello,
    /// What the watch knew when it began.
    pub watch: Watch,
    /// What only the run knew: of its end.
    pub outside: Outside,
}

/// A trace or a script.
#[derive(Debug)]
pub enum Tape {
    /// What `krcu check -o` or `krcu record -o` wrote.
    Trace(Box<Reader>, Box<Label>),
    /// What `krcu check --events` wrote.
    Script(Vec<Event>, Box<Label>),
}

/// Opens a folder as a trace, a file as a script.
///
/// # Errors
/// When it is neither.
pub fn load(path: &Path) -> anyhow::Result<Tape> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    if path.is_dir() {
        let reader = Reader::open(path)?;
        let label = of_meta(name, reader.meta())?;
        return Ok(Tape::Trace(Box::new(reader), Box::new(label)));
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let script = script::read(&text).with_context(|| format!("{} is no script", path.display()))?;
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
        let lost = end.run.lost;
        outside.without_site = end.run.without_site;
        outside.losses = Some(Losses {
            ring_full: lost.ring_full,
            probe_missed: lost.probe_missed,
            map_full: lost.map_full,
            destroys: lost.destroys,
            ..Losses::default()
        });
        let sum = |of: fn(&krcu_trace::meta::Account) -> u64| end.run.accounts.iter().map(of).sum();
        outside.accounts = Some(Accounts {
            seen: sum(|account| account.seen),
            delivered: sum(|account| account.delivered),
            filtered: sum(|account| account.filtered),
            lost: sum(|account| account.lost),
        });
    }
    Ok(Label { name, hello, watch, outside })
}

/// When the last probe was attached, by the pair of clocks.
fn attached_unix_ns(meta: &Meta) -> u64 {
    let clock = meta.clock;
    let base = clock.realtime_ns.saturating_sub(clock.monotonic_ns);
    if clock.realtime_ns == 0 { 0 } else { base.saturating_add(meta.watch.attached_ns) }
}

/// The events from the begin on, with what a trace that ends before its run does not know.
pub enum Rest<'a> {
    /// Of a trace; the gaps come when it is at its end.
    Trace {
        /// The trace.
        reader: &'a Reader,
        /// Its events.
        events: Box<Events<'a>>,
        /// Gaps that its events had.
        told: Vec<krcu_model::event::Gap>,
        /// The last event's time.
        last: Time,
        /// What comes after all events, once it is known.
        behind: Option<std::vec::IntoIter<Event>>,
    },
    /// Of a script.
    Script(std::slice::Iter<'a, Event>),
}

impl Tape {
    /// What is known besides the events.
    #[must_use]
    pub fn label(&self) -> &Label {
        match self {
            Tape::Trace(_, label) | Tape::Script(_, label) => label,
        }
    }

    /// From the begin.
    #[must_use]
    pub fn rest(&self) -> Rest<'_> {
        match self {
            Tape::Trace(reader, label) => Rest::Trace {
                reader,
                events: Box::new(reader.events()),
                told: Vec::new(),
                last: label.watch.attached,
                behind: None,
            },
            Tape::Script(events, _) => Rest::Script(events.iter()),
        }
    }

    /// When the last event is; reads a trace to its end where nobody has written that down.
    ///
    /// # Errors
    /// When the trace cannot be read to its end.
    pub fn end(&self) -> anyhow::Result<Time> {
        if let Tape::Trace(reader, label) = self
            && let Some(end) = reader.meta().ended.as_ref()
        {
            return Ok(Time(end.at_ns).max(label.watch.attached));
        }
        let mut rest = self.rest();
        let mut end = self.label().watch.attached;
        while let Some(event) = rest.next_event()? {
            end = end.max(event.time);
        }
        Ok(end)
    }
}

impl Rest<'_> {
    /// The next event.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn next_event(&mut self) -> anyhow::Result<Option<Event>> {
        match self {
            Rest::Script(events) => Ok(events.next().cloned()),
            Rest::Trace { reader, events, told, last, behind } => {
                if behind.is_none() {
                    if let Some(event) = events.next().transpose()? {
                        if let What::Gap(gap) = &event.what {
                            told.push(gap.clone());
                        }
                        *last = (*last).max(event.time);
                        return Ok(Some(event));
                    }
                    *behind = Some(unaccounted(reader, told, *last)?.into_iter());
                }
                Ok(behind.as_mut().and_then(Iterator::next))
            }
        }
    }
}

/// What a trace that ends before its run did does not know, as gaps.
fn unaccounted(reader: &Reader, told: &[krcu_model::event::Gap], at: Time) -> anyhow::Result<Vec<Event>> {
    let meta = reader.meta();
    if meta.ended.as_ref().is_some_and(|end| end.how != How::CutShort) {
        return Ok(Vec::new());
    }
    let gaps = reader.unaccounted(Time(meta.watch.attached_ns), told)?;
    let event = |gap| Event { time: at, task: Task(0), cpu: Cpu(0), what: What::Gap(gap) };
    Ok(gaps.into_iter().map(event).collect())
}
