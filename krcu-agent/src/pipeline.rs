//! One owner for the replay: bytes of the ring in, verdicts out.

use anyhow::Context as _;
use krcu_common::{Fate, Kind, count::counter, decode::decode};
use krcu_model::{
    Event, Order, State, Watch,
    event::{Cpu, Gap, LossReason, Task, Time, What},
    state::Blind,
};

use crate::{
    kernel::plan::{Offer, Plan},
    probe::Probes,
};

/// What a plan leaves out of sight, in the words of the model.
#[must_use]
pub fn blind(plan: &Plan) -> Vec<Blind> {
    let mut blind: Vec<Blind> = plan
        .probes
        .iter()
        .filter(|probe| matches!(probe.offer, Offer::NotOffered(_)))
        .filter_map(|probe| match probe.program {
            "freed_bulk" | "freed_array" | "freed_single" | "freed_sheaf" | "freed_sheaf_nobarn" => {
                Some(Blind::Frees)
            }
            "callback_queued" | "callback_queued_hurry" => Some(Blind::Callbacks),
            "rcu_barrier_begin" | "rcu_barrier_end" => Some(Blind::RcuBarrier),
            "kvfree_barrier_begin" | "kvfree_barrier_end" | "rcu_work_flushed" => Some(Blind::KvfreeBarrier),
            _ => None,
        })
        .collect();
    blind.sort_unstable();
    blind.dedup();
    blind
}

/// Events that were lost or missed, by what the kernel's counters say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Losses {
    /// Events that found no room in the ring.
    pub ring_full: u64,
    /// Runs of a probe that the kernel skipped because it was running on that CPU already.
    pub probe_missed: u64,
    /// Of all these, entries into `kmem_cache_destroy()`: each may be a cache without a verdict.
    pub destroys: u64,
}

impl Losses {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ring_full + self.probe_missed
    }
}

/// The replay, and the order that it is in.
#[derive(Debug)]
pub struct Pipeline {
    state: State,
    order: Order,
}

impl Pipeline {
    /// A replay that begins now.
    #[must_use]
    pub fn new(watch: Watch) -> Pipeline {
        Pipeline { order: Order::new(watch.attached), state: State::new(watch) }
    }

    /// Takes one record of the ring.
    ///
    /// # Errors
    /// When it is not an event of this version, or one that came before: the probes and the agent are
    /// not of one build.
    pub fn take(&mut self, record: &[u8]) -> anyhow::Result<()> {
        let (header, body) = decode(record).context("the ring holds what the probes do not write")?;
        let gap = self
            .order
            .accept(header.cpu, header.sequence, Time(header.time_ns))
            .context("the ring's events are out of order")?;
        if let Some(gap) = gap {
            self.gap(gap);
        }
        self.state.step(Event::from_wire(&header, &body));
        Ok(())
    }

    fn gap(&mut self, gap: Gap) {
        self.state.step(Event { time: gap.until, task: Task(0), cpu: Cpu(0), what: What::Gap(gap) });
    }

    /// What is believed so far.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The probes are detached and the ring is empty: closes the account with the kernel's counters.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn finish(mut self, probes: &Probes, misses: &[(&'static str, Option<u64>)], end: Time) -> anyhow::Result<(State, Losses)> {
        let counters = probes.counters()?;
        let attached = self.state.watch().attached;
        let gaps = std::mem::replace(&mut self.order, Order::new(attached)).finish(&probes.sequences()?, end);
        for gap in gaps {
            self.gap(gap);
        }
        for (_, missed) in misses {
            if let Some(events) = missed.filter(|missed| *missed > 0) {
                self.gap(Gap { reason: LossReason::ProbeMissed, events, from: attached, until: end });
            }
        }
        let lost = |kind: Kind| -> u64 {
            let place = counter(kind, Fate::LostRing) as usize;
            counters.iter().filter_map(|cpu| cpu.get(place)).sum()
        };
        let missed_of = |name: &str| -> u64 {
            misses.iter().filter(|(program, _)| *program == name).filter_map(|(_, missed)| *missed).sum()
        };
        let losses = Losses {
            ring_full: Kind::ALL.into_iter().map(lost).sum(),
            probe_missed: misses.iter().filter_map(|(_, missed)| *missed).sum(),
            destroys: lost(Kind::DestroyBegin) + missed_of("destroy_begin"),
        };
        Ok((self.state, losses))
    }
}
