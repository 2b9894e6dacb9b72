//! Inbox: notices that have been read and not shown yet. It has a bound: when it is full, the oldest report
//! is dropped. That loses nothing, since reports are totals.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Notice;

/// The most notices that wait.
const MOST: usize = 256;

/// A queue from the reading thread to the drawing thread.
#[derive(Clone, Debug, Default)]
pub struct Inbox(Arc<Mutex<VecDeque<Notice>>>);

impl Inbox {
    /// Puts one notice in.
    pub fn put(&self, notice: Notice) {
        let mut queue = self.lock();
        if queue.len() >= MOST {
            let is_report = |notice: &Notice| matches!(notice, Notice::Report(_) | Notice::Past(_));
            let oldest = queue.iter().position(is_report).unwrap_or(0);
            queue.remove(oldest);
        }
        queue.push_back(notice);
    }

    /// Takes all notices out.
    #[must_use]
    pub fn take(&self) -> Vec<Notice> {
        self.lock().drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Notice>> {
        // The queue is complete even if a thread panicked while it held the lock: every change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use krcu_report::Report;

    use super::*;
    use crate::connection::Link;

    #[test]
    fn of_too_many_the_oldest_reports_go_and_nothing_else() {
        let inbox = Inbox::default();
        inbox.put(Notice::Link(Link::Connected));
        for seq in 0..1000 {
            inbox.put(Notice::Report(Box::new(Report { seq, ..Report::default() })));
        }
        let all = inbox.take();
        assert_eq!((all.len(), &all[0]), (MOST, &Notice::Link(Link::Connected)));
        let Some(Notice::Report(newest)) = all.last() else { unreachable!("{all:?}") };
        assert_eq!(newest.seq, 999);
        assert_eq!(inbox.take(), []);
    }
}
