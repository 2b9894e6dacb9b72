//! The recorder: writes traces into a folder, one after the other. If all together are too large, it deletes the
//! oldest ones.
//!
//! Each trace stands by itself, as if the probes had been attached when it began. It has the names that were sent
//! before, so `krcu replay` needs no other trace. A destroy that falls into two traces would get no verdict, so the
//! recorder waits with the next trace until no verdict is open, within bounds. Traces have numbers, so a clock that
//! is set back changes nothing.

mod flagged;
mod found;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{Arc, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use krcu_model::{
    Watch,
    event::{Losses, Time},
};
use krcu_trace::{
    CutShort, How, Limits, Meta, Writer,
    disk::{Direct, Disk as _},
    meta,
};
use nix::fcntl::{Flock, FlockArg};

use self::{
    flagged::Flagged,
    found::{Found, Room, name},
};
use super::{
    config::{Level, Record},
    health::Health,
    log::{Log, Told, sentence},
};
use crate::{
    disk::Queued, losses::Reading, modules, outcome::EXIT_FLAGGED, pipeline::accounts, sinks::Sinks,
};

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
    /// The thread of the current trace, or of the last one.
    disk: Option<Arc<Queued>>,
    /// The trace that is being closed: its number, and the thread that waits for the disk.
    closing: Option<(u64, JoinHandle<Result<(), CutShort>>)>,
    /// Entries of the folder that are left alone, by their numbers, and why.
    bad: BTreeMap<u64, String>,
    /// Traces that hold flagged verdicts.
    flagged: Flagged,
    /// That the folder is this one's alone.
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
        let number = Found::of(&folder).with_context(named)?.last;
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
            disk: None,
            closing: None,
            bad: BTreeMap::new(),
            flagged: Flagged::new(&folder),
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
        let begun = self.begin(sinks, now, reading).and_then(|()| {
            let settled = self.disk.as_ref().map_or(Ok(()), |disk| disk.settle());
            settled.inspect_err(|_| {
                sinks.end();
                self.flagged.end(self.number, now);
                // Does not leave a folder that is not a trace.
                drop(fs::remove_dir_all(self.folder.join(name(self.number))));
            })
        });
        match begun {
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
        let number = self.make_room().max(self.number) + 1;
        let folder = self.folder.join(name(number));
        let watch = Watch { attached: now, ..self.watch.clone() };
        let trace = format!("{}-{number}", self.meta.trace);
        let meta = Meta { trace, watch: modules::seen(&watch), ..self.meta.clone() };
        let limits = Limits { sync: Some(self.limits.sync), ..Limits::default() };
        let disk = Arc::new(Queued::start(Arc::new(Direct))?);
        let writer = Writer::create_on(disk.clone(), &folder, meta, limits).inspect_err(|_| {
            // Does not leave a folder that is not a trace.
            drop(disk.settle());
            drop(fs::remove_dir_all(&folder));
        })?;
        self.disk = Some(disk);
        self.number = number;
        sinks.begin(writer, now, &reading);
        (self.began, self.base) = (now, reading);
        self.flagged.begin(number, now);
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
        // The disk may be slow: the trace before is closed first, and this one goes on meanwhile.
        if self.closing.as_ref().is_some_and(|(_, closing)| !closing.is_finished()) {
            return Ok(());
        }
        self.wait(sinks.trace.is_some());
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

    /// Closes this trace, with what was counted since it began. A thread does it, since the disk may be slow.
    pub(super) fn close(&mut self, writer: Writer, how: How, now: Time, reading: &Reading) {
        self.wait(false);
        self.flagged.end(self.number, now);
        let run = self.run(now, reading);
        let close = move || writer.finish(how, now, run);
        match thread::Builder::new().name("krcu-close".to_owned()).spawn(close) {
            Ok(closing) => self.closing = Some((self.number, closing)),
            Err(error) => {
                self.health.recorder.cut_short.one_more();
                self.fails(&format!("{} has no end, no thread can be started ({error})", name(self.number)));
            }
        }
    }

    /// Waits until the last trace is closed, and says how that went. If it went wrong, the recorder fails, unless it
    /// is `recording` another trace.
    pub(super) fn wait(&mut self, recording: bool) {
        let Some((number, closing)) = self.closing.take() else { return };
        let why = match closing.join() {
            Ok(Ok(())) => {
                self.log.say(Level::Info, format!("the trace {} ends", name(number)));
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("{} has no end", name(number)),
        };
        self.health.recorder.cut_short.one_more();
        if recording {
            self.log.say(Level::Error, format!("recorder: {why}"));
        } else {
            self.fails(&why);
        }
    }

    /// Keeps the traces that hold this flagged verdict and what led to it. `now` is the time in UTC.
    pub(super) fn keep(&mut self, told: &Told, now: &str) {
        let (sentence, at) = (sentence(told), Time(self.watch.attached.0.saturating_add(told.at_ns)));
        let (new, written) = self.flagged.flag(at, &format!("{now} {sentence}"));
        for number in new {
            let name = name(number);
            self.log.say(Level::Info, format!("recorder: {name} is kept (record.keep_flagged): {sentence}"));
        }
        self.flags_are_written(written);
    }

    /// Waits until the disk has what says which traces are flagged.
    pub(super) fn settle_flags(&mut self) {
        let written = self.flagged.settle();
        self.flags_are_written(written);
    }

    fn flags_are_written(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.health.recorder.unmarked.one_more();
            let why = format!(
                "a trace with a flagged verdict could not be marked ({error}): after the next start, it is deleted as any other"
            );
            self.log.say(Level::Error, format!("recorder: {why}"));
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
            ..meta::Run::default()
        }
    }

    /// Deletes the oldest traces while all together are too large, the flagged ones last; never the one that is being
    /// written, nor the one that is being closed. Says what stands in the way, once, and gives the number of the last entry.
    fn make_room(&mut self) -> u64 {
        let mut found = match Found::of(&self.folder) {
            Ok(found) => found,
            Err(error) => {
                let why = format!("the folder cannot be read ({error})");
                self.leave_alone(BTreeMap::from([(0, why)]));
                return self.number;
            }
        };
        found.flag(|number| self.flagged.has(number));
        let folder = &self.folder;
        let remove = |number| fs::remove_dir_all(folder.join(name(number)));
        let closing = self.closing.as_ref().map(|(number, _)| *number);
        let kept = |number| number == self.number || Some(number) == closing || self.flagged.is_fresh(number);
        let room = Room { total_bytes: self.limits.total_bytes, flagged_bytes: self.limits.flagged_bytes() };
        let removed = found.make_room(room, kept, remove);
        found.traces.retain(|trace| !removed.contains(trace));
        self.flagged.looked(|number| found.traces.iter().any(|trace| trace.number == number));
        self.health.recorder.holds(found.flagged());
        for trace in removed {
            self.health.recorder.deleted.one_more();
            let (name, bytes) = (name(trace.number), trace.bytes);
            let mut said = format!("recorder: {name} was deleted to make room ({bytes} bytes)");
            if trace.is_flagged {
                self.health.recorder.flagged_deleted.one_more();
                said += "; it held a flagged verdict (record.keep_flagged, record.total_bytes)";
            }
            self.log.say(Level::Warn, said);
        }
        self.leave_alone(found.bad);
        found.last
    }

    /// Entries that are neither counted nor deleted, by their numbers, and why.
    fn leave_alone(&mut self, bad: BTreeMap<u64, String>) {
        for (_, why) in bad.iter().filter(|(number, _)| !self.bad.contains_key(number)) {
            self.log.say(Level::Warn, format!("recorder: {why}: it is left alone and not counted"));
        }
        let told = bad.values().next().map(|first| {
            let entries = bad.len();
            format!(
                "record.total_bytes leaves out {entries} of the folder's entries, the first because {first}"
            )
        });
        *self.health.recorder.left_out.lock().unwrap_or_else(PoisonError::into_inner) = told;
        self.bad = bad;
    }
}

#[cfg(test)]
mod tests;
