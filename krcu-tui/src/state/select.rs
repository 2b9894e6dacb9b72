//! Select: which rows are selected, by what they are and not by where they stand. Rows change their places with each
//! report, and with an order or a filter; and a report that was asked for by a screen that needs few has few.

use krcu_model::VerdictKind;
use krcu_report::{Bounds, CachePhase, FinishedBarrier, Report, VerdictRow, WaitKind};

use super::{App, List, Screen};

/// What is selected; absent where it is the first row, whichever that is: nobody has moved, or has gone back there.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    cache: Option<u32>,
    barrier: Option<BarrierKey>,
    verdict: Option<VerdictKey>,
}

/// What makes a barrier the same one in the next report: a task is in one of a kind at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BarrierKey {
    kind: WaitKind,
    task: u32,
    began_ns: u64,
}

/// What makes a verdict the same one in the next report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct VerdictKey {
    /// Of a destroy, this alone: its word may change.
    destroy: Option<u64>,
    life: Option<u32>,
    cache: String,
    word: VerdictKind,
    /// Objects that are accused of; there may be more of them later.
    objects: u64,
    at_ns: u64,
}

/// Of which lists a report has all that any report would: what is missing there is gone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Whole {
    caches: bool,
    barriers: bool,
    verdicts: bool,
}

impl Whole {
    /// As it came. What bounds it was made with is seen by what it has: more than an overview has, or all there is.
    pub(super) fn of(report: &Report) -> Whole {
        let few = Bounds::OVERVIEW;
        let (caches, barriers, verdicts) =
            (report.caches.len(), report.barriers_finished.len(), report.verdicts.len());
        let is_all = caches > few.caches || barriers > few.barriers || verdicts > few.verdicts;
        let waits: u64 = report.waits.values().map(|waits| waits.count).sum();
        Whole {
            // Those that are gone have no total: an overview that is full may lack one.
            caches: is_all || caches < few.caches,
            barriers: is_all || barriers as u64 >= waits,
            verdicts: is_all || verdicts as u64 >= total(report),
        }
    }
}

impl From<&FinishedBarrier> for BarrierKey {
    fn from(row: &FinishedBarrier) -> BarrierKey {
        BarrierKey { kind: row.kind, task: row.task, began_ns: row.began_ns }
    }
}

impl From<&VerdictRow> for VerdictKey {
    fn from(row: &VerdictRow) -> VerdictKey {
        let verdict = &row.verdict;
        VerdictKey {
            destroy: row.destroy,
            life: row.life,
            cache: verdict.cache.clone(),
            word: verdict.verdict,
            objects: verdict.queued_by_kfree_rcu + verdict.queued_twice,
            at_ns: row.at_ns,
        }
    }
}

impl VerdictKey {
    /// Its place among these: where it is just so, else where it is the same one with more objects.
    fn place(&self, rows: &[VerdictRow]) -> Option<usize> {
        if self.destroy.is_some() {
            return rows.iter().position(|row| row.destroy == self.destroy);
        }
        let keys: Vec<VerdictKey> = rows.iter().map(VerdictKey::from).collect();
        let is_alike = |key: &VerdictKey| {
            (key.destroy, key.life, &key.cache, key.word) == (self.destroy, self.life, &self.cache, self.word)
        };
        keys.iter().position(|key| key == self).or_else(|| keys.iter().position(is_alike))
    }
}

/// Verdicts so far, listed or not.
fn total(report: &Report) -> u64 {
    report.verdict_counts.values().sum()
}

impl App {
    /// Finds what is selected among the rows that there are now: after each change of them, or of their order.
    pub(super) fn find(&mut self) {
        self.find_cache();
        self.find_barrier();
        self.find_verdict();
        let probes = self.report.as_ref().map_or(0, |report| report.probes.len());
        self.probes.clamp(probes);
        let approaches = self.shown_answer().map_or(0, |answer| answer.rows.len());
        self.what_if.clamp(approaches);
    }

    fn find_cache(&mut self) {
        let shown: Vec<u32> = self.cache_rows().iter().map(|row| row.id).collect();
        let chosen = self.chosen.cache;
        let place = chosen.and_then(|id| shown.iter().position(|known| *known == id));
        let is_filtered = || {
            let mut listed = self.report.iter().flat_map(|report| &report.caches);
            listed.any(|row| Some(row.id) == chosen)
        };
        if place.is_none() && is_filtered() {
            // It is back when the filter is taken off.
            self.caches.put(Some(0), shown.len());
            return;
        }
        let is_gone = chosen.is_some() && place.is_none() && self.whole.caches;
        self.caches.put(settled(chosen.is_some(), place, is_gone, &self.caches), shown.len());
        if is_gone {
            self.chosen.cache = shown.get(self.caches.selected).copied();
        }
    }

    fn find_barrier(&mut self) {
        let rows = self.report.as_ref().map_or(&[][..], |report| &report.barriers_finished);
        let chosen = self.chosen.barrier;
        let place = chosen.and_then(|known| rows.iter().position(|row| BarrierKey::from(row) == known));
        let is_gone = chosen.is_some() && place.is_none() && self.whole.barriers;
        self.barriers.put(settled(chosen.is_some(), place, is_gone, &self.barriers), rows.len());
        if is_gone {
            self.chosen.barrier = rows.get(self.barriers.selected).map(BarrierKey::from);
        }
    }

    fn find_verdict(&mut self) {
        let rows = self.report.as_ref().map_or(&[][..], |report| &report.verdicts);
        let chosen = self.chosen.verdict.as_ref();
        let place = chosen.and_then(|known| known.place(rows));
        let is_gone = chosen.is_some() && place.is_none() && self.whole.verdicts;
        self.verdicts.put(settled(chosen.is_some(), place, is_gone, &self.verdicts), rows.len());
        if chosen.is_some() && !self.verdicts.is_away {
            self.chosen.verdict = rows.get(self.verdicts.selected).map(VerdictKey::from);
        }
        if is_gone {
            (self.evidence, self.is_verdict_gone) = (false, true);
            // What a replay went back behind has not happened; what an agent was asked about has.
            if self.replay.is_some() {
                self.asked = None;
            }
        }
    }

    /// The row that the screen's list is at is the selected one, wherever it will stand.
    pub(super) fn choose(&mut self) {
        match self.screen {
            Screen::Caches => {
                self.caches.is_away = false;
                self.chosen.cache = self.cache_rows().get(self.caches.selected).map(|row| row.id);
            }
            Screen::Barriers => {
                self.barriers.is_away = false;
                let report = self.report.as_ref();
                let row = report.and_then(|report| report.barriers_finished.get(self.barriers.selected));
                self.chosen.barrier = row.map(BarrierKey::from);
            }
            Screen::Verdicts => self.choose_verdict(),
            Screen::Overview | Screen::WhatIf | Screen::Probes => {}
        }
    }

    /// The same of the verdicts, whatever the screen.
    pub(super) fn choose_verdict(&mut self) {
        self.verdicts.is_away = false;
        self.chosen.verdict = self.verdict_rows().get(self.verdicts.selected).map(VerdictKey::from);
    }

    /// The first row of the screen's list is the selected one, whichever that will be.
    pub(super) fn follow_first(&mut self) {
        match self.screen {
            Screen::Caches => self.chosen.cache = None,
            Screen::Barriers => self.chosen.barrier = None,
            Screen::Verdicts => self.chosen.verdict = None,
            Screen::Overview | Screen::WhatIf | Screen::Probes => {}
        }
        self.find();
    }

    /// A filter stays: what it has hidden is not selected any more.
    pub(super) fn keep_filter(&mut self) {
        let was_typed = std::mem::take(&mut self.is_typing);
        if let Some(row) = self.selected_cache().filter(|_| was_typed && self.chosen.cache.is_some()) {
            self.chosen.cache = Some(row.id);
        }
    }

    /// Nothing is selected: what was, was another agent's.
    pub(super) fn forget_chosen(&mut self) {
        self.chosen = Chosen::default();
        self.is_verdict_gone = false;
        (self.evidence, self.evidence_top) = (false, 0);
        self.asked = None;
        self.whole = Whole::default();
        for list in [&mut self.caches, &mut self.barriers, &mut self.verdicts, &mut self.what_if] {
            *list = List { page: list.page, ..List::default() };
        }
    }

    /// The destroy of the selected verdict, whether the report has room for it or not; absent where it is of none, or
    /// where there is no verdict.
    #[must_use]
    pub fn selected_destroy(&self) -> Option<u64> {
        match &self.chosen.verdict {
            Some(chosen) => chosen.destroy,
            None => self.selected_verdict().and_then(|row| row.destroy),
        }
    }

    /// Whether somebody has selected a verdict: else it is the newest, whichever that is.
    pub(super) fn has_chosen_verdict(&self) -> bool {
        self.chosen.verdict.is_some()
    }

    /// Whether a verdict that is not among the rows is in no report any more.
    #[must_use]
    pub fn has_all_verdicts(&self) -> bool {
        self.whole.verdicts
    }

    /// Caches that are listed without those that are gone, and how many there are; absent where that is all.
    #[must_use]
    pub fn cut_caches(&self) -> Option<(u64, u64)> {
        let report = self.report.as_ref()?;
        let listed = report.caches.iter().filter(|row| row.phase != CachePhase::Released).count() as u64;
        (listed < report.caches_total).then_some((listed, report.caches_total))
    }

    /// Verdicts that are listed, and how many there were; absent where that is all.
    #[must_use]
    pub fn cut_verdicts(&self) -> Option<(u64, u64)> {
        let report = self.report.as_ref()?;
        let (listed, total) = (report.verdicts.len() as u64, total(report));
        (listed < total).then_some((listed, total))
    }
}

/// Where a list is then; nowhere when what is selected is in a report that has more.
fn settled(is_chosen: bool, place: Option<usize>, is_gone: bool, list: &List) -> Option<usize> {
    match (is_chosen, place) {
        (false, _) => Some(0),
        (true, Some(place)) => Some(place),
        // Of one that is gone, its neighbour.
        (true, None) => is_gone.then_some(list.selected),
    }
}
