//! The log, a sink as the others: a bounded queue, and one thread that writes. What finds no room is counted,
//! and nobody ever waits for it. Under systemd lines go to the journal with their fields, else to standard error.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use krcu_model::VerdictKind;
use krcu_report::{FlatVerdict, words::cache_name};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{config::Level, privileges};

/// Lines that wait to be written.
const MOST_LINES: usize = 1024;

/// What can be said.
pub(super) enum Line {
    /// A sentence.
    Said(Level, String),
    /// A verdict, or that it changed.
    Verdict(Box<Told>),
}

/// A verdict to be told.
pub(super) struct Told {
    pub(super) level: Level,
    /// The destroy's number; none for what the kernel is accused of.
    pub(super) destroy: Option<u64>,
    pub(super) verdict: FlatVerdict,
    /// What it was before.
    pub(super) before: Option<VerdictKind>,
}

/// The log's near end; its copies share one queue.
#[derive(Clone)]
pub(super) struct Log {
    lines: SyncSender<Line>,
    shared: Arc<Shared>,
}

struct Shared {
    least: AtomicU8,
    dropped: AtomicU64,
}

impl Shared {
    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Where lines are written; one that cannot be is counted, and the next is tried.
struct Counted<Out> {
    out: Out,
    shared: Arc<Shared>,
}

impl<Out: Write> Write for Counted<Out> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The whole of a line.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes).inspect_err(|_| self.shared.drop_one())
    }
}

/// The log's far end.
pub(super) struct Writer {
    done: Receiver<()>,
}

impl Log {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(least: Level) -> io::Result<(Log, Writer)> {
        Log::start_with(least, subscriber)
    }

    fn start_with(
        least: Level,
        subscriber: impl FnOnce(&Arc<Shared>) -> Dispatch,
    ) -> io::Result<(Log, Writer)> {
        let shared = Arc::new(Shared { least: AtomicU8::new(least as u8), dropped: AtomicU64::new(0) });
        let subscriber = subscriber(&shared);
        let (lines, queue) = sync_channel(MOST_LINES);
        let (end, done) = sync_channel::<()>(0);
        let write = move || {
            // It needs no privilege, and a thread that was there before they were given up has its own.
            let _ = privileges::give_up();
            tracing::dispatcher::with_default(&subscriber, || queue.iter().for_each(|line| write(&line)));
            drop(end);
        };
        thread::Builder::new().name("krcu-log".to_owned()).spawn(write)?;
        Ok((Log { lines, shared }, Writer { done }))
    }

    /// Says a sentence.
    pub(super) fn say(&self, level: Level, text: impl Into<String>) {
        self.send(level, || Line::Said(level, text.into()));
    }

    /// Tells a verdict.
    pub(super) fn verdict(&self, told: Told) {
        self.send(told.level, || Line::Verdict(Box::new(told)));
    }

    fn send(&self, level: Level, line: impl FnOnce() -> Line) {
        if level as u8 > self.shared.least.load(Ordering::Relaxed) {
            return;
        }
        if self.lines.try_send(line()).is_err() {
            self.shared.drop_one();
        }
    }

    /// Lines that found no room, in the queue or where it leads.
    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// From here on nothing less is logged.
    pub(super) fn set_least(&self, least: Level) {
        self.shared.least.store(least as u8, Ordering::Relaxed);
    }
}

impl Writer {
    /// Waits until everything is written, once no [`Log`] is left; says whether it was, within this time.
    pub(super) fn finish(self, within: Duration) -> bool {
        // Nothing is ever sent: the other end goes away when all is written.
        !matches!(self.done.recv_timeout(within), Err(std::sync::mpsc::RecvTimeoutError::Timeout))
    }
}

/// To the journal, where standard error leads there and it can be reached; else to standard error.
fn subscriber(shared: &Arc<Shared>) -> Dispatch {
    let registry = tracing_subscriber::registry();
    if leads_to_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        return Dispatch::new(registry.with(journal.with_field_prefix(Some("KRCU".to_owned()))));
    }
    to_lines(shared, io::stderr)
}

/// A line each.
fn to_lines<Out: Write>(shared: &Arc<Shared>, out: impl Fn() -> Out + Send + Sync + 'static) -> Dispatch {
    let shared = Arc::clone(shared);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || Counted { out: out(), shared: Arc::clone(&shared) })
        // They would go to standard error, which may be what fails.
        .log_internal_errors(false)
        .with_ansi(false)
        .with_target(false)
        .without_time();
    Dispatch::new(tracing_subscriber::registry().with(lines))
}

/// Whether standard error is the stream that the manager has named: what it starts may have led it elsewhere.
fn leads_to_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let stream = fs::metadata("/proc/self/fd/2").map(|meta| format!("{}:{}", meta.dev(), meta.ino()));
    stream.is_ok_and(|stream| stream == named)
}

/// One macro of a level, chosen while running.
macro_rules! at {
    ($level:expr, $($rest:tt)+) => {
        match $level {
            Level::Error => tracing::error!($($rest)+),
            Level::Warn => tracing::warn!($($rest)+),
            Level::Info => tracing::info!($($rest)+),
            Level::Debug => tracing::debug!($($rest)+),
        }
    };
}

fn write(line: &Line) {
    match line {
        Line::Said(level, text) => at!(*level, "{text}"),
        Line::Verdict(told) => write_verdict(told),
    }
}

fn write_verdict(told: &Told) {
    let Told { level, destroy, verdict, before } = told;
    let by = &verdict.destroyed_by;
    at!(
        *level,
        verdict = verdict.verdict.word(),
        before = before.map(VerdictKind::word),
        cache = verdict.cache,
        module = verdict.module,
        destroy,
        comm = by.comm,
        task = by.task,
        kfree_rcu = verdict.frees(),
        call_rcu = verdict.callbacks_of_call_rcu(),
        leaked = verdict.leaked,
        late_frees = verdict.late_frees,
        wait_ns = verdict.wait_ns,
        "{}",
        sentence(told)
    );
}

/// A verdict in a sentence.
fn sentence(told: &Told) -> String {
    let Told { verdict, before, .. } = told;
    let (word, cache) = (verdict.verdict.word(), cache_name(&verdict.cache));
    let was = before.map(|before| format!(", was {}", before.word())).unwrap_or_default();
    let note = verdict.notes.first().map(|note| format!(": {note}")).unwrap_or_default();
    format!("{word}{was}: cache {cache}{note}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Barrier, Mutex};

    /// Where lines are written, one at a time, when the test lets it.
    #[derive(Clone)]
    struct Slow {
        text: Arc<Mutex<Vec<u8>>>,
        gate: Arc<Barrier>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.text.lock().unwrap().is_empty() {
                self.gate.wait();
                self.gate.wait();
            }
            self.text.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_does_not_move_holds_nobody_up_and_says_how_much_it_lost() {
        let slow = Slow { text: Arc::default(), gate: Arc::new(Barrier::new(2)) };
        let writer = slow.clone();
        let (log, far) =
            Log::start_with(Level::Info, |shared| to_lines(shared, move || writer.clone())).unwrap();
        log.say(Level::Info, "first");
        // The first line is being written from here on, and the queue is empty.
        slow.gate.wait();
        for number in 0..MOST_LINES + 7 {
            log.say(Level::Warn, format!("line {number}"));
        }
        log.say(Level::Debug, "not of interest");
        assert_eq!(log.dropped(), 7);
        slow.gate.wait();
        drop(log);
        assert!(far.finish(Duration::from_secs(60)));
        let text = String::from_utf8(slow.text.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), MOST_LINES + 1);
        assert!(!text.contains("not of interest"));
    }

    /// A disk that is full for two lines.
    #[derive(Clone, Default)]
    struct Full {
        text: Arc<Mutex<Vec<u8>>>,
        lines: Arc<AtomicU8>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.lines.fetch_add(1, Ordering::Relaxed) < 2 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.text.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_the_next_line_is_tried() {
        let full = Full::default();
        let writer = full.clone();
        let (log, far) =
            Log::start_with(Level::Info, |shared| to_lines(shared, move || writer.clone())).unwrap();
        for number in 1..=3 {
            log.say(Level::Warn, format!("line {number}"));
        }
        let shared = Arc::clone(&log.shared);
        drop(log);
        assert!(far.finish(Duration::from_secs(60)));
        assert_eq!(shared.dropped.load(Ordering::Relaxed), 2);
        assert_eq!(String::from_utf8(full.text.lock().unwrap().clone()).unwrap(), " WARN line 3\n");
    }
}
