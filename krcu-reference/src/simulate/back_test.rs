//! Back-test: how far the machine is off, where a kernel was seen to wait.
//!
//! On a kernel that has a barrier in its destroy, the simulated wait under `upstream`, of the generation
//! that this kernel shows, stands beside the measured one. Nothing is fitted: what is off is off.

use serde::Serialize;

use super::Outcome;

/// A wait that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The destroy, by its place among the destroys of the workload.
    pub destroy: usize,
    /// Nanoseconds from the entry of the destroy to that of `__kmem_cache_shutdown()`, with those in a barrier for
    /// `kfree_rcu()` that the same task called before, where its exit path began with one.
    pub wait_ns: u64,
    /// Of these, after the last deferred free of that time: what the task takes to wake up and go on, which is not
    /// simulated.
    pub after_last_free_ns: u64,
}

/// A destroy whose wait was both simulated and measured.
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

/// How far the machine is off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BackTest {
    /// In the order of the measured waits.
    pub pairs: Vec<Pair>,
    /// Measured waits that the simulation has no wait for.
    pub unmatched: u64,
    /// Sum of the simulated ones.
    pub simulated_ns: u64,
    /// Sum of the measured ones.
    pub measured_ns: u64,
    /// Sum of what of them is not simulated.
    pub after_last_free_ns: u64,
}

impl Pair {
    /// Simulated less measured, in nanoseconds: above 0 when the machine waits too long.
    #[must_use]
    pub fn off_ns(&self) -> i128 {
        i128::from(self.simulated_ns) - i128::from(self.measured_ns)
    }
}

impl BackTest {
    /// Adds what comes after it in the same run of a kernel.
    pub fn extend(&mut self, later: BackTest) {
        self.pairs.extend(later.pairs);
        self.unmatched += later.unmatched;
        self.simulated_ns = self.simulated_ns.saturating_add(later.simulated_ns);
        self.measured_ns = self.measured_ns.saturating_add(later.measured_ns);
        self.after_last_free_ns = self.after_last_free_ns.saturating_add(later.after_last_free_ns);
    }

    /// The simulated waits in parts per thousand of the measured ones, all together; `None` when nothing
    /// was measured.
    #[must_use]
    pub fn per_mille(&self) -> Option<u128> {
        (u128::from(self.simulated_ns) * 1000).checked_div(u128::from(self.measured_ns))
    }

    /// The same of the measured ones until their last free.
    #[must_use]
    pub fn per_mille_until_last_free(&self) -> Option<u128> {
        let until = self.measured_ns.saturating_sub(self.after_last_free_ns);
        (u128::from(self.simulated_ns) * 1000).checked_div(u128::from(until))
    }

    /// The median of the pairs' [`Pair::off_ns`], without their signs; `None` when there is no pair.
    #[must_use]
    pub fn median_off_ns(&self) -> Option<u128> {
        let mut off: Vec<u128> = self.pairs.iter().map(|pair| pair.off_ns().unsigned_abs()).collect();
        off.sort_unstable();
        off.get(off.len() / 2).copied()
    }
}

/// Puts the simulated waits beside the measured ones.
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
