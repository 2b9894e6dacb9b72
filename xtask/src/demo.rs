//! `cargo xtask demo`: the same module on two kernels, and what krcu says on each.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Result, bail};

use crate::architecture::Architecture;
use crate::guest::vm::{Outcome, Run};
use crate::host;
use crate::progress::{say, tail_of};
use crate::toolchain::build::{self, Programs};
use crate::toolchain::cross;
use crate::toolchain::setup;

/// How wide krcu is asked to write; the command says the same.
const PAGE_COLUMNS: usize = 100;

/// A kernel and a module, what is to be seen, and krcu's status there.
struct Scene {
    series: &'static str,
    module: &'static str,
    headline: &'static str,
    status: i32,
}

/// The module whose exit queues objects and destroys their cache at once, where the destroy does not wait and where it does.
const AMD64: [Scene; 2] = [
    Scene {
        series: "6.1",
        module: "krcu_pending",
        headline: "destroys the cache without waiting: the mistake bites",
        status: 10,
    },
    Scene {
        series: "6.12",
        module: "krcu_pending",
        headline: "waits in kmem_cache_destroy(): the same module gets away with it",
        status: 0,
    },
];
/// krcu watches no kernel of arm64 whose destroy does not wait.
const ARM64: [Scene; 2] = [
    Scene {
        series: "6.12-arm64",
        module: "krcu_pending",
        headline: "waits in kmem_cache_destroy() for what a module has queued",
        status: 0,
    },
    Scene {
        series: "6.12-arm64",
        module: "krcu_leak",
        headline: "does not find objects that nobody queued: another module has leaked them",
        status: 10,
    },
];

impl Scene {
    fn of(architecture: Architecture) -> &'static [Scene] {
        match architecture {
            Architecture::Amd64 => &AMD64,
            Architecture::Arm64 => &ARM64,
        }
    }

    fn source(&self) -> String {
        format!("modules/{0}/{0}.c", self.module)
    }

    fn run(&self) -> Result<Run> {
        let Self { series, module, .. } = self;
        let load = format!("insmod /modules/{module}.ko && rmmod {module}");
        let command = format!("COLUMNS={PAGE_COLUMNS} krcu check -- sh -c '{load}'");
        let modules: Vec<PathBuf> = vec![host::repository().join("modules").join(module)];
        Ok(Run { modules, ..Run::new(series.parse()?, &command) })
    }
}

/// Sets up and builds what is missing, boots both machines, prints both verdicts.
///
/// # Errors
///
/// When something cannot be built or booted, or krcu says something else than it must.
pub(crate) fn run(architecture: Architecture) -> Result<ExitCode> {
    let scenes = Scene::of(architecture);
    let runs = scenes.iter().map(Scene::run).collect::<Result<Vec<Run>>>()?;
    setup::ensure_packages()?;
    cross::ensure(architecture)?;
    thread::scope(|scope| {
        // What the machines need besides krcu comes while that is compiled; what fails is told when they are booted.
        scope.spawn(|| runs.iter().for_each(|run| drop(run.prepare())));
        setup::ensure()?;
        build::build_for(architecture, "release", Programs::Agent)
    })?;
    let kernels: Vec<&str> = scenes.iter().map(|scene| scene.series).collect();
    say(&format!("booting the newest kernels of {}", kernels.join(" and ")));
    let outcomes: Vec<Result<Outcome>> = thread::scope(|scope| {
        let machines: Vec<_> = runs.iter().map(|run| scope.spawn(|| run.run())).collect();
        machines
            .into_iter()
            .map(|machine| machine.join().unwrap_or_else(|_| bail!("a machine's thread panicked")))
            .collect()
    });
    let mut pages = Vec::new();
    for (scene, outcome) in scenes.iter().zip(outcomes) {
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
    let mut sources: Vec<String> = scenes.iter().map(Scene::source).collect();
    sources.dedup();
    println!(
        "\nA module's exit function destroys a cache whose objects are not all free: {}\n",
        sources.join(", ")
    );
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
