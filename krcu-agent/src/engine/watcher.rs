//! Watcher: has the probes, their ring and the replay between attach and detach, for every kind of run. It is
//! the one owner of the replay.

use std::{pin::pin, time::Duration};

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::now;
use crate::{
    diagnostics::ProbeLog,
    pipeline::{Finished, Pipeline},
    probe::Probes,
    say::say,
    source::Source,
};

/// How often the ring is looked at even if no probe asks for it.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The number of looks at the ring after detaching. Events that have not come by then count as lost.
const LAST_LOOKS: usize = 100;

/// The number of looks at the ring if a replay ends and the probes stay. Events that have not come by then
/// count as lost.
const LOOKS_BETWEEN: usize = 400;
/// The time from one of these looks to the next.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// The end of a watch.
pub(crate) struct Ended {
    pub(crate) finished: Finished,
    /// Whether every event was taken. If not, the time was over first.
    pub(crate) is_whole: bool,
    /// How many probes the kernel has not detached yet.
    pub(crate) attached: usize,
    /// The probes, for their counters.
    pub(crate) probes: Probes,
}

/// The reader of the ring, with the replay that takes the events.
pub(crate) struct Watcher {
    pub(crate) probes: Probes,
    pub(crate) pipeline: Pipeline,
    pub(super) source: Source,
    pub(super) log: Option<ProbeLog>,
}

impl Watcher {
    /// Takes the events in the ring, up to a bound. Returns whether the ring is empty then.
    fn drain(&mut self) -> anyhow::Result<bool> {
        if let Some(log) = &mut self.log {
            log.flush();
        }
        let is_empty = self.source.drain(|record| self.pipeline.take(record))?;
        if is_empty {
            self.pipeline.tick(&self.probes, now()?)?;
        }
        Ok(is_empty)
    }

    /// Takes all events in the ring, then the losses that the kernel counted. Other tasks of the event loop
    /// run in between.
    ///
    /// # Errors
    /// When the ring has bytes that are not an event, or a counter cannot be read.
    pub(crate) async fn take(&mut self) -> anyhow::Result<()> {
        while !self.drain()? {
            tokio::task::yield_now().await;
        }
        self.pipeline.look_for_losses(&self.probes, now)
    }

    /// The same, but takes only as many events as the bound allows. Returns whether the ring is empty then.
    ///
    /// # Errors
    /// Those of [`Watcher::take`].
    pub(crate) fn take_some(&mut self) -> anyhow::Result<bool> {
        let is_empty = self.drain()?;
        self.pipeline.look_for_losses(&self.probes, now)?;
        Ok(is_empty)
    }

    /// Waits until the probes ask for the ring to be read.
    ///
    /// # Errors
    /// When the event loop ends.
    pub(crate) async fn readable(&mut self) -> anyhow::Result<()> {
        self.source.readable().await
    }

    /// How many bytes of the ring are used.
    pub(crate) fn ring_used(&self) -> Option<u64> {
        self.source.used_bytes()
    }

    /// Takes events until the future is done, and returns its value.
    ///
    /// # Errors
    /// Those of [`Watcher::take`].
    pub(crate) async fn until<T>(&mut self, done: impl Future<Output = T>) -> anyhow::Result<T> {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut done = pin!(done);
        loop {
            tokio::select! {
                came = &mut done => return Ok(came),
                ready = self.source.readable() => ready?,
                _ = look.tick() => {}
            }
            self.take().await?;
        }
    }

    /// Takes events until no verdict depends on a later event, the time is over, or a signal comes. Returns
    /// whether it was a signal.
    ///
    /// # Errors
    /// Those of [`Watcher::take`].
    pub(crate) async fn settle(
        &mut self,
        limit: Duration,
        signal: impl Future<Output = ()>,
    ) -> anyhow::Result<bool> {
        let (mut over, mut signal) = (pin!(sleep(limit)), pin!(signal));
        let mut look = interval(LOOK_EVERY);
        loop {
            self.take().await?;
            if !self.pipeline.state().is_unsettled() {
                return Ok(false);
            }
            tokio::select! {
                () = &mut over => return Ok(false),
                () = &mut signal => {
                    say("a signal ended the settling: deferred frees that are outstanding are not waited for");
                    return Ok(true);
                }
                _ = look.tick() => {}
            }
        }
    }

    /// Ends a replay and begins the next one, while the probes stay attached. The next replay knows nothing
    /// of the time before, as if the probes had just been attached. Its events do not go into any sink yet.
    ///
    /// # Errors
    /// When a counter or the clock cannot be read.
    pub(crate) async fn part(&mut self) -> anyhow::Result<Finished> {
        self.take().await?;
        let mut misses = self.probes.recursion_misses();
        let mut looks = 0;
        loop {
            looks += 1;
            let rows = self.pipeline.rows(&self.probes, &misses)?;
            while !self.drain()? {
                tokio::task::yield_now().await;
            }
            // If a run is skipped at this moment, the same reading must have the skipped run and what the
            // second copy of the program counted for it.
            let again = self.probes.recursion_misses();
            let must = looks >= LOOKS_BETWEEN;
            if again != misses && !must {
                misses = again;
                continue;
            }
            while !self.drain()? {
                tokio::task::yield_now().await;
            }
            if let Some(finished) = self.pipeline.part(&self.probes, rows, must, now)? {
                self.probes.name_again()?;
                return Ok(finished);
            }
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Detaches, takes the events that come meanwhile and those that are in the ring at the end, and closes
    /// the account. If the time is over first, it closes the account as it is. The result says how many
    /// probes are still attached.
    ///
    /// # Errors
    /// When a counter or the clock cannot be read.
    pub(crate) async fn finish(mut self, is_over: impl Fn() -> bool) -> anyhow::Result<Ended> {
        let mut attached = self.probes.detach();
        while *attached.borrow() > 0 && !is_over() {
            if !self.take_some()? {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                _ = attached.wait_for(|attached| *attached == 0) => {}
                ready = self.source.readable() => ready?,
                () = sleep(LOOK_EVERY) => {}
            }
        }
        for _ in 0..LAST_LOOKS {
            while !is_over() && !self.drain()? {}
            if self.pipeline.has_all(&self.probes)? || is_over() {
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        let attached = *attached.borrow();
        let is_whole = attached == 0 && (self.pipeline.has_all(&self.probes)? || !is_over());
        let finished = self.pipeline.finish(&self.probes, is_whole, now)?;
        Ok(Ended { finished, is_whole, attached, probes: self.probes })
    }
}
