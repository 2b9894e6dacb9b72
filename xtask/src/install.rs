//! Install, uninstall and dist: the programs, the unit, manual pages and completions, at one list of places.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::build;
use crate::cache;
use crate::clean_root;
use crate::contrib;
use crate::machine;
use crate::progress::{Job, output_of, say};
use crate::setup;

/// Where a person installs to.
pub(crate) const PREFIX: &str = "/usr/local";
/// Where a package does.
const PACKAGED: &str = "/usr";
/// Verbs of krcu that have a manual page; "" is krcu itself. krcu-tui prints its own.
const PAGES: [&str; 7] = ["", "check", "record", "replay", "agent", "analyze", "doctor"];
/// Where documents are put, below the prefix: a folder of ours.
const DOCUMENTS: &str = "share/doc/krcu";
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
    Unit(String),
}

/// Every file, at its place for this prefix.
fn pieces(prefix: &str) -> Vec<Piece> {
    let below = |place: &str| Path::new(prefix).join(place);
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
    // A unit is found below /usr/lib and /etc alone; its program is where the prefix is.
    let units = Path::new(if prefix == PACKAGED { "/usr/lib" } else { "/etc" });
    piece(units.join("systemd/system/krcu.service"), Contents::Unit(prefix.to_owned()));
    piece(units.join("sysusers.d/krcu.conf"), Contents::File("contrib/sysusers.d/krcu.conf"));
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
    /// All of it; none of a program that has not been built.
    fn make(&self) -> Result<Option<Vec<u8>>> {
        let programs = build::programs()?;
        let built =
            |wanted: &str| programs.iter().find(|path| path.file_name().is_some_and(|name| name == wanted));
        let file = |file: &str| {
            let path = machine::repository().join(file);
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
                text.replace("/usr/bin/krcu", &format!("{prefix}/bin/krcu")).into_bytes()
            }
        }))
    }
}

/// Writes every file below a root.
fn put(root: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    let mut places = Vec::new();
    for Piece { place, contents } in pieces(prefix) {
        let Some(bytes) = contents.make()? else { continue };
        let path = root.join(place.strip_prefix("/").unwrap_or(&place));
        cache::write_file(&path, &bytes)?;
        let mode = if matches!(contents, Contents::Program(_)) { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .with_context(|| format!("setting the mode of {}", path.display()))?;
        places.push(place);
    }
    Ok(places)
}

/// Installs to a prefix.
///
/// # Errors
///
/// When something cannot be built or written.
pub(crate) fn install(prefix: &str) -> Result<()> {
    setup::ensure()?;
    build::all("release")?;
    for place in put(Path::new("/"), prefix)? {
        say(&format!("installed {}", place.display()));
    }
    say("next: systemd-sysusers; systemctl daemon-reload; systemctl enable --now krcu");
    Ok(())
}

/// Takes away what [`install`] put there.
///
/// # Errors
///
/// When a file cannot be removed.
pub(crate) fn uninstall(prefix: &str) -> Result<()> {
    for Piece { place, .. } in pieces(prefix) {
        match fs::remove_file(&place) {
            Ok(()) => say(&format!("removed {}", place.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("removing {}", place.display())),
        }
    }
    // Left where somebody has put something of his own there.
    drop(fs::remove_dir(Path::new(prefix).join(DOCUMENTS)));
    Ok(())
}

/// Builds a tarball and a Debian package into `target/dist`, tests the alert rules that are in both, and tries the package in a
/// clean Debian.
///
/// # Errors
///
/// When something cannot be built, or tar or dpkg-deb is missing.
pub(crate) fn dist() -> Result<()> {
    setup::ensure()?;
    build::all("release")?;
    contrib::test_rules()?;
    let (tarball, package) = pack()?;
    clean_root::try_package(&package)?;
    say(&format!("{}\n{}", tarball.display(), package.display()));
    Ok(())
}

/// Packs what was built; where the tarball and the package are.
///
/// # Errors
///
/// When something is not built or cannot be written, or tar or dpkg-deb is missing.
pub(crate) fn pack() -> Result<(PathBuf, PathBuf)> {
    let folder = machine::target_folder().join("dist");
    drop(fs::remove_dir_all(&folder));
    let version = env!("CARGO_PKG_VERSION");
    let root = folder.join(format!("krcu-{version}"));
    put(&root, PACKAGED)?;
    let tarball = folder.join(format!("krcu-{version}-x86_64.tar.gz"));
    Job { what: "packing the tarball", advice: "is tar installed?" }.run(
        Command::new("tar")
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-czf"])
            .arg(&tarball)
            .arg("-C")
            .arg(&folder)
            .arg(format!("krcu-{version}")),
    )?;
    let package = folder.join(format!("krcu_{version}_amd64.deb"));
    let control = format!(
        "Package: krcu\nVersion: {version}\nArchitecture: amd64\nMaintainer: krcu\nSection: devel\nPriority: optional\n\
         Recommends: systemd\nDescription: watches a live kernel free memory through RCU\n \
         Says, for every slab cache that is destroyed, whether deferred frees were still outstanding.\n"
    );
    cache::write_file(&root.join("DEBIAN/control"), control.as_bytes())?;
    for (script, text) in [("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)] {
        let path = root.join("DEBIAN").join(script);
        cache::write_file(&path, text.as_bytes())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Job { what: "packing the package", advice: "is dpkg-deb installed?" }
        .run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&root).arg(&package))?;
    if !package.is_file() {
        bail!("dpkg-deb left no {}", package.display());
    }
    Ok((tarball, package))
}

/// The service is not enabled by being installed: it attaches to the kernel, which is somebody's decision.
const POSTINST: &str = "#!/bin/sh\nset -e\nif [ \"$1\" = configure ]; then\n\
\tif command -v systemd-sysusers >/dev/null; then systemd-sysusers krcu.conf || true\n\
\telse getent group krcu >/dev/null || groupadd --system krcu; fi\n\
\tif [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi\nfi\n";
const PRERM: &str = "#!/bin/sh\nset -e\nif [ \"$1\" = remove ] && [ -d /run/systemd/system ]; then\n\
\tsystemctl disable --now krcu.service || true\nfi\n";
const POSTRM: &str =
    "#!/bin/sh\nset -e\nif [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi\n";
