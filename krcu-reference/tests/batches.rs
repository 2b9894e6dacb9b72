//! Compares the machine's pages and batches with those of real kernels.
//!
//! A trace says which objects one call freed, and which CPU had queued each of them. The machine says which
//! objects can be on one page, and in which order a worker takes pages. The kernels must have done the same.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::{collections::BTreeMap, fs, path::Path};

use krcu_common::FreePath;
use krcu_model::{
    event::{Cpu, ObjectAddress, Task, What},
    script,
};
use krcu_reference::machine::facts::{KVFREE_BULK_MAX_ENTR, KVFREE_BULK_MAX_ENTR_PLAIN};

/// What one call freed: for each object, its number in the order of queueing, and its CPU.
struct Page {
    task: Task,
    objects: Vec<(usize, Cpu)>,
}

fn pages(trace: &Path) -> Vec<Page> {
    let script = script::read(&fs::read_to_string(trace).unwrap()).unwrap();
    let mut queued = BTreeMap::<ObjectAddress, (usize, Cpu)>::new();
    let mut open = BTreeMap::<Task, Vec<(usize, Cpu)>>::new();
    let mut pages = Vec::new();
    for (place, event) in script.events.iter().enumerate() {
        match &event.what {
            What::Queued { object, .. } => {
                queued.insert(*object, (place, event.cpu));
            }
            // A module's own kfree_bulk() frees objects that were not queued.
            What::Freed { object, path: FreePath::Bulk, .. } => {
                open.entry(event.task).or_default().extend(queued.remove(object));
            }
            What::BatchFreed { path: FreePath::Bulk } => {
                let objects = open.remove(&event.task).unwrap_or_default();
                pages.extend((!objects.is_empty()).then_some(Page { task: event.task, objects }));
            }
            _ => {}
        }
    }
    pages
}

#[test]
fn a_kernel_frees_what_the_machine_would_have_on_one_page_and_newer_pages_first() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces");
    let (mut seen, mut in_a_row) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "script") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let room = if name.starts_with("6.1-") { KVFREE_BULK_MAX_ENTR_PLAIN } else { KVFREE_BULK_MAX_ENTR };
        let pages = pages(&path);
        for page in &pages {
            seen += 1;
            assert!(page.objects.len() <= room, "{name}: {} objects on a page", page.objects.len());
            // A page belongs to one CPU and is filled in the order of queueing.
            let cpu = page.objects[0].1;
            assert!(page.objects.iter().all(|object| object.1 == cpu), "{name}: a page of several CPUs");
            assert!(page.objects.is_sorted_by_key(|object| object.0), "{name}: a page out of order");
        }
        // A worker that goes on frees the next older page of the same CPU (list order, newest block first).
        for two in pages.windows(2).filter(|two| two[0].task == two[1].task) {
            if two[0].objects[0].1 == two[1].objects[0].1 {
                in_a_row += 1;
                assert!(two[1].objects[0].0 < two[0].objects[0].0, "{name}: an older page first");
            }
        }
    }
    // The 777 objects of the `pending` module fill more than one page on both kernels.
    assert!(seen >= 16 && in_a_row >= 2, "{seen} pages, {in_a_row} followed by an older one");
}
