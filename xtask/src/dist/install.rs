//! Install, uninstall and dist: the programs, the unit, manual pages and completions, at one list of places.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{self, Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::architecture::Architecture;
use crate::cache;
use crate::digest;
use crate::dist::clean_root;
use crate::dist::contrib;
use crate::dist::sbom;
use crate::host;
use crate::progress::{Job, output_of, say};
use crate::toolchain::build::{self, Programs};
use crate::toolchain::setup;

/// Where a person installs to.
pub(crate) const PREFIX: &str = "/usr/local";
/// Where a package does.
const PACKAGED: &str = "/usr";
/// Verbs of krcu that have a manual page; "" is krcu itself. krcu-tui prints its own.
const PAGES: [&str; 10] =
    ["", "check", "record", "receive", "replay", "explain", "export", "agent", "analyze", "doctor"];
/// Where documents are put, below the prefix: a folder of ours.
const DOCUMENTS: &str = "share/doc/krcu";
/// The checksums of all that was packed.
pub(crate) const SUMS: &str = "SHA256SUMS";
/// The list of the folders that were made for the files, below the prefix.
const MADE: &str = "share/doc/krcu/folders";
/// The unit's place, below where units are.
const UNIT: &str = "systemd/system/krcu.service";
/// What it is called.
const UNIT_NAME: &str = "krcu.service";
/// What the unit hides from the program that it starts: ProtectHome, PrivateTmp.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];
/// Shells, and where each looks for a program's completions, below the prefix: what is before its name, and behind.
const COMPLETIONS: [(&str, &str, &str); 3] = [
    ("bash", "share/bash-completion/completions/", ""),
    ("zsh", "share/zsh/site-functions/_", ""),
    ("fish", "share/fish/vendor_completions.d/", ".fish"),
];

/// A file to be installed.
struct Piece {
    place: PathBuf,
    contents: Contents,
}

/// What is in it.
enum Contents {
    /// A program, by its name; one that has not been built is left out where it is not needed.
    Program(&'static str),
    /// What a program says, given these words.
    Said(&'static str, Vec<&'static str>),
    /// A file of the repository.
    File(&'static str),
    /// The unit, for programs below this prefix.
    Unit(PathBuf),
}

/// Where the unit is put: systemd looks below /usr/lib and /etc alone. Its program is where the prefix is.
fn units(prefix: &Path) -> &'static Path {
    Path::new(if prefix == Path::new(PACKAGED) { "/usr/lib" } else { "/etc" })
}

/// The unit's line that starts the program.
fn start_line(prefix: &Path) -> String {
    format!("ExecStart={} agent", prefix.join("bin/krcu").display())
}

/// Every file, at its place for this prefix.
fn pieces(prefix: &Path) -> Vec<Piece> {
    let below = |place: &str| prefix.join(place);
    let mut pieces = Vec::new();
    let mut piece = |place: PathBuf, contents: Contents| pieces.push(Piece { place, contents });
    for name in build::PROGRAMS {
        piece(below("bin").join(name), Contents::Program(name));
    }
    for verb in PAGES {
        let (name, words) = match verb {
            "" => ("krcu.1".to_owned(), vec!["man"]),
            verb => (format!("krcu-{verb}.1"), vec!["man", verb]),
        };
        piece(below("share/man/man1").join(name), Contents::Said("krcu", words));
    }
    piece(below("share/man/man5/krcu-agent.toml.5"), Contents::Said("krcu", vec!["man", "agent.toml"]));
    piece(below("share/man/man1/krcu-tui.1"), Contents::Said("krcu-tui", vec!["--print", "man"]));
    for (shell, before, behind) in COMPLETIONS {
        let place = |name: &str| below(&format!("{before}{name}{behind}"));
        piece(place("krcu"), Contents::Said("krcu", vec!["completions", shell]));
        piece(place("krcu-tui"), Contents::Said("krcu-tui", vec!["--print", shell]));
    }
    piece(below(DOCUMENTS).join("agent.toml"), Contents::Said("krcu", vec!["agent", "--print-config"]));
    piece(units(prefix).join(UNIT), Contents::Unit(prefix.to_owned()));
    piece(units(prefix).join("sysusers.d/krcu.conf"), Contents::File("contrib/sysusers.d/krcu.conf"));
    for file in ["contrib/prometheus/krcu.rules.yml", "contrib/grafana/krcu.json"] {
        let name = Path::new(file).file_name().unwrap_or_default();
        piece(below(DOCUMENTS).join(name), Contents::File(file));
    }
    for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        piece(below(DOCUMENTS).join(file), Contents::File(file));
    }
    pieces
}

impl Contents {
    /// The whole contents; `None` if they are of a program that has not been built.
    fn make(&self, architecture: Architecture) -> Result<Option<Vec<u8>>> {
        // What a program says of itself is said by the one that runs here.
        let of = if matches!(self, Self::Program(_)) { architecture } else { Architecture::default() };
        let programs = build::programs(of)?;
        let built =
            |wanted: &str| programs.iter().find(|path| path.file_name().is_some_and(|name| name == wanted));
        let file = |file: &str| {
            let path = host::repository().join(file);
            fs::read(&path).with_context(|| format!("reading {}", path.display()))
        };
        Ok(Some(match self {
            Self::Program(name) => match built(name) {
                Some(path) => fs::read(path).with_context(|| format!("reading {}", path.display()))?,
                None => return Ok(None),
            },
            Self::Said(name, words) => {
                let program = built(name).ok_or_else(|| anyhow!("{name} is not built"))?;
                output_of(Command::new(program).args(words))?.into_bytes()
            }
            Self::File(name) => file(name)?,
            Self::Unit(prefix) => {
                let text = String::from_utf8_lossy(&file("contrib/systemd/krcu.service")?).into_owned();
                text.replace(&start_line(Path::new(PACKAGED)), &start_line(prefix)).into_bytes()
            }
        }))
    }
}

/// Writes every file below a root.
fn put(root: &Path, prefix: &Path, architecture: Architecture) -> Result<Vec<PathBuf>> {
    let mut places = Vec::new();
    for Piece { place, contents } in pieces(prefix) {
        let Some(bytes) = contents.make(architecture)? else { continue };
        let path = root.join(place.strip_prefix("/").unwrap_or(&place));
        cache::write_file(&path, &bytes)?;
        let mode = if matches!(contents, Contents::Program(_)) { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .with_context(|| format!("setting the mode of {}", path.display()))?;
        places.push(place);
    }
    Ok(places)
}

/// A prefix as an absolute path.
fn absolute(prefix: &Path) -> Result<PathBuf> {
    path::absolute(prefix).with_context(|| format!("the prefix {prefix:?} names no folder"))
}

/// Folders above these files that do not exist yet.
fn missing_folders(pieces: &[Piece]) -> BTreeSet<PathBuf> {
    let above = pieces.iter().flat_map(|piece| piece.place.ancestors().skip(1));
    above.filter(|folder| !folder.exists()).map(Path::to_path_buf).collect()
}

/// The folders that are in a list; none where there is no list.
fn listed_folders(list: &Path) -> BTreeSet<PathBuf> {
    fs::read_to_string(list).unwrap_or_default().lines().map(PathBuf::from).collect()
}

/// Adds the folders that an installation is going to make to those that an earlier one has made.
fn list_folders(list: &Path, pieces: &[Piece]) -> Result<()> {
    let mut folders = missing_folders(pieces);
    folders.extend(listed_folders(list));
    let lines: String = folders.iter().map(|folder| format!("{}\n", folder.display())).collect();
    cache::write_file(list, lines.as_bytes())
}

/// Removes files, and then folders in which nothing is left. What is not there is removed already.
fn remove(files: impl Iterator<Item = PathBuf>, folders: &BTreeSet<PathBuf>) -> Result<()> {
    for file in files {
        match fs::remove_file(&file) {
            Ok(()) => say(&format!("removed {}", file.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("removing {}", file.display())),
        }
    }
    // Those within another come behind it. One in which somebody has put something of his own stays.
    for folder in folders.iter().rev() {
        if fs::remove_dir(folder).is_ok() {
            say(&format!("removed {}", folder.display()));
        }
    }
    Ok(())
}

/// The folder that the unit hides from a program below this prefix.
fn hidden(prefix: &Path) -> Option<&'static str> {
    HIDDEN.into_iter().find(|folder| prefix.starts_with(folder))
}

/// Installs to a prefix.
///
/// # Errors
///
/// When something cannot be built or written.
pub(crate) fn install(prefix: &Path) -> Result<()> {
    let prefix = absolute(prefix)?;
    setup::ensure()?;
    build::all("release")?;
    list_folders(&prefix.join(MADE), &pieces(&prefix))?;
    for place in put(Path::new("/"), &prefix, Architecture::default())? {
        say(&format!("installed {}", place.display()));
    }
    if let Some(folder) = hidden(&prefix) {
        say(&format!(
            "{UNIT_NAME} cannot start: it hides {folder} from its program; install to another prefix for it"
        ));
    }
    say("next: systemd-sysusers; systemctl daemon-reload; systemctl enable --now krcu");
    Ok(())
}

/// Stops the agent, where systemd runs it, and takes away what [`install`] put there.
///
/// # Errors
///
/// When the unit is of another prefix, systemd cannot stop the agent, or a file cannot be removed.
pub(crate) fn uninstall(prefix: &Path) -> Result<()> {
    let prefix = absolute(prefix)?;
    let unit = units(&prefix).join(UNIT);
    if fs::read_to_string(&unit).is_ok_and(|text| !text.contains(&start_line(&prefix))) {
        bail!("{} starts a krcu that is not below {}: name its prefix", unit.display(), prefix.display());
    }
    let is_run = Path::new("/run/systemd/system").is_dir() && unit.is_file();
    let systemctl = |what: &str, words: &[&str]| {
        Job { what, advice: "see `systemctl status krcu`" }.run(Command::new("systemctl").args(words))
    };
    if is_run {
        systemctl("stopping the agent", &["disable", "--now", UNIT_NAME])?;
    }
    let list = prefix.join(MADE);
    let folders = listed_folders(&list);
    remove(pieces(&prefix).into_iter().map(|piece| piece.place).chain([list]), &folders)?;
    if is_run {
        systemctl("telling systemd", &["daemon-reload"])?;
    } else {
        say("next, where systemd knows the unit: systemctl disable --now krcu; systemctl daemon-reload");
    }
    Ok(())
}

/// Builds a tarball and a Debian package for each of these architectures into `target/dist`, with a bill of materials and
/// checksums. Tests the alert rules that are in both, and tries this computer's package in a clean Debian.
///
/// # Errors
///
/// When something cannot be built, or tar or dpkg-deb is missing.
pub(crate) fn dist(architectures: &[Architecture]) -> Result<()> {
    setup::ensure()?;
    for architecture in architectures {
        build::build_for(*architecture, "release", Programs::All)?;
    }
    contrib::test_rules()?;
    let folder = host::target_folder().join("dist");
    drop(fs::remove_dir_all(&folder));
    let mut files = Vec::new();
    for architecture in architectures {
        let (tarball, package) = pack_for(*architecture)?;
        if architecture.is_ours() {
            clean_root::try_package(&package)?;
        }
        files.extend([tarball, package]);
    }
    let bill = folder.join(format!("krcu-{}.cdx.json", env!("CARGO_PKG_VERSION")));
    cache::write_file(&bill, &sbom::bill()?)?;
    files.push(bill);
    let sums = folder.join(SUMS);
    cache::write_file(&sums, checksums(&files)?.as_bytes())?;
    for file in files.iter().chain([&sums]) {
        say(&file.display().to_string());
    }
    Ok(())
}

/// Lines for `sha256sum --check`.
fn checksums(files: &[PathBuf]) -> Result<String> {
    let line = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Ok(format!("{}  {name}\n", digest::of_file(file)?))
    };
    files.iter().map(line).collect()
}

/// The time that every packed file has, in seconds: that of the commit, so that two builds of it pack the same bytes.
/// `SOURCE_DATE_EPOCH` is another one. Sources without a history have the first second.
pub(crate) fn packed_at() -> String {
    let given = env::var("SOURCE_DATE_EPOCH").ok().filter(|text| text.parse::<u64>().is_ok());
    let of_commit = || {
        let asked = output_of(
            Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(host::repository()),
        );
        asked.ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    given.or_else(of_commit).unwrap_or_else(|| "1".to_owned())
}

/// Packs what was built for this computer, once in a process. Returns the paths of the tarball and of the package.
///
/// # Errors
///
/// When something is not built or cannot be written, or tar or dpkg-deb is missing.
pub(crate) fn pack() -> Result<(PathBuf, PathBuf)> {
    static PACKED: Mutex<Option<(PathBuf, PathBuf)>> = Mutex::new(None);
    let mut packed = PACKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(files) = &*packed {
        return Ok(files.clone());
    }
    drop(fs::remove_dir_all(host::target_folder().join("dist")));
    let files = pack_for(Architecture::default())?;
    *packed = Some(files.clone());
    Ok(files)
}

fn pack_for(architecture: Architecture) -> Result<(PathBuf, PathBuf)> {
    let folder = host::target_folder().join("dist");
    let (version, time) = (env!("CARGO_PKG_VERSION"), packed_at());
    let above = folder.join(architecture.debian());
    let root = above.join(format!("krcu-{version}"));
    put(&root, Path::new(PACKAGED), architecture)?;
    let tarball = folder.join(format!("krcu-{version}-{}.tar.gz", architecture.machine()));
    Job { what: "packing the tarball", advice: "is tar installed?" }.run(
        Command::new("tar")
            .args([
                "--sort=name",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
                "--use-compress-program=gzip -n",
            ])
            .arg(format!("--mtime=@{time}"))
            .arg("-cf")
            .arg(&tarball)
            .arg("-C")
            .arg(&above)
            .arg(format!("krcu-{version}")),
    )?;
    let debian = architecture.debian();
    let package = folder.join(format!("krcu_{version}_{debian}.deb"));
    let control = format!(
        "Package: krcu\nVersion: {version}\nArchitecture: {debian}\nMaintainer: krcu\nSection: devel\nPriority: optional\n\
         Recommends: systemd\nDescription: watches a live kernel free memory through RCU\n \
         Says, for every slab cache that is destroyed, whether deferred frees were still outstanding.\n"
    );
    cache::write_file(&root.join("DEBIAN/control"), control.as_bytes())?;
    for (script, text) in [("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)] {
        let path = root.join("DEBIAN").join(script);
        cache::write_file(&path, text.as_bytes())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Job { what: "packing the package", advice: "is dpkg-deb installed?" }.run(
        Command::new("dpkg-deb")
            .env("SOURCE_DATE_EPOCH", &time)
            .args(["--root-owner-group", "--build"])
            .arg(&root)
            .arg(&package),
    )?;
    if !package.is_file() {
        bail!("dpkg-deb left no {}", package.display());
    }
    Ok((tarball, package))
}

/// The service is not enabled by being installed: it attaches to the kernel, which is somebody's decision. One that runs
/// goes on with the new program.
const POSTINST: &str = r#"#!/bin/sh
set -e
if [ "$1" = configure ]; then
	if command -v systemd-sysusers >/dev/null; then systemd-sysusers krcu.conf || true
	else
		getent group krcu >/dev/null || groupadd --system krcu
		getent passwd krcu >/dev/null || useradd --system --gid krcu --no-create-home --shell /usr/sbin/nologin krcu
	fi
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload || true
		if [ -n "$2" ]; then systemctl try-restart krcu.service || true; fi
	fi
fi
"#;
const PRERM: &str = r#"#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl disable --now krcu.service || true
fi
"#;
/// The unit has these folders made: the configuration, and traces.
const POSTRM: &str = r#"#!/bin/sh
set -e
if [ "$1" = purge ]; then rm -rf /etc/krcu /var/lib/krcu; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
"#;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::env;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process;

    use super::{
        Architecture, Contents, MADE, Piece, absolute, hidden, list_folders, listed_folders, missing_folders,
        pieces, remove,
    };

    fn places(prefix: &str) -> Vec<PathBuf> {
        pieces(&absolute(Path::new(prefix)).unwrap()).into_iter().map(|piece| piece.place).collect()
    }

    #[test]
    fn a_prefix_is_one_folder_however_it_is_written() {
        let here = env::current_dir().unwrap();
        assert_eq!(places("out"), places(here.join("out").to_str().unwrap()));
        assert!(places("out").contains(&here.join("out/bin/krcu")));
        assert_eq!(places("/usr/"), places("/usr"));
        assert!(places("/usr/").contains(&"/usr/lib/systemd/system/krcu.service".into()));
        assert!(places("/usr/local/").contains(&"/etc/systemd/system/krcu.service".into()));
        assert!(absolute(Path::new("")).is_err());
    }

    #[test]
    fn the_unit_names_the_program_below_the_prefix() {
        for (prefix, program) in
            [("/usr/", "/usr/bin/krcu"), ("/opt/krcu", "/opt/krcu/bin/krcu"), ("/", "/bin/krcu")]
        {
            let text = Contents::Unit(prefix.into()).make(Architecture::default()).unwrap().unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(text.lines().any(|line| line == format!("ExecStart={program} agent")), "{text}");
        }
    }

    #[test]
    fn what_the_unit_hides_is_told() {
        for (prefix, folder) in [
            ("/home/me/out", Some("/home")),
            ("/root", Some("/root")),
            ("/tmp/out", Some("/tmp")),
            ("/homes/out", None),
            ("/usr/local", None),
        ] {
            assert_eq!(hidden(Path::new(prefix)), folder, "{prefix}");
        }
    }

    #[test]
    fn folders_go_that_were_made_and_are_empty() {
        let root = env::temp_dir().join(format!("krcu-install-{}", process::id()));
        let piece = |place: &str| Piece { place: root.join(place), contents: Contents::File("") };
        let pieces = [piece("was/there/a"), piece("made/b"), piece("made/by/us/c")];
        let list = root.join(MADE);
        fs::create_dir_all(root.join("was/there")).unwrap();
        let made: BTreeSet<PathBuf> =
            ["made", "made/by", "made/by/us"].map(|folder| root.join(folder)).into();
        assert_eq!(missing_folders(&pieces), made);

        // Installed twice, the second time with all folders there.
        for _ in 0..2 {
            list_folders(&list, &pieces).unwrap();
            assert_eq!(listed_folders(&list), made);
            for Piece { place, .. } in &pieces {
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                fs::write(place, "").unwrap();
            }
        }
        fs::write(root.join("made/theirs"), "").unwrap();
        let files = || pieces.iter().map(|piece| piece.place.clone());
        remove(files(), &made).unwrap();
        assert!(root.join("was/there").is_dir() && root.join("made/theirs").is_file());
        assert!(!root.join("made/by").exists());

        fs::remove_file(root.join("made/theirs")).unwrap();
        remove(files(), &made).unwrap();
        assert!(!root.join("made").exists());
        fs::remove_dir_all(&root).unwrap();
    }
}
