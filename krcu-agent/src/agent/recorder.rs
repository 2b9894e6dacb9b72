//! The recorder: writes traces into a folder, one after the other. If all together are too large, it deletes the
//! oldest ones.
//!
//! Each trace stands by itself, as if the probes had been attached when it began. It has the names that were sent
//! before, so `krcu replay` needs no other trace. A destroy that falls into two traces would get no verdict, so the
//! recorder waits with the next trace until no verdict is open, within bounds. Traces have numbers, so a clock that
//! is set back changes nothing.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use krcu_model::{
    Watch,
    event::{Losses, Time},
};
use krcu_trace::{How, Limits, Meta, Writer, meta};
use nix::fcntl::{Flock, FlockArg};

use super::{config::Level, config::Record, health::Health, log::Log};
use crate::{losses::Reading, outcome::EXIT_FLAGGED, pipeline::accounts, sinks::Sinks};

/// How often the recorder checks whether the folder is too large, or whether there is room again.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long the recorder waits before it tries a new trace after one was cut short.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// The recorder and its folder.
pub(super) struct Recorder {
    folder: PathBuf,
    limits: Record,
    meta: Meta,
    watch: Watch,
    log: Log,
    health: Arc<Health>,
    number: u64,
    /// When the current trace began, and what was counted by then.
    began: Time,
    base: Reading,
    looked: Option<Instant>,
    failed: Option<Instant>,
    /// The lock that keeps other recorders out of the folder.
    _lock: Flock<File>,
}

impl Recorder {
    /// Creates the folder if there is none, and locks it.
    ///
    /// # Errors
    /// When the folder cannot be created, read or locked.
    pub(super) fn new(
        limits: &Record,
        meta: Meta,
        watch: &Watch,
        log: Log,
        health: Arc<Health>,
    ) -> anyhow::Result<Recorder> {
        let folder = limits.folder.clone();
        let named = || {
            format!("cannot keep traces in {}: name a folder that can be (record.folder)", folder.display())
        };
        fs::create_dir_all(&folder).with_context(named)?;
        let lock = File::open(&folder).with_context(named)?;
        let Ok(lock) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) else {
            bail!(
                "another krcu keeps its traces in {}: name another folder (record.folder)",
                folder.display()
            );
        };
        let number = traces(&folder).with_context(named)?.last().map_or(0, |(number, _)| *number);
        Ok(Recorder {
            _lock: lock,
            limits: limits.clone(),
            meta,
            watch: watch.clone(),
            log,
            health,
            number,
            began: watch.attached,
            base: Reading::default(),
            looked: None,
            failed: None,
            folder,
        })
    }

    /// Changes the bounds.
    pub(super) fn limit(&mut self, limits: &Record) {
        self.limits = limits.clone();
    }

    /// Begins the first trace. A full disk is no error, because it may have room later.
    ///
    /// # Errors
    /// When the trace cannot be begun for another reason than a full disk.
    pub(super) fn begin_first(
        &mut self,
        sinks: &mut Sinks,
        now: Time,
        reading: Reading,
    ) -> anyhow::Result<()> {
        match self.begin(sinks, now, reading) {
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                self.cannot_begin(&error);
                Ok(())
            }
            outcome => outcome.with_context(|| {
                let folder = self.folder.display();
                format!("cannot keep traces in {folder}: name a folder of this user's (record.folder)")
            }),
        }
    }

    /// Begins a trace. The counts until now do not belong to it.
    ///
    /// # Errors
    /// When its folder cannot be created.
    fn begin(&mut self, sinks: &mut Sinks, now: Time, reading: Reading) -> io::Result<()> {
        self.make_room();
        let number = self.number + 1;
        let folder = self.folder.join(name(number));
        let watch = Watch { attached: now, ..self.watch.clone() };
        let trace = format!("{}-{number}", self.meta.trace);
        let meta = Meta { trace, watch: meta::Seen::of(&watch), ..self.meta.clone() };
        let writer = Writer::create(&folder, meta, Limits::default())?;
        self.number = number;
        sinks.begin(writer, now, &reading);
        (self.began, self.base) = (now, reading);
        self.health.recorder.begun.one_more();
        self.works();
        self.log.say(Level::Info, format!("a trace begins: {}", folder.display()));
        Ok(())
    }

    /// Begins another trace if it is time for one. `reading` reads what the kernel has counted.
    pub(super) fn look(
        &mut self,
        sinks: &mut Sinks,
        now: Time,
        may_change: bool,
        reading: impl FnOnce() -> anyhow::Result<Reading>,
    ) -> anyhow::Result<()> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.looked = Some(Instant::now());
            self.make_room();
        }
        let Some(trace) = &sinks.trace else {
            if self.failed.is_some_and(|failed| failed.elapsed() < TRY_AGAIN) {
                return Ok(());
            }
            let reading = reading()?;
            if let Err(error) = self.begin(sinks, now, reading) {
                self.cannot_begin(&error);
            }
            return Ok(());
        };
        let (bytes, age) = (trace.bytes(), Duration::from_nanos(now.since(self.began)));
        if trace.is_cut_short() {
            let reading = reading()?;
            self.end(sinks, How::CutShort, now, &reading);
            return Ok(());
        }
        let is_due = |bytes_most: u64, time_most| bytes >= bytes_most || age >= time_most;
        let (most_bytes, most_time) = (self.limits.segment_bytes, self.limits.segment_time);
        let is_late = is_due(most_bytes.saturating_mul(2), most_time.saturating_mul(2));
        if is_late || (may_change && is_due(most_bytes, most_time)) {
            let reading = reading()?;
            self.end(sinks, How::Duration, now, &reading);
            if let Err(error) = self.begin(sinks, now, reading) {
                self.cannot_begin(&error);
            }
        }
        Ok(())
    }

    /// Closes the trace, if there is one.
    pub(super) fn end(&mut self, sinks: &mut Sinks, how: How, now: Time, reading: &Reading) {
        let Some(writer) = sinks.end() else { return };
        self.close(writer, how, now, reading);
    }

    /// Closes this trace, with what was counted since it began.
    pub(super) fn close(&mut self, writer: Writer, how: How, now: Time, reading: &Reading) {
        match writer.finish(how, now, self.run(now, reading)) {
            Ok(()) => {
                self.log.say(Level::Info, format!("the trace {} ends", name(self.number)));
            }
            Err(error) => {
                self.health.recorder.cut_short.one_more();
                self.fails(&error.to_string());
            }
        }
    }

    fn cannot_begin(&mut self, error: &io::Error) {
        self.fails(&format!("no trace can be begun ({error})"));
    }

    fn fails(&mut self, why: &str) {
        self.failed = Some(Instant::now());
        self.log.say(Level::Error, format!("recorder: {why}; the next try is in {} s", TRY_AGAIN.as_secs()));
        *self.health.recorder.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    fn works(&mut self) {
        self.failed = None;
        *self.health.recorder.why.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn run(&self, now: Time, reading: &Reading) -> meta::Run {
        let (losses, before) = (reading.losses(), self.base.losses());
        let since = |of: fn(&Losses) -> u64| of(&losses).saturating_sub(of(&before));
        let known = accounts(&self.base.counters);
        let accounts = accounts(&reading.counters).into_iter().map(|account| {
            let same = known.iter().find(|known| known.cpu == account.cpu && known.kind == account.kind);
            let since = |now: u64, of: fn(&meta::Account) -> u64| now.saturating_sub(same.map_or(0, of));
            meta::Account {
                cpu: account.cpu,
                kind: account.kind,
                seen: since(account.seen, |known| known.seen),
                delivered: since(account.delivered, |known| known.delivered),
                lost: since(account.lost, |known| known.lost),
                filtered: since(account.filtered, |known| known.filtered),
            }
        });
        let without_site = |reading: &Reading| reading.all(krcu_common::Fate::NoSite);
        meta::Run {
            probes: self.meta.probes.iter().filter(|probe| probe.offer == "offered").count() as u64,
            attach_ns: 0,
            duration_ns: now.since(self.began),
            lost: Losses {
                ring_full: since(|losses| losses.ring_full),
                probe_missed: since(|losses| losses.probe_missed),
                map_full: since(|losses| losses.map_full),
                destroys: since(|losses| losses.destroys),
            },
            without_site: without_site(reading).saturating_sub(without_site(&self.base)),
            accounts: accounts.collect(),
            command_status: 0,
            strict: false,
            exit_flagged: EXIT_FLAGGED,
            events_cut_short: false,
        }
    }

    /// Deletes the oldest traces while all together are too large, but never the current one.
    fn make_room(&self) {
        let Ok(traces) = traces(&self.folder) else { return };
        let mut all: u64 = traces.iter().map(|(_, bytes)| bytes).sum();
        for (number, bytes) in traces {
            if all <= self.limits.total_bytes || number == self.number {
                break;
            }
            let name = name(number);
            match fs::remove_dir_all(self.folder.join(&name)) {
                Ok(()) => {
                    all = all.saturating_sub(bytes);
                    self.health.recorder.deleted.one_more();
                    self.log.say(
                        Level::Warn,
                        format!("recorder: {name} was deleted to make room ({bytes} bytes)"),
                    );
                }
                Err(error) => {
                    self.log.say(Level::Error, format!("recorder: {name} cannot be deleted ({error})"));
                    return;
                }
            }
        }
    }
}

/// The name of a trace's folder.
fn name(number: u64) -> String {
    format!("krcu-{number:06}.krcu")
}

/// The traces in a folder: their numbers, in order, and their sizes in bytes.
fn traces(folder: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut traces = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let number = file_name
            .to_str()
            .and_then(|text| text.strip_prefix("krcu-")?.strip_suffix(".krcu")?.parse().ok());
        let Some(number) = number.filter(|number| file_name.to_str() == Some(&name(*number))) else {
            continue;
        };
        let files = fs::read_dir(entry.path())?;
        let bytes = files.filter_map(|file| file.ok()?.metadata().ok()).map(|meta| meta.len()).sum();
        traces.push((number, bytes));
    }
    traces.sort_unstable();
    Ok(traces)
}
