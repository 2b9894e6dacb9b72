//! Which of a kernel's own modules hand callbacks to RCU and ask for no function that waits for them: read from what each
//! of them asks the kernel for.
//!
//! The text of a callback goes with its module, so such a module is right only if something else has waited, or if the
//! callback is a function of another module or of the kernel itself. The list says where to look, and accuses nobody.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSymbol as _};

use crate::debian::intree::InTree;
use crate::debian::kernel::{Kernel, Series};
use crate::progress::Elapsed;

/// A way to hand a callback to RCU.
struct Flavour {
    /// The functions, one of which a module imports that does so.
    queued_by: &'static [&'static str],
    /// The functions that wait for such callbacks.
    waited_by: &'static [&'static str],
}

const FLAVOURS: [Flavour; 5] = [
    Flavour { queued_by: &["call_rcu", "call_rcu_hurry"], waited_by: &["rcu_barrier"] },
    Flavour { queued_by: &["call_srcu"], waited_by: &["srcu_barrier", "cleanup_srcu_struct"] },
    Flavour { queued_by: &["call_rcu_tasks"], waited_by: &["rcu_barrier_tasks"] },
    Flavour { queued_by: &["call_rcu_tasks_trace"], waited_by: &["rcu_barrier_tasks_trace"] },
    Flavour {
        queued_by: &["queue_rcu_work"],
        waited_by: &[
            "flush_rcu_work",
            "flush_workqueue",
            "__flush_workqueue",
            "drain_workqueue",
            "destroy_workqueue",
        ],
    },
];

/// Prints the modules of these kernels, by what they queue with.
///
/// # Errors
///
/// When a kernel cannot be had, or a module cannot be read.
pub(crate) fn run(series: &[Series]) -> Result<()> {
    for series in series {
        let kernel = Kernel::newest(series)?;
        let image = kernel.image()?;
        let in_tree = InTree::read(&image)?;
        let files = in_tree.closure(&in_tree.names())?;
        let mut shown = Elapsed::new(&format!("reading {} modules", files.len()));
        let mut found: Vec<(BTreeSet<String>, usize)> = FLAVOURS.iter().map(|_| Default::default()).collect();
        for file in &files {
            shown.tick();
            let bytes = in_tree.contents(file)?;
            let imports = imports(&bytes).with_context(|| format!("reading {}", file.path))?;
            for (flavour, (names, queueing)) in FLAVOURS.iter().zip(&mut found) {
                *queueing += usize::from(flavour.is_queued(&imports));
                if flavour.is_unwaited(&imports) {
                    names.insert(file.name());
                }
            }
        }
        shown.clear();
        println!("{}: {} modules", kernel.release, files.len());
        for (flavour, (names, queueing)) in FLAVOURS.iter().zip(&found) {
            let (queued_by, waited_by) = (flavour.queued_by.join("() or "), flavour.waited_by.join("(), "));
            let list: Vec<&str> = names.iter().map(String::as_str).collect();
            println!(
                "  {queueing} import {queued_by}(), {} of these import none of {waited_by}(): {}",
                names.len(),
                list.join(" ")
            );
        }
    }
    Ok(())
}

impl Flavour {
    fn is_queued(&self, imports: &BTreeSet<String>) -> bool {
        self.queued_by.iter().any(|name| imports.contains(*name))
    }

    fn is_unwaited(&self, imports: &BTreeSet<String>) -> bool {
        self.is_queued(imports) && !self.waited_by.iter().any(|name| imports.contains(*name))
    }
}

/// The names that an ELF file has undefined, so that somebody else must define them.
///
/// # Errors
///
/// When it is no ELF file.
pub(super) fn imports(elf: &[u8]) -> Result<BTreeSet<String>> {
    let file: ElfFile64<'_> = ElfFile64::parse(elf).context("reading an ELF file")?;
    let undefined = file.symbols().filter(|symbol| symbol.is_undefined());
    Ok(undefined.filter_map(|symbol| symbol.name().ok().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::FLAVOURS;

    #[test]
    fn each_flavour_has_functions_of_its_own_that_wait_for_it() {
        let lists = |imports: &[&str]| -> Vec<usize> {
            let imports = imports.iter().map(|name| (*name).to_owned()).collect();
            let unwaited = FLAVOURS.iter().enumerate().filter(|(_, flavour)| flavour.is_unwaited(&imports));
            unwaited.map(|(place, _)| place).collect()
        };
        assert_eq!(lists(&["call_rcu", "kfree"]), [0]);
        assert_eq!(lists(&["call_rcu_hurry", "srcu_barrier"]), [0]);
        assert_eq!(lists(&["call_rcu", "rcu_barrier"]), [0_usize; 0]);
        assert_eq!(lists(&["call_rcu", "rcu_barrier", "call_srcu"]), [1]);
        assert_eq!(lists(&["queue_rcu_work", "rcu_barrier"]), [4]);
        assert_eq!(lists(&["queue_rcu_work", "destroy_workqueue"]), [0_usize; 0]);
        assert_eq!(lists(&["rcu_barrier"]), [0_usize; 0]);
    }
}
