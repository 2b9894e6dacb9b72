//! In which order modules are loaded: by a seed, in batches, with scripts of `krcu_play` among them.

use super::argued::PLAYS;
use super::steps::PLAY;

/// Modules of a batch at the most.
const MOST_IN_A_BATCH: u64 = 4;
/// One batch in so many plays a script.
const PLAYED: u64 = 12;
/// No machine loads more modules in a second.
const MOST_IN_A_SECOND: u64 = 8;

/// A module that no churn loads.
pub(super) struct LeftOut {
    /// Its name.
    pub(super) module: &'static str,
    /// Why.
    pub(super) why: &'static str,
}

/// All of them.
pub(super) const LEFT_OUT: &[LeftOut] = &[];

/// The text of `/churn/order`: passes, each with every module once, for more time than there is.
pub(super) fn order(modules: &[String], seconds: u64, seed: u64) -> String {
    let mut random = Random(seed);
    let each = u64::try_from(modules.len()).unwrap_or(u64::MAX).max(1);
    let passes = (seconds * MOST_IN_A_SECOND).div_ceil(each).max(1);
    let mut text = String::new();
    for _ in 0..passes {
        text.push_str("pass\n");
        let mut left: Vec<&String> = modules.iter().collect();
        while !left.is_empty() {
            if random.below(PLAYED) == 0
                && let Some(play) = random.place(PLAYS.len()).and_then(|place| PLAYS.get(place))
            {
                text.push_str(&format!("{PLAY}{}\n", play.name));
            }
            for _ in 0..=random.below(MOST_IN_A_BATCH) {
                let Some(place) = random.place(left.len()) else { break };
                text.push_str(left.swap_remove(place));
                text.push(' ');
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
    }
    text
}

/// Numbers that a seed determines: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A place in a list of so many; none if it is empty.
    fn place(&mut self, length: usize) -> Option<usize> {
        let length = u64::try_from(length).ok().filter(|length| *length > 0)?;
        usize::try_from(self.below(length)).ok()
    }
}
