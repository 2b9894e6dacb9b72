//! State: what is shown, and what of it is selected. It has no terminal and no clock: the caller says when
//! something came.

mod history;
mod list;
mod press;
mod select;
mod series;
mod sift;

use krcu_report::{CacheRow, Detail, FinishedBarrier, Hello, ProbeRow, Report, VerdictRow, words};

pub(crate) use history::number;
pub use history::{CacheHistory, CacheSample, Histories, ProbeCost, Sample, Span};
pub use list::{List, Scrolled};
pub use series::{Merge, Of, SAMPLES, Series, Slices};
pub use sift::{Column, Order, Sift, Sifts};

use crate::{
    connection::{Link, Notice, ReplayStatus},
    what_if::{Answer, AnswerRow},
};
use select::{Chosen, Whole};

/// After how many milliseconds an agent that promises no interval is called silent.
const PATIENCE_MS: u64 = 3_000;
/// How many promised intervals may pass without a report.
const INTERVALS: u64 = 3;

/// A screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Screen {
    /// The most important of everything.
    #[default]
    Overview,
    /// The table of caches.
    Caches,
    /// Which tasks wait in a barrier, and how long others have waited.
    Barriers,
    /// The list of verdicts, and the evidence of one.
    Verdicts,
    /// What each approach would have cost a destroy.
    WhatIf,
    /// The plan of the probes, and what they cost.
    Probes,
}

impl Screen {
    /// All screens, in the order of their keys.
    pub const ALL: [Screen; 6] = [
        Screen::Overview,
        Screen::Caches,
        Screen::Barriers,
        Screen::Verdicts,
        Screen::WhatIf,
        Screen::Probes,
    ];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Screen::Overview => "overview",
            Screen::Caches => "caches",
            Screen::Barriers => "barriers",
            Screen::Verdicts => "verdicts",
            Screen::WhatIf => "what if",
            Screen::Probes => "probes",
        }
    }
}

/// How current the report on the screen is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// No report has come yet.
    Nothing,
    /// It is current.
    Live,
    /// The agent is connected, but has been silent for this many milliseconds. It may never have sent a
    /// report.
    Frozen(u64),
    /// The agent is not connected, and the report is this many milliseconds old.
    Lost(u64),
    /// It is a replay.
    Replay,
}

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// The introduction of the agent or trace.
    pub hello: Option<Hello>,
    /// The newest report.
    pub report: Option<Report>,
    /// The state of the connection.
    pub link: Link,
    /// The state of the replay, if this is one.
    pub replay: Option<ReplayStatus>,
    /// The current screen.
    pub screen: Screen,
    /// Whether help is shown on top.
    pub help: bool,
    /// How far help is scrolled.
    pub help_top: usize,
    /// The histories.
    pub histories: Histories,
    /// The table of caches.
    pub caches: List,
    /// What is shown of each list, and in which order.
    pub sifts: Sifts,
    /// Whether the filter is being typed.
    pub is_typing: bool,
    /// The list of barriers that are over.
    pub barriers: List,
    /// The list of verdicts.
    pub verdicts: List,
    /// Whether the evidence of the selected verdict fills the screen.
    pub evidence: bool,
    /// How far the evidence is scrolled.
    pub evidence_top: usize,
    /// The list of approaches.
    pub what_if: List,
    /// The destroy whose what-if was asked for.
    pub asked: Option<u64>,
    /// The last answer; it may be about another destroy.
    pub answer: Option<Answer>,
    /// Whether the verdict that was selected does not exist any more.
    pub is_verdict_gone: bool,
    /// What is selected in the lists whose rows come and go.
    chosen: Chosen,
    /// Which lists of the newest report are complete.
    whole: Whole,
    /// The list of probes.
    pub probes: List,
    /// Whether the program is to end.
    pub quit: bool,
    /// Whether the whole terminal is to be drawn again.
    pub redraw: bool,
    /// Whether the program is to stop, and continue later.
    pub stop: bool,
    /// When the newest report came, in the caller's milliseconds.
    received_ms: Option<u64>,
    /// When the connection was accepted, or the agent introduced itself; before that, the start of the
    /// program.
    reached_ms: u64,
}

impl App {
    /// Takes a notice.
    pub fn take(&mut self, notice: Notice, now_ms: u64) {
        match notice {
            Notice::Link(link) => {
                if link == Link::Reached {
                    self.reached_ms = now_ms;
                }
                self.link = link;
            }
            Notice::Hello(hello) => {
                self.reached_ms = now_ms;
                self.greet(hello);
            }
            Notice::Replay(replay) => self.replay = Some(replay),
            Notice::Answer(answer) => self.take_answer(*answer),
            Notice::Report(report) => {
                self.received_ms = Some(now_ms);
                self.take_report(*report);
            }
            Notice::Past(report) => {
                self.histories.take(&report);
                // Rows that are sorted by rates may change their order.
                self.find();
            }
        }
    }

    /// Another agent, or the same agent attached again: what was seen before is not its past.
    fn greet(&mut self, hello: Hello) {
        let is_same = self.hello.as_ref().is_some_and(|known| {
            (known.pid, known.attached_unix_ns, &known.boot)
                == (hello.pid, hello.attached_unix_ns, &hello.boot)
        });
        if !is_same {
            self.forget_chosen();
            self.histories.forget();
            self.report = None;
            self.received_ms = None;
            self.answer = None;
        }
        self.hello = Some(hello);
    }

    fn take_report(&mut self, mut report: Report) {
        self.whole = Whole::of(&report);
        // A cache without a name of which nothing was queued: its row comes from frees of objects that were
        // queued before krcu was attached.
        let all = report.caches.len();
        report.caches.retain(|row| !row.name.is_empty() || row.queued + row.callbacks + row.outstanding > 0);
        report.caches_total = report.caches_total.saturating_sub((all - report.caches.len()) as u64);
        self.histories.take(&report);
        self.report = Some(report);
        // What is selected stays selected, wherever its row has moved.
        self.find();
        if self.screen == Screen::WhatIf && !self.has_chosen_verdict() {
            self.ask();
        }
    }

    fn take_answer(&mut self, answer: Answer) {
        if self.asked == Some(answer.question.destroy) {
            self.answer = Some(answer);
            self.find();
        }
    }

    /// How current the report is at this time.
    #[must_use]
    pub fn freshness(&self, now_ms: u64) -> Freshness {
        if self.replay.is_some() {
            return Freshness::Replay;
        }
        let age_ms = now_ms.saturating_sub(self.received_ms.unwrap_or(self.reached_ms));
        let promised = self.hello.as_ref().map_or(0, |hello| u64::from(hello.interval_ms));
        match (&self.link, self.received_ms) {
            (Link::Lost(_), None) => Freshness::Nothing,
            (Link::Lost(_), Some(_)) => Freshness::Lost(age_ms),
            _ if age_ms > PATIENCE_MS.max(promised * INTERVALS) => Freshness::Frozen(age_ms),
            (_, None) => Freshness::Nothing,
            (_, Some(_)) => Freshness::Live,
        }
    }

    /// How much detail the agent is asked for: as much as the screen shows.
    #[must_use]
    pub fn detail(&self) -> Detail {
        match (self.screen, self.asked) {
            (Screen::WhatIf, Some(destroy)) => Detail::Destroy(destroy),
            (Screen::Overview | Screen::Probes, _) => Detail::Overview,
            _ => Detail::All,
        }
    }

    /// What is shown of the list on the screen.
    #[must_use]
    pub fn sift(&self) -> &Sift {
        self.sifts.of(self.screen)
    }

    /// The caches that pass the filter, sorted.
    #[must_use]
    pub fn cache_rows(&self) -> Vec<&CacheRow> {
        let rows = self.report.as_ref().map_or(&[][..], |report| &report.caches);
        self.sifts.of(Screen::Caches).caches(rows, &self.histories)
    }

    /// The barriers that are over and pass the filter, sorted.
    #[must_use]
    pub fn barrier_rows(&self) -> Vec<&FinishedBarrier> {
        let rows = self.report.as_ref().map_or(&[][..], |report| &report.barriers_finished);
        self.sifts.of(Screen::Barriers).barriers(rows)
    }

    /// All verdicts, the newest first.
    #[must_use]
    pub fn verdicts(&self) -> &[VerdictRow] {
        self.report.as_ref().map_or(&[], |report| report.verdicts.as_slice())
    }

    /// The verdicts that pass the filter, sorted.
    #[must_use]
    pub fn verdict_rows(&self) -> Vec<&VerdictRow> {
        self.sifts.of(Screen::Verdicts).verdicts(self.verdicts())
    }

    /// The approaches of the shown answer that pass the filter, sorted.
    #[must_use]
    pub fn approach_rows(&self) -> Vec<&AnswerRow> {
        let rows = self.shown_answer().map_or(&[][..], |answer| &answer.rows);
        self.sifts.of(Screen::WhatIf).approaches(rows)
    }

    /// The probes that pass the filter, sorted.
    #[must_use]
    pub fn probe_rows(&self) -> Vec<&ProbeRow> {
        let rows = self.report.as_ref().map_or(&[][..], |report| &report.probes);
        self.sifts.of(Screen::Probes).probes(rows, &self.histories)
    }

    /// How many rows of the list on the screen are shown, and how many there are.
    #[must_use]
    pub fn shown_rows(&self) -> (usize, usize) {
        let report = self.report.as_ref();
        match self.screen {
            Screen::Overview => (0, 0),
            Screen::Caches => (self.cache_rows().len(), report.map_or(0, |report| report.caches.len())),
            Screen::Barriers => {
                (self.barrier_rows().len(), report.map_or(0, |report| report.barriers_finished.len()))
            }
            Screen::Verdicts => (self.verdict_rows().len(), self.verdicts().len()),
            Screen::WhatIf => {
                (self.approach_rows().len(), self.shown_answer().map_or(0, |answer| answer.rows.len()))
            }
            Screen::Probes => (self.probe_rows().len(), report.map_or(0, |report| report.probes.len())),
        }
    }

    /// The selected cache, if the report has it.
    #[must_use]
    pub fn selected_cache(&self) -> Option<&CacheRow> {
        self.cache_rows().get(self.caches.marked()?).copied()
    }

    /// The selected verdict, if the report has it.
    #[must_use]
    pub fn selected_verdict(&self) -> Option<&VerdictRow> {
        self.verdict_rows().get(self.verdicts.marked()?).copied()
    }

    /// The last answer, if it is about the destroy that was asked for.
    #[must_use]
    pub fn shown_answer(&self) -> Option<&Answer> {
        self.answer.as_ref().filter(|answer| self.asked == Some(answer.question.destroy))
    }
}

/// A cache's name, or a substitute if it has none yet.
#[must_use]
pub fn cache_name(row: &CacheRow) -> String {
    if row.name.is_empty() {
        format!("cache {} (older)", row.id)
    } else {
        words::cache_name(&row.name).into_owned()
    }
}
