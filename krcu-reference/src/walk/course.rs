//! Course: the walks of all kernels, and the lookouts.

use super::{
    kernel::{Kernel, Known},
    lookout::{Lookout, Sought},
    run::{Found, Walk, Walked},
};
use crate::check::table::in_parallel;

/// Within this many steps, a walk must find any fault that is on.
pub const LIMIT: u64 = 4_000_000;
/// The steps of a walk that is short enough for every change.
pub const SHORT: u64 = 20_000;

/// What to walk.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    /// What determines the walks.
    pub seed: u64,
    /// How many steps each kernel's walk takes.
    pub steps: u64,
    /// Only kernels whose names contain this text; all if it is empty.
    pub only: &'a str,
    /// Known faults that stay on. If there are any, there are no lookouts.
    pub on: &'a [Known],
    /// How many walks there are at once.
    pub threads: usize,
}

/// What walks found.
#[derive(Clone, Debug)]
pub struct Record {
    /// What determined the walks.
    pub seed: u64,
    /// How many steps each was to take.
    pub steps: u64,
    /// A walk of each kernel, with all known faults off.
    pub walks: Vec<(Kernel, Walked)>,
    /// The first [`SHORT`] steps of each of these.
    pub short: Vec<(Kernel, Walked)>,
    /// Walks with one fault on.
    pub lookouts: Vec<(Lookout, Walked)>,
}

/// A broken promise, as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The name of the file.
    pub file: String,
    /// The path in words, and its events as a script.
    pub text: String,
}

impl Example {
    fn of(name: &str, found: &Found) -> Example {
        let name: String =
            name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        // The path is put behind the script's first line, which says its format.
        let mut lines = found.script.lines();
        let mut text = format!("{}\n", lines.next().unwrap_or_default());
        for (number, step) in (1..).zip(&found.path) {
            text.push_str(&format!("# {number:>2}. {step}\n"));
        }
        lines.for_each(|line| {
            text.push_str(line);
            text.push('\n');
        });
        Example { file: format!("{name}.{}.script", found.promise.name()), text }
    }
}

impl Record {
    /// Everything that is not as it should be, one line each; empty if all is well.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let new = self.walks.iter().filter_map(|(kernel, walked)| {
            let found = walked.found.as_ref()?;
            let path = found.path.join("\n      ");
            Some(format!(
                "{}: {} is broken, which is not known\n      {path}",
                kernel.name(),
                found.promise.name()
            ))
        });
        let missed = self.lookouts.iter().filter(|(lookout, walked)| {
            let is_meant = |found: &Found| lookout.breaks().contains(&found.promise);
            !walked.found.as_ref().is_some_and(is_meant)
        });
        let missed = missed.map(|(lookout, walked)| {
            let what = match &walked.found {
                Some(found) => format!("breaks {}", found.promise.name()),
                None => format!("is not found in {LIMIT} steps"),
            };
            format!("{}: {} {what}", lookout.kernel.name(), lookout.words())
        });
        new.chain(missed).collect()
    }

    /// The paths to each known fault of each kernel, and to whatever is new, as files.
    #[must_use]
    pub fn examples(&self) -> Vec<Example> {
        let new = self.walks.iter().filter_map(|(kernel, walked)| {
            Some(Example::of(&format!("{} new", kernel.name()), walked.found.as_ref()?))
        });
        let known = self.lookouts.iter().filter_map(|(lookout, walked)| {
            let Sought::Known(known) = lookout.sought else { return None };
            Some(Example::of(&format!("{} {}", lookout.kernel.name(), known.name()), walked.found.as_ref()?))
        });
        new.chain(known).collect()
    }
}

impl Course<'_> {
    /// Takes the walks, and reports from time to time how far they are.
    #[must_use]
    pub fn run(&self, report: &(impl Fn(&str) + Sync)) -> Record {
        let is_wanted = |kernel: Kernel| kernel.name().contains(self.only);
        let kernels: Vec<Kernel> = Kernel::ALL.into_iter().filter(|kernel| is_wanted(*kernel)).collect();
        let lookouts = Lookout::all().into_iter();
        let lookouts = lookouts.filter(|lookout| is_wanted(lookout.kernel) && self.on.is_empty());
        let lookouts: Vec<Lookout> = lookouts.collect();
        let walk = |steps| {
            in_parallel(self.threads, kernels.len(), |job| {
                let (kernel, seed) = (kernels[job], self.seed);
                Walk { kernel, on: self.on, fault: None, seed, steps }.run(report)
            })
        };
        let (walks, short) = (walk(self.steps), walk(SHORT.min(self.steps)));
        let found =
            in_parallel(self.threads, lookouts.len(), |job| lookouts[job].run(self.seed, LIMIT, report));
        let done = |walked: Option<Walked>| walked.unwrap_or_default();
        Record {
            seed: self.seed,
            steps: self.steps,
            walks: kernels.iter().copied().zip(walks.into_iter().map(done)).collect(),
            short: kernels.into_iter().zip(short.into_iter().map(done)).collect(),
            lookouts: lookouts.into_iter().zip(found.into_iter().map(done)).collect(),
        }
    }
}
