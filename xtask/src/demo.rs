//! `cargo xtask demo`: the same module on two kernels, and what krcu says on each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::architecture::Architecture;
use crate::guest::vm::{Outcome, Run};
use crate::host;
use crate::progress::{say, tail_of};
use crate::toolchain::build::{self, Programs};
use crate::toolchain::cross;
use crate::toolchain::setup;

/// How wide krcu is asked to write; the command says the same.
const PAGE_COLUMNS: usize = 100;
/// The folder of the traces that are kept, below the target folder.
const KEPT: &str = "demo";

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

    /// The name of its trace.
    fn trace(&self) -> String {
        format!("{}-{}.krcu", self.series, self.module)
    }

    fn run(&self, kept: &Path) -> Result<Run> {
        let Self { series, module, .. } = self;
        let load = format!("insmod /modules/{module}.ko && rmmod {module}");
        let trace = self.trace();
        let command = format!("COLUMNS={PAGE_COLUMNS} krcu check -o /out/{trace} -- sh -c '{load}'");
        let modules: Vec<PathBuf> = vec![host::repository().join("modules").join(module)];
        Ok(Run { modules, out: Some(kept.to_owned()), ..Run::new(series.parse()?, &command) })
    }
}

/// Sets up and builds what is missing, boots both machines, prints both verdicts.
///
/// # Errors
///
/// When something cannot be built or booted, or krcu says something else than it must.
pub(crate) fn run(architecture: Architecture) -> Result<ExitCode> {
    let scenes = Scene::of(architecture);
    let kept = host::target_folder().join(KEPT);
    if kept.is_dir() {
        fs::remove_dir_all(&kept).with_context(|| format!("removing {}", kept.display()))?;
    }
    let runs = scenes.iter().map(|scene| scene.run(&kept)).collect::<Result<Vec<Run>>>()?;
    setup::ensure_packages()?;
    cross::ensure(architecture)?;
    let programs = thread::scope(|scope| {
        // What the machines need besides krcu comes while that is compiled; what fails is told when they are booted.
        scope.spawn(|| runs.iter().for_each(|run| drop(run.prepare())));
        setup::ensure()?;
        build::build_for(architecture, "release", Programs::Agent)
    })?;
    let mut kernels: Vec<&str> = scenes.iter().map(|scene| scene.series).collect();
    kernels.dedup();
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
    let krcu = programs.first().context("the build left no program")?;
    let traces: Vec<String> = scenes.iter().map(|scene| here(&kept.join(scene.trace()))).collect();
    // What was built for another architecture does not run here.
    if let ([one, other], true) = (&traces[..], architecture.is_ours()) {
        println!("{}", next(&here(krcu), one, other));
    } else {
        println!("Both runs are kept as traces: {}\n", traces.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

/// A path as a person would type it in the repository.
fn here(path: &Path) -> String {
    path.strip_prefix(host::repository()).unwrap_or(path).display().to_string()
}

/// What to do next: how to build the programs that ask traces, and what to ask of these.
fn next(krcu: &str, one: &str, other: &str) -> String {
    format!(
        "Both runs are kept as traces. krcu prints such a run again, in any format:

  {krcu} replay {one}

This builds what asks traces and what shows them (ten minutes and more, once, since it compiles polars):

  cargo xtask build

Then ask. For one file with pictures, to be opened in a browser:

  {krcu} analyze report {one} -o demo.html

What each other way to wait would have cost, what differs between the kernels, and the run in slices of time (? shows the keys):

  {krcu} analyze whatif {other}
  {krcu} analyze compare {one} {other}
  {krcu} tui --replay {one}
"
    )
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
    use super::{AMD64, layout, next};

    #[test]
    fn what_to_ask_names_the_programs_and_the_traces_as_they_are_kept() {
        let [one, other] = AMD64.map(|scene| format!("target/demo/{}", scene.trace()));
        let text = next("target/krcu", &one, &other);
        for command in [
            "  target/krcu replay target/demo/6.1-krcu_pending.krcu\n",
            "  cargo xtask build\n",
            "  target/krcu analyze compare target/demo/6.1-krcu_pending.krcu target/demo/6.12-krcu_pending.krcu\n",
            "  target/krcu tui --replay target/demo/6.1-krcu_pending.krcu\n",
        ] {
            assert!(text.contains(command), "{command}\n{text}");
        }
    }

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
