//! A private apt view of Debian suites: look up and download packages without touching this computer's apt.
//!
//! apt reads a configuration of our own, named by `APT_CONFIG`: its own sources, lists, cache and (empty) status
//! file. The archive's address comes from the machine's apt configuration, or from `KRCU_DEBIAN_ARCHIVE` on a
//! machine that is not Debian; the signatures are checked against Debian's keyring as always.
//! A view is looked at afresh once a day; without a network the last one serves.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::architecture::Architecture;
use crate::cache;
use crate::host;
use crate::progress::{Job, output_of, say};

/// The environment variable that names a Debian archive, for machines whose own apt knows none.
const ARCHIVE_VARIABLE: &str = "KRCU_DEBIAN_ARCHIVE";
/// Where Debian and Ubuntu install Debian's signing keys (package `debian-archive-keyring`).
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// After how long the index is fetched again.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// A release of Debian with the suites that are looked at together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Family {
    /// The release's code name.
    pub(crate) name: &'static str,
    /// Its suites; those ending in `-security` live in the archive of their own.
    suites: &'static [&'static str],
}

/// Debian 12: kernels 6.1 and 6.12.
pub(crate) const BOOKWORM: Family =
    Family { name: "bookworm", suites: &["bookworm", "bookworm-security", "bookworm-backports"] };
/// Debian 13 with its backports: kernels 6.12 and everything since 6.16.
pub(crate) const TRIXIE: Family =
    Family { name: "trixie", suites: &["trixie", "trixie-security", "trixie-backports"] };
/// Debian's development suite: the newest of everything.
pub(crate) const SID: Family = Family { name: "sid", suites: &["sid"] };

/// An apt of our own that knows the packages of one [`Family`] for one architecture.
pub(crate) struct View {
    configuration: PathBuf,
    folder: PathBuf,
}

/// What the index says about one package.
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version, as Debian writes it.
    pub(crate) version: String,
    /// The first alternative of each package that it depends on, names only.
    pub(crate) depends: Vec<String>,
}

impl View {
    /// Opens today's view of a family for this computer, fetching the index when there is none of today.
    ///
    /// # Errors
    ///
    /// When the index cannot be fetched and no earlier one is there.
    pub(crate) fn open(family: Family) -> Result<Self> {
        Self::of(family, Architecture::default())
    }

    /// The same for an architecture.
    ///
    /// # Errors
    ///
    /// As [`View::open`].
    pub(crate) fn of(family: Family, architecture: Architecture) -> Result<Self> {
        let views = cache::folder("apt")?;
        let prefix = if architecture.is_ours() {
            format!("{}-", family.name)
        } else {
            format!("{}-{}-", family.name, architecture.debian())
        };
        let mut known = stamped_folders(&views, &prefix)?;
        let newest = known.pop();
        if let Some(newest) = &newest
            && cache::age(&newest.join("fetched")).is_some_and(|age| age < FRESH)
        {
            return Self::at(newest.clone(), architecture);
        }
        let stamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let folder = views.join(format!("{prefix}{stamp}"));
        match cache::fill_once(&folder, |partial| fetch_index(family, architecture, partial)) {
            Ok(_) => {
                // Yesterday's may still be open elsewhere; those before it are of no use to anybody.
                for old in known {
                    drop(fs::remove_dir_all(old));
                }
                Self::at(folder, architecture)
            }
            Err(error) => match newest {
                Some(newest) => {
                    say(&format!("no fresh index of Debian {} ({error:#}); using the last one", family.name));
                    Self::at(newest, architecture)
                }
                None => Err(error),
            },
        }
    }

    fn at(folder: PathBuf, architecture: Architecture) -> Result<Self> {
        let configuration = folder.join("apt.conf");
        // The folder was filled under another name, so what it says about itself is written again.
        cache::write_file(&configuration, configuration_of(&folder, architecture).as_bytes())?;
        Ok(Self { configuration, folder })
    }

    /// Names of all packages that begin with `prefix`.
    ///
    /// # Errors
    ///
    /// When apt-cache fails.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let text = output_of(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// The newest version of a package; `None` when the index has none to download.
    ///
    /// # Errors
    ///
    /// When apt-cache cannot be started.
    pub(crate) fn newest(&self, name: &str) -> Result<Option<Package>> {
        let output = self
            .command("apt-cache")
            .args(["show", "--no-all-versions", name])
            .output()
            .context("starting apt-cache")?;
        Ok(parse_record(&String::from_utf8_lossy(&output.stdout)))
    }

    /// All versions of a package in the index, newest first.
    ///
    /// # Errors
    ///
    /// When apt-cache fails.
    pub(crate) fn versions(&self, name: &str) -> Result<Vec<String>> {
        let text = output_of(self.command("apt-cache").args(["madison", name]))?;
        Ok(text
            .lines()
            .filter_map(|line| line.split('|').nth(1))
            .map(|word| word.trim().to_owned())
            .collect())
    }

    /// Downloads packages (`name` or `name=version`) and unpacks all of them into `into`.
    ///
    /// # Errors
    ///
    /// When one cannot be downloaded, is not what the index says, or does not unpack.
    pub(crate) fn unpack(&self, packages: &[String], into: &Path) -> Result<()> {
        let what = format!("downloading {}", packages.join(", "));
        unpack_debs(into, |debs| {
            Job {
                what: &what,
                advice: "is the Debian archive reachable? a proxy is set in apt's own configuration",
            }
            .run(self.command("apt-get").arg("download").args(packages).current_dir(debs))
            .map(drop)
        })
    }

    /// Downloads packages with everything they depend on and unpacks all of them into `into`.
    ///
    /// # Errors
    ///
    /// As [`View::unpack`].
    pub(crate) fn unpack_with_dependencies(&self, packages: &[&str], into: &Path) -> Result<()> {
        let what = format!("downloading {} and what they need", packages.join(", "));
        unpack_debs(into, |debs| {
            cache::create_folder(&debs.join("partial"))?;
            Job {
                what: &what,
                advice: "is the Debian archive reachable? a proxy is set in apt's own configuration",
            }
            .run(
                self.command("apt-get")
                    .args(["install", "--download-only", "--yes", "--no-install-recommends"])
                    .args(["-o", "Debug::NoLocking=1", "-o"])
                    .arg(format!("Dir::Cache::archives={}", debs.display()))
                    .args(packages),
            )
            .map(drop)
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.configuration).env("LC_ALL", "C").current_dir(&self.folder);
        command
    }
}

/// Has packages put into a folder and unpacks all of them into `into`.
///
/// # Errors
///
/// What `download` says, or when one does not unpack.
pub(crate) fn unpack_debs(into: &Path, download: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let debs = into.join(".debs");
    cache::create_folder(&debs)?;
    download(&debs)?;
    unpack_all(&debs, into)?;
    fs::remove_dir_all(&debs).context("removing downloaded packages")
}

/// The address of the archive's main part, without a slash at its end.
///
/// # Errors
///
/// When this computer's apt knows none and none is named.
pub(crate) fn main_address() -> Result<String> {
    Archive::find().map(|archive| archive.main)
}

fn unpack_all(debs: &Path, into: &Path) -> Result<()> {
    for entry in fs::read_dir(debs).with_context(|| format!("reading {}", debs.display()))? {
        let path = entry.context("reading a folder")?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Job { what: &format!("unpacking {name}"), advice: "is the disk full?" }
                .run(Command::new("dpkg").arg("-x").arg(&path).arg(into))?;
        }
    }
    Ok(())
}

/// Folders `prefix` + seconds since 1970, oldest first.
fn stamped_folders(views: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(views).with_context(|| format!("reading {}", views.display()))? {
        let entry = entry.context("reading a folder")?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(stamp) = name.strip_prefix(prefix).and_then(|digits| digits.parse::<u64>().ok()) {
            found.push((stamp, entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn configuration_of(folder: &Path, architecture: Architecture) -> String {
    let folder = folder.display();
    let architecture = architecture.debian();
    format!(
        "Dir::Etc::SourceList \"{folder}/sources.list\";\n\
         Dir::Etc::SourceParts \"/dev/null\";\n\
         Dir::Etc::Preferences \"/dev/null\";\n\
         Dir::Etc::PreferencesParts \"/dev/null\";\n\
         Dir::State \"{folder}\";\n\
         Dir::State::Lists \"{folder}/lists\";\n\
         Dir::State::status \"{folder}/status\";\n\
         Dir::Cache \"{folder}/cache\";\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n\
         APT::Architecture \"{architecture}\";\n\
         APT::Architectures {{ \"{architecture}\"; }};\n"
    )
}

fn fetch_index(family: Family, architecture: Architecture, folder: &Path) -> Result<()> {
    if !Path::new(KEYRING).exists() {
        bail!("Debian's signing keys are not installed: install the package debian-archive-keyring");
    }
    for name in ["lists/partial", "cache/archives/partial"] {
        cache::create_folder(&folder.join(name))?;
    }
    let archive = Archive::find()?;
    let mut sources = String::new();
    for suite in family.suites {
        let address = if suite.ends_with("-security") { &archive.security } else { &archive.main };
        sources.push_str(&format!("deb [signed-by={KEYRING}] {address} {suite} main\n"));
    }
    cache::write_file(&folder.join("sources.list"), sources.as_bytes())?;
    cache::write_file(&folder.join("status"), b"")?;
    cache::write_file(&folder.join("apt.conf"), configuration_of(folder, architecture).as_bytes())?;
    let configuration = folder.join("apt.conf");
    let view = View { configuration, folder: folder.to_path_buf() };
    let what = format!("fetching the package index of Debian {}", family.name);
    Job { what: &what, advice: "is the Debian archive reachable? a proxy is set in apt's own configuration" }
        .run(view.command("apt-get").args(["update", "-q", "--error-on=any"]))?;
    cache::write_file(&folder.join("fetched"), b"")
}

/// Where Debian's packages are.
struct Archive {
    main: String,
    security: String,
}

impl Archive {
    fn find() -> Result<Self> {
        if let Some(main) = env::var_os(ARCHIVE_VARIABLE) {
            let main = main.to_string_lossy().trim_end_matches('/').to_owned();
            return Ok(Self { security: format!("{main}-security"), main });
        }
        let mut targets = index_targets(&[])?;
        if targets.trim().is_empty() {
            // A fresh machine has never fetched an index, and apt tells addresses of fetched ones only.
            let lists = cache::folder("apt/machine")?;
            cache::create_folder(&lists.join("partial"))?;
            let option = format!("Dir::State::Lists={}", lists.display());
            let lists = ["-o", &option, "-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1"];
            Job { what: "fetching the package index of this machine", advice: "does `apt-get update` work?" }
                .run(Command::new("apt-get").args(["update", "-q"]).args(lists))?;
            targets = index_targets(&lists)?;
        }
        Self::from_targets(&targets)
    }

    /// Reads lines of `ORIGIN CODENAME ADDRESS`.
    fn from_targets(targets: &str) -> Result<Self> {
        let mut main = None;
        let mut security = None;
        for line in targets.lines() {
            let mut words = line.split_whitespace();
            let (Some("Debian"), Some(codename), Some(address)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let address = address.trim_end_matches('/').to_owned();
            if codename.ends_with("-security") { security = Some(address) } else { main = Some(address) }
        }
        match main {
            Some(main) => Ok(Self { security: security.unwrap_or_else(|| format!("{main}-security")), main }),
            None => bail!(
                "this machine's apt knows no Debian archive: set {ARCHIVE_VARIABLE} to the address of one \
                 (and install debian-archive-keyring)"
            ),
        }
    }
}

fn index_targets(options: &[&str]) -> Result<String> {
    let architecture = host::debian_architecture()?;
    output_of(Command::new("apt-get").args(options).args([
        "indextargets",
        "--format",
        "$(ORIGIN) $(CODENAME) $(REPO_URI)",
        "Created-By: Packages",
        &format!("Architecture: {architecture}"),
    ]))
}

fn parse_record(text: &str) -> Option<Package> {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
    };
    let depends = field("Depends").unwrap_or_default();
    let depends = depends
        .split(',')
        .filter_map(|clause| clause.split('|').next()?.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    Some(Package { name: field("Package")?, version: field("Version")?, depends })
}

#[cfg(test)]
mod tests {
    use super::{Archive, parse_record};

    #[test]
    fn a_record_gives_first_alternatives() {
        let text = "Package: linux-headers-6.12\nVersion: 6.12.1-1\n\
                    Depends: linux-base (>= 4.12~), linux-image-6.12 (= 1) | linux-image-6.12-unsigned (= 1), gcc-12\n";
        let package = parse_record(text).unwrap();
        assert_eq!(package.name, "linux-headers-6.12");
        assert_eq!(package.version, "6.12.1-1");
        assert_eq!(package.depends, ["linux-base", "linux-image-6.12", "gcc-12"]);
        assert!(parse_record("").is_none());
    }

    #[test]
    fn addresses_come_from_debian_lines_only() {
        let archive = Archive::from_targets(
            "Node nodistro http://other.test/\n\
             Debian bookworm-security http://mirror.test/debian-security/\n\
             Debian bookworm http://mirror.test/debian/\n",
        )
        .unwrap();
        assert_eq!(archive.main, "http://mirror.test/debian");
        assert_eq!(archive.security, "http://mirror.test/debian-security");
        assert!(Archive::from_targets("Ubuntu noble http://other.test/ubuntu/\n").is_err());
    }
}
