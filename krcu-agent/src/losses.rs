//! Losses: turns the kernel's counts of events that were not seen into gaps. A gap says between which times events
//! were lost.
//!
//! A count only rises, and does not say when it did. So the counts are read often: if a count has risen between two
//! readings, those events were lost between them. The counts are read in the reverse order of counting, so a loss
//! during a reading is found by this reading or by the next one, and never by both.

use std::collections::BTreeMap;
use std::iter::repeat;

use krcu_common::{
    Concern, Fate, Kind,
    count::{counter, of_loss_key},
};
use krcu_model::event::{CacheAddress, Gap, LossReason, Losses, Scope, Time};
use krcu_trace::meta::Account;

use crate::kernel::catalog::{self, Skipped};

/// The fates of what is counted and not streamed.
pub const FILTERED: [Fate; 3] = [Fate::FilteredKmalloc, Fate::FilteredBuiltin, Fate::FilteredNotSlab];

/// The account of each CPU and kind of which the probes saw something.
#[must_use]
pub fn accounts(counters: &[Vec<u64>]) -> Vec<Account> {
    let mut accounts = Vec::new();
    for (cpu, counters) in counters.iter().enumerate() {
        for kind in Kind::PROBED {
            let of = |fate| counters.get(counter(kind, fate) as usize).copied().unwrap_or(0);
            let (delivered, lost) = (of(Fate::Delivered), of(Fate::LostRing));
            let filtered = FILTERED.into_iter().map(of).sum();
            let seen = delivered + lost + filtered;
            let (cpu, kind) = (cpu as u64, kind.word().to_owned());
            let account = Account { cpu, kind, seen, delivered, lost, filtered };
            if account.seen > 0 {
                accounts.push(account);
            }
        }
    }
    accounts
}

/// How often the kernel skipped a run of each program; `None` if it does not say.
pub type Misses = Vec<(&'static str, Option<u64>)>;

/// What the kernel has counted so far.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// For each CPU, every counter of [`krcu_common::count`].
    pub counters: Vec<Vec<u64>>,
    /// How many events were lost for each cache, by [`krcu_common::count::loss_key`].
    pub lost: BTreeMap<u64, u64>,
    /// The skipped runs, if they were asked for. They have to be read before the counters.
    pub misses: Option<Misses>,
}

impl Reading {
    /// What was counted since an earlier reading.
    #[must_use]
    pub fn since(&self, before: &Reading) -> Reading {
        let counters = self.counters.iter().enumerate().map(|(cpu, counters)| {
            let before = before.counters.get(cpu).map_or(&[][..], Vec::as_slice).iter().chain(repeat(&0));
            counters.iter().zip(before).map(|(now, before)| now.saturating_sub(*before)).collect()
        });
        let of = |key| before.lost.get(key).copied().unwrap_or(0);
        let lost = self.lost.iter().map(|(key, events)| (*key, events.saturating_sub(of(key))));
        let skipped = |program: &str| {
            let mut known = before.misses.iter().flatten();
            known.find(|(name, _)| *name == program).and_then(|(_, misses)| *misses).unwrap_or(0)
        };
        let misses = self.misses.as_ref().map(|misses| {
            let since = misses.iter().map(|(program, misses)| {
                (*program, misses.map(|misses| misses.saturating_sub(skipped(program))))
            });
            since.collect()
        });
        Reading {
            counters: counters.collect(),
            lost: lost.filter(|(_, events)| *events > 0).collect(),
            misses,
        }
    }

    fn sum(&self, kind: Kind, fate: Fate) -> u64 {
        let place = counter(kind, fate) as usize;
        self.counters.iter().filter_map(|cpu| cpu.get(place)).sum()
    }

    /// The number of events of all kinds with this fate.
    #[must_use]
    pub fn all(&self, fate: Fate) -> u64 {
        Kind::PROBED.into_iter().map(|kind| self.sum(kind, fate)).sum()
    }

    /// The skipped runs that matter, by the kind of event that they would have made.
    ///
    /// A call that the second copy of a program saw was not missed, so it is taken off the first copy's count.
    /// Skipped runs of a second copy do not count, and neither do those at the load and the end of a module, which
    /// only give names.
    #[must_use]
    pub fn missed(&self) -> BTreeMap<Kind, u64> {
        let mut missed: BTreeMap<Kind, u64> = BTreeMap::new();
        for (program, misses) in self.misses.iter().flatten() {
            if let (Some(kind), Some(misses)) = (kind_of(program), misses) {
                *missed.entry(kind).or_default() += misses;
            }
        }
        for (kind, missed) in &mut missed {
            *missed = missed.saturating_sub(self.sum(*kind, Fate::Nested));
        }
        missed
    }

    /// All events that were not seen, by reason and scope.
    fn unseen(&self) -> BTreeMap<(LossReason, Scope), u64> {
        let mut unseen: BTreeMap<(LossReason, Scope), u64> = BTreeMap::new();
        let reasons = [(LossReason::RingFull, Fate::LostRing), (LossReason::MapFull, Fate::MapFull)];
        for (reason, fate) in reasons {
            let mut of_caches = 0;
            for (key, events) in &self.lost {
                let (cache, of) = of_loss_key(*key);
                if of == fate {
                    of_caches += events;
                    *unseen.entry((reason, Scope::Cache(CacheAddress(cache)))).or_default() += events;
                }
            }
            let (mut of_grace, mut of_names) = (0, 0);
            for kind in Kind::PROBED {
                match kind.concern() {
                    Concern::Grace => of_grace += self.sum(kind, fate),
                    Concern::Names => of_names += self.sum(kind, fate),
                    Concern::Everything | Concern::Queueing | Concern::Freeing | Concern::Barriers => {}
                }
            }
            let rest = self.all(fate).saturating_sub(of_caches + of_grace + of_names);
            unseen.insert((reason, Scope::Grace), of_grace);
            unseen.insert((reason, Scope::Everything), rest);
        }
        for (kind, missed) in self.missed() {
            *unseen.entry((LossReason::ProbeMissed, missed_of(kind))).or_default() += missed;
        }
        unseen
    }

    /// The number of events that were not seen for this reason and that gaps report.
    #[must_use]
    pub fn to_tell(&self, why: LossReason) -> u64 {
        self.unseen().into_iter().filter(|((reason, _), _)| *reason == why).map(|(_, events)| events).sum()
    }

    /// The losses for a report.
    #[must_use]
    pub fn losses(&self) -> Losses {
        let missed = self.missed();
        Losses {
            ring_full: self.all(Fate::LostRing),
            probe_missed: missed.values().sum(),
            map_full: self.all(Fate::MapFull),
            destroys: self.sum(Kind::DestroyBegin, Fate::LostRing)
                + missed.get(&Kind::DestroyBegin).copied().unwrap_or(0),
        }
    }
}

/// The kind of event that a run of this program makes or changes. `None` if no decision depends on it, and for second
/// copies.
fn kind_of(program: &str) -> Option<Kind> {
    match catalog::of(program)?.skipped {
        Skipped::Misses(kind) => Some(kind),
        Skipped::Nothing | Skipped::SecondOf(_) => None,
    }
}

/// The scope of a skipped run of a program that makes events of this kind.
fn missed_of(kind: Kind) -> Scope {
    match kind.concern() {
        Concern::Grace => Scope::Grace,
        Concern::Queueing => Scope::Queueing,
        Concern::Freeing => Scope::Freeing,
        Concern::Barriers => Scope::Barriers,
        Concern::Everything | Concern::Names => Scope::Everything,
    }
}

/// Remembers which part of the kernel's counts has become gaps.
#[derive(Clone, Debug)]
pub struct LossTracker {
    told: BTreeMap<(LossReason, Scope), u64>,
    /// The skipped runs of each program, at the last reading of them.
    misses: BTreeMap<&'static str, u64>,
    /// The skipped runs that no second copy made good, by kind.
    missed: BTreeMap<Kind, u64>,
    /// When the last reading of the counters began, and the one before it. A program may be held up between the loss of
    /// an event and counting it. So a loss that a reading finds may be older than the last reading.
    read: Time,
    read_before: Time,
    /// When the last reading of the skipped runs began.
    read_misses: Time,
}

impl LossTracker {
    /// A tracker of counts that began at `start`.
    #[must_use]
    pub fn new(start: Time) -> LossTracker {
        LossTracker {
            told: BTreeMap::new(),
            misses: BTreeMap::new(),
            missed: BTreeMap::new(),
            read: start,
            read_before: start,
            read_misses: start,
        }
    }

    /// Notes that a reading which began at this time found no new loss.
    pub fn nothing_until(&mut self, began: Time) {
        self.read_before = std::mem::replace(&mut self.read, began);
    }

    /// When the skipped runs were last read.
    #[must_use]
    pub fn misses_read(&self) -> Time {
        self.read_misses
    }

    /// The programs with skipped runs of this scope since the last reading.
    fn skipped(&self, reading: &Reading, scope: Scope) -> Vec<String> {
        let since = |program: &str| self.misses.get(program).copied().unwrap_or(0);
        let misses = reading.misses.iter().flatten();
        let risen = misses.filter(|(program, misses)| misses.is_some_and(|misses| misses > since(program)));
        let missed = reading.missed();
        let of = |counts: &BTreeMap<Kind, u64>, kind| counts.get(&kind).copied().unwrap_or(0);
        let is_missed = |kind| of(&missed, kind) > of(&self.missed, kind);
        let concerned = risen
            .filter(|(program, _)| kind_of(program).is_some_and(|k| missed_of(k) == scope && is_missed(k)));
        concerned.map(|(program, _)| (*program).to_owned()).collect()
    }

    /// The gaps that follow from a reading. The reading began and ended at these times.
    #[must_use]
    pub fn take(&mut self, reading: &Reading, began: Time, ended: Time) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for ((reason, scope), events) in reading.unseen() {
            let told = self.told.entry((reason, scope)).or_default();
            let new = events.saturating_sub(*told);
            if new == 0 {
                continue;
            }
            *told = events;
            let is_missed = reason == LossReason::ProbeMissed;
            let from = if is_missed { self.read_misses } else { self.read_before };
            let programs = if is_missed { self.skipped(reading, scope) } else { Vec::new() };
            gaps.push(Gap { reason, events: new, from, until: ended, scope, programs });
        }
        self.nothing_until(began);
        if let Some(misses) = &reading.misses {
            self.read_misses = began;
            self.missed = reading.missed();
            self.misses =
                misses.iter().filter_map(|(program, misses)| Some((*program, (*misses)?))).collect();
        }
        gaps
    }
}
