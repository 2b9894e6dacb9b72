//! Programs of Debian's that a test machine gets: fetched into the cache, installed nowhere, with libraries of their own.
//!
//! A test machine has busybox and krcu. What a module of the kernel's needs beyond that to be of any use comes with it: a
//! program, its libraries and their loader lie below `/packages`, and a script in `/bin` starts them together, so that it
//! does not matter which libraries the machine has otherwise.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use crate::archive::{BOOKWORM, View};
use crate::cache;
use crate::progress::{output_of, say};

/// A program, and the module that it is good for.
struct Program {
    /// The kernel's module: a machine that has it gets the program.
    module: &'static str,
    /// What it is called in the machine; some programs do what their name says.
    name: &'static str,
    /// Its Debian package.
    package: &'static str,
    /// Where it lies in the package.
    path: &'static str,
    /// Files that it opens by name as it runs.
    plugins: &'static [&'static str],
}

const PROGRAMS: [Program; 2] = [
    Program { module: "wireguard", name: "wg", package: "wireguard-tools", path: "usr/bin/wg", plugins: &[] },
    Program {
        module: "xt_hashlimit",
        name: "iptables",
        package: "iptables",
        path: "usr/sbin/xtables-nft-multi",
        plugins: &["libxt_hashlimit.so", "libxt_conntrack.so", "libxt_standard.so", "libipt_icmp.so"],
    },
];
/// Where libraries are in an unpacked package, before and after Debian moved all of them into /usr.
const LIBRARIES: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];
/// The dynamic loader's name.
const LOADER: &str = "ld-linux-x86-64.so.2";
/// The folder of plugins, below the libraries', and in the machine.
const PLUGINS: &str = "xtables";

/// The files that a machine with these modules gets: where they are here, and where they are put.
///
/// # Errors
///
/// When a package cannot be fetched, or lacks what is known to be in it.
pub(crate) fn files_for(modules: &[String]) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for program in PROGRAMS.iter().filter(|program| modules.iter().any(|name| name == program.module)) {
        files.extend(program.files().with_context(|| format!("preparing the program {}", program.name))?);
    }
    Ok(files)
}

impl Program {
    fn files(&self) -> Result<Vec<(PathBuf, String)>> {
        let root = cache::folder("packages")?.join(format!("{}-{}", BOOKWORM.name, self.package));
        if cache::fill_once(&root, |partial| {
            View::open(BOOKWORM)?.unpack_with_dependencies(&[self.package], partial)?;
            let starter = partial.join(self.name);
            cache::write_file(&starter, self.starter().as_bytes())?;
            fs::set_permissions(&starter, fs::Permissions::from_mode(0o755)).context("setting a mode")
        })? {
            say(&format!("the program {} is in {}", self.name, root.display()));
        }
        let folders = LIBRARIES.map(|folder| root.join(folder));
        let find = |name: &str| {
            let places = folders.iter().map(|folder| folder.join(name));
            places
                .clone()
                .find(|path| path.is_file())
                .ok_or_else(|| anyhow!("no {name} below {}", root.display()))
        };
        let loader = find(LOADER)?;
        let program = root.join(self.path);
        let mut files = vec![
            (root.join(self.name), format!("/bin/{}", self.name)),
            (program.clone(), format!("/packages/bin/{}", self.name)),
        ];
        for plugin in self.plugins {
            files.push((find(&format!("{PLUGINS}/{plugin}"))?, format!("/packages/{PLUGINS}/{plugin}")));
        }
        let paths = folders.map(|folder| folder.to_string_lossy().into_owned()).join(":");
        let list = output_of(Command::new(&loader).args(["--library-path", &paths, "--list"]).arg(&program))?;
        for library in libraries_in(&list).chain([loader.as_path()]) {
            let name = library.file_name().unwrap_or_default().to_string_lossy();
            files.push((library.to_path_buf(), format!("/packages/lib/{name}")));
        }
        Ok(files)
    }

    /// The script that starts the program.
    fn starter(&self) -> String {
        format!(
            "#!/bin/sh\nXTABLES_LIBDIR=/packages/{PLUGINS} exec /packages/lib/{LOADER} --library-path /packages/lib \
             /packages/bin/{} \"$@\"\n",
            self.name
        )
    }
}

/// The paths that a loader lists: lines `NAME => PATH (ADDRESS)`.
fn libraries_in(list: &str) -> impl Iterator<Item = &Path> {
    list.lines()
        .filter_map(|line| line.split_once(" => ")?.1.split_whitespace().next())
        .filter(|path| path.starts_with('/'))
        .map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::libraries_in;

    #[test]
    fn a_loaders_list_gives_paths() {
        let list = "\tlinux-vdso.so.1 (0x00007f)\n\tlibmnl.so.0 => /c/lib/libmnl.so.0 (0x00007f)\n\
                    \t/c/lib/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<_> = libraries_in(list).map(|path| path.to_string_lossy().into_owned()).collect();
        assert_eq!(found, ["/c/lib/libmnl.so.0"]);
    }
}
