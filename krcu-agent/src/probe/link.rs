//! Link: one function for each step, for all kinds of programs that krcu uses; and the links that keep programs attached.

use std::collections::BTreeMap;
use std::mem;
use std::thread;

use aya::Btf;
use aya::programs::links::FdLink;
use aya::programs::{Program, ProgramError};
use tokio::sync::watch;

use crate::kernel::catalog::Leaving;

/// Hands a program to the kernel's verifier.
pub(super) fn load(program: &mut Program, target: &str, btf: &Btf) -> Result<(), ProgramError> {
    match program {
        Program::FEntry(program) => program.load(target, btf),
        Program::FExit(program) => program.load(target, btf),
        Program::BtfTracePoint(program) => program.load(target, btf),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Attaches a loaded program. It stays attached as long as the link exists.
pub(super) fn attach(program: &mut Program) -> Result<FdLink, ProgramError> {
    match program {
        Program::FEntry(program) => program.attach().and_then(|id| program.take_link(id)).map(FdLink::from),
        Program::FExit(program) => program.attach().and_then(|id| program.take_link(id)).map(FdLink::from),
        Program::BtfTracePoint(program) => {
            program.attach().and_then(|id| program.take_link(id)).map(FdLink::from)
        }
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// The links of all programs. Dropping them detaches the programs, group by group in the order of [`Leaving`], and
/// returns when the kernel has done so.
pub(super) struct Links {
    /// Each link with its group.
    links: Vec<(Leaving, FdLink)>,
    /// How many there are.
    left: watch::Sender<usize>,
}

impl Links {
    pub(super) fn new() -> Links {
        Links { links: Vec::new(), left: watch::Sender::new(0) }
    }

    pub(super) fn push(&mut self, group: Leaving, link: FdLink) {
        self.links.push((group, link));
        self.left.send_modify(|left| *left += 1);
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// Drops the links in a thread of their own. For each function the kernel waits for a grace period of Tasks RCU,
    /// which lasts until every task has slept.
    pub(super) fn release(&mut self) -> watch::Receiver<usize> {
        let links = mem::replace(self, Links::new());
        let left = links.left.subscribe();
        // If no thread can be started, they are dropped here.
        let _ = thread::Builder::new().name("krcu-detach".to_owned()).spawn(move || drop(links));
        left
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let mut groups: BTreeMap<Leaving, Vec<FdLink>> = BTreeMap::new();
        for (group, link) in mem::take(&mut self.links) {
            groups.entry(group).or_default().push(link);
        }
        let left = &self.left;
        let let_go = |link: FdLink| {
            drop(link);
            left.send_modify(|left| *left -= 1);
        };
        for links in groups.into_values() {
            thread::scope(|scope| {
                for link in links {
                    // If no thread can be started, the closure is dropped with its link, which detaches it here.
                    if thread::Builder::new().spawn_scoped(scope, move || let_go(link)).is_err() {
                        left.send_modify(|left| *left -= 1);
                    }
                }
            });
        }
    }
}
