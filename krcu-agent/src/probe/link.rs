//! The kinds of program that krcu uses, behind one function for each step, and what holds them in their places.

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

/// Puts a loaded program in its place, where it stays for as long as the link is kept.
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

/// What holds the programs in their places. Dropping it takes them away, group by group in the order of [`Leaving`],
/// and returns when the kernel has.
pub(super) struct Links {
    /// Each with its group.
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

    /// Drops them in a thread of their own: for each function the kernel waits a grace period of Tasks RCU, which
    /// is as long as the longest that any task does not sleep.
    pub(super) fn release(&mut self) -> watch::Receiver<usize> {
        let links = mem::replace(self, Links::new());
        let left = links.left.subscribe();
        // Where no thread can be had, they are dropped here.
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
                    // Where no thread can be had, the closure is dropped with its link, and the kernel detaches it here.
                    if thread::Builder::new().spawn_scoped(scope, move || let_go(link)).is_err() {
                        left.send_modify(|left| *left -= 1);
                    }
                }
            });
        }
    }
}
