//! The kinds of program and of link that krcu uses, behind one function for each step.

use aya::Btf;
use aya::programs::fentry::FEntryLinkId;
use aya::programs::fexit::FExitLinkId;
use aya::programs::tp_btf::BtfTracePointLinkId;
use aya::programs::{Program, ProgramError};

/// What holds one program in its place.
pub(super) enum LinkId {
    /// Of a program at a function's entry.
    Fentry(FEntryLinkId),
    /// Of a program at a function's return.
    Fexit(FExitLinkId),
    /// Of a program at a tracepoint.
    BtfTracepoint(BtfTracePointLinkId),
}

/// Hands a program to the kernel's verifier.
pub(super) fn load(program: &mut Program, target: &str, btf: &Btf) -> Result<(), ProgramError> {
    match program {
        Program::FEntry(program) => program.load(target, btf),
        Program::FExit(program) => program.load(target, btf),
        Program::BtfTracePoint(program) => program.load(target, btf),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Puts a loaded program in its place.
pub(super) fn attach(program: &mut Program) -> Result<LinkId, ProgramError> {
    match program {
        Program::FEntry(program) => program.attach().map(LinkId::Fentry),
        Program::FExit(program) => program.attach().map(LinkId::Fexit),
        Program::BtfTracePoint(program) => program.attach().map(LinkId::BtfTracepoint),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Takes a program from its place; it stays loaded.
pub(super) fn detach(program: &mut Program, link: LinkId) -> Result<(), ProgramError> {
    match (program, link) {
        (Program::FEntry(program), LinkId::Fentry(link)) => program.detach(link),
        (Program::FExit(program), LinkId::Fexit(link)) => program.detach(link),
        (Program::BtfTracePoint(program), LinkId::BtfTracepoint(link)) => program.detach(link),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
