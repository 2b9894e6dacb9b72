//! `cargo xtask churn`: every module of a kernel package is loaded and unloaded for an hour, in an order that a seed
//! determines, with network namespaces and links that come and go beside. One krcu watches, and [`judge`] holds its verdicts
//! against the kernel's log.
//!
//! What is checked: each report of objects in a destroyed cache has a verdict of that destroy which is flagged or
//! `inconclusive`; each flagged verdict has such a report, or an entry in [`argued`]. The caches are not merged, so that each
//! has a destroy of its own.

pub(crate) mod argued;
mod judge;
mod log;
mod order;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;

use crate::cache;
use crate::check::guest_script;
use crate::debian::intree::{InTree, ModuleFile};
use crate::debian::kernel::{Kernel, Series};
use crate::guest::vm::Run;
use crate::host;
use crate::progress::{say, tail_of};
use crate::toolchain::build;
use crate::toolchain::setup;
use argued::{ARGUED, PLAYS, Play};
use judge::{Evidence, Judgement, Verdict, judge, mistakes_not_found};
use order::LEFT_OUT;
use steps::Steps;

/// What to do.
#[derive(Debug)]
pub(crate) struct Extent {
    /// The kernels, one after the other.
    pub(crate) series: Vec<String>,
    /// How long modules are loaded on each.
    pub(crate) time: Duration,
    /// What determines the order of the modules.
    pub(crate) seed: u64,
    /// Boot nothing: judge what the last run left.
    pub(crate) kept: bool,
}

/// The modules that the links of the script need, where a kernel does not have them built in.
const LINKS: [&str; 3] = ["veth", "bridge", "dummy"];
/// The programs that the machine runs.
const SCRIPTS: [(&str, &str); 2] = [
    ("churn.sh", include_str!("../../guest/churn.sh")),
    ("churn_watched.sh", include_str!("../../guest/churn_watched.sh")),
];
/// For the modules of a whole package, and the trace.
const MEMORY_MIB: u32 = 3072;
/// How long a machine may take besides the churn: the boot, attaching, the last step, settling, detaching.
const BESIDE: Duration = Duration::from_secs(420);
/// How often something is said before the machine says something itself.
const SILENCE: Duration = Duration::from_secs(4);
/// krcu did what it was asked to: nothing is flagged, something is, something is left open.
const STATUSES: [i32; 3] = [0, 10, 11];
const MODULE: &str = "krcu_play";
/// The other names of a kernel's modules, as depmod wrote them.
const ALIASES: &str = "modules.alias";

/// Runs a churn on each kernel. The status says whether the judge found nothing.
///
/// # Errors
///
/// When something cannot be built, or no kernel can be booted.
pub(crate) fn run(extent: &Extent) -> Result<ExitCode> {
    if !extent.kept {
        setup::ensure()?;
        build::all("release")?;
    }
    let mut faults = 0;
    for series in &extent.series {
        let found = churn(series, extent).with_context(|| format!("the churn on {series}"));
        faults += found.unwrap_or_else(|error| {
            // The other kernels are run all the same.
            say(&format!("{error:#}"));
            1
        });
    }
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one kernel, judges it and prints what came; answers how many faults there are.
fn churn(series: &str, extent: &Extent) -> Result<usize> {
    let out = host::target_folder().join("churn").join(series);
    if !extent.kept {
        let status = boot(series, extent, &out)?;
        if !STATUSES.contains(&status) {
            let said = fs::read_to_string(out.join("churn.stderr")).unwrap_or_default();
            bail!("krcu ended with {status}:\n{}", tail_of(&said, 10));
        }
    }
    let read = |name: &str| {
        let path = out.join(name);
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok::<_, anyhow::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (log, steps) = (read("kernel.log")?, read("steps")?);
    // What is argued of a series holds for each of its flavours.
    let number = series.split('-').next().unwrap_or(series);
    let evidence = Evidence {
        series: number,
        log: &log,
        verdicts: verdicts(&read("churn.json")?)?,
        attached_ns: attached_ns(&read("churn.krcu/meta.json")?)?,
    };
    let judgement = judge(&evidence, ARGUED);
    let steps = Steps::read(&steps);
    print!("{}", table(series, &steps, &judgement));
    let (made, missed) = mistakes_not_found(&evidence, ARGUED);
    println!("{} of {made} wrong verdicts that were put in by hand are found", made - missed.len());
    for what in &missed {
        println!("FAULT: the judge does not find a wrong verdict that was put in by hand: {what}");
    }
    for fault in &judgement.faults {
        println!("FAULT: {fault}");
    }
    let silent = silent_plays(number, &steps, &judgement);
    for name in &silent {
        println!(
            "FAULT: the kernel never reported what the script `{name}` left, so that nothing was held against it"
        );
    }
    println!("its files: {}", out.display());
    Ok(judgement.faults.len() + missed.len() + silent.len())
}

/// The scripts that were played and that the kernel ought to report, of which it reported nothing and nothing else was argued.
fn silent_plays(series: &str, steps: &Steps, judgement: &Judgement) -> Vec<&'static str> {
    let ought = PLAYS.iter().filter(|play| play.reported_on.contains(&series));
    let is_silent = |play: &&Play| {
        let name = format!("{} of {MODULE}", play.cache());
        let mut held = judgement.reported.keys().chain(judgement.argued.keys());
        steps.plays.contains_key(play.name) && !held.any(|(held, _)| *held == name)
    };
    ought.filter(is_silent).map(|play| play.name).collect()
}

/// Boots a machine for the churn and waits for its end; answers krcu's status.
fn boot(series: &str, extent: &Extent, out: &Path) -> Result<i32> {
    drop(fs::remove_dir_all(out));
    let scripts = out.join("scripts");
    cache::create_folder(&scripts)?;
    let up = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            let mut said = Instant::now();
            while !up.load(Ordering::Relaxed) {
                if said.elapsed() >= SILENCE {
                    said = Instant::now();
                    let seconds = begun.elapsed().as_secs();
                    say(&format!("{series}: making the machine ready and booting it: {seconds} s"));
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        let outcome = ready(series, extent, out, &scripts, &up).and_then(|run| run.run());
        up.store(true, Ordering::Relaxed);
        outcome
    })?;
    cache::write_file(&out.join("churn.stderr"), outcome.stderr.as_bytes())?;
    say(&format!("{series}: {} in {:.0} s", outcome.release, outcome.total.as_secs_f32()));
    Ok(outcome.status)
}

/// The machine.
fn ready(series: &str, extent: &Extent, out: &Path, scripts: &Path, up: &Arc<AtomicBool>) -> Result<Run> {
    let seconds = extent.time.as_secs();
    let parsed: Series = series.parse()?;
    parsed.need_ours("modules are churned")?;
    let kernel = Kernel::newest(&parsed)?;
    let image = kernel.image()?;
    let in_tree = InTree::read(&image)?;
    let all = in_tree.names();
    let modules: Vec<String> =
        all.into_iter().filter(|name| !LEFT_OUT.iter().any(|left| left.module == name)).collect();
    say(&format!("{series}: {} modules, {seconds} s, seed {}", modules.len(), extent.seed));
    let links: Vec<String> =
        LINKS.map(str::to_owned).into_iter().filter(|link| modules.contains(link)).collect();
    let needed: Vec<String> = in_tree.closure(&links)?.iter().map(ModuleFile::name).collect();
    let order = order::order(&modules, seconds, extent.seed);
    let mut files = guest_script::programs(&scripts.join("bin"))?;
    // The kernel asks for modules by other names as well.
    files.push((image.modules.join(ALIASES), format!("/lib/modules/{}/{ALIASES}", kernel.release)));
    let mut write = |name: &str, text: &str| {
        let path: PathBuf = scripts.join(name);
        files.push((path.clone(), format!("/churn/{name}")));
        cache::write_file(&path, text.as_bytes())
    };
    write("order", &order)?;
    write("links", &(links.join(" ") + "\n"))?;
    write("needed", &(needed.join(" ") + "\n"))?;
    SCRIPTS.iter().try_for_each(|(name, text)| write(name, text))?;
    PLAYS.iter().try_for_each(|play| write(play.name, &format!("play '{}'", play.script)))?;
    Ok(Run {
        modules: vec![host::repository().join("modules").join(MODULE)],
        in_tree: modules,
        files,
        out: Some(out.to_path_buf()),
        memory_mib: MEMORY_MIB,
        append: "slab_nomerge log_buf_len=8M printk.devkmsg=on".to_owned(),
        timeout: extent.time + BESIDE,
        show: true,
        is_up: Arc::clone(up),
        ..Run::new(parsed, &format!("sh /churn/churn_watched.sh {seconds}"))
    })
}

/// The verdicts of a report, which has to be whole.
fn verdicts(report: &str) -> Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    let mut is_whole = false;
    for line in report.lines() {
        let value: serde_json::Value = serde_json::from_str(line).context("reading krcu's report")?;
        match value["kind"].as_str() {
            Some("verdict") => {
                verdicts.push(serde_json::from_value(value).context("reading a verdict")?);
            }
            Some("summary") => is_whole = true,
            _ => {}
        }
    }
    if is_whole { Ok(verdicts) } else { Err(anyhow!("krcu's report has no summary: it is not whole")) }
}

/// When krcu's probes were attached, by the head of its trace.
fn attached_ns(meta: &str) -> Result<i64> {
    #[derive(Deserialize)]
    struct Watch {
        attached_ns: i64,
    }
    #[derive(Deserialize)]
    struct Meta {
        watch: Watch,
    }
    let meta: Meta = serde_json::from_str(meta).context("reading the head of krcu's trace")?;
    Ok(meta.watch.attached_ns)
}

/// What came, for people.
fn table(series: &str, steps: &Steps, judgement: &Judgement) -> String {
    let total = |counts: &BTreeMap<String, usize>| -> String {
        counts.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!(
        "\n{series}: {} passes; {} loads of {} modules and {} scripts; {} unloads\n  {} destroys: {}\n  modules that went: {}\n",
        steps.passes,
        steps.loads,
        steps.modules,
        steps.plays.values().sum::<usize>(),
        steps.unloads,
        judgement.of_caches.values().sum::<usize>(),
        total(&judgement.of_caches),
        total(&judgement.of_modules),
    );
    let parts = [
        ("reported by the kernel", &judgement.reported),
        ("flagged by krcu alone, and argued", &judgement.argued),
        ("left open", &judgement.open),
    ];
    for (title, counts) in parts {
        for ((name, word), count) in counts {
            text.push_str(&format!("  {title}: {count} × {name}: {word}\n"));
        }
    }
    for left in LEFT_OUT {
        text.push_str(&format!("  left out: {}: {}\n", left.module, left.why));
    }
    for ((what, why), names) in &steps.skipped {
        text.push_str(&format!("  {what}, {why}: {} modules: {}\n", names.len(), names.join(" ")));
    }
    text
}
