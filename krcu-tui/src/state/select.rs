//! Select: keeps the selected rows, by identity and not by place. Rows change places with each report, with
//! the order and with the filter. A report for a screen that needs few rows has few.

use krcu_model::VerdictKind;
use krcu_report::{Bounds, CachePhase, FinishedBarrier, Report, VerdictRow, WaitKind};

use super::{App, List, Screen};

/// What is selected; absent if it is simply the first row, because the user has not moved or has gone back
/// there.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    cache: Option<u32>,
    barrier: Option<BarrierKey>,
    verdict: Option<VerdictKey>,
    approach: Option<String>,
    probe: Option<String>,
}

/// The identity of a barrier in the next report: a task is in one barrier of each kind at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BarrierKey {
    kind: WaitKind,
    task: u32,
    began_ns: u64,
}

/// The identity of a verdict in the next report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct VerdictKey {
    /// For a destroy, this number alone, since the verdict's word may change.
    destroy: Option<u64>,
    life: Option<u32>,
    cache: String,
    word: VerdictKind,
    /// The number of objects of an accusation; it may grow later.
    objects: u64,
    at_ns: u64,
}

/// Which lists of a report are complete. A row that is missing in a complete list is gone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Whole {
    caches: bool,
    barriers: bool,
    verdicts: bool,
}

impl Whole {
    /// Decides that from the report. A list is complete if it is longer than an overview's, or has all rows
    /// by its total.
    pub(super) fn of(report: &Report) -> Whole {
        let few = Bounds::OVERVIEW;
        let (caches, barriers, verdicts) =
            (report.caches.len(), report.barriers_finished.len(), report.verdicts.len());
        let is_all = caches > few.caches || barriers > few.barriers || verdicts > few.verdicts;
        let waits: u64 = report.waits.values().map(|waits| waits.count).sum();
        Whole {
            // There is no total of caches that are gone, so the list of a full overview may lack one.
            caches: is_all || caches < few.caches,
            barriers: is_all || barriers as u64 >= waits,
            verdicts: is_all || verdicts as u64 >= total(report),
        }
    }
}

impl From<&FinishedBarrier> for BarrierKey {
    fn from(row: &FinishedBarrier) -> BarrierKey {
        BarrierKey { kind: row.call.kind, task: row.call.task, began_ns: row.call.began_ns }
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
    /// The verdict's place among these rows: an exact match, otherwise the same verdict with more objects.
    fn place(&self, rows: &[&VerdictRow]) -> Option<usize> {
        if self.destroy.is_some() {
            return rows.iter().position(|row| row.destroy == self.destroy);
        }
        let keys: Vec<VerdictKey> = rows.iter().copied().map(VerdictKey::from).collect();
        let is_alike = |key: &VerdictKey| {
            (key.destroy, key.life, &key.cache, key.word) == (self.destroy, self.life, &self.cache, self.word)
        };
        keys.iter().position(|key| key == self).or_else(|| keys.iter().position(is_alike))
    }
}

/// The number of verdicts so far, listed or not.
fn total(report: &Report) -> u64 {
    report.verdict_counts.values().sum()
}

impl App {
    /// Finds what is selected among the current rows. Must be called after each change of the rows or of
    /// their order.
    pub(super) fn find(&mut self) {
        self.find_cache();
        self.find_barrier();
        self.find_verdict();
        let named = |chosen: &Option<String>, names: &[&String]| {
            chosen.as_ref().and_then(|chosen| names.iter().position(|name| *name == chosen)).unwrap_or(0)
        };
        let probes: Vec<&String> = self.probe_rows().iter().map(|row| &row.program).collect();
        let (place, rows) = (named(&self.chosen.probe, &probes), probes.len());
        self.probes.put(Some(place), rows);
        let approaches: Vec<&String> = self.approach_rows().iter().map(|row| &row.row.approach).collect();
        let (place, rows) = (named(&self.chosen.approach, &approaches), approaches.len());
        self.what_if.put(Some(place), rows);
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
            // It comes back when the filter is removed.
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
        let shown: Vec<BarrierKey> = self.barrier_rows().into_iter().map(BarrierKey::from).collect();
        let chosen = self.chosen.barrier;
        let place = chosen.and_then(|known| shown.iter().position(|key| *key == known));
        let is_filtered = || {
            let mut listed = self.report.iter().flat_map(|report| &report.barriers_finished);
            listed.any(|row| Some(BarrierKey::from(row)) == chosen)
        };
        if place.is_none() && is_filtered() {
            self.barriers.put(Some(0), shown.len());
            return;
        }
        let is_gone = chosen.is_some() && place.is_none() && self.whole.barriers;
        self.barriers.put(settled(chosen.is_some(), place, is_gone, &self.barriers), shown.len());
        if is_gone {
            self.chosen.barrier = shown.get(self.barriers.selected).copied();
        }
    }

    fn find_verdict(&mut self) {
        let shown = self.verdict_rows();
        let rows = shown.len();
        let chosen = self.chosen.verdict.as_ref();
        let place = chosen.and_then(|known| known.place(&shown));
        let all: Vec<&VerdictRow> = self.verdicts().iter().collect();
        if place.is_none() && chosen.is_some_and(|known| known.place(&all).is_some()) {
            // The filter hides it.
            self.verdicts.put(Some(0), rows);
            return;
        }
        let is_gone = chosen.is_some() && place.is_none() && self.whole.verdicts;
        let to = settled(chosen.is_some(), place, is_gone, &self.verdicts);
        let is_chosen = chosen.is_some();
        self.verdicts.put(to, rows);
        if is_chosen && !self.verdicts.is_away {
            self.chosen.verdict =
                self.verdict_rows().get(self.verdicts.selected).copied().map(VerdictKey::from);
        }
        if is_gone {
            (self.evidence, self.is_verdict_gone) = (false, true);
            // In a replay that went back, a later verdict has not happened yet. An agent that was asked about
            // it still has it.
            if self.replay.is_some() {
                self.asked = None;
            }
        }
    }

    /// Selects the row that the screen's list is at; it stays selected wherever it moves.
    pub(super) fn choose(&mut self) {
        match self.screen {
            Screen::Caches => {
                self.caches.is_away = false;
                self.chosen.cache = self.cache_rows().get(self.caches.selected).map(|row| row.id);
            }
            Screen::Barriers => {
                self.barriers.is_away = false;
                let row = self.barrier_rows().get(self.barriers.selected).copied();
                self.chosen.barrier = row.map(BarrierKey::from);
            }
            Screen::Verdicts => self.choose_verdict(),
            Screen::WhatIf => {
                let row = self.approach_rows().get(self.what_if.selected).copied();
                self.chosen.approach = row.map(|row| row.row.approach.clone());
            }
            Screen::Probes => {
                let row = self.probe_rows().get(self.probes.selected).copied();
                self.chosen.probe = row.map(|row| row.program.clone());
            }
            Screen::Overview => {}
        }
    }

    /// The same for the list of verdicts, whatever the screen is.
    pub(super) fn choose_verdict(&mut self) {
        self.verdicts.is_away = false;
        self.chosen.verdict = self.verdict_rows().get(self.verdicts.selected).copied().map(VerdictKey::from);
    }

    /// Selects the first row of the screen's list, whichever row that will be.
    pub(super) fn follow_first(&mut self) {
        match self.screen {
            Screen::Caches => self.chosen.cache = None,
            Screen::Barriers => self.chosen.barrier = None,
            Screen::Verdicts => self.chosen.verdict = None,
            Screen::WhatIf => self.chosen.approach = None,
            Screen::Probes => self.chosen.probe = None,
            Screen::Overview => {}
        }
        self.find();
    }

    /// The filter stays: a row that it has hidden is not selected any more.
    pub(super) fn keep_filter(&mut self) {
        let was_typed = std::mem::take(&mut self.is_typing);
        if was_typed && self.has_chosen() && self.shown_rows().0 > 0 {
            self.choose();
        }
    }

    /// Whether the user has selected a row of the list on the screen.
    fn has_chosen(&self) -> bool {
        match self.screen {
            Screen::Overview => false,
            Screen::Caches => self.chosen.cache.is_some(),
            Screen::Barriers => self.chosen.barrier.is_some(),
            Screen::Verdicts => self.chosen.verdict.is_some(),
            Screen::WhatIf => self.chosen.approach.is_some(),
            Screen::Probes => self.chosen.probe.is_some(),
        }
    }

    /// Another what-if is asked for: its first row is selected.
    pub(super) fn forget_approach(&mut self) {
        self.chosen.approach = None;
    }

    /// Forgets what is selected, because it was another agent's.
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

    /// The destroy of the selected verdict, even if the report has no room for it. Absent if the verdict is
    /// not about a destroy, or if there is no verdict.
    #[must_use]
    pub fn selected_destroy(&self) -> Option<u64> {
        match &self.chosen.verdict {
            Some(chosen) => chosen.destroy,
            None => self.selected_verdict().and_then(|row| row.destroy),
        }
    }

    /// Whether the user has selected a verdict; otherwise the newest one is selected.
    pub(super) fn has_chosen_verdict(&self) -> bool {
        self.chosen.verdict.is_some()
    }

    /// Whether a verdict that is not among the rows is in no report any more.
    #[must_use]
    pub fn has_all_verdicts(&self) -> bool {
        self.whole.verdicts
    }

    /// How many caches that are not gone are listed, and how many there are; absent if all are listed.
    #[must_use]
    pub fn cut_caches(&self) -> Option<(u64, u64)> {
        let report = self.report.as_ref()?;
        let listed = report.caches.iter().filter(|row| row.phase != CachePhase::Released).count() as u64;
        (listed < report.caches_total).then_some((listed, report.caches_total))
    }

    /// How many verdicts are listed, and how many there were; absent if all are listed.
    #[must_use]
    pub fn cut_verdicts(&self) -> Option<(u64, u64)> {
        let report = self.report.as_ref()?;
        let (listed, total) = (report.verdicts.len() as u64, total(report));
        (listed < total).then_some((listed, total))
    }
}

/// The place to put a list at; `None` if a longer report has what is selected.
fn settled(is_chosen: bool, place: Option<usize>, is_gone: bool, list: &List) -> Option<usize> {
    match (is_chosen, place) {
        (false, _) => Some(0),
        (true, Some(place)) => Some(place),
        // If it is gone, its neighbour.
        (true, None) => is_gone.then_some(list.selected),
    }
}
