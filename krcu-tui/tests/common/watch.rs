//! A watch with invented rows. Each report has what an agent would send to the current screen.

use krcu_model::{VerdictKind, verdict::FreedBy};
use krcu_reference::simulate::Row;
use krcu_report::{
    AskedCache, AskedDestroy, BarrierCall, Bounds, CachePhase, CacheRow, FinishedBarrier, FlatVerdict, Hello,
    Question, Report, VerdictRow, WaitKind,
};
use krcu_tui::{
    connection::{Link, Notice},
    keys::Key,
    state::App,
    what_if::{Answer, AnswerRow},
};

use super::{draw, text, theme};

pub(crate) const SECOND: u64 = 1_000_000_000;

pub(crate) fn cache(id: u32, outstanding: u64) -> CacheRow {
    CacheRow {
        id,
        name: format!("cache_{id}"),
        module: None,
        object_bytes: 64,
        phase: CachePhase::Live,
        created_while_watched: true,
        counted: false,
        queued: outstanding,
        callbacks: 0,
        freed: 0,
        freed_by: FreedBy::default(),
        outstanding,
        being_freed: 0,
        callbacks_waiting: 0,
        oldest_age_ns: None,
        last_activity_ns: 0,
        destroy: None,
    }
}

/// The verdict of the destroy with this number, which looked a second after it began.
pub(crate) fn verdict(destroy: u64) -> VerdictRow {
    let of_it = FlatVerdict {
        verdict: VerdictKind::Pending,
        flagged: true,
        cache: format!("cache_{destroy}"),
        destroyed_at_ns: destroy * SECOND,
        wait_ns: Some(SECOND),
        ..FlatVerdict::default()
    };
    VerdictRow { destroy: Some(destroy), life: None, at_ns: destroy * SECOND, settled: true, verdict: of_it }
}

/// An accusation of this many double frees in one life of a cache; all lives have the same name.
pub(crate) fn accusation(life: u32, objects: u64) -> VerdictRow {
    let of_it = FlatVerdict {
        verdict: VerdictKind::DoubleFree,
        flagged: true,
        cache: "twice".to_owned(),
        queued_twice: objects,
        ..FlatVerdict::default()
    };
    VerdictRow { destroy: None, life: Some(life), at_ns: 0, settled: true, verdict: of_it }
}

pub(crate) fn barrier(task: u32, wait_ns: u64) -> FinishedBarrier {
    let call = BarrierCall {
        kind: WaitKind::RcuBarrier,
        cache: Some("a_cache_with_a_long_name".to_owned()),
        inside_destroy: false,
        task,
        comm: Some("modprobe".to_owned()),
        began_ns: u64::from(task),
    };
    FinishedBarrier { call, wait_ns, at_begin: 1_234_567 }
}

/// A watch of one agent: all rows; a report has a part of them.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) app: App,
    pub(crate) all: Report,
}

impl Watch {
    /// A watch with this many caches, the last with the fewest outstanding objects, and this many destroys.
    pub(crate) fn new(caches: u32, verdicts: u64) -> Watch {
        let mut watch = Watch::default();
        watch.app.take(Notice::Link(Link::Connected), 0);
        watch.app.take(Notice::Hello(Hello { pid: 1, ..Hello::default() }), 0);
        watch.all.caches = (0..caches).map(|id| cache(id, u64::from(caches - id))).collect();
        watch.all.verdicts = (0..verdicts).rev().map(verdict).collect();
        watch.all.caches_total = caches.into();
        watch.all.verdict_counts.insert(VerdictKind::Pending, verdicts);
        watch.report();
        watch
    }

    /// A second later: a report as the current screen wants it.
    pub(crate) fn report(&mut self) {
        self.all.at_ns += SECOND;
        let Bounds { caches, verdicts, barriers } = self.app.detail().bounds();
        let mut report = self.all.clone();
        report.caches.truncate(caches);
        report.verdicts.truncate(verdicts);
        report.barriers_running.truncate(barriers);
        report.barriers_finished.truncate(barriers);
        self.app.take(Notice::Report(Box::new(report)), 0);
    }

    /// Presses keys; after each of them comes a report.
    pub(crate) fn press(&mut self, keys: &[Key]) {
        for key in keys {
            self.app.press(*key);
            self.report();
        }
    }

    pub(crate) fn type_words(&mut self, words: &str) {
        self.press(&words.chars().map(Key::Char).collect::<Vec<_>>());
    }

    pub(crate) fn down(&mut self, rows: usize) {
        self.press(&vec![Key::Down; rows]);
    }

    pub(crate) fn cache(&self) -> Option<u32> {
        self.app.selected_cache().map(|row| row.id)
    }

    pub(crate) fn destroy(&self) -> Option<u64> {
        self.app.selected_verdict().and_then(|row| row.destroy)
    }

    pub(crate) fn shown(&mut self, width: u16) -> String {
        text(&draw(&mut self.app, (width, 24), theme(), 0).0)
    }
}

pub(crate) fn answer(destroy: u64) -> Notice {
    let row = Row {
        approach: "an approach".to_owned(),
        caller_wait_ns: Some(61 * SECOND),
        linger_ns: Some(3_700 * SECOND),
        waited_for_own: 1_234_567,
        waited_for_other: 7_654_321,
        grace_periods_forced: 1,
        ..Row::default()
    };
    let caches = vec![AskedCache { name: format!("cache_{destroy}"), ..AskedCache::default() }];
    let destroys = vec![AskedDestroy { number: destroy, ..AskedDestroy::default() }];
    let question = Question { destroy, caches, destroys, ..Question::default() };
    let rows = vec![AnswerRow { row, ..AnswerRow::default() }];
    let answer = Answer { question, rows, ..Answer::default() };
    Notice::Answer(Box::new(answer))
}
