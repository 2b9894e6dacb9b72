//! Layout: a check, before any probe is attached, that the configuration leads from an object to its cache on this kernel.
//!
//! Everything that is said of a cache rests on a few numbers about the kernel's memory. If they were wrong, every object would be
//! no slab's, and nothing would be found: a clean verdict. So a program goes that way once, from this very task, whose
//! `task_struct` lies in a cache of that name on every kernel.

use aya::Ebpf;
use aya::maps::{Array, MapData};
use aya::programs::{Program, ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun as _};
use krcu_common::check::{Seen, TASK_CACHE};

use super::{LoadError, Pod};

/// The program that goes the way.
const PROGRAM: &str = "layout_checked";
/// The map in which it leaves what it saw.
const MAP: &str = "CHECKED";

/// What was seen, as a value of a map.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Value(Seen);

// SAFETY: it consists of words and bytes without padding, and every bit pattern is a value.
unsafe impl Pod for Value {}

/// Runs the check once, in this task.
///
/// # Errors
/// When the way leads elsewhere, or the program cannot be run.
pub(super) fn check(ebpf: &mut Ebpf) -> Result<(), LoadError> {
    let failed = |cause: ProgramError| LoadError::Unchecked { cause: Box::new(cause) };
    let program: &mut Program =
        ebpf.program_mut(PROGRAM).ok_or(LoadError::Absent { what: "program", name: PROGRAM })?;
    let program: &mut RawTracePoint = program.try_into().map_err(failed)?;
    program.load().map_err(failed)?;
    program.test_run(RawTracePointRunOptions::new()).map_err(failed)?;
    program.unload().map_err(failed)?;
    let map = ebpf.map(MAP).ok_or(LoadError::Absent { what: "map", name: MAP })?;
    let failed = |cause| LoadError::Map { name: MAP, cause: Box::new(cause) };
    let map: Array<&MapData, Value> = Array::try_from(map).map_err(failed)?;
    let Value(seen) = map.get(&0, 0).map_err(failed)?;
    if seen.is_right() { Ok(()) } else { Err(LoadError::WrongLayout { saw: told(&seen) }) }
}

/// Where the way led.
fn told(seen: &Seen) -> String {
    let Seen { object, page, head, cache, is_slab, .. } = seen;
    if *page == 0 {
        return format!("the task at {object:#x} is not in the direct map");
    }
    let name = String::from_utf8_lossy(seen.name_bytes()).into_owned();
    let slab = if *is_slab == 1 { "" } else { ", which is no slab's" };
    format!(
        "the task at {object:#x} has the page {page:#x} of {head:#x}{slab}, whose cache {cache:#x} is called `{name}`, not `{TASK_CACHE}`"
    )
}

#[cfg(test)]
mod tests {
    use krcu_common::check::Seen;

    use super::told;

    fn named(name: &str, is_slab: u64) -> Seen {
        let mut seen = Seen { object: 0x10, page: 0x20, head: 0x30, cache: 0x40, is_slab, ..Seen::ZERO };
        seen.name[..name.len()].copy_from_slice(name.as_bytes());
        seen
    }

    #[test]
    fn only_the_cache_of_tasks_is_right() {
        assert!(named("task_struct", 1).is_right());
        for wrong in [named("task_struct", 0), named("task_struct2", 1), named("task", 1), Seen::ZERO] {
            assert!(!wrong.is_right(), "{wrong:?}");
        }
        let saw = told(&named("dentry", 0));
        assert_eq!(
            saw,
            "the task at 0x10 has the page 0x20 of 0x30, which is no slab's, whose cache 0x40 is called `dentry`, not `task_struct`"
        );
        assert!(told(&Seen { object: 0x10, ..Seen::ZERO }).ends_with("is not in the direct map"));
    }
}
