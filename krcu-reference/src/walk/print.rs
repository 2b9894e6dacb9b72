//! Print: what walks found, in words: for a terminal, and for `docs/walks.md`.

use std::fmt::Write as _;

use super::{
    course::{LIMIT, Record, SHORT},
    kernel::{Kernel, Known},
    pace::Kind,
    run::{Counts, Found, Walked},
};
use crate::check::print::grouped;

impl Record {
    /// What was found, for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (kernel, Walked { counts, found }) in &self.walks {
            let (name, steps, worlds) = (kernel.name(), grouped(counts.steps), grouped(counts.worlds));
            let what = if found.is_some() { "a broken promise" } else { "nothing new" };
            let _ = writeln!(text, "{name}: {what} in {steps} steps through {worlds} worlds");
            found.iter().for_each(|found| indented(&mut text, found));
        }
        for (lookout, Walked { found, .. }) in &self.lookouts {
            let _ = writeln!(text, "{}, if {}:", lookout.kernel.name(), lookout.words());
            found.iter().for_each(|found| indented(&mut text, found));
        }
        text
    }

    /// The whole record, as the project's documentation has it.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from(INTRODUCTION);
        let _ = writeln!(text, "Seed {}, {} steps for each kernel.\n", self.seed, grouped(self.steps));
        self.markdown_walks(&mut text);
        text.push_str(KNOWN);
        for known in Known::ALL {
            let kernels = Kernel::ALL.into_iter().filter(|kernel| kernel.known().contains(&known));
            let kernels: Vec<&str> = kernels.map(Kernel::name).collect();
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                known.name(),
                known.words(),
                kernels.join(", "),
                known.repair()
            );
        }
        text.push_str(&self.markdown_short());
        text.push_str(&self.markdown_lookouts());
        text.push_str(BOUNDS);
        text
    }

    fn markdown_walks(&self, text: &mut String) {
        text.push_str("| what happened |");
        self.walks.iter().for_each(|(kernel, _)| {
            let _ = write!(text, " {} |", kernel.name());
        });
        text.push_str("\n| --- |");
        text.push_str(&" ---: |".repeat(self.walks.len()));
        text.push_str("\n| broken promises |");
        for (_, walked) in &self.walks {
            let found = walked.found.as_ref();
            let _ = write!(text, " {} |", found.map_or("none", |found| found.promise.name()));
        }
        text.push('\n');
        let mut row = |words: &str, count: &dyn Fn(&Counts) -> u64| {
            let _ = write!(text, "| {words} |");
            for (_, walked) in &self.walks {
                let _ = write!(text, " {} |", grouped(count(&walked.counts)));
            }
            text.push('\n');
        };
        row("steps", &|counts| counts.steps);
        row("worlds", &|counts| counts.worlds);
        row("objects in them", &|counts| counts.objects);
        row("events that a watcher saw", &|counts| counts.events);
        row("objects freed", &|counts| counts.freed);
        row("barriers that returned", &|counts| counts.barriers);
        row("calls of `kmem_cache_destroy()`", &|counts| counts.destroys);
        row("of these, with objects of the cache queued", &|counts| counts.met);
        row("full pages freed", &|counts| counts.full_pages);
        row("full sheaves freed", &|counts| counts.full_sheaves);
        for kind in Kind::ALL {
            row(kind.words(), &|counts| counts.kinds[kind as usize]);
        }
    }

    /// The part about the first steps of each walk, which a test takes again.
    #[must_use]
    pub fn markdown_short(&self) -> String {
        let mut text = format!("\n## The first {} steps\n\n", grouped(SHORT));
        text.push_str("A test takes these again. The counts are exact: if one changes, the model or the walk has changed.\n\n");
        text.push_str(
            "| kernel | worlds | objects | events | barriers | destroys | of these, with objects queued |\n",
        );
        text.push_str("| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
        for (kernel, Walked { counts, .. }) in &self.short {
            let Counts { worlds, objects, events, barriers, destroys, met, .. } = counts;
            let cells = [worlds, objects, events, barriers, destroys, met].map(|count| grouped(*count));
            let _ = writeln!(text, "| {} | {} |", kernel.name(), cells.join(" | "));
        }
        text
    }

    /// The part about walks with a fault on.
    #[must_use]
    pub fn markdown_lookouts(&self) -> String {
        let mut text = String::from("\n## What a walk finds if a fault is on\n\n");
        let _ = writeln!(
            text,
            "Seed {}. A walk must find each fault within {} steps. The path is what remains of the walk when \
             everything\nis left out that is not needed; *shortest* means that an exhaustive search of what remains \
             has found no shorter one.\nThat search takes some moves at once, such as the filling of a page cache. A path that needs such a move later is only shrunk.\n",
            self.seed,
            grouped(LIMIT)
        );
        text.push_str("| kernel | fault | breaks | at step | steps of its world until then | path | |\n");
        text.push_str("| --- | --- | --- | ---: | ---: | ---: | --- |\n");
        for (lookout, walked) in &self.lookouts {
            let _ = write!(text, "| {} | {} |", lookout.kernel.name(), lookout.words());
            let Some(found) = &walked.found else {
                text.push_str(" NOT FOUND | | | | |\n");
                continue;
            };
            let _ = writeln!(
                text,
                " `{}` | {} | {} | {} | {} |",
                found.promise.name(),
                grouped(found.step),
                grouped(found.in_world as u64),
                found.path.len(),
                if found.is_shortest { "shortest" } else { "" }
            );
        }
        text.push_str(
            "\nTheir paths. Those of known faults are also scripts in `krcu-reference/tests/walks`, for\n\
             `cargo xtask model --replay FILE`.\n",
        );
        for (lookout, walked) in &self.lookouts {
            let Some(found) = &walked.found else { continue };
            let (name, words) = (lookout.kernel.name(), lookout.words());
            let _ = write!(text, "\n<details><summary>{name}: {words}</summary>\n\n");
            for (number, step) in (1..).zip(&found.path) {
                let _ = writeln!(text, "{number}. {step}");
            }
            text.push_str("\n</details>\n");
        }
        text
    }
}

fn indented(text: &mut String, found: &Found) {
    let Found { promise, step, path, is_shortest, .. } = found;
    let shortest = if *is_shortest { ", the shortest" } else { "" };
    let _ = writeln!(
        text,
        "  {} is broken at step {}; a path of {} steps{shortest}:",
        promise.name(),
        grouped(*step),
        path.len()
    );
    for (number, step) in (1..).zip(path) {
        let _ = writeln!(text, "    {number:>3}. {step}");
    }
}

const INTRODUCTION: &str = "<!-- Written by `cargo xtask model --walk --write`. -->

# Random walks

The exhaustive check ([approaches.md](approaches.md)) sees every order of the steps of a small world: two CPUs, three objects. A
walk sees some orders of large worlds. The parts have the sizes of a real kernel's: pages of 507 pointers (510 before 6.12), five
pages in each CPU's cache, sheaves of 60, 28, 12 or 4 objects. A world has 2 to 16 CPUs and up to 16,000 objects, mostly fewer. Up
to six modules queue objects from several tasks and exit, some of them with a shared cache, a type-safe cache, callbacks of their
own or a leak. Beside them run tasks that queue objects of a cache that stays, callers of `rcu_barrier()` and
`kvfree_rcu_barrier()`, and readers. CPUs go offline and come back, memory becomes short, and the shrinker calls monitors.

A step is one move of the machine. Each is drawn from those that are possible. After each step, every promise is checked; at the end
of each world, also those that are about the end. A walk goes from world to world until it has taken its steps, or until a promise
is broken. All modules are correct, so what breaks a promise is the kernel's doing. The faults that are known of a kernel are
switched off.

";

const KNOWN: &str = "
## Known faults

A walk of a kernel has all of these switched off. `cargo xtask model --walk --on NAME` keeps one on.

| name | fault | kernels | switched off by |
| --- | --- | --- | --- |
";

const BOUNDS: &str = "
## What a walk does not see

- Orders that it does not draw: it proves nothing about them.
- What the machine does not model, such as memory ordering, NUMA nodes, `kfree_rcu_nolock()` and expedited grace periods.
- More than one shrinker at a time. The faults \"a lingering cache is given back while objects of it are queued\" and \"the count of
  what is queued is not kept\" are in approaches that no kernel has, so no walk looks for them. \"A type-safe cache gives its slabs
  back without a grace period\" needs a reader that holds a freed object while a destroy passes its barrier: a million steps did
  not meet that. The exhaustive check finds all three.
- Many full pages: the table says how many there were. They need more than 500 objects on one CPU before its monitor runs.
- Sheaves of different sizes in one world: all caches of a world have sheaves of the same size.
- In 6.18 and 6.19, only two caches of the kernel have sheaves, and nobody destroys these. In the machine every cache has them.
- With all known faults switched off, 6.18, 6.19 and 7.x are the same machine. Their walks differ by what they draw.
";
