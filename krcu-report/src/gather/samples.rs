//! Samples: durations that were observed, the newest ones of a stream that may be longer than memory.

use std::collections::VecDeque;

/// The newest durations, in nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    kept: VecDeque<u64>,
    most: usize,
}

impl Samples {
    pub(super) fn new(most: usize) -> Samples {
        Samples { kept: VecDeque::new(), most: most.max(1) }
    }

    pub(super) fn push(&mut self, ns: u64) {
        if self.kept.len() == self.most {
            self.kept.pop_front();
        }
        self.kept.push_back(ns);
    }

    pub(super) fn to_vec(&self) -> Vec<u64> {
        self.kept.iter().copied().collect()
    }
}
