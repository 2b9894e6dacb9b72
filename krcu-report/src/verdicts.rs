//! Verdicts: the last verdicts as a whole, and the number of verdicts of each word.
//!
//! A verdict may change until its destroy has settled, and when a loss becomes known. After each change of
//! the state, the newest destroys are decided again. An older destroy keeps its last word if it had settled
//! by then. A destroy that still waits has no verdict.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::flat::FlatVerdict;
use krcu_model::{
    accuse::{self, Accusation},
    event::Time,
    of_destroy,
    state::{CacheId, Destroy, DestroyId, State},
    verdict::{Verdict, VerdictKind, of_abandoned, of_unload},
};

/// How many of the newest destroys are decided again.
const NEWEST: usize = 256;
/// How many older destroys may be unsettled.
const MOST_OPEN: usize = 256;

/// The number of finally decided destroys that are kept, before all of them are forgotten at once.
const MOST_FORGETTABLE: usize = 64;

/// A verdict and its destroy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictRow {
    /// The number of the destroy, from 0, with which a client asks about it. Absent for an accusation of the
    /// kernel, which is about a cache.
    pub destroy: Option<u64>,
    /// For an accusation: the life of the cache that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<u32>,
    /// When the destroy began, or when the accusation was last found, counted from the moment at which the
    /// probes were attached.
    pub at_ns: u64,
    /// Whether it is final, unless a loss becomes known.
    pub settled: bool,
    /// The verdict, with its evidence.
    pub verdict: FlatVerdict,
}

/// What is kept of verdicts.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts {
    /// The number of final verdicts, of destroys and of accusations about their caches.
    decided: BTreeMap<VerdictKind, u64>,
    /// Destroys before this one are finally decided, or in `open`.
    passed: DestroyId,
    open: Vec<DestroyId>,
    /// Events and gaps at the last look.
    at: Option<(u64, usize)>,
    rows: Vec<VerdictRow>,
    counts: BTreeMap<VerdictKind, u64>,
}

impl Verdicts {
    /// Decides again, if anything has happened.
    pub(super) fn update(&mut self, state: &State) {
        let at = Some((state.events(), state.gaps().len()));
        if at == self.at {
            return;
        }
        self.at = at;
        let running = running(state);
        let unsettled = unsettled(state, &running);
        let row_of = |destroy: &Destroy| {
            let verdict = FlatVerdict::of(state, of_destroy(state, destroy));
            VerdictRow {
                destroy: Some(destroy.id.0),
                life: None,
                at_ns: verdict.destroyed_at_ns,
                settled: !unsettled.contains(&destroy.id),
                verdict,
            }
        };
        let mut passing: Vec<DestroyId> = state
            .destroys()
            .rev()
            .skip(NEWEST)
            .map(|destroy| destroy.id)
            .take_while(|id| *id >= self.passed)
            .collect();
        passing.reverse();
        let mut settled: Vec<DestroyId> = Vec::new();
        for id in passing {
            if unsettled.contains(&id) && self.open.len() < MOST_OPEN {
                self.open.push(id);
            } else {
                settled.push(id);
            }
            self.passed = DestroyId(id.0 + 1);
        }
        settled.extend(self.open.extract_if(.., |id| !unsettled.contains(id)));
        let mut newest: Vec<&Destroy> =
            state.destroys().rev().take_while(|destroy| destroy.id >= self.passed).collect();
        newest.reverse();
        let of_destroys = self
            .open
            .iter()
            .filter_map(|id| state.destroy(*id))
            .chain(newest)
            .filter(|destroy| !running.contains(&destroy.id))
            .map(row_of);
        self.rows = of_destroys.chain(of_no_destroy(state)).collect();
        let passing: Vec<VerdictRow> =
            settled.into_iter().filter_map(|id| state.destroy(id)).map(row_of).collect();
        for row in &passing {
            *self.decided.entry(row.verdict.verdict).or_default() += 1;
        }
        self.counts = self.decided.clone();
        for row in &self.rows {
            *self.counts.entry(row.verdict.verdict).or_default() += 1;
        }
        // Final verdicts are shown once more, because many may have come at once, and the next update would
        // drop them unseen.
        self.rows.extend(passing);
        self.rows.reverse();
        self.rows.sort_by_key(|row| std::cmp::Reverse(row.at_ns));
    }

    /// The rows, the newest first.
    pub(super) fn rows(&self, most: usize) -> Vec<VerdictRow> {
        self.rows.iter().take(most).cloned().collect()
    }

    pub(super) fn all(&self) -> &[VerdictRow] {
        &self.rows
    }

    /// Makes the state forget the destroys that are finally decided.
    pub(super) fn forget(&mut self, state: &mut State) {
        let passed = state.destroys().take_while(|destroy| destroy.id < self.passed).count();
        if passed < self.open.len() + MOST_FORGETTABLE {
            return;
        }
        let open: BTreeSet<DestroyId> = self.open.iter().copied().collect();
        for word in state.forget_accusations(self.passed, &open) {
            *self.decided.entry(word).or_default() += 1;
        }
        state.forget_destroys(self.passed, &open);
        self.at = None;
    }

    pub(super) fn counts(&self) -> &BTreeMap<VerdictKind, u64> {
        &self.counts
    }
}

/// The verdicts that no destroy is behind: caches left behind, modules that went, and what the kernel is accused of.
fn of_no_destroy(state: &State) -> impl Iterator<Item = VerdictRow> {
    let row = move |life: Option<CacheId>, at: Time, verdict: Verdict| VerdictRow {
        destroy: None,
        life: life.map(|life| life.0),
        at_ns: at.since(state.watch().attached),
        settled: true,
        verdict: FlatVerdict::of(state, verdict),
    };
    let abandoned = state.abandoned().iter();
    let abandoned = abandoned.map(move |one| row(Some(one.life.id), one.at.time, of_abandoned(state, one)));
    let modules = state.unloads().iter();
    let modules = modules.map(move |unload| row(None, unload.at.time, of_unload(state, unload)));
    let kernel = accuse::all(state).map(move |Accusation { life, at, verdict }| row(life, at, verdict));
    abandoned.chain(modules).chain(kernel)
}

/// Destroys in which a task waits. It leaves out a destroy whose end may have been lost, or whose module is
/// gone.
fn running(state: &State) -> BTreeSet<DestroyId> {
    let is_running = |destroy: &&Destroy| {
        let is_one = destroy.look.is_some() || destroy.life.facts.refcount == 1;
        let may_be_over = destroy.released
            || destroy.caller.module_going.is_some()
            || state.gaps().iter().any(|gap| gap.until >= destroy.begin.time);
        is_one && !may_be_over
    };
    let open = state.view().open_destroys.values().filter_map(|id| state.destroy(*id));
    open.filter(is_running).map(|destroy| destroy.id).collect()
}

/// Destroys about which later events may say more: they are running, or have left objects that are still to
/// be freed.
fn unsettled(state: &State, running: &BTreeSet<DestroyId>) -> BTreeSet<DestroyId> {
    let mut unsettled = running.clone();
    unsettled.extend(state.view().orphans.values());
    unsettled.extend(state.view().ledger.callbacks.values().filter_map(|waiting| waiting.late_for));
    let left = state
        .view()
        .caches
        .values()
        .filter(|cache| !cache.outstanding.is_empty() || cache.callbacks_waiting > 0);
    unsettled.extend(left.filter_map(|cache| cache.failed));
    unsettled
}
