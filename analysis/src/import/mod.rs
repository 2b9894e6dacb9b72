//! Import: the text of the kernel's own tracepoints, for kernels where eBPF is not allowed.
//!
//! What `trace-cmd report`, `perf script` and the file `trace` print becomes a script, which every other verb reads. The
//! tracepoints tell less than krcu's probes; what follows is said in the script, and by every answer to it.

mod line;
mod translate;

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use krcu_model::{Watch, event::Time, script, state::Blind};

use crate::source::{lines::Lines, script::UNDECIDABLE};
use translate::Translate;

/// What such a source cannot decide, and why.
pub const CANNOT: [&str; 4] = [
    "no verdict of a destroy: no tracepoint of the kernel tells that a cache is destroyed",
    "no cache of a deferred free: rcu_kvfree_callback tells the object, not whose it is",
    "no late free and no free before its grace period: rcu_invoke_kfree_bulk_callback counts objects and names none",
    "no barrier for kfree_rcu() that returned early: kvfree_rcu_barrier() has no tracepoint",
];

/// Writes what a text tells as a script, and says what was taken and what cannot be decided.
///
/// # Errors
/// As [`convert`].
pub fn import(text: &Path, output: &Path) -> Result<()> {
    eprint!("{}", convert(text, output)?);
    for sentence in CANNOT {
        eprintln!("undecidable: {sentence}");
    }
    Ok(())
}

/// Writes what a text tells as a script; gives what was taken, a line for each tracepoint.
///
/// # Errors
/// When the text cannot be read, tells nothing that is known, or the script cannot be written.
pub fn convert(text: &Path, output: &Path) -> Result<String> {
    let mut lines = Lines::open(text)?;
    let mut translate = Translate::default();
    let mut out: Option<BufWriter<File>> = None;
    while let Some(line) = lines.next() {
        let line = line?;
        let events = match translate.line(&line) {
            Ok(events) => events,
            Err(complaint) => return Err(lines.error(lines.number, complaint).into()),
        };
        for event in events {
            let file = match &mut out {
                Some(file) => file,
                None => out.insert(begin(output, event.time)?),
            };
            writeln!(file, "{}", script::line(&event))
                .with_context(|| format!("writing {}", output.display()))?;
        }
    }
    let Some(mut out) = out else {
        bail!(
            "{}: none of its {} lines tells an event that is known: this reads the text of `trace-cmd report`, `perf script` \
             or the file `trace`, with events of rcu, kmem and module",
            text.display(),
            lines.number
        );
    };
    out.flush().with_context(|| format!("writing {}", output.display()))?;
    Ok(translate.account())
}

fn begin(output: &Path, first: Time) -> Result<BufWriter<File>> {
    let file = File::create(output).with_context(|| format!("{} cannot be written", output.display()))?;
    let mut out = BufWriter::new(file);
    let blind = vec![Blind::Frees, Blind::KvfreeBarrier, Blind::CallbackRuns, Blind::Grace, Blind::Inside];
    let watch = Watch { attached: first, possible_cpus: 0, blind, ..Watch::default() };
    write!(out, "{}", script::write_with(&watch, &[]))?;
    writeln!(out, "# imported from the kernel's own tracepoints by krcu {}", env!("CARGO_PKG_VERSION"))?;
    for sentence in CANNOT {
        writeln!(out, "{UNDECIDABLE}{sentence}")?;
    }
    Ok(out)
}
