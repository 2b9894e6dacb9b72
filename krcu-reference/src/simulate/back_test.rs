//! Back-test: how far the machine is off, for waits that were measured on a kernel.
//!
//! If a kernel has a barrier in its destroy, the simulated wait of `upstream`, in the generation that this
//! kernel shows, is compared with the measured wait. Nothing is fitted to the measurements.

use serde::Serialize;

use super::Outcome;

/// A wait that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The destroy, by its number among the destroys of the workload.
    pub destroy: usize,
    /// Nanoseconds from the entry of the destroy to the entry of `__kmem_cache_shutdown()`. If the exit path
    /// began with a barrier for `kfree_rcu()`, the time of the same task in that barrier is added.
    pub wait_ns: u64,
    /// Of these, the nanoseconds after the last deferred free of that time: the task needs them to wake up
    /// and go on, which is not simulated.
    pub after_last_free_ns: u64,
    /// Whether the kernel's own wait told which unseen callbacks it waited for: then the simulated one is no
    /// prediction.
    pub is_given: bool,
}

/// A destroy whose wait was simulated and measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// The destroy, by its number among the destroys of the workload.
    pub destroy: usize,
    /// The cache's name.
    pub name: String,
    /// Nanoseconds in the simulation.
    pub simulated_ns: u64,
    /// Nanoseconds on the kernel.
    pub measured_ns: u64,
    /// [`Wait::after_last_free_ns`].
    pub after_last_free_ns: u64,
    /// [`Wait::is_given`].
    pub is_given: bool,
}

/// The differences between the machine and the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BackTest {
    /// The pairs, in the order of the measured waits.
    pub pairs: Vec<Pair>,
    /// Measured waits without a simulated wait.
    pub unmatched: u64,
    /// The sum of the simulated waits.
    pub simulated_ns: u64,
    /// The sum of the measured waits.
    pub measured_ns: u64,
    /// The sum of those parts of the measured waits that are not simulated.
    pub after_last_free_ns: u64,
}

impl Pair {
    /// Simulated minus measured, in nanoseconds: above 0 if the machine waits too long.
    #[must_use]
    pub fn off_ns(&self) -> i128 {
        i128::from(self.simulated_ns) - i128::from(self.measured_ns)
    }
}

/// How far simulated times can be believed, by the waits that were measured on the same kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// No wait was measured that could be compared.
    #[default]
    Untested,
    /// The machine was off by this many thousandths of the measured wait.
    Off(u64),
}

/// A tick of 250 Hz, the HZ of Debian's kernels: a grace period begins and ends at ticks.
const FLOOR_NS: u64 = 4_000_000;
/// Up to this many thousandths, the machine is close.
const CLOSE: u64 = 200;
/// From this many thousandths on, the machine is far off, and its times say little.
const FAR_OFF: u64 = 500;

impl Trust {
    /// Whether a time says so little that it is shown in grey.
    #[must_use]
    pub fn is_far_off(self) -> bool {
        match self {
            Trust::Untested => true,
            Trust::Off(per_mille) => per_mille > FAR_OFF,
        }
    }

    /// How many digits of a time mean something.
    fn digits(self) -> u32 {
        match self {
            Trust::Off(0..=10) => 3,
            Trust::Off(11..=100) => 2,
            Trust::Off(_) | Trust::Untested => 1,
        }
    }

    /// A time with no more digits than the error allows.
    #[must_use]
    pub fn rounded(self, ns: u64) -> u64 {
        let mut unit: u64 = 1;
        while ns / unit >= 10_u64.pow(self.digits()) {
            unit = unit.saturating_mul(10);
        }
        (ns.saturating_add(unit / 2) / unit).saturating_mul(unit)
    }

    /// The same as text.
    #[must_use]
    pub fn span(self, ns: u64) -> String {
        let ns = self.rounded(ns);
        let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
        let (unit, name) = units.into_iter().find(|(unit, _)| ns >= *unit).unwrap_or((1, "ns"));
        let whole = ns / unit;
        let decimals = self.digits().saturating_sub(whole.to_string().len().try_into().unwrap_or(3));
        if decimals == 0 || unit == 1 {
            return format!("{whole} {name}");
        }
        let part = ns % unit * 10_u64.pow(decimals) / unit;
        format!("{whole}.{part:0width$} {name}", width = decimals as usize)
    }

    /// In a word or two.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Trust::Untested => "untested".to_owned(),
            Trust::Off(per_mille @ 0..10) => format!("±0.{per_mille} %"),
            Trust::Off(per_mille @ 10..10_000) => format!("±{} %", per_mille / 10),
            Trust::Off(_) => "±>1000 %".to_owned(),
        }
    }
}

impl Pair {
    /// The absolute value of [`Pair::off_ns`], in thousandths of the measured wait, or of a tick if the wait was
    /// shorter: the steps of a task are not simulated, and take up to a millisecond under probes.
    #[must_use]
    pub fn off_per_mille(&self) -> u64 {
        let off = self.off_ns().unsigned_abs() * 1000;
        u64::try_from(off / u128::from(self.measured_ns.max(FLOOR_NS))).unwrap_or(u64::MAX)
    }

    /// Whether the machine is off by a fifth at the most.
    #[must_use]
    pub fn is_close(&self) -> bool {
        self.off_per_mille() <= CLOSE
    }

    /// How far the times of this destroy can be believed.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust::Off(self.off_per_mille())
    }
}

impl BackTest {
    /// How far the times of all destroys can be believed: nine of ten are not further off.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let mut off: Vec<u64> = self.pairs.iter().map(Pair::off_per_mille).collect();
        off.sort_unstable();
        off.get((off.len() * 9).div_ceil(10).saturating_sub(1))
            .map_or(Trust::Untested, |off| Trust::Off(*off))
    }

    /// How many pairs are close ([`Pair::is_close`]): of the predicted waits, and of those for which the unseen
    /// callbacks were given; each with the number of such pairs.
    #[must_use]
    pub fn close(&self) -> [(usize, usize); 2] {
        [false, true].map(|is_given| {
            let pairs = self.pairs.iter().filter(|pair| pair.is_given == is_given);
            (pairs.clone().filter(|pair| pair.is_close()).count(), pairs.count())
        })
    }

    /// The same, with other numbers of the destroys.
    #[must_use]
    pub fn numbered(mut self, numbers: &[usize]) -> BackTest {
        for pair in &mut self.pairs {
            pair.destroy = numbers.get(pair.destroy).copied().unwrap_or(pair.destroy);
        }
        self
    }

    /// Adds the next part of the same run of a kernel.
    pub fn extend(&mut self, later: BackTest) {
        self.pairs.extend(later.pairs);
        self.unmatched += later.unmatched;
        self.simulated_ns = self.simulated_ns.saturating_add(later.simulated_ns);
        self.measured_ns = self.measured_ns.saturating_add(later.measured_ns);
        self.after_last_free_ns = self.after_last_free_ns.saturating_add(later.after_last_free_ns);
    }

    /// The sum of the simulated waits, in parts per thousand of the measured sum; `None` if nothing was
    /// measured.
    #[must_use]
    pub fn per_mille(&self) -> Option<u128> {
        (u128::from(self.simulated_ns) * 1000).checked_div(u128::from(self.measured_ns))
    }

    /// The same, of the measured waits up to their last free.
    #[must_use]
    pub fn per_mille_until_last_free(&self) -> Option<u128> {
        let until = self.measured_ns.saturating_sub(self.after_last_free_ns);
        (u128::from(self.simulated_ns) * 1000).checked_div(u128::from(until))
    }

    /// The median of the absolute values of the pairs' [`Pair::off_ns`]; `None` if there is no pair.
    #[must_use]
    pub fn median_off_ns(&self) -> Option<u128> {
        let mut off: Vec<u128> = self.pairs.iter().map(|pair| pair.off_ns().unsigned_abs()).collect();
        off.sort_unstable();
        off.get(off.len() / 2).copied()
    }
}

/// Compares the simulated waits with the measured ones.
#[must_use]
pub fn back_test(simulated: &Outcome, measured: &[Wait]) -> BackTest {
    let mut test = BackTest::default();
    for wait in measured {
        let row = simulated.rows.get(wait.destroy);
        let Some((row, simulated_ns)) = row.and_then(|row| Some((row, row.look_after_ns?))) else {
            test.unmatched += 1;
            continue;
        };
        test.simulated_ns = test.simulated_ns.saturating_add(simulated_ns);
        test.measured_ns = test.measured_ns.saturating_add(wait.wait_ns);
        test.after_last_free_ns = test.after_last_free_ns.saturating_add(wait.after_last_free_ns);
        test.pairs.push(Pair {
            destroy: wait.destroy,
            name: row.name.clone(),
            simulated_ns,
            measured_ns: wait.wait_ns,
            after_last_free_ns: wait.after_last_free_ns,
            is_given: wait.is_given,
        });
    }
    test
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_no_more_digits_than_its_error_allows() {
        let shown = |ns| [0, 50, 200].map(|off| Trust::Off(off).span(ns));
        assert_eq!(shown(496_400_000), ["496 ms", "500 ms", "500 ms"]);
        assert_eq!(shown(3_149_000), ["3.15 ms", "3.1 ms", "3 ms"]);
        assert_eq!(shown(999_600), ["1.00 ms", "1.0 ms", "1 ms"]);
        assert_eq!(shown(7), ["7 ns", "7 ns", "7 ns"]);
        assert_eq!(shown(0), ["0 ns", "0 ns", "0 ns"]);
        assert_eq!(Trust::Off(200).span(1_234_567_000_000), "1000 s");
    }

    #[test]
    fn nine_of_ten_are_not_further_off() {
        let pair = |simulated_ns| Pair {
            destroy: 0,
            name: String::new(),
            simulated_ns: simulated_ns * FLOOR_NS,
            measured_ns: 1000 * FLOOR_NS,
            after_last_free_ns: 0,
            is_given: false,
        };
        let trust = |simulated: &[u64]| {
            let pairs = simulated.iter().copied().map(pair).collect();
            BackTest { pairs, ..BackTest::default() }.trust()
        };
        let ten = [900, 1010, 1020, 1030, 1040, 1050, 1060, 1070, 1080, 5000];
        assert_eq!(trust(&ten), Trust::Off(100));
        assert_eq!((trust(&[]), trust(&[400])), (Trust::Untested, Trust::Off(600)));
        assert!(trust(&[400]).is_far_off() && !trust(&ten).is_far_off());
    }
}
