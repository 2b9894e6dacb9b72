//! Walks: short ones that find nothing, and ones with a fault on that find it.

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};

use krcu_reference::walk::{Course, Kind, LIMIT, Record, SEED, SHORT, Walk, kernel::Kernel};

/// The first steps of the walks that `docs/walks.md` tells of, and all lookouts.
static RECORD: LazyLock<Record> = LazyLock::new(|| {
    Course { seed: SEED, steps: SHORT, only: "", on: &[], threads: 2 }.run(&|line: &str| eprintln!("{line}"))
});

fn docs() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/walks.md")).unwrap_or_default()
}

#[test]
fn a_short_walk_of_each_kernel_finds_nothing_new() {
    for (kernel, walked) in &RECORD.walks {
        assert!(walked.found.is_none(), "{}: {:?}", kernel.name(), walked.found);
        assert_eq!(walked.counts.steps, SHORT);
    }
    // The counts are exact. `cargo xtask model --walk --write` writes them again.
    assert!(docs().contains(&RECORD.markdown_short()), "docs/walks.md is of other walks");
}

#[test]
fn short_walks_go_everywhere() {
    for kind in Kind::ALL {
        let steps: u64 = RECORD.walks.iter().map(|(_, walked)| walked.counts.kinds[kind as usize]).sum();
        assert!(steps > 0, "no step: {}", kind.words());
    }
    for (kernel, walked) in &RECORD.walks {
        assert_eq!(walked.counts.kinds.iter().sum::<u64>(), SHORT);
        // Modules destroy caches while objects are queued: otherwise nothing could break.
        assert!(walked.counts.met >= 10, "{}: {:?}", kernel.name(), walked.counts);
    }
}

#[test]
fn the_seed_determines_a_walk() {
    let walk = |seed| {
        let walk = Walk { kernel: Kernel::In612, on: &[], fault: None, seed, steps: 2_000 };
        walk.run(&|line| eprintln!("{line}")).counts
    };
    assert_eq!(walk(2), walk(2));
    assert_ne!(walk(2), walk(3));
}

#[test]
fn each_fault_that_is_on_is_found_where_it_is_said() {
    assert_eq!(RECORD.complaints(), Vec::<String>::new());
    let steps = RECORD.lookouts.iter().filter_map(|(_, walked)| Some(walked.found.as_ref()?.step));
    assert!(steps.max().unwrap() <= LIMIT);
    assert!(docs().contains(&RECORD.markdown_lookouts()), "docs/walks.md is of other walks");
    let kept: BTreeMap<String, String> =
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/walks"))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, fs::read_to_string(&path).unwrap())
            })
            .collect();
    let found = RECORD.examples().into_iter().map(|example| (example.file, example.text));
    assert_eq!(kept, found.collect());
}
