//! Graces: which whole grace period an object had first, and the rows of `graces`.

use std::collections::VecDeque;

use krcu_model::{event::Time, state::Mark};

use super::{since_attach, words::Grace};

/// Grace periods that ended while something was outstanding, and those that run.
#[derive(Debug, Default)]
pub(super) struct Graces {
    /// Whole ones, by the place of their beginning; `reached` is when the first that began no earlier had ended.
    whole: VecDeque<(u64, Time)>,
    normal: Option<Mark>,
    expedited: VecDeque<Mark>,
    last_end: Option<Time>,
    ended: u64,
}

impl Graces {
    pub(super) fn begins(&mut self, mark: Mark, expedited: bool) {
        if expedited {
            self.expedited.push_back(mark);
        } else {
            self.normal = Some(mark);
        }
    }

    /// A grace period has ended; its row.
    pub(super) fn ends(&mut self, attached: Time, mark: Mark, expedited: bool, keep: bool) -> Grace {
        let begun = if expedited { self.expedited.pop_front() } else { self.normal.take() };
        self.ended += 1;
        if !expedited {
            self.last_end = Some(mark.time);
        }
        match begun {
            Some(begun) if keep => self.remember(begun.position, mark.time),
            _ if !keep => self.whole.clear(),
            _ => {}
        }
        let begin_at_ns = begun.map(|begun| since_attach(attached, begun.time));
        Grace { expedited, begin_at_ns, end_at_ns: Some(since_attach(attached, mark.time)) }
    }

    /// One that began earlier and ends later than another that is known says nothing new.
    fn remember(&mut self, position: u64, end: Time) {
        if self.whole.back().is_none_or(|(last, _)| *last < position) {
            self.whole.push_back((position, end));
        }
    }

    /// When the first whole grace period since then had ended.
    pub(super) fn over_since(&self, queued: Mark) -> Option<Time> {
        let place = self.whole.partition_point(|(begun, _)| *begun <= queued.position);
        self.whole.get(place).map(|(_, end)| *end)
    }

    /// From the end of the last normal one to here.
    pub(super) fn since_last(&self, at: Time) -> Option<u64> {
        self.last_end.map(|end| at.since(end))
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    /// Those that had not ended.
    pub(super) fn open(&mut self, attached: Time) -> Vec<Grace> {
        let row = |expedited| {
            move |begun: Mark| Grace {
                expedited,
                begin_at_ns: Some(since_attach(attached, begun.time)),
                end_at_ns: None,
            }
        };
        let normal = self.normal.take().map(row(false));
        normal.into_iter().chain(self.expedited.drain(..).map(row(true))).collect()
    }
}
