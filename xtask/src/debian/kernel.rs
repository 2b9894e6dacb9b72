//! Debian's kernels: the newest package of a series, downloaded once into the cache folder, installed nowhere.
//!
//! Package names carry the ABI and change with every update, so a series (`6.1`, or `7.x` for the newest of 7) is
//! resolved from the archive's index, and the answer remembered for a day. Debian packs a kernel in two ways: one
//! `linux-image` package, or (since 7.2) `linux-binary`, `linux-modules` and `linux-base` that it merely names; both
//! are followed by their dependencies.

use std::cmp::Ordering;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::cache;
use crate::debian::archive::{BOOKWORM, Family, TRIXIE, View};
use crate::debian::built;
use crate::debian::pinned;
pub(crate) use crate::debian::series::Series;
use crate::host;
use crate::progress::{Job, say};

/// How long a resolved series is believed.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);
/// Where series are looked for, in this order.
const FAMILIES: [Family; 2] = [BOOKWORM, TRIXIE];

/// One kernel of Debian's, known by name; its files are fetched when they are asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kernel {
    /// What `uname -r` says: `6.1.0-56-cloud-amd64`.
    pub(crate) release: String,
    /// The Debian release it comes from.
    family: String,
    /// Packages of the kernel and its modules, as `name=version`.
    image: Vec<String>,
    /// Packages to build modules with, as `name=version`; empty when the archive's index has none.
    headers: Vec<String>,
    /// The folder of a kernel that was built here: `image` and `headers` are in it.
    #[serde(default)]
    built: Option<PathBuf>,
    /// What it runs on.
    #[serde(default)]
    pub(crate) architecture: Architecture,
}

impl Kernel {
    /// What a module is built for: the release; of a kernel that was built here, also its folder, which is named by a digest of
    /// its configuration. Two of those may have one release.
    pub(crate) fn identity(&self) -> String {
        let folder = self.built.as_deref().map(|built| format!(" {}", built.display()));
        format!("{}{}", self.release, folder.unwrap_or_default())
    }

    /// The newest kernel of a series.
    ///
    /// # Errors
    ///
    /// When neither the index nor an earlier answer has one.
    pub(crate) fn newest(series: &Series) -> Result<Self> {
        if let Some(purpose) = series.purpose() {
            return built::kernel(series, series.number(), purpose);
        }
        let remembered = cache::folder("kernels")?.join(format!("{series}.json"));
        let known = fs::read(&remembered).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        if let Some(known) = &known
            && cache::age(&remembered).is_some_and(|age| age < FRESH)
        {
            return Ok(known.clone());
        }
        match resolve(series) {
            Ok(kernel) => {
                let text = serde_json::to_vec_pretty(&kernel).context("writing a kernel's packages")?;
                cache::write_file(&remembered, &text)?;
                Ok(kernel)
            }
            Err(error) => match known {
                Some(known) => {
                    say(&format!("{series} not looked up afresh ({error:#}); using {}", known.release));
                    Ok(known)
                }
                None => Err(error),
            },
        }
    }

    /// A kernel that was built here, from the sources of a Debian release.
    pub(crate) fn built(release: String, family: Family, folder: PathBuf) -> Self {
        let family = family.name.to_owned();
        Self {
            release,
            family,
            image: Vec::new(),
            headers: Vec::new(),
            built: Some(folder),
            architecture: Architecture::default(),
        }
    }

    /// The Debian release that this kernel comes from.
    ///
    /// # Errors
    ///
    /// When an answer of another version of this program names one that is not known here.
    pub(crate) fn family(&self) -> Result<Family> {
        FAMILIES
            .into_iter()
            .find(|family| family.name == self.family)
            .ok_or_else(|| anyhow!("{} comes from an unknown release {}", self.release, self.family))
    }

    /// The unpacked kernel and its modules.
    ///
    /// # Errors
    ///
    /// When it cannot be downloaded or unpacked.
    pub(crate) fn image(&self) -> Result<Image> {
        if let Some(built) = &self.built {
            let folder = built.join("image");
            return Ok(Image { modules: folder.join("lib/modules").join(&self.release), folder });
        }
        let folder = cache::folder("kernels")?.join(&self.release).join("image");
        let fresh = cache::fill_once(&folder, |partial| {
            self.view()?.unpack(&self.image, partial)?;
            let modules = partial.join("lib/modules");
            if !modules.exists() {
                cache::create_folder(&partial.join("lib"))?;
                symlink("../usr/lib/modules", &modules).context("linking lib/modules")?;
            }
            Job {
                what: &format!("indexing the modules of {}", self.release),
                advice: "install the package kmod",
            }
            .run(
                Command::new(host::find_program("depmod").unwrap_or_else(|| "depmod".into()))
                    .arg("-b")
                    .arg(partial)
                    .arg(&self.release),
            )?;
            Ok(())
        })?;
        if fresh {
            say(&format!("kernel {} is in {}", self.release, folder.display()));
        }
        Ok(Image { modules: folder.join("lib/modules").join(&self.release), folder })
    }

    /// The unpacked headers: a folder `usr/src/linux-headers-RELEASE` below it is for `make -C`.
    ///
    /// # Errors
    ///
    /// When the archive has none for this kernel, or they cannot be downloaded.
    pub(crate) fn headers(&self) -> Result<PathBuf> {
        if let Some(built) = &self.built {
            return Ok(built.join("headers"));
        }
        if self.headers.is_empty() && !pinned::knows(&self.release) {
            bail!(
                "Debian's archive has no headers for {} any more, so no module can be built for it; \
                 use its own modules (--in-tree) or another series",
                self.release
            );
        }
        let folder = cache::folder("kernels")?.join(&self.release).join("headers");
        cache::fill_once(&folder, |partial| {
            if self.headers.is_empty() {
                pinned::unpack_headers(&self.release, partial)?;
            } else {
                self.unpack_headers(partial)?;
            }
            settle_paths(&partial.join("usr/src").join(self.headers_name()).join("Makefile"), &folder)
        })?;
        Ok(folder)
    }

    /// The packages that it is in.
    fn view(&self) -> Result<View> {
        View::of(self.family()?, self.architecture)
    }

    /// Unpacks the headers. The programs among them run here, whatever the kernel runs on.
    fn unpack_headers(&self, into: &Path) -> Result<()> {
        let is_program = |package: &&String| package.starts_with("linux-kbuild-");
        let (programs, texts): (Vec<&String>, Vec<&String>) = self.headers.iter().partition(is_program);
        let owned = |names: Vec<&String>| -> Vec<String> { names.into_iter().cloned().collect() };
        self.view()?.unpack(&owned(texts), into)?;
        View::open(self.family()?)?.unpack(&owned(programs), into)
    }

    /// The kernel with its debug information: of Debian's, 350 MB that are fetched once.
    ///
    /// # Errors
    ///
    /// When its package cannot be had, or holds no kernel where Debian is known to put it.
    pub(crate) fn debug_information(&self) -> Result<PathBuf> {
        let release = &self.release;
        if let Some(built) = &self.built {
            return Ok(built.join(format!("image/boot/vmlinux-{release}")));
        }
        let folder = cache::folder("kernels")?.join(release).join("debug");
        cache::fill_once(&folder, |partial| {
            let unpacked = partial.join("unpacked");
            cache::create_folder(&unpacked)?;
            self.view()?.unpack(&[format!("linux-image-{release}-dbg")], &unpacked)?;
            let debug = unpacked.join("usr/lib/debug");
            let places = [
                debug.join(format!("boot/vmlinux-{release}")),
                debug.join("lib/modules").join(release).join("vmlinux"),
            ];
            // The one may be a link to the other.
            let is_file = |path: &&PathBuf| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
            let place = places.iter().find(is_file);
            let place = place.ok_or_else(|| anyhow!("no vmlinux in linux-image-{release}-dbg"))?;
            fs::rename(place, partial.join("vmlinux")).context("keeping a kernel's debug information")?;
            fs::remove_dir_all(&unpacked).context("removing the rest of a package")
        })?;
        Ok(folder.join("vmlinux"))
    }

    /// The name of the folder that modules are built against.
    pub(crate) fn headers_name(&self) -> String {
        format!("linux-headers-{}", self.release)
    }
}

/// The Makefile of Debian's headers names the common ones by where they would be installed; name ours.
fn settle_paths(makefile: &Path, folder: &Path) -> Result<()> {
    let text = fs::read_to_string(makefile).with_context(|| format!("reading {}", makefile.display()))?;
    let ours = format!("{}/usr/src/linux-headers-", folder.display());
    cache::write_file(makefile, text.replace("/usr/src/linux-headers-", &ours).as_bytes())
}

/// An unpacked kernel.
pub(crate) struct Image {
    /// Everything that was in its packages.
    folder: PathBuf,
    /// Its modules' folder, with `modules.dep` and `modules.builtin`.
    pub(crate) modules: PathBuf,
}

impl Image {
    /// The kernel to boot.
    ///
    /// # Errors
    ///
    /// When the packages held none where Debian is known to put it.
    pub(crate) fn vmlinuz(&self) -> Result<PathBuf> {
        let release = self.modules.file_name().unwrap_or_default().to_string_lossy();
        let places = [self.folder.join(format!("boot/vmlinuz-{release}")), self.modules.join("vmlinuz")];
        places.into_iter().find(|path| path.exists()).ok_or_else(|| {
            anyhow!("no vmlinuz in the packages of {release} (below {})", self.folder.display())
        })
    }
}

fn resolve(series: &Series) -> Result<Kernel> {
    host::debian_architecture()?;
    let architecture = series.architecture();
    let ending = series.ending();
    for family in FAMILIES {
        let view = View::of(family, architecture)?;
        let mut versions: Vec<String> = view
            .names("linux-image-")?
            .iter()
            .filter_map(|name| series.version(name.strip_prefix("linux-image-")?))
            .filter(|version| series.holds(version))
            .map(str::to_owned)
            .collect();
        versions.sort_by(|left, right| compare_versions(left, right));
        for version in versions.iter().rev() {
            let release = format!("{version}{ending}");
            if let Some(image) = closure(&view, &format!("linux-image-{release}"), false)? {
                let headers = closure(&view, &format!("linux-headers-{release}"), true)?.unwrap_or_default();
                let family = family.name.to_owned();
                return Ok(Kernel { release, family, image, headers, built: None, architecture });
            }
        }
    }
    let names = FAMILIES.map(|family| family.name).join(" nor ");
    bail!("no kernel of series {series} in Debian {names}")
}

/// A package and the kernel packages that it depends on, as `name=version`; `None` when the index lacks the first.
fn closure(view: &View, first: &str, headers: bool) -> Result<Option<Vec<String>>> {
    let wanted: &[&str] = if headers {
        &["linux-headers-", "linux-kbuild-"]
    } else {
        &["linux-binary-", "linux-modules-", "linux-base-"]
    };
    let mut found: Vec<String> = Vec::new();
    let mut waiting = vec![first.to_owned()];
    while let Some(name) = waiting.pop() {
        let Some(package) = view.newest(&name)? else {
            // Backports drop parts of older kernels. Headers are of no use in parts; a kernel may still boot.
            if name == first || headers {
                return Ok(None);
            }
            continue;
        };
        for dependency in package.depends {
            let seen = found.iter().any(|known| known.split('=').next() == Some(&dependency));
            if !seen && wanted.iter().any(|prefix| dependency.starts_with(prefix)) {
                waiting.push(dependency);
            }
        }
        found.push(format!("{}={}", package.name, package.version));
    }
    Ok(Some(found))
}

/// Orders versions as people do: runs of digits by value, the rest by character.
pub(super) fn compare_versions(left: &str, right: &str) -> Ordering {
    version_key(left).cmp(&version_key(right))
}

fn version_key(version: &str) -> Vec<(u64, String)> {
    let mut key = Vec::new();
    let mut rest = version;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let words = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
        let (word, after) = after.split_at(words);
        key.push((number.parse().unwrap_or(0), word.to_owned()));
        rest = after;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::compare_versions;

    #[test]
    fn versions_order_by_value() {
        let mut versions = ["6.1.0-9", "6.12.90+deb12.1", "6.1.0-56", "6.12.90+deb12", "6.12.117+deb12"];
        versions.sort_by(|left, right| compare_versions(left, right));
        assert_eq!(versions, ["6.1.0-9", "6.1.0-56", "6.12.90+deb12", "6.12.90+deb12.1", "6.12.117+deb12"]);
    }
}
