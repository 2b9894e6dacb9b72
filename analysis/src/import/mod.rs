//! Import: the text of the kernel's own tracepoints, for kernels where eBPF is not allowed.
//!
//! What `trace-cmd report`, `perf script` and the file `trace` print becomes a script, which every other verb reads. The
//! tracepoints tell less than krcu's probes; what follows is said in the script, and by every answer to it. An odd line
//! ends nothing: it is counted, and where it may have been an event, the script has a gap.

mod account;
mod files;
mod line;
mod lost;
mod spool;
mod translate;

use std::{io::Write as _, path::Path};

use anyhow::{Context as _, Result, bail};
use krcu_model::{Watch, event::Time, script, state::Blind};

use crate::source::script::UNDECIDABLE;
pub use account::{Account, Odd};
use files::Lines;
use spool::Spool;
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

/// Writes what a text tells as a script, sorted by time; gives what became of each line.
///
/// # Errors
/// When the text is no text, is the output, cannot be read, or tells nothing that is known, or when the script cannot be
/// written. Then an older file in its place is as it was.
pub fn convert(text: &Path, output: &Path) -> Result<Account> {
    files::refuse(text, output)?;
    let mut lines = Lines::open(text)?;
    let mut translate = Translate::default();
    let mut spool = Spool::new()?;
    while let Some((line, is_long)) = lines.next()? {
        for event in translate.line(&line, is_long) {
            spool.push(event.time.0, &format!("{}\n", script::line(&event)))?;
        }
    }
    let Some(first_ns) = spool.first_ns() else { return nothing(text, &translate.account) };
    for gap in translate.gaps(first_ns) {
        spool.push(gap.time.0, &format!("{}\n", script::line(&gap)))?;
    }
    let mut account = translate.account;
    account.was_unsorted = translate.went_back;
    files::write_whole(output, |out| {
        let blind =
            vec![Blind::Frees, Blind::KvfreeBarrier, Blind::CallbackRuns, Blind::Grace, Blind::Inside];
        let watch = Watch { attached: Time(first_ns), possible_cpus: 0, blind, ..Watch::default() };
        write!(out, "{}", script::write_with(&watch, &[])).context("writing the script")?;
        writeln!(out, "# imported from the kernel's own tracepoints by krcu {}", env!("CARGO_PKG_VERSION"))?;
        for sentence in CANNOT {
            writeln!(out, "{UNDECIDABLE}{sentence}")?;
        }
        spool.write(out)
    })?;
    Ok(account)
}

fn nothing(text: &Path, account: &Account) -> Result<Account> {
    bail!(
        "{}: none of its {} lines tells an event that is known: this reads the text of `trace-cmd report`, `perf script` \
         or the file `trace`, with events of rcu, kmem and module. The events of rcu that tell of callbacks need a kernel \
         with CONFIG_RCU_TRACE, which Debian's 6.1 and 6.12 lack\n{account}",
        text.display(),
        account.lines
    );
}
