//! Install, uninstall and dist: the programs, the unit, manual pages and completions, at one list of places.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::build;
use crate::cache;
use crate::clean_root;
use crate::machine;
use crate::progress::{Job, output_of, say};
use crate::setup;

/// Where a person installs to.
pub(crate) const PREFIX: &str = "/usr/local";
/// Where a package does.
const PACKAGED: &str = "/usr";
/// Verbs of krcu that have a manual page; "" is krcu itself.
const PAGES: [&str; 6] = ["", "check", "record", "replay", "agent", "doctor"];
/// Shells, and where each looks for a program's completions, below the prefix: what is before its name, and behind.
const COMPLETIONS: [(&str, &str, &str); 3] = [
    ("bash", "share/bash-completion/completions/", ""),
    ("zsh", "share/zsh/site-functions/_", ""),
    ("fish", "share/fish/vendor_completions.d/", ".fish"),
];

/// A file to be installed: what is in it and whether it is a program.
struct Piece {
    place: PathBuf,
    contents: Vec<u8>,
    is_program: bool,
}

/// Every file, at its place for this prefix.
fn pieces(prefix: &str) -> Result<Vec<Piece>> {
    let programs = build::programs()?;
    let built = |wanted: &str| {
        let found = programs.iter().find(|path| path.file_name().is_some_and(|name| name == wanted));
        found.ok_or_else(|| anyhow!("{wanted} is not built: run `cargo xtask build`"))
    };
    let (krcu, tui) = (built("krcu")?, built("krcu-tui")?);
    let below = |place: &str| Path::new(prefix).join(place);
    let mut pieces = Vec::new();
    let mut piece = |place: PathBuf, contents: Vec<u8>, is_program: bool| {
        pieces.push(Piece { place, contents, is_program });
    };
    for program in &programs {
        let name = program.file_name().unwrap_or_default();
        let contents = fs::read(program).with_context(|| format!("reading {}", program.display()))?;
        piece(below("bin").join(name), contents, true);
    }
    let of = |program: &Path, arguments: &[&str]| {
        output_of(Command::new(program).args(arguments)).map(String::into_bytes)
    };
    let text = |arguments: &[&str]| of(krcu, arguments);
    for verb in PAGES {
        let (name, page) = match verb {
            "" => ("krcu.1".to_owned(), text(&["man"])?),
            verb => (format!("krcu-{verb}.1"), text(&["man", verb])?),
        };
        piece(below("share/man/man1").join(name), page, false);
    }
    piece(below("share/man/man5/krcu-agent.toml.5"), text(&["man", "agent.toml"])?, false);
    piece(below("share/man/man1/krcu-tui.1"), of(tui, &["--print", "man"])?, false);
    for (shell, before, behind) in COMPLETIONS {
        piece(below(&format!("{before}krcu{behind}")), text(&["completions", shell])?, false);
        piece(below(&format!("{before}krcu-tui{behind}")), of(tui, &["--print", shell])?, false);
    }
    piece(below("share/doc/krcu/agent.toml"), text(&["agent", "--print-config"])?, false);
    let contrib = |file: &str| {
        let path = machine::repository().join(file);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    // A unit is found below /usr/lib and /etc alone; its program is where the prefix is.
    let units = if prefix == PACKAGED { "/usr/lib" } else { "/etc" };
    let unit =
        contrib("contrib/systemd/krcu.service")?.replace("/usr/bin/krcu", &format!("{prefix}/bin/krcu"));
    piece(Path::new(units).join("systemd/system/krcu.service"), unit.into_bytes(), false);
    let users = contrib("contrib/sysusers.d/krcu.conf")?;
    piece(Path::new(units).join("sysusers.d/krcu.conf"), users.into_bytes(), false);
    for file in ["prometheus/krcu.rules.yml", "grafana/krcu.json"] {
        let contents = contrib(&format!("contrib/{file}"))?;
        piece(below("share/doc/krcu").join(file), contents.into_bytes(), false);
    }
    for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        piece(below("share/doc/krcu").join(file), contrib(file)?.into_bytes(), false);
    }
    Ok(pieces)
}

/// Writes every file below a root.
fn put(root: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    let mut places = Vec::new();
    for Piece { place, contents, is_program } in pieces(prefix)? {
        let path = root.join(place.strip_prefix("/").unwrap_or(&place));
        cache::write_file(&path, &contents)?;
        let mode = if is_program { 0o755 } else { 0o644 };
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
    for Piece { place, .. } in pieces(prefix)? {
        match fs::remove_file(&place) {
            Ok(()) => say(&format!("removed {}", place.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("removing {}", place.display())),
        }
    }
    Ok(())
}

/// Builds a tarball and a Debian package into `target/dist`, and tries the package in a clean Debian.
///
/// # Errors
///
/// When something cannot be built, or tar or dpkg-deb is missing.
pub(crate) fn dist() -> Result<()> {
    setup::ensure()?;
    build::all("release")?;
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
