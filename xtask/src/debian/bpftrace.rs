//! bpftrace of Debian, with just the libraries that it loads, as files for a test machine.
//!
//! The package is unpacked into the cache with all that it depends on; nothing is installed. Which of those libraries the
//! program really loads is asked of its own dynamic linker, since they are most of half a gigabyte.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cache;
use crate::debian::archive::{TRIXIE, View};
use crate::progress::{output_of, say};

/// How a machine's shell starts it: by its own dynamic linker, with its own libraries.
pub(crate) const COMMAND: &str = "/bpftrace/ld.so --library-path /bpftrace/lib /bpftrace/bpftrace";
/// Memory that a machine with it needs, in MiB: its files are there twice while the machine starts.
pub(crate) const MEMORY_MIB: u32 = 3072;

/// Where the package has it.
const PROGRAM: &str = "usr/bin/bpftrace";
/// Where Debian's packages have x86-64's dynamic linker and libraries.
const LINKER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// The files, each with its place in the machine. Debian 13's serves every kernel; Debian 12's is of the time of 6.1.
///
/// # Errors
///
/// When the packages cannot be downloaded or unpacked, or a library is not among them.
pub(crate) fn files() -> Result<Vec<(PathBuf, String)>> {
    let root = cache::folder("userlands")?.join(format!("{}-bpftrace", TRIXIE.name));
    let fresh = cache::fill_once(&root, |partial| {
        say("unpacking bpftrace of Debian 13 (about 70 MB, once)");
        View::open(TRIXIE)?.unpack_with_dependencies(&["bpftrace"], partial)
    })?;
    if fresh {
        say(&format!("bpftrace is in {}", root.display()));
    }
    let linker = root.join(LINKER);
    let program = root.join(PROGRAM);
    let listed = output_of(
        Command::new(&linker).arg("--library-path").arg(root.join(LIBRARIES)).arg("--list").arg(&program),
    )?;
    let mut files = vec![(linker, "/bpftrace/ld.so".to_owned()), (program, "/bpftrace/bpftrace".to_owned())];
    for path in libraries(&listed) {
        if !path.starts_with(&root) {
            bail!("bpftrace would load {}, which is none of its packages'", path.display());
        }
        let name = path.file_name().with_context(|| format!("reading `{listed}`"))?.to_string_lossy();
        files.push((path.to_path_buf(), format!("/bpftrace/lib/{name}")));
    }
    Ok(files)
}

/// The paths in lines of `NAME => PATH (ADDRESS)`.
fn libraries(listed: &str) -> Vec<&Path> {
    listed
        .lines()
        .filter_map(|line| {
            line.split_once(" => ")?.1.rsplit_once(" (").map(|(path, _)| Path::new(path.trim()))
        })
        .filter(|path| path.is_absolute() && !path.ends_with("ld-linux-x86-64.so.2"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::libraries;

    #[test]
    fn libraries_are_read_from_the_linkers_list() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibz.so.1 => /unpacked/usr/lib/libz.so.1 (0x00007f00)\n\
                      \t/lib64/ld-linux-x86-64.so.2 => /unpacked/usr/lib/ld-linux-x86-64.so.2 (0x00007f01)\n";
        assert_eq!(libraries(listed), [Path::new("/unpacked/usr/lib/libz.so.1")]);
    }
}
