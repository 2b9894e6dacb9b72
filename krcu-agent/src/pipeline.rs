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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

/// What became of everything that the probes saw of one kind on one CPU:
/// `seen = delivered + lost + filtered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Account {
    /// The CPU.
    pub cpu: usize,
    /// The kind of event.
    pub kind: &'static str,
    /// All of it.
    pub seen: u64,
    /// Written into the ring.
    pub delivered: u64,
    /// Found no room in the ring.
    pub lost: u64,
    /// Not streamed: of caches that are never destroyed, or of no cache.
    pub filtered: u64,
}

/// The account of every CPU and kind of which something was seen.
#[must_use]
pub fn accounts(counters: &[Vec<u64>]) -> Vec<Account> {
    let mut accounts = Vec::new();
    for (cpu, counters) in counters.iter().enumerate() {
        for kind in Kind::ALL {
            let of = |fate| counters.get(counter(kind, fate) as usize).copied().unwrap_or(0);
            let account = Account {
                cpu,
                kind: kind.name(),
                seen: of(Fate::Seen),
                delivered: of(Fate::Delivered),
                lost: of(Fate::LostRing),
                filtered: of(Fate::FilteredKmalloc) + of(Fate::FilteredBuiltin) + of(Fate::FilteredNotSlab),
            };
            if account.seen > 0 {
                accounts.push(account);
            }
        }
    }
    accounts
}

/// What a finished replay gives.
#[derive(Debug)]
pub struct Finished {
    /// What is believed in the end.
    pub state: State,
    /// What went unseen.
    pub losses: Losses,
    /// What became of everything that was seen.
    pub accounts: Vec<Account>,
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

    /// Whether every event that the probes have numbered was taken or is counted as lost. Right after
    /// detaching, a program may still be about to submit its last.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn has_all(&self, probes: &Probes) -> anyhow::Result<bool> {
        let lost: u64 = accounts(&probes.counters()?).iter().map(|account| account.lost).sum();
        let numbered: u64 = probes.sequences()?.iter().sum();
        Ok(self.state.events() + lost >= numbered)
    }

    /// The probes are detached and the ring is empty: closes the account with the kernel's counters.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn finish(
        mut self,
        probes: &Probes,
        misses: &[(&'static str, Option<u64>)],
        end: Time,
    ) -> anyhow::Result<Finished> {
        let accounts = accounts(&probes.counters()?);
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
        let lost = |wanted: Option<Kind>| -> u64 {
            let counts = |account: &&Account| wanted.is_none_or(|kind| kind.name() == account.kind);
            accounts.iter().filter(counts).map(|account| account.lost).sum()
        };
        let missed = |wanted: Option<&str>| -> u64 {
            let counts = |(program, _): &&(&str, _)| wanted.is_none_or(|name| name == *program);
            misses.iter().filter(counts).filter_map(|(_, missed)| *missed).sum()
        };
        let losses = Losses {
            ring_full: lost(None),
            probe_missed: missed(None),
            destroys: lost(Some(Kind::DestroyBegin)) + missed(Some("destroy_begin")),
        };
        Ok(Finished { state: self.state, losses, accounts })
    }
}
