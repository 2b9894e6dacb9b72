//! Series: what was counted between two reports, for the whole time of a watch in a bounded memory, and its slices of equal
//! length for a screen.
//!
//! Reports come when they can, so samples are of different lengths. If there are too many, neighbours of the older half
//! become one: the past stays, and gets coarser with its age.

use std::collections::VecDeque;

/// The number of samples that are kept for each history.
pub const SAMPLES: usize = 240;

/// What two samples are together.
pub trait Merge: Copy {
    /// Both, of which each took this long.
    #[must_use]
    fn merge(self, ns: u64, later: Self, later_ns: u64) -> Self;
}

/// A sample, and the time that it is of, in nanoseconds of the report's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Timed<T> {
    from_ns: u64,
    until_ns: u64,
    value: T,
}

/// Samples that follow each other, the oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Series<T>(VecDeque<Timed<T>>);

impl<T> Default for Series<T> {
    fn default() -> Series<T> {
        Series(VecDeque::new())
    }
}

/// How the samples in one slice become a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The mean over the time of the slice that has samples: for rates.
    Mean,
    /// The largest: for what is outstanding.
    Largest,
}

/// The slices of a screen: so many, of this length, up to this end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slices {
    /// How many.
    pub number: usize,
    /// The length of each.
    pub each_ns: u64,
    /// The end of the last one. It is not before now, and does not move until that slice is full.
    pub end_ns: u64,
}

impl Slices {
    /// Slices that hold at least this much time before now.
    #[must_use]
    pub fn of(number: usize, now_ns: u64, span_ns: u64) -> Slices {
        let number = number.max(1);
        let least = span_ns.div_ceil(number as u64).max(1);
        let each_ns = round_up(least);
        Slices { number, each_ns, end_ns: (now_ns / each_ns + 1) * each_ns }
    }

    /// The time that all of them cover.
    #[must_use]
    pub fn span_ns(&self) -> u64 {
        self.each_ns.saturating_mul(self.number as u64)
    }
}

/// The next length that is easy to count with: 1, 2 or 5 with zeros, up to a second; then what a clock has.
fn round_up(ns: u64) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    const CLOCK_S: [u64; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600];
    let decimal = (0..9).flat_map(|zeros| [1, 2, 5].map(|digit| digit * 10_u64.pow(zeros)));
    let clock = CLOCK_S.into_iter().map(|seconds| seconds * SECOND);
    decimal.chain(clock).find(|length| *length >= ns).unwrap_or(ns)
}

impl<T: Merge> Series<T> {
    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The samples, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|sample| &sample.value)
    }

    /// The newest sample.
    #[must_use]
    pub fn newest(&self) -> Option<&T> {
        self.0.back().map(|sample| &sample.value)
    }

    /// When the oldest sample begins.
    #[must_use]
    pub fn began_ns(&self) -> Option<u64> {
        self.0.front().map(|sample| sample.from_ns)
    }

    /// Takes the newest sample.
    pub(super) fn push(&mut self, from_ns: u64, until_ns: u64, value: T) {
        if self.0.len() == SAMPLES {
            self.coarsen();
        }
        self.0.push_back(Timed { from_ns, until_ns, value });
    }

    /// Makes one of each two neighbours in the older half.
    fn coarsen(&mut self) {
        let newer = self.0.split_off(SAMPLES / 2);
        let older = std::mem::take(&mut self.0);
        let mut older = older.into_iter();
        while let Some(first) = older.next() {
            self.0.push_back(match older.next() {
                Some(second) => first.with(second),
                None => first,
            });
        }
        self.0.extend(newer);
    }

    /// A number for each slice, the oldest first; absent where there is no sample.
    #[must_use]
    pub fn sliced(&self, slices: Slices, how: Of, number: impl Fn(&T) -> f64) -> Vec<Option<f64>> {
        let begin = slices.end_ns.saturating_sub(slices.span_ns());
        let missing = slices.span_ns().saturating_sub(slices.end_ns) / slices.each_ns.max(1);
        let mut sliced: Vec<(f64, u64)> = vec![(0.0, 0); slices.number];
        for sample in self.0.iter().filter(|sample| sample.until_ns > begin) {
            let first = sample.from_ns.saturating_sub(begin) / slices.each_ns.max(1);
            for (place, slot) in sliced.iter_mut().enumerate().skip(place(first + missing)) {
                let from = begin + (place as u64).saturating_sub(missing) * slices.each_ns;
                if from >= sample.until_ns {
                    break;
                }
                let until = sample.until_ns.min(from + slices.each_ns);
                let ns = until.saturating_sub(sample.from_ns.max(from)).max(1);
                let value = number(&sample.value);
                slot.0 = match how {
                    Of::Mean => slot.0 + value * super::number(ns),
                    Of::Largest => slot.0.max(value),
                };
                slot.1 += ns;
            }
        }
        let value = |(sum, ns): (f64, u64)| match how {
            _ if ns == 0 => None,
            Of::Mean => Some(sum / super::number(ns)),
            Of::Largest => Some(sum),
        };
        sliced.into_iter().map(value).collect()
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl<T: Merge> Timed<T> {
    fn with(self, later: Timed<T>) -> Timed<T> {
        let length = |sample: &Timed<T>| sample.until_ns.saturating_sub(sample.from_ns);
        let value = self.value.merge(length(&self), later.value, length(&later));
        Timed { from_ns: self.from_ns, until_ns: later.until_ns, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Merge for f64 {
        fn merge(self, ns: u64, later: f64, later_ns: u64) -> f64 {
            let sum = self * super::super::number(ns) + later * super::super::number(later_ns);
            sum / super::super::number(ns + later_ns)
        }
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn slices_have_lengths_that_one_can_count_with_and_hold_all_of_the_span() {
        for (number, now, span, each) in [
            (10, 1_000 * MS, 1_000 * MS, 100 * MS),
            (10, 1_000 * MS, 1_001 * MS, 200 * MS),
            (36, 60_000 * MS, 60_000 * MS, 2_000 * MS),
            (36, 0, 0, 1),
            (36, 86_400_000 * MS, 86_400_000 * MS, 3_600_000 * MS),
        ] {
            let slices = Slices::of(number, now, span);
            assert_eq!(slices.each_ns, each, "{span} in {number}");
            assert!(slices.span_ns() >= span && slices.end_ns > now && slices.end_ns <= now + each);
        }
    }

    #[test]
    fn a_slice_is_the_mean_of_its_time_or_the_largest() {
        let mut series = Series::default();
        // 0 to 10 ms, 10 to 25 ms; nothing from 25 ms on until 40 ms.
        for (from, until, value) in [(0, 10, 4.0), (10, 25, 8.0), (40, 45, 1.0)] {
            series.push(from * MS, until * MS, value);
        }
        let slices = Slices { number: 5, each_ns: 10 * MS, end_ns: 50 * MS };
        let sliced = |slices, how| series.sliced(slices, how, |value| *value);
        assert_eq!(sliced(slices, Of::Mean), [Some(4.0), Some(8.0), Some(8.0), None, Some(1.0)]);
        let coarse = Slices { number: 3, each_ns: 20 * MS, end_ns: 60 * MS };
        assert_eq!(sliced(coarse, Of::Mean), [Some(6.0), Some(8.0), Some(1.0)]);
        assert_eq!(sliced(coarse, Of::Largest), [Some(8.0), Some(8.0), Some(1.0)]);
        // The window begins before the watch did, or after its first samples.
        let wide = Slices { number: 4, each_ns: 20 * MS, end_ns: 60 * MS };
        assert_eq!(sliced(wide, Of::Mean), [None, Some(6.0), Some(8.0), Some(1.0)]);
        let late = Slices { number: 2, each_ns: 10 * MS, end_ns: 30 * MS };
        assert_eq!(sliced(late, Of::Mean), [Some(8.0), Some(8.0)]);
    }

    #[test]
    fn the_past_gets_coarser_and_is_never_forgotten() {
        let mut series = Series::default();
        for number in 0..10_000 {
            series.push(number * MS, (number + 1) * MS, 3.0);
        }
        assert!(series.len() <= SAMPLES && series.len() > SAMPLES / 2, "{}", series.len());
        assert_eq!(series.began_ns(), Some(0));
        // Every moment is still in one sample, and the mean of all is what it was.
        let whole =
            series.sliced(Slices { number: 1, each_ns: 10_000 * MS, end_ns: 10_000 * MS }, Of::Mean, |v| *v);
        assert_eq!(whole, [Some(3.0)]);
        assert!(series.0.iter().zip(series.0.iter().skip(1)).all(|(one, next)| one.until_ns == next.from_ns));
    }
}
