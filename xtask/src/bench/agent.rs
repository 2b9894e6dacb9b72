//! `cargo xtask bench agent`: memory, processor time and losses of `krcu agent`, idle and at rising rates, beside bpftrace's.
//!
//! The module `krcu_play` hands objects of a cache of its own to `kfree_rcu()`, so many at a time, with a pause between;
//! the last step has no pause and is as much as the machine can do. Each step runs with nobody attached, under the agent as
//! it is by default, and beside a bpftrace that prints a line for each call: like the agent it has every event brought to
//! its own process, but the agent takes the frees as well, with the stack of each call, and judges. It runs once more without
//! stacks (`probes.queue_stacks=false`): they are most of what a call costs.
//!
//! An emulated machine has one processor of the host for all of its own: rates are the emulation's, and what is worth
//! reading are the ratios, and at which of the rates loss begins. Nothing fails by a figure.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::debian::bpftrace;
use crate::debian::kernel::Series;
use crate::guest::vm::Run;
use crate::host;
use crate::progress::say;
use crate::toolchain::build;
use crate::toolchain::setup;

/// The kernel that it is measured on unless another is named.
const KERNEL: &str = "6.12";
/// The module that queues.
const MODULE: &str = "krcu_play";
/// How long the machine may run: bpftrace's compiler takes minutes of it.
const TIMEOUT: Duration = Duration::from_secs(1200);

/// Who watches, in the order of the runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Watcher {
    Nobody,
    Agent,
    Bare,
    Bpftrace,
}

impl Watcher {
    const ALL: [Self; 4] = [Self::Nobody, Self::Agent, Self::Bare, Self::Bpftrace];

    fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Agent => "agent",
            Self::Bare => "bare",
            Self::Bpftrace => "bpftrace",
        }
    }
}

/// What runs in the machine: steps of ten seconds, `OBJECTS PAUSE_US`.
const GUEST: &str = r#"
play=/sys/module/krcu_play/parameters/play
insmod /modules/krcu_play.ko || exit 1
echo 'create load' >$play || exit 1
clock() { read up rest </proc/uptime; echo ${up%.*}${up#*.}; }
ticks() { [ $1 = 0 ] && echo 0 || awk '{ print $14 + $15 }' /proc/$1/stat; }
resident() { [ $1 = 0 ] && echo 0 0 || awk '$1 == "VmRSS:" { all = $2 } $1 == "RssAnon:" { own = $2 } END { print all, own }' /proc/$1/status; }
# What the agent's counters say: lost, and seen in all.
losses_of_agent() {
	wget -q -O- http://127.0.0.1:9747/metrics |
		awk '/^krcu_lost_events_total/ { lost += $2 } /^krcu_probe_events_total.*(delivered|lost)/ { seen += $2 } END { printf "%d %d\n", lost, seen }'
}
losses_of_bare() { losses_of_agent; }
# A line for each call: as many as are missing are lost.
losses_of_bpftrace() { echo 0 $(wc -l </run/printed); }
losses_of_nobody() { echo 0 0; }
step() {
	who=$1 pid=$2 objects=$3 pause=$4 turns=0
	set -- $(losses_of_$who)
	lost=$1 seen=$2 began=$(clock) before=$(ticks $pid)
	until [ $(($(clock) - began)) -ge 1000 ]; do
		[ $objects = 0 ] || echo "alloc load $objects; queue load $objects" >$play || exit 1
		[ $pause = 0 ] || usleep $pause
		turns=$((turns + 1))
	done
	took=$(($(clock) - began)) used=$(($(ticks $pid) - before))
	# The last of them are freed and read meanwhile.
	usleep 3000000
	set -- $(losses_of_$who)
	echo "step $who objects=$objects pause=$pause calls=$((turns * objects)) took_cs=$took cpu_cs=$used lost=$(($1 - lost)) seen=$(($2 - seen)) $(resident $pid | sed 's/^/rss_kb=/; s/ / anon_kb=/')"
}
steps() {
	step $1 $2 0 200000
	step $1 $2 100 200000
	step $1 $2 1000 200000
	step $1 $2 1000 50000
	step $1 $2 2000 20000
	step $1 $2 5000 20000
	step $1 $2 20000 0
}
steps nobody 0
agent() {
	name=$1
	shift
	krcu agent "$@" >/run/agent.log 2>&1 &
	agent=$!
	until wget -q -O- http://127.0.0.1:9747/healthz >/dev/null 2>&1; do
		kill -0 $agent || { cat /run/agent.log >&2; exit 1; }
		usleep 100000
	done
	usleep 3000000
	steps $name $agent
	kill -TERM $agent
	wait $agent || { cat /run/agent.log >&2; exit 1; }
}
agent agent
agent bare --set probes.queue_stacks=false
mkfifo /run/lines
cat </run/lines >>/run/printed &
BPFTRACE -e 'fentry:kvfree_call_rcu { printf("%llx %lx %s\n", nsecs, args.ptr, comm); }' >/run/lines 2>/run/errors &
bpftrace=$!
until grep -q '^kvfree_call_rcu ' /sys/kernel/tracing/enabled_functions; do kill -0 $bpftrace || { cat /run/errors >&2; exit 1; }; usleep 100000; done
usleep 3000000
steps bpftrace $bpftrace
kill -INT $bpftrace
wait $bpftrace
exit 0
"#;

/// One step under one watcher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Step {
    calls: u64,
    took_cs: u64,
    cpu_cs: u64,
    lost: u64,
    seen: u64,
    rss_kb: u64,
    anon_kb: u64,
}

impl Step {
    fn calls_per_s(self) -> u64 {
        (self.calls * 100).checked_div(self.took_cs).unwrap_or(0)
    }

    /// Of one processor, in tenths of a per cent.
    fn cpu_permille(self) -> u64 {
        (self.cpu_cs * 1000).checked_div(self.took_cs).unwrap_or(0)
    }

    /// Events that it took.
    fn taken(self) -> u64 {
        self.seen.saturating_sub(self.lost)
    }

    /// Its processor time for an event that it took, in nanoseconds.
    fn cpu_ns_per_event(self) -> Option<u64> {
        (self.cpu_cs * 10_000_000).checked_div(self.taken())
    }
}

/// What a step is: objects at a time and the pause between, in microseconds.
type Rate = (u64, u64);
/// Figures of one machine.
type Figures = BTreeMap<Rate, BTreeMap<Watcher, Step>>;

/// Measures, and prints the table.
///
/// # Errors
///
/// When something cannot be built, booted or read.
pub(crate) fn run(kernel: Option<&str>) -> Result<()> {
    setup::ensure()?;
    build::all("release")?;
    let series: Series = kernel.unwrap_or(KERNEL).parse()?;
    series.need_ours("the agent is measured")?;
    say("the agent under load: some five minutes");
    let run = Run {
        modules: vec![host::repository().join("modules").join(MODULE)],
        files: bpftrace::files()?,
        memory_mib: bpftrace::MEMORY_MIB,
        timeout: TIMEOUT,
        ..Run::new(series, &GUEST.replace("BPFTRACE", bpftrace::COMMAND))
    };
    let outcome = run.run()?;
    if outcome.status != 0 {
        bail!("{}: the measurement exited with {}\n{}", outcome.release, outcome.status, outcome.stderr);
    }
    let figures = parse(&outcome.stdout)
        .with_context(|| format!("{}: it said\n{}", outcome.release, outcome.stdout))?;
    println!("Linux {}, {}\n", outcome.release, outcome.acceleration.name());
    println!("{}", render(&figures)?);
    Ok(())
}

/// Reads the steps.
fn parse(text: &str) -> Result<Figures> {
    let mut figures = Figures::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("step ") else { continue };
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let watcher = Watcher::ALL.into_iter().find(|watcher| watcher.name() == name);
        let watcher = watcher.ok_or_else(|| anyhow!("nobody is called `{name}`"))?;
        let words: BTreeMap<&str, &str> =
            rest.split_whitespace().filter_map(|word| word.split_once('=')).collect();
        let number = |key: &str| -> Result<u64> {
            let word = words.get(key).ok_or_else(|| anyhow!("`{line}` has no {key}"))?;
            word.parse().with_context(|| format!("reading `{line}`"))
        };
        let mut step = Step {
            calls: number("calls")?,
            took_cs: number("took_cs")?,
            cpu_cs: number("cpu_cs")?,
            lost: number("lost")?,
            seen: number("seen")?,
            rss_kb: number("rss_kb")?,
            anon_kb: number("anon_kb")?,
        };
        if watcher == Watcher::Bpftrace {
            // What it says is what it has printed.
            step.lost = step.calls.saturating_sub(step.seen);
            step.seen += step.lost;
        }
        figures.entry((number("objects")?, number("pause")?)).or_default().insert(watcher, step);
    }
    if figures.is_empty() || figures.values().any(|steps| steps.len() != Watcher::ALL.len()) {
        bail!("not every step was measured with everybody");
    }
    Ok(figures)
}

/// A table for each watcher, the slowest step first, and where each begins to lose.
fn render(figures: &Figures) -> Result<String> {
    let mut steps: Vec<&BTreeMap<Watcher, Step>> = figures.values().collect();
    steps.sort_by_key(|step| step.get(&Watcher::Nobody).map_or(0, |step| step.calls_per_s()));
    let of = |step: &BTreeMap<Watcher, Step>, watcher| {
        step.get(&watcher).copied().ok_or_else(|| anyhow!("a step was not measured"))
    };
    let mut text = String::new();
    for (watcher, name) in [
        (Watcher::Agent, "krcu agent"),
        (Watcher::Bare, "krcu agent, no stacks"),
        (Watcher::Bpftrace, "bpftrace, a line a call"),
    ] {
        text.push_str(&row(name, &HEADS.map(str::to_owned)));
        for step in &steps {
            let (nobody, this) = (of(step, Watcher::Nobody)?, of(step, watcher)?);
            let other = of(step, Watcher::Bpftrace)?;
            text.push_str(&row(
                &format!("  {} calls/s", nobody.calls_per_s()),
                &[
                    this.calls_per_s().to_string(),
                    (this.seen * 100).checked_div(this.took_cs).unwrap_or(0).to_string(),
                    tenths(this.cpu_permille(), "%"),
                    this.cpu_ns_per_event().map_or_else(|| "-".to_owned(), micro),
                    ratio(this.cpu_ns_per_event(), other.cpu_ns_per_event()),
                    share(this.lost, this.seen),
                    mebibytes(this.rss_kb),
                    mebibytes(this.anon_kb),
                ],
            ));
        }
        let first = steps.iter().filter_map(|step| step.get(&watcher)).find(|step| step.lost > 0);
        text.push_str(&match first {
            Some(step) => format!("  loss begins at {} calls a second\n\n", step.calls_per_s()),
            None => "  nothing is lost at any of these rates\n\n".to_owned(),
        });
    }
    Ok(text)
}

/// Columns: calls and events a second while it watches, its own share of a processor, that for an event that it took, the
/// same over bpftrace's, losses, resident memory and what of it is its own.
const HEADS: [&str; 8] = ["calls/s", "events/s", "CPU", "µs each", "ratio", "lost", "resident", "anonymous"];

fn row(what: &str, cells: &[String]) -> String {
    let mut line = format!("{what:<24}");
    for cell in cells {
        line.push_str(&format!("  {cell:>10}"));
    }
    line.push('\n');
    line
}

/// A ratio with two digits behind the point.
fn ratio(part: Option<u64>, whole: Option<u64>) -> String {
    match part.zip(whole).and_then(|(part, whole)| (part * 100).checked_div(whole)) {
        Some(hundredths) => format!("{}.{:02}", hundredths / 100, hundredths % 100),
        None => "-".to_owned(),
    }
}

fn share(part: u64, whole: u64) -> String {
    match (part * 1000).checked_div(whole) {
        Some(permille) if part > 0 => tenths(permille.max(1), "%"),
        _ => "0".to_owned(),
    }
}

fn tenths(tenths: u64, unit: &str) -> String {
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

fn micro(ns: u64) -> String {
    format!("{}.{}", ns / 1000, ns % 1000 / 100)
}

fn mebibytes(kb: u64) -> String {
    tenths(kb * 10 / 1024, "MiB")
}

#[cfg(test)]
mod tests {
    use super::{parse, render};

    const SAID: &str = "\
step nobody objects=0 pause=200000 calls=0 took_cs=1000 cpu_cs=0 lost=0 seen=0 rss_kb=0 anon_kb=0
step nobody objects=1000 pause=20000 calls=100000 took_cs=1000 cpu_cs=0 lost=0 seen=0 rss_kb=0 anon_kb=0
step agent objects=0 pause=200000 calls=0 took_cs=1000 cpu_cs=3 lost=0 seen=0 rss_kb=15360 anon_kb=4096
step agent objects=1000 pause=20000 calls=80000 took_cs=1000 cpu_cs=400 lost=160 seen=160000 rss_kb=20480 anon_kb=8192
step bare objects=0 pause=200000 calls=0 took_cs=1000 cpu_cs=3 lost=0 seen=0 rss_kb=15360 anon_kb=4096
step bare objects=1000 pause=20000 calls=90000 took_cs=1000 cpu_cs=90 lost=0 seen=180000 rss_kb=20480 anon_kb=8192
step bpftrace objects=0 pause=200000 calls=0 took_cs=1000 cpu_cs=0 lost=0 seen=7 rss_kb=102400 anon_kb=0
step bpftrace objects=1000 pause=20000 calls=80000 took_cs=1000 cpu_cs=800 lost=0 seen=60000 rss_kb=102400 anon_kb=0
";

    #[test]
    fn steps_become_rows_with_a_ratio_and_where_loss_begins() {
        let table = render(&parse(SAID).unwrap()).unwrap();
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows.len(), 3 * 5, "{table}");
        assert_eq!(rows[1].join(" "), "0 calls/s 0 0 0.3 % - - 0 15.0 MiB 4.0 MiB");
        assert_eq!(rows[2].join(" "), "10000 calls/s 8000 16000 40.0 % 25.0 0.18 0.1 % 20.0 MiB 8.0 MiB");
        assert_eq!(rows[3].join(" "), "loss begins at 8000 calls a second");
        assert_eq!(rows[7].join(" "), "10000 calls/s 9000 18000 9.0 % 5.0 0.03 0 20.0 MiB 8.0 MiB");
        assert_eq!(rows[8].join(" "), "nothing is lost at any of these rates");
        assert_eq!(rows[12].join(" "), "10000 calls/s 8000 8000 80.0 % 133.3 1.00 25.0 % 100.0 MiB 0.0 MiB");
    }

    #[test]
    fn a_step_that_is_missing_or_wrong_is_an_error() {
        let short: String = SAID.lines().skip(1).map(|line| format!("{line}\n")).collect();
        assert!(parse(&short).is_err());
        assert!(parse(&SAID.replace("step agent", "step somebody")).is_err());
        assert!(parse(&SAID.replace("calls=0 ", "")).is_err());
        assert!(parse("").is_err());
    }
}
