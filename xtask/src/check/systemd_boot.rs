//! The package under a real systemd: a Debian that boots in a machine installs it, starts its unit, reloads, freezes and
//! stops it, installs it over itself, and removes it again.
//!
//! What `dist/clean_root.rs` cannot see without a kernel of its own: that the unit's walls let the agent attach, that the
//! manager hears what it is told, that the journal has what the log says.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cache;
use crate::check::choice::Choice;
use crate::check::schedule::{Part, Place};
use crate::check::tally::Tally;
use crate::debian::kernel::Series;
use crate::dist::clean_root;
use crate::dist::install;
use crate::guest::vm::Run;
use crate::host;
use crate::progress::{say, tail_of};

/// What it is called in the tally.
const NAME: &str = "systemd_unit";
/// A kernel, and what of [`EXPECTED`] differs there.
#[derive(Clone, Copy)]
struct Kernel {
    series: &'static str,
    /// The module's verdict, with its priority in the journal.
    verdict: &'static str,
    /// How many deferred frees were outstanding in the end, or were waited for.
    outstanding: &'static str,
}

/// Where the destroy does not wait, and where it does.
const KERNELS: [Kernel; 2] = [
    Kernel { series: "6.1", verdict: "pending priority 4", outstanding: "777" },
    Kernel { series: "6.12", verdict: "waited priority 5", outstanding: "777" },
];
/// Where it is run when nothing is chosen: a minute, not two.
const ALWAYS: &str = "6.12";
/// What is done there.
const SCRIPT: &str = include_str!("systemd_boot.sh");
/// What it prints.
const EXPECTED: &str = "\
installed 0 enabled disabled programs 0
started 0 health ok
runs watching threads several with capabilities 0
user krcu new 1 confined 3 sockets 0
attached many
socket 660 krcu krcu
watchdog 30s knows 1
verdict VERDICT unit krcu.service name krcu
fields krcu_pending krcu_pending rmmod OUTSTANDING 0 0
reloaded 0
reloaded 0
reloaded 0
metrics.connections: takes effect with the next start
/etc/krcu/agent.toml: there is no key `log.levle`, did you mean `log.level`?; the configuration stays as it was
the configuration was read again
reloads pid same restarts 0 health ok
stopped 0 success 0 inactive programs 0
stopped: some events, some lost; nothing is attached
left  traces krcu-000001.krcu refused calls 0
wrong 1 exit-code 2 failed restarts 0
started 0 health ok
frozen 1 results 1 now active traces 3
again 0 pid new from /usr/bin/krcu now active health ok
removed 0 inactive inactive programs 0 links 0 kept 2
purged 0 kept 0
";
/// The root lies in memory twice while it is unpacked.
const MEMORY_MIB: u32 = 3072;
/// How long a machine may run.
const SECONDS: u64 = 600;

/// The test on each chosen kernel, as parts of a run. Both kernels are chosen if the test is named and no kernel is. The
/// parts run after the part `packed`, which packs the package.
pub(crate) fn parts<'a>(choice: &Choice, tally: &'a Tally, packed: &str) -> Vec<Part<'a>> {
    let is_left_out = choice.kept || !choice.has_name(NAME);
    let is_chosen =
        |series: &str| if choice.is_partial() { choice.has_series(series) } else { series == ALWAYS };
    let kernels = KERNELS.into_iter().filter(|kernel| !is_left_out && is_chosen(kernel.series));
    kernels
        .map(|kernel| {
            let name = format!("{} {NAME}", kernel.series);
            let part = Part::new(&name.clone(), Place::Machine, 150.0, move || {
                tally.add(&format!("kernel {name}"), run(kernel));
            });
            part.after(&[packed])
        })
        .collect()
}

/// Makes a root with the package, and boots it.
fn run(kernel: Kernel) -> Result<()> {
    let (_, package) = install::pack()?;
    let root = clean_root::fresh(&format!("systemd-root-{}", kernel.series), &package)?;
    // A root without one asks the console who it is.
    cache::write_file(&root.join("etc/machine-id"), b"0123456789abcdef0123456789abcdef\n")?;
    let outcome = boot(kernel, &root);
    clean_root::remove(&root)?;
    outcome
}

fn boot(kernel: Kernel, root: &Path) -> Result<()> {
    let Kernel { series, verdict, outstanding } = kernel;
    let expected = EXPECTED.replace("VERDICT", verdict).replace("OUTSTANDING", outstanding);
    let parsed: Series = series.parse().with_context(|| format!("there is no kernel {series}"))?;
    say(&format!("{series}: booting a Debian with systemd"));
    let run = Run {
        modules: vec![host::repository().join("modules/krcu_pending")],
        debian: Some(root.to_path_buf()),
        memory_mib: MEMORY_MIB,
        timeout: Duration::from_secs(SECONDS),
        ..Run::new(parsed, SCRIPT)
    };
    let outcome = run.run()?;
    say(&format!("{}: systemd in {:.1} s", outcome.release, outcome.total.as_secs_f32()));
    let kept = host::target_folder().join("kernel-tests").join(series).join(NAME);
    for (kind, text) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
        cache::write_file(&kept.with_extension(kind), text.as_bytes())?;
    }
    if outcome.stdout == expected {
        return Ok(());
    }
    let found: Vec<&str> = outcome.stdout.lines().collect();
    let wrong = expected.lines().enumerate().find(|(place, line)| found.get(*place) != Some(line));
    let (place, line) = wrong.unwrap_or((expected.lines().count(), "nothing more"));
    bail!(
        "expected: {line}\n  but it is: {}\n  it said:\n{}\n  its files: {}.*",
        found.get(place).unwrap_or(&"nothing"),
        tail_of(&outcome.stderr, 20),
        kept.display()
    )
}
