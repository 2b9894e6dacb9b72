//! A kernel's own modules: which files a name stands for, with everything that they need, unpacked.
//!
//! `depmod` wrote `modules.dep` when the kernel was unpacked; a module that is compiled in is in `modules.builtin`
//! and needs nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::debian::kernel::Image;

/// The lines of a kernel's `modules.dep`.
pub(crate) struct InTree<'a> {
    image: &'a Image,
    /// Module name → its path and the paths that it needs, all below the modules' folder.
    files: BTreeMap<String, Vec<String>>,
    builtin: Vec<String>,
}

/// One module file to be put into a machine.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModuleFile {
    /// Path below `/lib/modules/RELEASE`, as a `.ko`.
    pub(crate) path: String,
    /// Where it lies in the package, perhaps compressed.
    packed: String,
    /// Paths (as `.ko`) of the modules to be loaded before it.
    needs: Vec<String>,
}

impl ModuleFile {
    /// The module's name.
    pub(crate) fn name(&self) -> String {
        module_name(&self.path)
    }
}

impl<'a> InTree<'a> {
    /// Reads what depmod wrote.
    ///
    /// # Errors
    ///
    /// When `modules.dep` cannot be read.
    pub(crate) fn read(image: &'a Image) -> Result<Self> {
        let path = image.modules.join("modules.dep");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let builtin = fs::read_to_string(image.modules.join("modules.builtin")).unwrap_or_default();
        Ok(Self { image, files: parse(&text), builtin: builtin.lines().map(module_name).collect() })
    }

    /// The name of every module.
    pub(crate) fn names(&self) -> Vec<String> {
        self.files.keys().cloned().collect()
    }

    /// The files of these modules and of everything they need, each once.
    ///
    /// # Errors
    ///
    /// When this kernel has no module of such a name.
    pub(crate) fn closure(&self, names: &[String]) -> Result<Vec<ModuleFile>> {
        let mut found = BTreeMap::new();
        for name in names {
            let name = name.replace('-', "_");
            if self.builtin.contains(&name) {
                continue;
            }
            let line = self.files.get(&name).ok_or_else(|| {
                anyhow!("this kernel has no module {name} (below {})", self.image.modules.display())
            })?;
            for path in line {
                let needs =
                    self.files.get(&module_name(path)).and_then(|line| line.get(1..)).unwrap_or_default();
                let file = ModuleFile {
                    path: uncompressed(path).to_owned(),
                    packed: path.clone(),
                    needs: needs.iter().map(|path| uncompressed(path).to_owned()).collect(),
                };
                found.insert(file.path.clone(), file);
            }
        }
        Ok(found.into_values().collect())
    }

    /// The bytes of a module, uncompressed.
    ///
    /// # Errors
    ///
    /// When it cannot be read or unpacked.
    pub(crate) fn contents(&self, file: &ModuleFile) -> Result<Vec<u8>> {
        let path = self.image.modules.join(&file.packed);
        let program = match path.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => "xz",
            Some("zst") => "zstd",
            Some("gz") => "gzip",
            _ => return fs::read(&path).with_context(|| format!("reading {}", path.display())),
        };
        unpack(program, &path)
    }
}

fn unpack(program: &str, path: &Path) -> Result<Vec<u8>> {
    let output = Command::new(program)
        .arg("-dc")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {program}; is it installed?"))?;
    if !output.status.success() {
        bail!(
            "{program} cannot unpack {}: {}",
            path.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}

/// `modules.dep` for just these files, as modprobe reads it.
pub(crate) fn modules_dep(files: &[ModuleFile]) -> String {
    files.iter().map(|file| format!("{}: {}\n", file.path, file.needs.join(" "))).collect()
}

fn parse(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut files = BTreeMap::new();
    for line in text.lines() {
        if let Some((path, needs)) = line.split_once(':') {
            let mut line = vec![path.to_owned()];
            line.extend(needs.split_whitespace().map(str::to_owned));
            files.insert(module_name(path), line);
        }
    }
    files
}

/// `kernel/fs/fuse/virtio-fs.ko.xz` → `virtio_fs`.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

fn uncompressed(path: &str) -> &str {
    path.find(".ko").and_then(|at| path.get(..at + 3)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::{module_name, parse, uncompressed};

    #[test]
    fn lines_are_found_by_module_name() {
        let files = parse(
            "kernel/a/virtio-fs.ko.xz: kernel/b/fuse.ko.xz kernel/b/virtio.ko.xz\nkernel/b/fuse.ko.xz:\n",
        );
        assert_eq!(files["virtio_fs"].len(), 3);
        assert_eq!(files["fuse"], ["kernel/b/fuse.ko.xz"]);
        assert_eq!(module_name("kernel/a/x-y.ko"), "x_y");
        assert_eq!(uncompressed("kernel/a/x-y.ko.xz"), "kernel/a/x-y.ko");
    }
}
