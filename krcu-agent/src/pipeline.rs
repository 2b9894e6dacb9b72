//! One owner for the replay: bytes of the ring in, verdicts out.

use std::collections::BTreeMap;

use anyhow::Context as _;
use krcu_common::{Fate, Kind, count::counter, decode::decode};
use krcu_model::{
    Event, Order, State, Watch,
    event::{Cpu, Gap, LossReason, Scope, Task, Time, What},
    state::Blind,
};
use krcu_trace::Accounted;

use crate::{
    kernel::plan::{Offer, Plan},
    probe::Probes,
    sinks::{Kept, Sinks},
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
            "grace_begin" | "grace_end" | "expedited_begin" | "expedited_end" => Some(Blind::Grace),
            _ => None,
        })
        .collect();
    // No probe sees them yet.
    blind.extend([Blind::CallbackRuns, Blind::Inside]);
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

/// Runs that the kernel skipped and that matter, by program.
///
/// What a second copy saw was not missed by the first; and that one itself was skipped while it looked
/// whether it had anything to do. A module's coming and going only gives names.
fn missed(misses: &[(&'static str, Option<u64>)], counters: &[Vec<u64>]) -> BTreeMap<&'static str, u64> {
    let seen_nested = |kind| -> u64 {
        let place = counter(kind, Fate::Nested) as usize;
        counters.iter().filter_map(|cpu| cpu.get(place)).sum()
    };
    let matters = |name: &str| !name.ends_with("_nested") && !name.starts_with("module_");
    misses
        .iter()
        .filter(|(name, _)| matters(name))
        .filter_map(|(name, missed)| {
            let nested = match *name {
                "queued" => seen_nested(Kind::Queued),
                "callback_queued" => seen_nested(Kind::CallbackQueued),
                "freed_single" => seen_nested(Kind::Freed),
                _ => 0,
            };
            Some((*name, (*missed)?.saturating_sub(nested)))
        })
        .collect()
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
    /// What became of the events that were to be kept.
    pub kept: Kept,
}

/// The replay, and the order that it is in.
#[derive(Debug)]
pub struct Pipeline {
    state: State,
    order: Order,
    sinks: Sinks,
}

impl Pipeline {
    /// A replay that begins now; what it takes is kept as well, where that was asked for.
    #[must_use]
    pub fn new(watch: Watch, sinks: Sinks) -> Pipeline {
        Pipeline { order: Order::new(watch.attached), state: State::new(watch), sinks }
    }

    /// The one place from which the model takes events: what is kept is what was taken.
    fn step(&mut self, event: Event) {
        self.sinks.event(&event);
        self.state.step(event);
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
        self.step(Event::from_wire(&header, &body));
        Ok(())
    }

    fn gap(&mut self, gap: Gap) {
        self.step(Event { time: gap.until, task: Task(0), cpu: Cpu(0), what: What::Gap(gap) });
    }

    /// The ring was emptied, and it is this late.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn tick(&mut self, probes: &Probes, now: Time) -> anyhow::Result<()> {
        self.sinks.tick(now);
        if self.sinks.wants_account(now) {
            let counters = probes.counters()?;
            let missed = missed(&probes.recursion_misses(), &counters).values().sum();
            let lost = accounts(&counters).iter().map(|account| account.lost).sum();
            self.sinks.account(Accounted { at: now, missed, lost });
        }
        Ok(())
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
        let counters = probes.counters()?;
        let accounts = accounts(&counters);
        let misses = missed(misses, &counters);
        let attached = self.state.watch().attached;
        let gaps = std::mem::replace(&mut self.order, Order::new(attached)).finish(&probes.sequences()?, end);
        for gap in gaps {
            self.gap(gap);
        }
        for events in misses.values().copied().filter(|missed| *missed > 0) {
            self.gap(Gap {
                reason: LossReason::ProbeMissed,
                events,
                from: attached,
                until: end,
                scope: Scope::Everything,
            });
        }
        let lost = |wanted: Option<Kind>| -> u64 {
            let counts = |account: &&Account| wanted.is_none_or(|kind| kind.name() == account.kind);
            accounts.iter().filter(counts).map(|account| account.lost).sum()
        };
        let losses = Losses {
            ring_full: lost(None),
            probe_missed: misses.values().sum(),
            destroys: lost(Some(Kind::DestroyBegin)) + misses.get("destroy_begin").copied().unwrap_or(0),
        };
        Ok(Finished { state: self.state, losses, accounts, kept: self.sinks.finish() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::plan::tests::debian;

    #[test]
    fn a_watch_without_one_end_of_a_grace_period_is_blind_to_it() {
        let whole = Plan::of(&debian("6.12"));
        assert_eq!(blind(&whole), [Blind::CallbackRuns, Blind::Inside]);
        for program in ["grace_begin", "grace_end", "expedited_begin", "expedited_end"] {
            let mut plan = whole.clone();
            plan.withdraw(program, "busy".to_owned());
            assert_eq!(blind(&plan), [Blind::CallbackRuns, Blind::Grace, Blind::Inside], "{program}");
        }
    }

    #[test]
    fn what_a_second_copy_saw_was_not_missed() {
        let mut cpu = vec![0; krcu_common::count::COUNTERS as usize];
        cpu[counter(Kind::Queued, Fate::Nested) as usize] = 3;
        let misses = [
            ("queued", Some(4)),
            ("queued_nested", Some(9)),
            ("freed_bulk", Some(2)),
            ("module_freed", Some(1)),
        ];
        let expected = BTreeMap::from([("queued", 1), ("freed_bulk", 2)]);
        assert_eq!(missed(&misses, &[cpu]), expected);
        assert_eq!(missed(&[("destroy_begin", None)], &[]), BTreeMap::new());
    }
}
