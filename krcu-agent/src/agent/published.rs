//! Published: the newest report, for all clients. A new report replaces the previous one, so a slow client misses
//! reports.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use krcu_report::{Bounds, Detail, Line, Question, Report};
use tokio::sync::{oneshot, watch};

/// A report and its lines. A line is made when the first client wants it.
#[derive(Debug)]
pub(super) struct Published {
    /// The whole report.
    pub(super) report: Report,
    /// When it was made.
    pub(super) made: Instant,
    overview: OnceLock<Arc<str>>,
    all: OnceLock<Arc<str>>,
}

/// The place of the newest report.
pub(super) type Newest = watch::Receiver<Option<Arc<Published>>>;

/// A client's request for the data to simulate a destroy.
pub(super) struct Asked {
    /// The number of the destroy.
    pub(super) destroy: u64,
    /// The receiver of the question. It gets none if there is no such destroy.
    pub(super) reply: oneshot::Sender<Option<Question>>,
}

impl Published {
    /// Publishes a report that was made now, with the bounds of [`Detail::All`].
    pub(super) fn new(report: Report) -> Published {
        Published { report, made: Instant::now(), overview: OnceLock::new(), all: OnceLock::new() }
    }

    /// The line for a client that wants this much detail.
    pub(super) fn line(&self, detail: Detail) -> Arc<str> {
        let line = match detail {
            Detail::Overview => self.overview.get_or_init(|| text(cut(&self.report, Bounds::OVERVIEW))),
            Detail::All | Detail::Destroy(_) => self.all.get_or_init(|| text(self.report.clone())),
        };
        Arc::clone(line)
    }
}

fn cut(report: &Report, bounds: Bounds) -> Report {
    let mut report = report.clone();
    report.caches.truncate(bounds.caches);
    report.verdicts.truncate(bounds.verdicts);
    report.barriers_running.truncate(bounds.barriers);
    report.barriers_finished.truncate(bounds.barriers);
    report
}

/// A report as a line.
pub(super) fn text(report: Report) -> Arc<str> {
    line(&Line::Report(Box::new(report)))
}

/// A line with its end.
pub(super) fn line(line: &Line) -> Arc<str> {
    // None of these types can fail to be JSON; an empty line would be skipped by a client.
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    text.into()
}
