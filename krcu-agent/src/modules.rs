//! Modules: the versions of the kernel's modules, so that traces of many hosts tell which build of a module did what.
//!
//! A module that is built into the kernel has no version of its own. One that is gone before its event is read has none in the
//! trace either.

use std::{fmt::Write as _, fs, path::Path};

use krcu_model::{Watch, event::Time};
use krcu_trace::meta::{Module, Seen};

/// Where the kernel tells of its modules.
pub(crate) const FOLDER: &str = "/sys/module";
/// The note that the linker writes into a module.
const NOTE: &str = "notes/.note.gnu.build-id";
/// The note's header: the sizes of its name and of what it says, its type, and the name `GNU`.
const HEADER: usize = 16;

/// What a watch that begins now sees, with the versions of the modules that are loaded.
pub(crate) fn seen(watch: &Watch) -> Seen {
    Seen { modules: loaded(Path::new(FOLDER)), ..Seen::of(watch) }
}

/// The versions of all modules that are loaded, in the order of their names.
fn loaded(folder: &Path) -> Vec<Module> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names.into_iter().filter_map(|name| version(folder, &name, None)).collect()
}

/// The version of a module; none if it is not there, or tells none.
pub(crate) fn version(folder: &Path, name: &str, loaded: Option<Time>) -> Option<Module> {
    // A name is one part of a path.
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    let module = folder.join(name);
    let build_id = fs::read(module.join(NOTE)).ok().and_then(|note| build_id(&note));
    let srcversion = fs::read_to_string(module.join("srcversion")).ok().map(|text| text.trim().to_owned());
    (build_id.is_some() || srcversion.is_some()).then(|| Module {
        name: name.to_owned(),
        build_id,
        srcversion,
        loaded_at_ns: loaded.map(|at| at.0),
    })
}

/// What the note says, in hexadecimal digits.
fn build_id(note: &[u8]) -> Option<String> {
    let bytes = note.get(4..8)?;
    let size = usize::try_from(u32::from_ne_bytes(bytes.try_into().ok()?)).ok()?;
    let id = note.get(HEADER..HEADER.checked_add(size)?).filter(|id| !id.is_empty())?;
    let mut text = String::new();
    for byte in id {
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_tells_its_build_and_its_sources() {
        let folder = std::env::temp_dir().join(format!("krcu-modules-{}", std::process::id()));
        let root = folder.as_path();
        // As `readelf -n` shows such a note: 4 bytes of name, 20 of what it says, type 3.
        let mut note = Vec::new();
        for word in [4u32, 20, 3] {
            note.extend(word.to_ne_bytes());
        }
        note.extend(b"GNU\0");
        note.extend(0..20u8);
        for (name, files) in [
            ("both", vec![(NOTE, note.clone()), ("srcversion", b"53B1D8F4\n".to_vec())]),
            ("cut", vec![(NOTE, note[..30].to_vec())]),
            ("built_in", vec![]),
        ] {
            fs::create_dir_all(root.join(name).join("notes")).unwrap();
            for (file, bytes) in files {
                fs::write(root.join(name).join(file), bytes).unwrap();
            }
        }
        let both = Module {
            name: "both".to_owned(),
            build_id: Some("000102030405060708090a0b0c0d0e0f10111213".to_owned()),
            srcversion: Some("53B1D8F4".to_owned()),
            loaded_at_ns: None,
        };
        assert_eq!(loaded(root), std::slice::from_ref(&both));
        assert_eq!(version(root, "both", Some(Time(7))), Some(Module { loaded_at_ns: Some(7), ..both }));
        assert_eq!(version(root, "../both", None), None);
        assert_eq!(loaded(&root.join("absent")), []);
        fs::remove_dir_all(root).unwrap();
    }
}
