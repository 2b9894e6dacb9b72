//! `cargo xtask bench agent`: memory, processor time and losses of `krcu agent`, idle and at rising rates, beside bpftrace's.
//!
//! The module `krcu_play` hands objects of a cache of its own to `kfree_rcu()`, so many at a time, with a pause between;
//! the last step has no pause and is as much as the machine can do. Each step runs with nobody attached, under the agent as
//! it is by default, and beside a bpftrace that prints a line for each call: like the agent it has every event brought to
//! its own process, but the agent takes the frees as well, with the stack of each call, and judges.
//!
//! An emulated machine has one processor of the host for all of its own: rates are the emulation's, and what is worth
//! reading are the ratios, and at which of the rates loss begins. Nothing fails by a figure.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::bpftrace;
use crate::build;
use crate::kernel::Series;
use crate::machine;
use crate::progress::say;
use crate::setup;
use crate::vm::Run;

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
    Bpftrace,
}

impl Watcher {
    const ALL: [Self; 3] = [Self::Nobody, Self::Agent, Self::Bpftrace];

    fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Agent => "agent",
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
losses_of_bpftrace() { grep -aoh 'Lost [0-9]* events' /run/errors | awk '{ lost += $2 } END { print lost + 0, 0 }'; }
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
krcu agent >/run/agent.log 2>&1 &
agent=$!
until wget -q -O- http://127.0.0.1:9747/healthz >/dev/null 2>&1; do kill -0 $agent || { cat /run/agent.log >&2; exit 1; }; usleep 100000; done
usleep 3000000
steps agent $agent
kill -TERM $agent
wait $agent || { cat /run/agent.log >&2; exit 1; }
mkfifo /run/lines
wc -l </run/lines >/run/count &
count=$!
BPFTRACE -e 'fentry:kvfree_call_rcu { printf("%llx %lx %s\n", nsecs, args.ptr, comm); }' >/run/lines 2>/run/errors &
bpftrace=$!
until grep -q '^kvfree_call_rcu ' /sys/kernel/tracing/enabled_functions; do kill -0 $bpftrace || { cat /run/errors >&2; exit 1; }; usleep 100000; done
usleep 3000000
steps bpftrace $bpftrace
kill -INT $bpftrace
wait $bpftrace
wait $count
echo "lines $(cat /run/count)"
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

    /// Processor time for a call, in nanoseconds.
    fn cpu_ns_per_call(self) -> Option<u64> {
        (self.cpu_cs * 10_000_000).checked_div(self.calls)
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
    say("the agent under load: some five minutes");
    let run = Run {
        modules: vec![machine::repository().join("modules").join(MODULE)],
        files: bpftrace::files()?,
        memory_mib: bpftrace::MEMORY_MIB,
        timeout: TIMEOUT,
        ..Run::new(series, &GUEST.replace("BPFTRACE", bpftrace::COMMAND))
    };
    let outcome = run.run()?;
    if outcome.status != 0 {
        bail!("{}: the measurement exited with {}\n{}", outcome.release, outcome.status, outcome.stderr);
    }
    let (figures, lines) = parse(&outcome.stdout)
        .with_context(|| format!("{}: it said\n{}", outcome.release, outcome.stdout))?;
    println!("Linux {}, {}\n", outcome.release, outcome.acceleration.name());
    println!("{}", render(&figures, lines)?);
    Ok(())
}

/// Reads the steps, and how many lines bpftrace printed in all.
fn parse(text: &str) -> Result<(Figures, u64)> {
    let mut figures = Figures::new();
    let mut lines = 0;
    for line in text.lines() {
        if let Some(count) = line.strip_prefix("lines ") {
            lines = count.trim().parse().with_context(|| format!("reading `{line}`"))?;
        }
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
        let step = Step {
            calls: number("calls")?,
            took_cs: number("took_cs")?,
            cpu_cs: number("cpu_cs")?,
            lost: number("lost")?,
            seen: number("seen")?,
            rss_kb: number("rss_kb")?,
            anon_kb: number("anon_kb")?,
        };
        figures.entry((number("objects")?, number("pause")?)).or_default().insert(watcher, step);
    }
    if figures.is_empty() || figures.values().any(|steps| steps.len() != Watcher::ALL.len()) {
        bail!("not every step was measured with everybody");
    }
    Ok((figures, lines))
}

/// The table, the slowest step first.
fn render(figures: &Figures, lines: u64) -> Result<String> {
    let mut steps: Vec<&BTreeMap<Watcher, Step>> = figures.values().collect();
    steps.sort_by_key(|step| step.get(&Watcher::Nobody).map_or(0, |step| step.calls_per_s()));
    let mut text = row(&[
        "calls/s, nobody",
        "with agent",
        "its CPU",
        "events/s",
        "lost",
        "resident, anon",
        "with bpftrace",
        "its CPU",
        "lost",
        "resident",
        "CPU a call: agent, bpftrace",
        "ratio",
    ]
    .map(str::to_owned));
    for step in &steps {
        let of = |watcher| step.get(&watcher).copied().ok_or_else(|| anyhow!("a step was not measured"));
        let (nobody, agent, bpftrace) = (of(Watcher::Nobody)?, of(Watcher::Agent)?, of(Watcher::Bpftrace)?);
        let costs = agent.cpu_ns_per_call().zip(bpftrace.cpu_ns_per_call());
        text.push_str(&row(&[
            nobody.calls_per_s().to_string(),
            agent.calls_per_s().to_string(),
            tenths(agent.cpu_permille(), "%"),
            ((agent.seen * 100).checked_div(agent.took_cs).unwrap_or(0)).to_string(),
            share(agent.lost, agent.seen),
            format!("{}, {}", mebibytes(agent.rss_kb), mebibytes(agent.anon_kb)),
            bpftrace.calls_per_s().to_string(),
            tenths(bpftrace.cpu_permille(), "%"),
            share(bpftrace.lost, bpftrace.calls),
            mebibytes(bpftrace.rss_kb),
            costs.map_or_else(
                || "-".to_owned(),
                |(agent, other)| format!("{}, {} µs", micro(agent), micro(other)),
            ),
            costs.filter(|(_, other)| *other > 0).map_or_else(
                || "-".to_owned(),
                |(agent, other)| format!("{}.{:02}", agent / other, agent % other * 100 / other),
            ),
        ]));
    }
    for (watcher, name) in [(Watcher::Agent, "the agent"), (Watcher::Bpftrace, "bpftrace")] {
        let first = steps.iter().filter_map(|step| step.get(&watcher)).find(|step| step.lost > 0);
        text.push_str(&match first {
            Some(step) => format!("{name} loses events from {} calls a second on\n", step.calls_per_s()),
            None => format!("{name} loses nothing\n"),
        });
    }
    let calls: u64 =
        steps.iter().filter_map(|step| step.get(&Watcher::Bpftrace)).map(|step| step.calls).sum();
    text.push_str(&format!("bpftrace printed {lines} lines for {calls} calls of the module\n"));
    Ok(text)
}

fn row(cells: &[String]) -> String {
    let widths = [15, 10, 7, 8, 7, 18, 13, 7, 7, 10, 27, 6];
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(&format!("{cell:>width$}  "));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
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
step agent objects=1000 pause=20000 calls=80000 took_cs=1000 cpu_cs=400 lost=16 seen=160000 rss_kb=20480 anon_kb=8192
step bpftrace objects=0 pause=200000 calls=0 took_cs=1000 cpu_cs=0 lost=0 seen=0 rss_kb=102400 anon_kb=0
step bpftrace objects=1000 pause=20000 calls=80000 took_cs=1000 cpu_cs=800 lost=0 seen=0 rss_kb=102400 anon_kb=0
lines 80004
";

    #[test]
    fn steps_become_rows_with_a_ratio_and_where_loss_begins() {
        let (figures, lines) = parse(SAID).unwrap();
        let table = render(&figures, lines).unwrap();
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows.len(), 1 + 2 + 3, "{table}");
        assert!(rows[1].contains("0.3 %") && rows[1].contains("15.0 MiB, 4.0 MiB"), "{table}");
        assert!(rows[2].contains("50.0, 100.0 µs") && rows[2].ends_with("0.50"), "{table}");
        assert!(rows[2].contains(" 16000 ") && rows[2].contains("0.1 %"), "{table}");
        assert_eq!(rows[3], "the agent loses events from 8000 calls a second on");
        assert_eq!(rows[4], "bpftrace loses nothing");
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
