//! What a churn has done, as its script wrote it down: a step in each line.

use std::collections::BTreeMap;

/// How the name of a script begins, where a module's name could stand.
pub(super) const PLAY: &str = "play:";

/// The steps, counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// Passes through all modules that were begun.
    pub(super) passes: usize,
    /// Modules that were loaded by name; what they need is loaded with them.
    pub(super) loads: usize,
    /// Different modules among them.
    pub(super) modules: usize,
    /// Modules that were unloaded.
    pub(super) unloads: usize,
    /// Scripts that `krcu_play` did, by name.
    pub(super) plays: BTreeMap<String, usize>,
    /// Modules that were skipped: what happened, the reason, and the modules.
    pub(super) skipped: BTreeMap<(&'static str, String), Vec<String>>,
}

impl Steps {
    /// Reads the file of steps.
    pub(super) fn read(text: &str) -> Self {
        let mut steps = Self::default();
        let mut loaded = BTreeMap::<&str, usize>::new();
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let (word, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let why = words.next().unwrap_or("it does not say why").to_owned();
            let what = match word {
                "pass" => {
                    steps.passes += 1;
                    continue;
                }
                "loaded" if name.starts_with(PLAY) => {
                    *steps.plays.entry(name.replacen(PLAY, "", 1)).or_default() += 1;
                    continue;
                }
                "loaded" => {
                    *loaded.entry(name).or_default() += 1;
                    continue;
                }
                "unloaded" => {
                    steps.unloads += 1;
                    continue;
                }
                "refused" => "not loaded",
                "hangs" => "not loaded again",
                "stays" => "not unloaded",
                _ => continue,
            };
            let names = steps.skipped.entry((what, why)).or_default();
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        steps.loads = loaded.values().sum();
        steps.modules = loaded.len();
        steps
    }
}
