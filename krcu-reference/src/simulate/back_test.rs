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
}

/// A destroy whose wait was simulated and measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// The cache's name.
    pub name: String,
    /// Nanoseconds in the simulation.
    pub simulated_ns: u64,
    /// Nanoseconds on the kernel.
    pub measured_ns: u64,
    /// [`Wait::after_last_free_ns`].
    pub after_last_free_ns: u64,
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

impl BackTest {
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
            name: row.name.clone(),
            simulated_ns,
            measured_ns: wait.wait_ns,
            after_last_free_ns: wait.after_last_free_ns,
        });
    }
    test
}
