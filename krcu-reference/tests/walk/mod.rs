//! Walks: short ones that find nothing, and ones with a fault on that find it.

use std::{collections::BTreeMap, fs, path::Path};

use krcu_reference::walk::{Course, Kind, LIMIT, SEED, Walk, kernel::Kernel};

fn walk(kernel: Kernel, seed: u64) -> krcu_reference::walk::Walked {
    Walk { kernel, on: &[], fault: None, seed, steps: 20_000 }.run(&|line| eprintln!("{line}"))
}

#[test]
fn a_short_walk_of_each_kernel_finds_nothing_new() {
    for kernel in Kernel::ALL {
        let walked = walk(kernel, SEED);
        let name = kernel.name();
        assert!(walked.found.is_none(), "{name}: {:?}", walked.found);
        let counts = walked.counts;
        let told = (counts.steps, counts.worlds, counts.events, counts.destroys, counts.met);
        eprintln!("{name}: {told:?}");
        // These change only if the machine, its worlds or the draw changes.
        let expected = match kernel {
            Kernel::Before612 => (20_000, 0, 0, 0, 0),
            Kernel::In612 => (20_000, 0, 0, 0, 0),
            Kernel::In618 => (20_000, 0, 0, 0, 0),
            Kernel::In619 => (20_000, 0, 0, 0, 0),
            Kernel::In7 => (20_000, 0, 0, 0, 0),
        };
        assert_eq!(told, expected, "{name}");
    }
}

#[test]
fn a_walk_goes_everywhere() {
    for kernel in Kernel::ALL {
        let counts = walk(kernel, SEED).counts;
        let has_sheaves = !matches!(kernel, Kernel::Before612 | Kernel::In612);
        for kind in Kind::ALL.into_iter().filter(|kind| match kind {
            Kind::Age => has_sheaves,
            // Before cookies, the shrinker frees nothing itself.
            Kind::Reclaim => kernel != Kernel::Before612,
            // Only there, a work item releases type-safe caches.
            Kind::End => kernel == Kernel::Before612,
            _ => true,
        }) {
            assert!(counts.kinds[kind as usize] > 0, "{}: {}", kernel.name(), kind.words());
        }
        assert_eq!(counts.kinds.iter().sum::<u64>(), counts.steps);
    }
}

#[test]
fn the_seed_determines_a_walk() {
    let kernel = Kernel::In612;
    assert_eq!(walk(kernel, 2).counts, walk(kernel, 2).counts);
    assert_ne!(walk(kernel, 2).counts, walk(kernel, 3).counts);
}

#[test]
fn each_fault_that_is_on_is_found_where_it_is_said() {
    let course = Course { seed: SEED, steps: 0, only: "", on: &[], threads: 2 };
    let record = course.run(&|line: &str| eprintln!("{line}"));
    assert_eq!(record.complaints(), Vec::<String>::new());
    let steps = record.lookouts.iter().filter_map(|(_, walked)| Some(walked.found.as_ref()?.step));
    assert!(steps.max().unwrap() <= LIMIT);
    // The steps and the paths are exact. `cargo xtask model --walk --write` writes them again.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_to_string(here.join("../docs/walks.md")).unwrap();
    assert!(docs.contains(&record.markdown_lookouts()), "docs/walks.md is of other walks");
    let kept: BTreeMap<String, String> = fs::read_dir(here.join("tests/walks"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    let found = record.examples().into_iter().map(|example| (example.file, example.text));
    assert_eq!(kept, found.collect());
}
