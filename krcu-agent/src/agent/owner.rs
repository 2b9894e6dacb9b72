//! The owner: the only task that has the replay. It takes one [`Input`] after the other; nothing else reaches it.
//! It stops in a fixed order, within one deadline: detach, drain, finish, flush, close.

use std::{
    io, process,
    sync::{
        Arc, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant as Clock, SystemTime},
};

use krcu_report::{Bounds, Detail};
use krcu_trace::How;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, Interval, MissedTickBehavior, interval},
};

use super::{
    config::{Config, ConfigError, Level},
    health::{Health, Present},
    log::{Log, Told},
    outside::Reader,
    published::{Asked, Published},
    recorder::Recorder,
    systemd::Manager,
    told::Known,
};
use crate::{
    engine::{Ended, Watcher, now},
    memory,
    pipeline::{Finished, Pipeline},
    signals::{Came, Signals},
};

/// How often the ring is read even if no probe asks for it. The probes ask when the ring has many events.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The time between two reports while there is no client. The metrics and the log need them.
const UNWATCHED: Duration = Duration::from_secs(1);
/// After this many destroys, a report is made at once, so that the log has their verdicts.
const MANY_DESTROYS: usize = 64;
/// How often the entries of the probes' tables are counted.
const FILLS_EVERY: Duration = Duration::from_secs(10);
/// How often free memory is given back to the kernel. The allocator would keep the memory that a rush took.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// One part in this many of the time for stopping is for detaching and for taking the last events.
const DRAIN_SHARE: u32 = 2;
/// What happens to probes that are still attached at the deadline.
const KERNEL_DETACHES: &str = "the kernel detaches them when it can, and then this process is gone";
/// How long the message may take that stopping took too long.
const SAY_WITHIN: Duration = Duration::from_millis(500);

/// Everything that can reach the owner.
enum Input {
    /// The ring has to be read: the probes ask for it, its time has come, or it was not empty last time.
    Ring,
    /// It is time for a report.
    Publish,
    /// A client asks what a destroy would have cost.
    Asked(Asked),
    /// A signal.
    Signal(Came),
    /// The service manager has to be told that the agent is alive.
    Alive,
    /// Waiting for the ring failed.
    Broken(anyhow::Error),
}

/// The reason for a stop.
pub(super) enum Why {
    Signal(&'static str),
    Error(anyhow::Error),
}

/// The owner.
pub(super) struct Owner {
    pub(super) watcher: Watcher,
    pub(super) config: Config,
    /// Reads the configuration once more.
    pub(super) again: Box<dyn Fn() -> Result<Config, ConfigError>>,
    pub(super) log: Log,
    pub(super) newest: watch::Sender<Option<Arc<Published>>>,
    pub(super) asks: mpsc::Receiver<Asked>,
    pub(super) health: Arc<Health>,
    pub(super) has: Present,
    pub(super) recorder: Option<Recorder>,
    pub(super) outside: Reader,
    pub(super) manager: Manager,
    pub(super) known: Known,
    /// The number of destroys when the log was last told.
    pub(super) told: usize,
    /// When free memory was last given back.
    pub(super) trimmed: Clock,
    /// When the entries of the probes' tables were last counted.
    pub(super) filled: Option<Clock>,
}

impl Owner {
    /// Watches until something ends it. It makes the first report before it says that it is ready, so a client can
    /// ask at once.
    pub(super) async fn run(&mut self, mut signals: Signals) -> Why {
        if let Err(error) = self.publish() {
            return Why::Error(error);
        }
        self.manager.ready("watching");
        let mut look = ticks(LOOK_EVERY);
        let mut publish = ticks(self.config.socket.every);
        let mut alive = ticks(self.manager.interval().unwrap_or(Duration::from_secs(3600)));
        let mut more = false;
        let mut published = Clock::now();
        loop {
            let input = self.next(&mut signals, &mut look, &mut publish, &mut alive, more).await;
            let result = match input {
                Input::Ring => self.take().map(|is_empty| more = !is_empty),
                Input::Publish => {
                    let is_watched = self.health.socket.clients.get() > 0;
                    let result = if is_watched || published.elapsed() >= UNWATCHED {
                        published = Clock::now();
                        self.publish()
                    } else {
                        Ok(())
                    };
                    // The interval begins at the end of a report, so a slow report leaves time for the ring.
                    publish.reset();
                    result
                }
                Input::Asked(asked) => {
                    let reporter = self.watcher.pipeline.reporter();
                    let question =
                        reporter.and_then(|(reporter, state)| reporter.question(state, asked.destroy));
                    // The client may have gone.
                    let _ = asked.reply.send(question);
                    Ok(())
                }
                Input::Signal(Came::Interrupt { .. }) => return Why::Signal("SIGINT"),
                Input::Signal(Came::Terminate) => return Why::Signal("SIGTERM"),
                Input::Signal(Came::Hangup) => {
                    self.reload();
                    publish = ticks(self.config.socket.every);
                    Ok(())
                }
                Input::Alive => {
                    self.manager.alive();
                    Ok(())
                }
                Input::Broken(error) => Err(error),
            };
            if let Err(error) = result {
                return Why::Error(error);
            }
        }
    }

    async fn next(
        &mut self,
        signals: &mut Signals,
        look: &mut Interval,
        publish: &mut Interval,
        alive: &mut Interval,
        more: bool,
    ) -> Input {
        let again =
            async { if more { tokio::task::yield_now().await } else { std::future::pending().await } };
        tokio::select! {
            biased;
            came = signals.next() => Input::Signal(came),
            _ = alive.tick() => Input::Alive,
            _ = publish.tick() => Input::Publish,
            Some(asked) = self.asks.recv() => Input::Asked(asked),
            ready = self.watcher.readable() => ready.map_or_else(Input::Broken, |()| Input::Ring),
            _ = look.tick() => Input::Ring,
            () = again => Input::Ring,
        }
    }

    fn take(&mut self) -> anyhow::Result<bool> {
        self.outside.see(self.watcher.ring_used());
        let is_empty = self.watcher.take_some()?;
        if let Some(recorder) = &mut self.recorder {
            let at = now()?;
            let may_change = !self.watcher.pipeline.state().is_unsettled();
            let Watcher { pipeline, probes, .. } = &mut self.watcher;
            recorder.look(pipeline.sinks(), at, may_change, || Pipeline::reading(probes))?;
        }
        let destroys = self.watcher.pipeline.state().destroys().len();
        if destroys >= self.told + MANY_DESTROYS {
            self.publish()?;
        }
        Ok(is_empty)
    }

    fn publish(&mut self) -> anyhow::Result<()> {
        let at = now()?;
        let reading = Pipeline::reading(&self.watcher.probes)?;
        let rows = self.health.rows(&self.log, self.has);
        let outside = self.outside.outside(&self.watcher.probes, &reading, rows);
        let Some((reporter, state)) = self.watcher.pipeline.reporter() else { return Ok(()) };
        let report = reporter.report(state, at, outside, Detail::All.bounds());
        let news = self.known.news(reporter.verdicts(), self.config.log.strict);
        reporter.forget(state);
        self.told = state.destroys().len();
        self.newest.send_replace(Some(Arc::new(Published::new(report))));
        tell(news, &self.log, self.recorder.as_mut());
        if self.filled.is_none_or(|filled| filled.elapsed() >= FILLS_EVERY) {
            self.filled = Some(Clock::now());
            *self.health.fills.lock().unwrap_or_else(PoisonError::into_inner) = self.watcher.probes.fills();
        }
        if self.trimmed.elapsed() >= TRIM_EVERY {
            self.trimmed = Clock::now();
            memory::give_back();
        }
        Ok(())
    }

    fn reload(&mut self) {
        self.manager.reloading();
        match (self.again)() {
            Ok(new) => {
                let kept = self.config.reload(&new);
                self.log.set_least(self.config.log.level);
                if let Some(recorder) = &mut self.recorder {
                    recorder.limit(&self.config.record);
                }
                self.log.say(Level::Info, "the configuration was read again");
                if !kept.is_empty() {
                    let kept = kept.join(", ");
                    self.log.say(Level::Warn, format!("{kept}: takes effect with the next start"));
                }
            }
            Err(error) => self.log.say(Level::Error, format!("{error}; the configuration stays as it was")),
        }
        self.manager.ready("watching");
    }

    /// Stops: detaches, takes the last events, closes the account and the trace, and publishes the last report.
    /// The clients' tasks then end by themselves. Returns the exit status.
    pub(super) async fn stop(mut self, why: Why) -> u8 {
        self.manager.stopping();
        let within = self.config.stop.deadline;
        if let Err(error) = give_up_after(within) {
            self.log
                .say(Level::Warn, format!("stopping has no deadline: no thread can be started ({error})"));
        }
        let drained_by = Instant::now() + within / DRAIN_SHARE;
        let (mut how, said, status) = match why {
            Why::Signal(signal) => (How::Signal, format!("{signal}: stopping"), 0),
            Why::Error(error) => (How::CutShort, format!("{error:#}: stopping"), 1),
        };
        let level = if status == 0 { Level::Info } else { Level::Error };
        self.log.say(level, said);
        match self.watcher.finish(|| Instant::now() >= drained_by).await {
            Ok(Ended { finished, is_whole, attached, probes }) => {
                let Finished { state, reading, kept, reporter } = finished;
                let at = now().unwrap_or_default();
                let events = state.events();
                if !is_whole {
                    how = How::CutShort;
                }
                if let (Some(trace), Some(recorder)) = (kept.trace, &mut self.recorder) {
                    recorder.close(trace, how, at, &reading);
                    recorder.wait(false);
                }
                if let Some(mut reporter) = reporter {
                    let rows = self.health.rows(&self.log, self.has);
                    let outside = self.outside.outside(&probes, &reading, rows);
                    let report = reporter.report(&state, at, outside, Bounds::ALL);
                    let news = self.known.news(reporter.verdicts(), self.config.log.strict);
                    tell(news, &self.log, self.recorder.as_mut());
                    if let Some(recorder) = &mut self.recorder {
                        recorder.settle_flags();
                    }
                    self.newest.send_replace(Some(Arc::new(Published::new(report))));
                }
                if !is_whole {
                    self.log
                        .say(Level::Warn, "the deadline came before the last events, which are not known");
                }
                if attached > 0 {
                    self.log
                        .say(Level::Warn, format!("{attached} probes are still attached: {KERNEL_DETACHES}"));
                }
                let lost = reading.losses().total();
                let attached = if attached == 0 { "; nothing is attached" } else { "" };
                self.log.say(Level::Info, format!("stopped: {events} events, {lost} lost{attached}"));
                status
            }
            Err(error) => {
                self.log.say(Level::Error, format!("stopped; the last events are not known ({error:#})"));
                1
            }
        }
    }
}

/// Logs verdicts, and keeps the traces of those that are flagged.
fn tell(news: Vec<Told>, log: &Log, mut recorder: Option<&mut Recorder>) {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    for told in news {
        if let (true, Some(recorder)) = (told.is_flagged, &mut recorder) {
            recorder.keep(&told, &now);
        }
        log.verdict(told);
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Ends the process if stopping takes too long, as if it were killed. The kernel then detaches what is attached.
/// Standard error may be stuck as well, so the message gets only a moment.
///
/// # Errors
/// When no thread can be started. Then there is no deadline, and stopping goes on.
fn give_up_after(within: Duration) -> io::Result<()> {
    let say = move |said: SyncSender<()>| {
        eprintln!("krcu: stopping took longer than {} s: given up", within.as_secs_f32());
        let _ = said.send(());
    };
    let wait = move || {
        thread::sleep(within);
        let (said, is_said) = sync_channel(1);
        if thread::Builder::new().spawn(move || say(said)).is_ok() {
            let _ = is_said.recv_timeout(SAY_WITHIN);
        }
        process::exit(1);
    };
    thread::Builder::new().name("krcu-deadline".to_owned()).spawn(wait).map(drop)
}
