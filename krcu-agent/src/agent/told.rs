//! Told: which verdicts the log has. So each new verdict and each change is logged once.

use std::collections::BTreeMap;

use krcu_model::VerdictKind;
use krcu_report::VerdictRow;

use super::{config::Level, log::Told};

/// A verdict without a destroy: its word, and the life of the cache, or the module, that it is about.
type Accusation = (VerdictKind, Option<u32>, String);

/// What was logged.
#[derive(Debug, Default)]
pub(super) struct Known {
    destroys: BTreeMap<u64, VerdictKind>,
    /// For each, how many objects were logged, in the order in which they were found.
    accusations: BTreeMap<Accusation, Vec<u64>>,
}

impl Known {
    /// Returns those of these verdicts that are new or have changed.
    pub(super) fn news(&mut self, rows: &[VerdictRow], strict: bool) -> Vec<Told> {
        let mut news = Vec::new();
        let mut found: BTreeMap<Accusation, usize> = BTreeMap::new();
        // The oldest first, as they happened.
        for row in rows.iter().rev() {
            let kind = row.verdict.verdict;
            let before = match row.destroy {
                Some(destroy) => match self.destroys.insert(destroy, kind) {
                    Some(before) if before == kind => continue,
                    before => before,
                },
                None => {
                    let accusation = (kind, row.life, row.verdict.name().into_owned());
                    let objects = row.verdict.queued_by_kfree_rcu.max(row.verdict.queued_twice);
                    let alike = found.entry(accusation.clone()).or_default();
                    let place = *alike;
                    *alike += 1;
                    let told = self.accusations.entry(accusation).or_default();
                    match told.get_mut(place) {
                        Some(known) if *known >= objects => continue,
                        Some(known) => *known = objects,
                        None => told.push(objects),
                    }
                    None
                }
            };
            let is_flagged = is_flagged(row, strict);
            let level = level(row, is_flagged);
            let (destroy, at_ns) = (row.destroy, row.at_ns);
            news.push(Told { level, destroy, at_ns, is_flagged, verdict: row.verdict.clone(), before });
        }
        // What the reporter has decided for good it does not show again.
        if let Some(oldest) = rows.iter().filter_map(|row| row.destroy).min() {
            self.destroys = self.destroys.split_off(&oldest);
        }
        self.accusations.retain(|accusation, _| found.contains_key(accusation));
        news
    }
}

fn is_flagged(row: &VerdictRow, strict: bool) -> bool {
    if strict { row.verdict.flagged_strictly } else { row.verdict.flagged }
}

fn level(row: &VerdictRow, is_flagged: bool) -> Level {
    if is_flagged || row.verdict.verdict == VerdictKind::Inconclusive { Level::Warn } else { Level::Info }
}

#[cfg(test)]
mod tests {
    use super::*;
    use krcu_report::FlatVerdict;

    fn row(destroy: Option<u64>, kind: VerdictKind) -> VerdictRow {
        let verdict = FlatVerdict {
            verdict: kind,
            flagged: kind.is_flagged(),
            flagged_strictly: kind.is_flagged_strictly(),
            queued_twice: 1,
            ..FlatVerdict::default()
        };
        VerdictRow { destroy, life: None, at_ns: 0, settled: false, verdict }
    }

    fn told(
        known: &mut Known,
        rows: &[VerdictRow],
        strict: bool,
    ) -> Vec<(Option<u64>, VerdictKind, Option<VerdictKind>, Level)> {
        let news = known.news(rows, strict);
        news.into_iter().map(|told| (told.destroy, told.verdict.verdict, told.before, told.level)).collect()
    }

    #[test]
    fn a_verdict_is_told_once_and_once_more_when_it_changes() {
        use VerdictKind::{Clean, DoubleFree, Inconclusive, Pending, Waited};
        let mut known = Known::default();
        let rows = [row(Some(1), Clean), row(Some(0), Waited), row(None, DoubleFree)];
        assert_eq!(
            told(&mut known, &rows, false),
            [
                (None, DoubleFree, None, Level::Warn),
                (Some(0), Waited, None, Level::Info),
                (Some(1), Clean, None, Level::Info)
            ]
        );
        assert_eq!(told(&mut known, &rows, false), []);
        let rows = [row(Some(2), Waited), row(Some(1), Inconclusive)];
        assert_eq!(
            told(&mut known, &rows, true),
            [(Some(1), Inconclusive, Some(Clean), Level::Warn), (Some(2), Waited, None, Level::Warn)]
        );
        // What has left the rows is forgotten.
        assert_eq!(known.destroys.keys().copied().collect::<Vec<_>>(), [1, 2]);
        let rows = [row(Some(2), Pending)];
        assert_eq!(told(&mut known, &rows, false), [(Some(2), Pending, Some(Waited), Level::Warn)]);
    }

    #[test]
    fn each_accusation_is_told_and_again_when_it_grows() {
        use VerdictKind::DoubleFree;
        let accused = |life: u32, objects: u64| {
            let mut row = row(None, DoubleFree);
            (row.life, row.verdict.queued_twice) = (Some(life), objects);
            row
        };
        let once = (None, DoubleFree, None, Level::Warn);
        let mut known = Known::default();
        assert_eq!(told(&mut known, &[accused(3, 2)], false), [once]);
        assert_eq!(told(&mut known, &[accused(3, 2)], false), []);
        // The next life of a cache of that name, and one more of the same life; the newest is the first row.
        assert_eq!(told(&mut known, &[accused(4, 1), accused(3, 1), accused(3, 2)], false), [once, once]);
        assert_eq!(told(&mut known, &[accused(4, 2), accused(3, 1), accused(3, 2)], false), [once]);
        // What the reporter does not show any more is forgotten.
        assert_eq!(told(&mut known, &[accused(4, 2)], false), []);
        assert_eq!(known.accusations.len(), 1);
    }
}
