//! `cargo xtask demo`: the same module on two kernels, and what krcu says on each.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Result, bail};

use crate::guest::vm::{Outcome, Run};
use crate::host;
use crate::progress::{say, tail_of};
use crate::toolchain::build::{self, Programs};
use crate::toolchain::setup;

/// The module whose exit queues objects and destroys their cache at once.
const MODULE: &str = "krcu_pending";
/// How wide krcu is asked to write; the command says the same.
const PAGE_COLUMNS: usize = 100;
const COMMAND: &str =
    "COLUMNS=100 krcu check -- sh -c 'insmod /modules/krcu_pending.ko && rmmod krcu_pending'";

/// A kernel, what is to be seen on it, and krcu's status there.
struct Scene {
    series: &'static str,
    headline: &'static str,
    status: i32,
}

const SCENES: [Scene; 2] = [
    Scene { series: "6.1", headline: "destroys the cache without waiting: the mistake bites", status: 10 },
    Scene {
        series: "6.12",
        headline: "waits in kmem_cache_destroy(): the same module gets away with it",
        status: 0,
    },
];

/// Sets up and builds what is missing, boots both kernels, prints both verdicts.
///
/// # Errors
///
/// When something cannot be built or booted, or krcu says something else than it must.
pub(crate) fn run() -> Result<ExitCode> {
    let modules: Vec<PathBuf> = vec![host::repository().join("modules").join(MODULE)];
    let runs = SCENES
        .iter()
        .map(|scene| Ok(Run { modules: modules.clone(), ..Run::new(scene.series.parse()?, COMMAND) }))
        .collect::<Result<Vec<Run>>>()?;
    setup::ensure_packages()?;
    thread::scope(|scope| {
        // What the machines need besides krcu comes while that is compiled; what fails is told when they are booted.
        scope.spawn(|| runs.iter().for_each(|run| drop(run.prepare())));
        setup::ensure()?;
        build::build("release", Programs::Agent)
    })?;
    say("booting the newest kernels of 6.1 and 6.12");
    let outcomes: Vec<Result<Outcome>> = thread::scope(|scope| {
        let machines: Vec<_> = runs.iter().map(|run| scope.spawn(|| run.run())).collect();
        machines
            .into_iter()
            .map(|machine| machine.join().unwrap_or_else(|_| bail!("a machine's thread panicked")))
            .collect()
    });
    let mut pages = Vec::new();
    for (scene, outcome) in SCENES.iter().zip(outcomes) {
        let outcome = outcome?;
        if outcome.status != scene.status {
            bail!(
                "krcu check exited with {} on {}, not {}\n{}\n{}",
                outcome.status,
                outcome.release,
                scene.status,
                tail_of(&outcome.stdout, 40),
                tail_of(&outcome.stderr, 20)
            );
        }
        pages.push(format!(
            "Linux {} {} ({})\n\n{}",
            scene.series,
            scene.headline,
            outcome.acceleration.name(),
            outcome.stdout.trim_end()
        ));
    }
    let source = format!("modules/{MODULE}/{MODULE}.c");
    println!("\nA module queues 777 objects to kfree_rcu() and destroys their cache: {source}\n");
    println!("{}", layout(&pages, terminal_columns()));
    Ok(ExitCode::SUCCESS)
}

/// The pages side by side where the terminal is wide enough for it, else one under the other.
fn layout(pages: &[String], columns: usize) -> String {
    if columns < pages.len() * (PAGE_COLUMNS + 3) {
        let rule = "─".repeat(PAGE_COLUMNS);
        return pages.iter().map(|page| format!("{rule}\n{page}\n")).collect::<Vec<_>>().join("\n");
    }
    let rows = pages.iter().map(|page| page.lines().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in 0..rows {
        let cells = pages.iter().map(|page| page.lines().nth(row).unwrap_or_default());
        let line: Vec<String> = cells.map(|cell| format!("{cell:<PAGE_COLUMNS$}")).collect();
        text.push_str(line.join(" │ ").trim_end());
        text.push('\n');
    }
    text
}

/// Columns of the terminal; 0 when there is none.
fn terminal_columns() -> usize {
    let output = Command::new("stty").arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|columns| columns.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::layout;

    #[test]
    fn pages_stand_side_by_side_only_where_there_is_room() {
        let pages = ["one\ntwo".to_owned(), "three".to_owned()];
        let wide = layout(&pages, 300);
        assert_eq!(wide.lines().count(), 2);
        assert!(wide.starts_with("one ") && wide.contains("│ three"), "{wide}");
        let narrow = layout(&pages, 80);
        assert!(!narrow.contains('│'));
        assert!(narrow.find("two") < narrow.find("three"));
    }
}
