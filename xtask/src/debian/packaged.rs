//! Programs of Debian's that a test machine gets: fetched into the cache, installed nowhere, with libraries of their own.
//!
//! A test machine has busybox and krcu. What a module of the kernel's needs beyond that to be of any use comes with it: a
//! program, its libraries and their loader lie below `/packages`, and a script in `/bin` starts them together, so that it
//! does not matter which libraries the machine has otherwise.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use crate::architecture::Architecture;
use crate::cache;
use crate::debian::archive::{BOOKWORM, View};
use crate::host;
use crate::progress::{output_of, say};

/// Which machines get a program.
enum For {
    /// Those with this module of the kernel's, which it is good for.
    Module(&'static str),
    /// Those of a scenario whose text calls it.
    Caller,
}

/// A program.
struct Program {
    wanted: For,
    /// What it is called in the machine; some programs do what their name says.
    name: &'static str,
    /// What it takes itself to be, where that is not its name.
    calls_itself: Option<&'static str>,
    /// Its Debian packages; what they depend on comes with them.
    packages: &'static [&'static str],
    /// Where it lies in them.
    path: &'static str,
    /// Files that it opens by name as it runs.
    plugins: &'static [&'static str],
    /// Files or folders that it wants at their own places.
    others: &'static [&'static str],
}

const PROGRAMS: [Program; 10] = [
    Program {
        wanted: For::Module("wireguard"),
        name: "wg",
        calls_itself: None,
        packages: &["wireguard-tools"],
        path: "usr/bin/wg",
        plugins: &[],
        others: &[],
    },
    Program {
        wanted: For::Module("nft_compat"),
        name: "iptables",
        calls_itself: None,
        packages: &["iptables"],
        path: "usr/sbin/xtables-nft-multi",
        plugins: IPTABLES_PLUGINS,
        others: &[],
    },
    // It does not start where there is no locale of UTF-8.
    Program {
        wanted: For::Caller,
        name: "tmux",
        calls_itself: None,
        packages: &["tmux", "libc-bin"],
        path: "usr/bin/tmux",
        plugins: &[],
        others: &["usr/lib/locale/C.utf8"],
    },
    Program {
        wanted: For::Caller,
        name: "prometheus",
        calls_itself: None,
        packages: &[PROMETHEUS],
        path: "usr/bin/prometheus",
        plugins: &[],
        others: &[],
    },
    Program {
        wanted: For::Caller,
        name: "perl",
        calls_itself: None,
        packages: &["perl-base"],
        path: "usr/bin/perl",
        plugins: &[],
        others: &[],
    },
    // busybox has a `tc` and an `ip` that know less.
    Program {
        wanted: For::Caller,
        name: "tc2",
        calls_itself: Some("tc"),
        packages: &["iproute2"],
        path: "sbin/tc",
        plugins: &[],
        others: &[],
    },
    Program {
        wanted: For::Caller,
        name: "ip2",
        calls_itself: Some("ip"),
        packages: &["iproute2"],
        path: "bin/ip",
        plugins: &[],
        others: &[],
    },
    Program {
        wanted: For::Caller,
        name: "mkfs.btrfs",
        calls_itself: None,
        packages: &["btrfs-progs"],
        path: "sbin/mkfs.btrfs",
        plugins: &[],
        others: &[],
    },
    Program {
        wanted: For::Caller,
        name: "mkfs.xfs",
        calls_itself: None,
        packages: &["xfsprogs"],
        path: "sbin/mkfs.xfs",
        plugins: &[],
        others: &[],
    },
    Program {
        wanted: For::Caller,
        name: "dmsetup",
        calls_itself: None,
        packages: &["dmsetup"],
        path: "sbin/dmsetup",
        plugins: &[],
        others: &[],
    },
];
/// What iptables opens for the matches of the scenarios.
const IPTABLES_PLUGINS: &[&str] = &[
    "libxt_hashlimit.so",
    "libxt_connlimit.so",
    "libxt_conntrack.so",
    "libxt_standard.so",
    "libxt_udp.so",
    "libipt_icmp.so",
];
/// The package of prometheus and promtool.
const PROMETHEUS: &str = "prometheus";
/// Where libraries are in an unpacked package, before and after Debian moved all of them into /usr.
const LIBRARIES: [&str; 2] = ["lib", "usr/lib"];
/// The folder of plugins, below the libraries', and in the machine.
const PLUGINS: &str = "xtables";

/// The files for a machine that has these modules and whose scenarios have this text: where they are here, and where they
/// are put.
///
/// # Errors
///
/// When a package cannot be fetched, or lacks what is known to be in it.
pub(crate) fn files_for(
    architecture: Architecture,
    modules: &[String],
    text: &str,
) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for program in PROGRAMS.iter().filter(|program| program.is_wanted(modules, text)) {
        files.extend(
            program.files(architecture).with_context(|| format!("preparing the program {}", program.name))?,
        );
    }
    Ok(files)
}

/// A command that runs promtool here.
///
/// # Errors
///
/// When its package cannot be fetched.
pub(crate) fn promtool() -> Result<Command> {
    let root = Root::of(Architecture::default(), &[PROMETHEUS])?;
    let mut command = Command::new(root.find(root.architecture.loader())?);
    command.args(["--library-path", &root.library_path()]).arg(root.folder.join("usr/bin/promtool"));
    Ok(command)
}

/// busybox for a machine of an architecture, with nothing that it needs.
///
/// # Errors
///
/// When its package cannot be fetched.
pub(crate) fn busybox(architecture: Architecture) -> Result<PathBuf> {
    if architecture.is_ours() {
        return host::find_program("busybox")
            .ok_or_else(|| anyhow!("busybox is missing: run `cargo xtask setup` (package busybox-static)"));
    }
    let folder = cache::folder("packages")?.join(format!("busybox-static-{}", architecture.debian()));
    cache::fill_once(&folder, |partial| {
        View::of(BOOKWORM, architecture)?.unpack(&["busybox-static".to_owned()], partial)
    })?;
    Ok(folder.join("bin/busybox"))
}

/// All programs of a package, with their libraries: files for a machine.
///
/// # Errors
///
/// When there is no such package, or no program in it.
pub(crate) fn package(architecture: Architecture, name: &str) -> Result<Vec<(PathBuf, String)>> {
    let root = Root::of(architecture, &[name])?;
    let alone = root.folder.with_file_name(format!("{}-alone", root.name()));
    cache::fill_once(&alone, |partial| {
        let view = View::of(BOOKWORM, architecture)?;
        let package = view.newest(name)?.ok_or_else(|| anyhow!("Debian has no package {name}"))?;
        view.unpack(&[format!("{name}={}", package.version)], partial)
    })?;
    let mut names = Vec::new();
    for folder in ["bin", "sbin", "usr/bin", "usr/sbin"] {
        for entry in fs::read_dir(alone.join(folder)).into_iter().flatten().flatten() {
            let path = entry.path();
            let program = root.folder.join(folder).join(entry.file_name());
            if fs::read(&program).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF")) {
                names.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), program));
            }
        }
    }
    if names.is_empty() {
        return Err(anyhow!("the package {name} has no program"));
    }
    // The name that Debian's alternatives give to what is called `iptables-nft`.
    let chosen: Vec<(String, PathBuf)> = names
        .iter()
        .filter_map(|(name, path)| Some((name.strip_suffix("-nft")?.to_owned(), path.clone())))
        .filter(|(name, _)| !names.iter().any(|(other, _)| other == name))
        .collect();
    names.extend(chosen);
    let mut files = root.plugins();
    let mut listed: BTreeMap<PathBuf, Vec<(PathBuf, String)>> = BTreeMap::new();
    for (name, program) in names {
        let file = fs::canonicalize(&program).with_context(|| format!("reading {}", program.display()))?;
        let starter = root.starter(&name, &name, &file)?;
        files.push((starter, format!("/bin/{name}")));
        if let Entry::Vacant(vacant) = listed.entry(file) {
            let of_program = root.with_libraries(vacant.key())?;
            vacant.insert(of_program);
        }
    }
    files.extend(listed.into_values().flatten());
    files.sort_by(|left, right| left.1.cmp(&right.1));
    files.dedup_by(|left, right| left.1 == right.1);
    Ok(files)
}

/// Unpacked packages of an architecture.
struct Root {
    architecture: Architecture,
    folder: PathBuf,
}

impl Root {
    /// The folder with these packages and all that they depend on.
    fn of(architecture: Architecture, packages: &[&str]) -> Result<Self> {
        let name = packages.first().copied().unwrap_or_default();
        let of = if architecture.is_ours() { String::new() } else { format!("-{}", architecture.debian()) };
        let folder = cache::folder("packages")?.join(format!("{}{of}-{name}", BOOKWORM.name));
        let fill =
            |partial: &Path| View::of(BOOKWORM, architecture)?.unpack_with_dependencies(packages, partial);
        if cache::fill_once(&folder, fill)? {
            say(&format!("the package {name} is in {}", folder.display()));
        }
        Ok(Self { architecture, folder })
    }

    /// The folder's name.
    fn name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The folders with libraries.
    fn libraries(&self) -> [PathBuf; 2] {
        LIBRARIES.map(|folder| self.folder.join(folder).join(self.architecture.libraries()))
    }

    /// The same, as the loader wants them.
    fn library_path(&self) -> String {
        self.libraries().map(|folder| folder.to_string_lossy().into_owned()).join(":")
    }

    /// A file among the libraries.
    fn find(&self, name: &str) -> Result<PathBuf> {
        let paths = self.libraries().map(|folder| folder.join(name));
        let path = paths.into_iter().find(|path| path.is_file());
        path.ok_or_else(|| anyhow!("no {name} below {}", self.folder.display()))
    }

    /// What programs open by name as they run, if a package has such files.
    fn plugins(&self) -> Vec<(PathBuf, String)> {
        let folders = self.libraries().map(|folder| folder.join(PLUGINS));
        let entries = folders.into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let place =
            |entry: &fs::DirEntry| format!("/packages/{PLUGINS}/{}", entry.file_name().to_string_lossy());
        entries.map(|entry| (entry.path(), place(&entry))).collect()
    }

    /// A program, and what it needs: what its loader says, or every library where the loader does not run here.
    fn with_libraries(&self, program: &Path) -> Result<Vec<(PathBuf, String)>> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut files = vec![(program.to_path_buf(), format!("/packages/bin/{}", name(program)))];
        let loader = self.find(self.architecture.loader())?;
        let libraries = if self.architecture.is_ours() {
            let paths = self.library_path();
            let list =
                output_of(Command::new(&loader).args(["--library-path", &paths, "--list"]).arg(program))?;
            libraries_in(&list).map(Path::to_path_buf).collect()
        } else {
            self.all_libraries()
        };
        for library in libraries.into_iter().chain([loader]) {
            let place = format!("/packages/lib/{}", name(&library));
            files.push((library, place));
        }
        Ok(files)
    }

    /// Every library of the packages.
    fn all_libraries(&self) -> Vec<PathBuf> {
        let entries = self.libraries().into_iter().filter_map(|folder| fs::read_dir(folder).ok());
        let paths = entries.flatten().flatten().map(|entry| entry.path());
        let is_library = |path: &PathBuf| {
            path.is_file() && path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"))
        };
        paths.filter(is_library).collect()
    }

    /// Writes the script that starts a program under a name: some do what their name says.
    fn starter(&self, name: &str, calls_itself: &str, program: &Path) -> Result<PathBuf> {
        let path = self.folder.join(format!("start-{name}"));
        let program = program.file_name().unwrap_or_default().to_string_lossy();
        let text = format!(
            "#!/bin/sh\nXTABLES_LIBDIR=/packages/{PLUGINS} exec /packages/lib/{} --argv0 {calls_itself} \
             --library-path /packages/lib /packages/bin/{program} \"$@\"\n",
            self.architecture.loader()
        );
        cache::write_file(&path, text.as_bytes())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context("setting a mode")?;
        Ok(path)
    }
}

impl Program {
    fn is_wanted(&self, modules: &[String], text: &str) -> bool {
        match self.wanted {
            For::Module(module) => modules.iter().any(|name| name == module),
            For::Caller => text.split_whitespace().any(|word| word == self.name),
        }
    }

    fn files(&self, architecture: Architecture) -> Result<Vec<(PathBuf, String)>> {
        let root = Root::of(architecture, self.packages)?;
        let program = root.folder.join(self.path);
        let mut files = root.with_libraries(&program)?;
        let starter = root.starter(self.name, self.calls_itself.unwrap_or(self.name), &program)?;
        files.push((starter, format!("/bin/{}", self.name)));
        for plugin in self.plugins {
            files.push((root.find(&format!("{PLUGINS}/{plugin}"))?, format!("/packages/{PLUGINS}/{plugin}")));
        }
        for place in self.others {
            files.push((root.folder.join(place), format!("/{place}")));
        }
        Ok(files)
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
