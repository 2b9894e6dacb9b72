//! The log: a bounded queue, and one thread that writes. A line that finds no room is counted; no task waits for
//! the log. Under systemd the lines go to the journal, with fields; otherwise they go to standard error.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use krcu_model::VerdictKind;
use krcu_report::{
    FlatVerdict,
    words::{cache_name, shown},
};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

use super::config::Level;
use crate::privileges::{self, folders::Folders};

/// The number of lines that may wait to be written.
const MOST_LINES: usize = 1024;

/// An entry of the log.
pub(super) enum Line {
    /// A sentence.
    Said(Level, String),
    /// A new verdict, or a change of one.
    Verdict(Box<Told>),
}

/// A verdict for the log.
pub(super) struct Told {
    pub(super) level: Level,
    /// The number of the destroy. An accusation of the kernel has none.
    pub(super) destroy: Option<u64>,
    /// When the destroy began, counted from the moment at which the probes were attached.
    pub(super) at_ns: u64,
    /// Whether it is a fault.
    pub(super) is_flagged: bool,
    pub(super) verdict: FlatVerdict,
    /// The verdict before the change.
    pub(super) before: Option<VerdictKind>,
}

/// The end of the queue that tasks write to. Its copies share one queue.
#[derive(Clone)]
pub(super) struct Log {
    lines: SyncSender<Line>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    least: AtomicU8,
    dropped: AtomicU64,
    /// Whether the thread that writes is gone.
    has_ended: AtomicBool,
    /// Whether that thread has kept privileges.
    has_privileges: AtomicBool,
}

impl Shared {
    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// The place where lines are written. If a line cannot be written, it is counted, and the next one is tried.
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

/// The end of the queue that the thread reads.
pub(super) struct Writer {
    done: Receiver<()>,
}

impl Log {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(least: Level) -> io::Result<(Log, Writer)> {
        Log::start_with(least, subscriber)
    }

    fn start_with(
        least: Level,
        subscriber: impl FnOnce(&Arc<Shared>) -> Dispatch,
    ) -> io::Result<(Log, Writer)> {
        let shared = Arc::new(Shared { least: AtomicU8::new(least as u8), ..Shared::default() });
        let subscriber = subscriber(&shared);
        let (lines, queue) = sync_channel(MOST_LINES);
        let (end, done) = sync_channel::<()>(0);
        let own = Arc::clone(&shared);
        let write = move || {
            // It needs no privilege and no file, and a thread that was there before they were given up has its own.
            let given_up = privileges::give_up().and_then(|()| Folders::default().only());
            tracing::dispatcher::with_default(&subscriber, || {
                if let Err(error) = given_up {
                    own.has_privileges.store(true, Ordering::Relaxed);
                    let text = format!("{error:#}: the thread of the log keeps its privileges");
                    write(&Line::Said(Level::Warn, text));
                }
                queue.iter().for_each(|line| write(&line));
            });
            drop(end);
        };
        thread::Builder::new().name("krcu-log".to_owned()).spawn(write)?;
        Ok((Log { lines, shared }, Writer { done }))
    }

    /// Logs a sentence.
    pub(super) fn say(&self, level: Level, text: impl Into<String>) {
        self.send(level, || Line::Said(level, text.into()));
    }

    /// Logs a verdict.
    pub(super) fn verdict(&self, told: Told) {
        self.send(told.level, || Line::Verdict(Box::new(told)));
    }

    fn send(&self, level: Level, line: impl FnOnce() -> Line) {
        if level as u8 > self.shared.least.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.lines.try_send(line()) {
            self.shared.drop_one();
            if matches!(error, TrySendError::Disconnected(_)) {
                self.shared.has_ended.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Why no line is written any more, if that is so.
    pub(super) fn why(&self) -> Option<String> {
        let has_ended = self.shared.has_ended.load(Ordering::Relaxed);
        has_ended.then(|| "the thread that writes it has ended; start the agent again".to_owned())
    }

    /// Whether the thread that writes could not give up its privileges.
    pub(super) fn has_privileges(&self) -> bool {
        self.shared.has_privileges.load(Ordering::Relaxed)
    }

    /// The number of lines that were lost: they found no room in the queue, or could not be written.
    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// From here on, lines below this level are not logged.
    pub(super) fn set_least(&self, least: Level) {
        self.shared.least.store(least as u8, Ordering::Relaxed);
    }
}

impl Writer {
    /// Waits until everything is written; no [`Log`] may be left. Returns false if that takes longer than this
    /// time.
    pub(super) fn finish(self, within: Duration) -> bool {
        // Nothing is ever sent: the other end goes away when all is written.
        !matches!(self.done.recv_timeout(within), Err(std::sync::mpsc::RecvTimeoutError::Timeout))
    }
}

/// The journal, if standard error leads there and the journal can be reached; otherwise standard error.
fn subscriber(shared: &Arc<Shared>) -> Dispatch {
    let registry = tracing_subscriber::registry();
    if leads_to_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        return Dispatch::new(registry.with(journal.with_field_prefix(Some("KRCU".to_owned()))));
    }
    to_lines(shared, io::stderr)
}

/// Writes each entry as a line of text.
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

/// Whether standard error is the stream that the service manager has named. A program between the two may have
/// redirected it.
fn leads_to_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let stream = fs::metadata("/proc/self/fd/2").map(|meta| format!("{}:{}", meta.dev(), meta.ino()));
    stream.is_ok_and(|stream| stream == named)
}

/// Calls the macro of a level that is known only at run time.
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
        Line::Said(level, text) => at!(*level, "{}", shown(text)),
        Line::Verdict(told) => write_verdict(told),
    }
}

fn write_verdict(told: &Told) {
    let Told { level, destroy, verdict, before, .. } = told;
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
        others = Some(verdict.queued_by_others).filter(|objects| *objects > 0),
        leaked = verdict.leaked,
        late_frees = verdict.late_frees,
        wait_ns = verdict.wait_ns,
        "{}",
        sentence(told)
    );
}

/// A verdict in a sentence.
pub(super) fn sentence(told: &Told) -> String {
    let Told { verdict, before, .. } = told;
    let (word, cache) = (verdict.verdict.word(), cache_name(&verdict.cache));
    let was = before.map(|before| format!(", was {}", before.word())).unwrap_or_default();
    let note = verdict.notes.first().map(|note| format!(": {note}")).unwrap_or_default();
    shown(&format!("{word}{was}: cache {cache}{note}")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Barrier, Mutex};

    use krcu_report::SinkState;

    use crate::agent::health::{Health, Present};

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

    /// Where writing ends the thread that writes.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("as a defect would")
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_whose_thread_has_ended_says_so() {
        let (log, far) = Log::start_with(Level::Info, |shared| to_lines(shared, || Broken)).unwrap();
        assert_eq!(log.why(), None);
        log.say(Level::Warn, "the last line");
        assert!(far.finish(Duration::from_secs(60)));
        // Its end of the queue goes with it.
        while log.why().is_none() {
            log.say(Level::Warn, "one more");
        }
        assert!(log.why().is_some_and(|why| why.contains("has ended")), "{:?}", log.why());
        let rows = Health::default().rows(&log, Present::default());
        assert_eq!((rows[0].name.as_str(), rows[0].state), ("log", SinkState::Failed));
        assert!(rows[0].why.is_some());
    }

    #[test]
    fn a_name_adds_no_line_to_the_log() {
        let lines = Full { lines: Arc::new(AtomicU8::new(2)), ..Full::default() };
        let writer = lines.clone();
        let (log, far) =
            Log::start_with(Level::Info, |shared| to_lines(shared, move || writer.clone())).unwrap();
        log.say(Level::Warn, "cannot write /a\n INFO all is well\u{1b}[2J\u{202e}");
        drop(log);
        assert!(far.finish(Duration::from_secs(60)));
        let text = String::from_utf8(lines.text.lock().unwrap().clone()).unwrap();
        assert_eq!(text, " WARN cannot write /a\u{fffd} INFO all is well\u{fffd}[2J\u{fffd}\n");
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
